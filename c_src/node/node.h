/* The C node as a whole: who it is, and its parts put together on one loop. */
#ifndef MUSTER_NODE_NODE_H
#define MUSTER_NODE_NODE_H

#include <uv.h>

#include "node/cookies.h"
#include "node/elections.h"
#include "node/mailbox.h"
#include "node/monitor.h"
#include "node/peers.h"
#include "node/publisher.h"
#include "node/topology.h"

/* How the BEAM's own distribution travels (its -proto_dist). */
enum muster_transport { MUSTER_TRANSPORT_TCP, MUSTER_TRANSPORT_TLS, MUSTER_TRANSPORT_OTHER };

/* What it takes to join a cluster. Filled with defaults by muster_distribution_defaults. */
struct muster_distribution {
    struct muster_node_name name;
    struct muster_node_name beam; /* empty text: none beside this node */
    char cookie[MUSTER_COOKIE_SIZE];
    uint16_t epmd_port;
    int family;         /* AF_INET or AF_INET6 */
    char listen_ip[64]; /* "": all interfaces */
    uint16_t listen_min, listen_max;
    uint64_t ticktime_ms;
    enum muster_transport transport;
};

void muster_distribution_defaults(struct muster_distribution *d);

/* What happens that those who run the node may want to know. Any may be NULL. */
struct muster_node_owner {
    void *context;
    void (*on_peer)(void *context, const struct muster_peer *peer);
    void (*on_published)(void *context, int published, const char *text);
    void (*on_status)(void *context, const struct muster_watch *watch,
                      enum muster_health_status from);
    void (*on_sample)(void *context, const struct muster_watch *watch, uint64_t rtt_ns);
    struct muster_topologies_owner discovery; /* needed by those who start topologies only */
    struct muster_elections_owner election;
};

struct muster_node {
    uv_loop_t *loop;
    struct muster_node_owner owner;
    struct muster_cookies cookies;
    struct muster_peers peers;
    struct muster_mailbox mailbox;
    struct muster_monitors monitors;
    struct muster_publisher publisher;
    struct muster_topologies topologies;
    struct muster_elections elections;
    int distributed;
    int leaving;
    uint64_t started_ms;
};

/* Not distributed yet: single-node mode. */
void muster_node_init(struct muster_node *node, uv_loop_t *loop,
                      const struct muster_node_owner *owner);

/*
 * Listens, publishes and dials. Returns 0 or a libuv error (the listening failed). Not to be called
 * twice.
 */
int muster_node_distribute(struct muster_node *node, const struct muster_distribution *d);

/* Leaves the cluster in order; the loop ends by itself when all handles are closed. */
void muster_node_leave(struct muster_node *node);

#endif
