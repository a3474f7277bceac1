#include "node/node.h"

#include <sodium.h>

#include "node/election_links.h"
#include "node/log.h"
#include "node/requests.h"

/* OTP's own default for net_kernel's handshake, net_setuptime. */
#define HANDSHAKE_LIMIT_MS 7000
#define FRAME_LIMIT (16u << 20)
#define WRITE_QUEUE_LIMIT (4u << 20)
/* Creations 0 to 3 mean "unknown" or come from old nodes. */
#define CREATION_MIN 4

void muster_distribution_defaults(struct muster_distribution *d) {
    memset(d, 0, sizeof *d);
    d->epmd_port = MUSTER_EPMD_PORT;
    d->family = AF_INET;
    d->ticktime_ms = 60000;
}

static void on_peer_state(void *context, struct muster_peer *peer) {
    struct muster_node *node = context;
    if (node->owner.on_peer != NULL) {
        node->owner.on_peer(node->owner.context, peer);
    }
    muster_monitors_peer_changed(&node->monitors, peer);
    muster_topologies_peer_changed(&node->topologies, peer);
}

static void on_frame(void *context, struct muster_peer *peer, struct muster_slice frame,
                     uint64_t read_at) {
    struct muster_node *node = context;
    muster_mailbox_receive(&node->mailbox, peer, frame, read_at);
}

static void on_call(void *context, struct muster_slice request, struct muster_writer *reply) {
    muster_requests_from_peer(context, request, reply);
}

static void on_message(void *context, struct muster_peer *peer, struct muster_slice message,
                       uint64_t read_at) {
    struct muster_node *node = context;
    muster_monitors_message(&node->monitors, peer, message, read_at);
}

static void on_link_up(void *context, struct muster_peer *peer) {
    struct muster_node *node = context;
    muster_elections_link_up(&node->elections, peer);
}

static void on_link_down(void *context, struct muster_peer *peer, int by_peer) {
    struct muster_node *node = context;
    muster_elections_link_down(&node->elections, peer, by_peer);
}

static void on_election(void *context, struct muster_peer *peer, struct muster_slice message) {
    struct muster_node *node = context;
    muster_elections_receive(&node->elections, peer, message);
}

static void on_published(void *context, int published, const char *text) {
    struct muster_node *node = context;
    if (node->owner.on_published != NULL) {
        node->owner.on_published(node->owner.context, published, text);
    }
}

static void on_status(void *context, const struct muster_watch *watch,
                      enum muster_health_status from) {
    struct muster_node *node = context;
    if (node->owner.on_status != NULL) {
        node->owner.on_status(node->owner.context, watch, from);
    }
}

static void on_sample(void *context, const struct muster_watch *watch, uint64_t rtt_ns) {
    struct muster_node *node = context;
    if (node->owner.on_sample != NULL) {
        node->owner.on_sample(node->owner.context, watch, rtt_ns);
    }
}

void muster_node_init(struct muster_node *node, uv_loop_t *loop,
                      const struct muster_node_owner *owner) {
    memset(node, 0, sizeof *node);
    node->loop = loop;
    node->owner = *owner;
    node->started_ms = uv_now(loop);
    struct muster_peers_owner peers_owner = {.context = node,
                                             .on_state = on_peer_state,
                                             .on_frame = on_frame,
                                             .on_link_up = on_link_up,
                                             .on_link_down = on_link_down};
    struct muster_monitors_owner monitors_owner = {
        .context = node, .on_status = on_status, .on_sample = on_sample};
    muster_peers_init(&node->peers, loop, &node->cookies, &peers_owner);
    muster_monitors_init(&node->monitors, loop, &node->peers, &node->mailbox, &monitors_owner);
    muster_topologies_init(&node->topologies, loop, &node->peers, &owner->discovery);
    muster_elections_init(&node->elections, loop, &node->peers, &node->mailbox, &owner->election);
}

static enum muster_peer_state no_dialling(enum muster_transport transport) {
    switch (transport) {
    case MUSTER_TRANSPORT_TCP:
        return MUSTER_PEER_IDLE;
    case MUSTER_TRANSPORT_TLS:
        return MUSTER_PEER_TLS_REQUIRED;
    default:
        return MUSTER_PEER_UNSUPPORTED_DISTRIBUTION;
    }
}

static void configure(struct muster_node *node, const struct muster_distribution *d) {
    struct muster_peers *peers = &node->peers;
    uint32_t creation = CREATION_MIN + randombytes_uniform(UINT32_MAX - CREATION_MIN);
    peers->link_settings = (struct muster_link_settings){.loop = node->loop,
                                                         .self = d->name,
                                                         .creation = creation,
                                                         .ticktime_ms = d->ticktime_ms,
                                                         .frame_limit = FRAME_LIMIT,
                                                         .write_queue_limit = WRITE_QUEUE_LIMIT,
                                                         .handshake_limit_ms = HANDSHAKE_LIMIT_MS};
    peers->lookup_options.family = d->family;
    peers->lookup_options.epmd_port = d->epmd_port;
    peers->beam = d->beam;
    peers->no_dialling = no_dialling(d->transport);
    muster_cookies_set(&node->cookies, NULL, muster_slice(d->cookie, strlen(d->cookie)));
    struct muster_mailbox_owner owner = {
        .context = node, .on_call = on_call, .on_message = on_message, .on_election = on_election};
    muster_mailbox_init(&node->mailbox, &d->name, creation, &owner);
}

int muster_node_distribute(struct muster_node *node, const struct muster_distribution *d) {
    configure(node, d);
    int status = muster_peers_start(&node->peers, d->listen_ip[0] != '\0' ? d->listen_ip : NULL,
                                    d->listen_min, d->listen_max);
    if (status != 0) {
        return status;
    }
    muster_publisher_start(&node->publisher, node->loop, &d->name, d->epmd_port,
                           node->peers.listener.port, d->family, on_published, node);
    node->distributed = 1;
    return 0;
}

void muster_node_leave(struct muster_node *node) {
    if (node->leaving) {
        return;
    }
    node->leaving = 1;
    node->owner = (struct muster_node_owner){0}; /* nobody is told of the parting */
    muster_elections_leave(&node->elections);    /* while there are links */
    muster_topologies_close(&node->topologies);
    muster_monitors_close(&node->monitors);
    muster_peers_stop(&node->peers);
    if (node->distributed) {
        muster_publisher_stop(&node->publisher);
    }
    muster_cookies_close(&node->cookies);
}
