/*
 * The UDP socket that gossip goes over, IPv4: multicast, or broadcast where a network has no
 * multicast. The port is shared with all programs that share theirs, such as other nodes on the
 * same host. Errors of the operating system become texts that say what to do.
 */
#ifndef MUSTER_NODE_GOSSIP_SOCKET_H
#define MUSTER_NODE_GOSSIP_SOCKET_H

#include <netinet/in.h>
#include <uv.h>

#include "core/bytes.h"

struct muster_gossip_endpoint {
    struct in_addr to;           /* the group, or a broadcast address */
    struct in_addr receive_from; /* the interface that joins the group; any: the routes decide */
    struct in_addr send_from;    /* the interface that sends to it; any: likewise */
    uint16_t port;
    int ttl;
    int broadcast;
};

/*
 * Opens a socket, bound and joined, and begins to receive. `on_packet` is called as libuv's, and
 * the handle's `data` is `context`. Returns 0 and stores `*udp`, or a negative code with `text`
 * filled in. Does not block.
 */
int muster_gossip_socket_open(uv_loop_t *loop, const struct muster_gossip_endpoint *endpoint,
                              uv_udp_recv_cb on_packet, void *context, uv_udp_t **udp, char *text,
                              size_t size);

/* Nothing is received after this returns; the handle frees itself. */
void muster_gossip_socket_close(uv_udp_t *udp);

/* Returns 0, UV_EAGAIN (no room in the system's queue), or another negative code with `text` filled
 * in. */
int muster_gossip_socket_send(uv_udp_t *udp, const struct muster_gossip_endpoint *endpoint,
                              struct muster_slice packet, char *text, size_t size);

#endif
