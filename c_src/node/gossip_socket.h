/*
 * The UDP socket that gossip goes over, IPv4: multicast, or broadcast where a network has no
 * multicast. The port is shared with all programs that share theirs, such as other nodes on the
 * same host. Errors of the operating system become texts that say what to do.
 */
#ifndef MUSTER_NODE_GOSSIP_SOCKET_H
#define MUSTER_NODE_GOSSIP_SOCKET_H

#include <netinet/in.h>
#include <stddef.h>

struct muster_gossip_endpoint {
    struct in_addr to;           /* the group, or a broadcast address */
    struct in_addr receive_from; /* the interface that joins the group; any: the routes decide */
    struct in_addr send_from;    /* the interface that sends to it; any: likewise */
    uint16_t port;
    int ttl;
    int broadcast;
};

/*
 * Makes a socket: non-blocking, bound and joined. Returns it, or a negative errno with `text`
 * filled in. Does not block.
 */
int muster_gossip_socket_open(const struct muster_gossip_endpoint *endpoint, char *text,
                              size_t size);

/* Where to send to. */
struct sockaddr_in muster_gossip_destination(const struct muster_gossip_endpoint *endpoint);

/* What a failed sending means; `error` is a negative errno. */
void muster_gossip_send_error(const struct muster_gossip_endpoint *endpoint, int error, char *text,
                              size_t size);

#endif
