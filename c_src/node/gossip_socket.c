#include "node/gossip_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the heartbeats of some thousand nodes while the loop is busy or a flood comes in. */
#define RECEIVE_BUFFER (1 << 20)
/* One datagram of any size for each place, of which pages are touched as they are used. */
#define DATAGRAM_MAX 65536
#define DATAGRAMS 16

struct address_text {
    char text[INET_ADDRSTRLEN];
};

static struct address_text address_text(struct in_addr address) {
    struct address_text t;
    inet_ntop(AF_INET, &address, t.text, sizeof t.text);
    return t;
}

static int set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value);
}

/* Both before bind: libuv would set only one of them, and other nodes on this host share the port.
 */
static int share_port(int fd) {
    if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0) {
        return -1;
    }
#ifdef SO_REUSEPORT
    return set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#else
    return 0;
#endif
}

/*
 * To any address whatever the interface is: a socket bound to one of the host's own addresses
 * receives neither multicast nor broadcast on Linux.
 */
static int bind_port(int fd, const struct muster_gossip_endpoint *e) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(e->port)};
    return bind(fd, (const struct sockaddr *)&any, sizeof any);
}

static int join(int fd, const struct muster_gossip_endpoint *e) {
    struct ip_mreq request = {.imr_multiaddr = e->to, .imr_interface = e->receive_from};
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
}

static int choose_interface(int fd, const struct muster_gossip_endpoint *e) {
    if (e->send_from.s_addr == htonl(INADDR_ANY)) {
        return 0;
    }
    return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &e->send_from, sizeof e->send_from);
}

static void bind_error(const struct muster_gossip_endpoint *e, int error, char *text, size_t size) {
    if (error == EADDRINUSE) {
        snprintf(text, size,
                 "UDP port %u is held by a program that does not share it (EADDRINUSE): stop that "
                 "program, or give all nodes another port",
                 e->port);
    } else if (error == EACCES) {
        snprintf(text, size, "UDP port %u needs privileges (EACCES): give all nodes another port",
                 e->port);
    } else {
        snprintf(text, size, "cannot bind UDP port %u: %s", e->port, strerror(error));
    }
}

static void join_error(const struct muster_gossip_endpoint *e, int error, char *text, size_t size) {
    struct address_text group = address_text(e->to);
    struct address_text interface = address_text(e->receive_from);
    if (error == ENODEV && e->receive_from.s_addr != htonl(INADDR_ANY)) {
        snprintf(
            text, size,
            "no interface of this machine has the address %s (ENODEV): correct multicast_if or "
            "if_addr, or bring the interface up",
            interface.text);
    } else if (error == ENODEV) {
        snprintf(text, size,
                 "no interface and no route for multicast to %s (ENODEV): add a route, set "
                 "multicast_if to an interface's address, or, as in many containers, use "
                 "broadcast_only",
                 group.text);
    } else if (error == ENOBUFS || error == ENOMEM) {
        snprintf(text, size,
                 "the machine has too many multicast memberships (%s): raise "
                 "net.ipv4.igmp_max_memberships, or use broadcast_only",
                 strerror(error));
    } else {
        snprintf(text, size, "cannot join the multicast group %s: %s; broadcast_only does without",
                 group.text, strerror(error));
    }
}

static void interface_error(const struct muster_gossip_endpoint *e, int error, char *text,
                            size_t size) {
    snprintf(
        text, size,
        "cannot send multicast from %s: %s; multicast_if and if_addr must be addresses of this "
        "machine",
        address_text(e->send_from).text, strerror(error));
}

static void socket_error(const struct muster_gossip_endpoint *e, int error, char *text,
                         size_t size) {
    (void)e;
    snprintf(text, size, "cannot make a UDP socket: %s", strerror(error));
}

typedef void (*explanation)(const struct muster_gossip_endpoint *e, int error, char *text,
                            size_t size);

/* What errno says, as text and as a result. */
static int fail(explanation explain, const struct muster_gossip_endpoint *e, char *text,
                size_t size) {
    int error = errno;
    explain(e, error, text, size);
    return -error;
}

static int set_up_multicast(int fd, const struct muster_gossip_endpoint *e, char *text,
                            size_t size) {
#ifdef IP_MULTICAST_ALL
    /* Otherwise Linux also hands over what comes for groups that other programs joined. */
    set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
#endif
    if (set(fd, IPPROTO_IP, IP_MULTICAST_TTL, e->ttl) != 0 ||
        set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1) != 0) {
        return fail(socket_error, e, text, size);
    }
    if (choose_interface(fd, e) != 0) {
        return fail(interface_error, e, text, size);
    }
    return join(fd, e) != 0 ? fail(join_error, e, text, size) : 0;
}

static int set_up(int fd, const struct muster_gossip_endpoint *e, char *text, size_t size) {
    set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER); /* as much as the system allows */
    if (share_port(fd) != 0) {
        return fail(socket_error, e, text, size);
    }
    if (bind_port(fd, e) != 0) {
        return fail(bind_error, e, text, size);
    }
    if (!e->broadcast) {
        return set_up_multicast(fd, e, text, size);
    }
    return set(fd, SOL_SOCKET, SO_BROADCAST, 1) != 0 ? fail(socket_error, e, text, size) : 0;
}

/* Returns the descriptor, or a negative errno with `text` filled in. */
static int make_socket(const struct muster_gossip_endpoint *e, char *text, size_t size) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) {
        return fail(socket_error, e, text, size);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    int error = set_up(fd, e, text, size);
    if (error != 0) {
        close(fd);
        return error;
    }
    return fd;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    static char datagrams[DATAGRAMS * DATAGRAM_MAX];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(datagrams, sizeof datagrams);
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

/* Hands the descriptor to libuv, which then owns it; it is closed on failure. */
static int adopt(uv_loop_t *loop, int fd, uv_udp_recv_cb on_packet, uv_udp_t **udp) {
    *udp = calloc(1, sizeof **udp);
    if (*udp == NULL) {
        close(fd);
        return UV_ENOMEM;
    }
    uv_udp_init_ex(loop, *udp, AF_UNSPEC | UV_UDP_RECVMMSG);
    int status = uv_udp_open(*udp, fd);
    if (status != 0) {
        close(fd);
    } else {
        status = uv_udp_recv_start(*udp, on_alloc, on_packet);
    }
    if (status != 0) {
        uv_close((uv_handle_t *)*udp, on_closed);
    }
    return status;
}

int muster_gossip_socket_open(uv_loop_t *loop, const struct muster_gossip_endpoint *endpoint,
                              uv_udp_recv_cb on_packet, void *context, uv_udp_t **udp, char *text,
                              size_t size) {
    uv_udp_t *made;
    int fd = make_socket(endpoint, text, size);
    if (fd < 0) {
        return fd;
    }
    int status = adopt(loop, fd, on_packet, &made);
    if (status != 0) {
        snprintf(text, size, "cannot use a UDP socket: %s", uv_strerror(status));
        return status;
    }
    made->data = context;
    *udp = made;
    return 0;
}

void muster_gossip_socket_close(uv_udp_t *udp) {
    uv_udp_recv_stop(udp);
    uv_close((uv_handle_t *)udp, on_closed);
}

static void send_error(const struct muster_gossip_endpoint *endpoint, int error, char *text,
                       size_t size) {
    struct address_text to = address_text(endpoint->to);
    switch (error) {
    case -ENETUNREACH:
    case -EHOSTUNREACH:
    case -ENETDOWN:
        snprintf(
            text, size,
            endpoint->broadcast
                ? "no route to %s (%s): bring a network up, or use the broadcast address of one "
                  "that is"
                : "no route for multicast to %s (%s): add one (ip route add 224.0.0.0/4 dev "
                  "IFACE), set multicast_if to an interface's address, or use broadcast_only",
            to.text, uv_err_name(error));
        break;
    case -EPERM:
        snprintf(text, size, "a firewall forbids sending to %s, UDP port %u (EPERM)", to.text,
                 endpoint->port);
        break;
    case -EACCES:
        snprintf(text, size,
                 "sending to %s is not allowed (EACCES): a broadcast address needs broadcast_only",
                 to.text);
        break;
    case -EMSGSIZE:
        snprintf(text, size,
                 "the heartbeat is longer than a packet of the network (EMSGSIZE): send less "
                 "metadata");
        break;
    default:
        snprintf(text, size, "cannot send to %s, UDP port %u: %s", to.text, endpoint->port,
                 uv_strerror(error));
    }
}

int muster_gossip_socket_send(uv_udp_t *udp, const struct muster_gossip_endpoint *endpoint,
                              struct muster_slice packet, char *text, size_t size) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(endpoint->port), .sin_addr = endpoint->to};
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)packet.data, (unsigned)packet.len);
    int status = uv_udp_try_send(udp, &buf, 1, (const struct sockaddr *)&to);
    if (status >= 0) {
        return 0;
    }
    if (status != UV_EAGAIN) {
        send_error(endpoint, status, text, size);
    }
    return status;
}
