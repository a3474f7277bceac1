#include "node/topology.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"

#define EXPIRY_INTERVAL_MS 500
#define NS_PER_US 1000

static uint64_t now_ms(const struct muster_topology *t) {
    return uv_now(t->topologies->loop);
}

/* --- Nodes --- */

static int compare(const void *a, const void *b) {
    const struct muster_found_node *left = a, *right = b;
    return muster_node_name_compare(&left->name, &right->name);
}

static struct muster_found_node *find_node(const struct muster_topology *t,
                                           const struct muster_node_name *name) {
    struct muster_found_node key = {.name = *name};
    void *found = tfind(&key, &t->tree, compare);
    return found != NULL ? *(struct muster_found_node **)found : NULL;
}

int muster_topology_knows(const struct muster_topology *topology,
                          const struct muster_node_name *name) {
    return find_node(topology, name) != NULL;
}

static int is_connected(const struct muster_found_node *node) {
    return node->peer->link != NULL;
}

static void tell_metadata(struct muster_found_node *node, struct muster_slice metadata) {
    struct muster_topology *t = node->topology;
    struct muster_topologies_owner *owner = &t->topologies->owner;
    owner->on_metadata(owner->context, t, &node->name, node->metadata_version, metadata);
}

static void drop_pending_metadata(struct muster_found_node *node) {
    free(node->metadata_pending);
    node->metadata_pending = NULL;
}

static void keep_metadata(struct muster_found_node *node, struct muster_slice metadata) {
    drop_pending_metadata(node);
    node->metadata_pending = malloc(metadata.len);
    if (node->metadata_pending != NULL) {
        memcpy(node->metadata_pending, metadata.data, metadata.len);
        node->metadata_pending_len = metadata.len;
    }
}

static void begin_doubting(struct muster_found_node *node) {
    node->doubtful = 1;
    node->peer->doubts++;
    node->topology->doubtful++;
}

static void end_doubting(struct muster_found_node *node) {
    if (node->doubtful) {
        node->doubtful = 0;
        node->peer->doubts--;
        node->topology->doubtful--;
    }
}

/* The cluster's distribution is not spoken here: every node stays unproven. */
static int none_can_prove(const struct muster_topology *t) {
    return t->topologies->peers->no_dialling != MUSTER_PEER_IDLE;
}

/* A dial or a link did, and nothing stands in its place. */
static int has_ended(const struct muster_peer *peer) {
    return peer->state != MUSTER_PEER_IDLE && peer->state != MUSTER_PEER_DIALING &&
           peer->state != MUSTER_PEER_CONNECTED;
}

/* Tells what the peer's state means for the node. */
static void assess(struct muster_found_node *node) {
    struct muster_topology *t = node->topology;
    struct muster_topologies_owner *owner = &t->topologies->owner;
    if (node->peer->state == MUSTER_PEER_CONNECTED) {
        t->unproven -= !node->proven;
        node->proven = 1;
        end_doubting(node);
        owner->on_found(owner->context, t, &node->name);
        if (node->metadata_pending != NULL) {
            tell_metadata(node, muster_slice(node->metadata_pending, node->metadata_pending_len));
            drop_pending_metadata(node);
        }
    } else if (none_can_prove(t) && node->confirmed && !node->told_unproven) {
        node->told_unproven = 1;
        owner->on_unproven(owner->context, t, node->peer);
    } else if (node->confirmed && has_ended(node->peer)) {
        owner->on_unreached(owner->context, t, node->peer);
    }
}

/* This node itself, and C nodes: nobody connects to those. */
static int is_skipped(const struct muster_topology *t, const struct muster_node_name *name) {
    return muster_node_name_equal(name, &t->topologies->peers->beam) ||
           muster_node_name_is_cnode(name);
}

static struct muster_found_node *add_node(struct muster_topology *t,
                                          const struct muster_node_name *name) {
    struct muster_found_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->topology = t;
    node->name = *name;
    node->metadata_version = -1;
    /* Before it is in the tree: a dial that fails at once is told from within. */
    node->peer = muster_peers_want(t->topologies->peers, name);
    if (node->peer == NULL) {
        free(node);
        return NULL;
    }
    if (tsearch(node, &t->tree, compare) == NULL) {
        muster_peers_unwant(node->peer);
        free(node);
        return NULL;
    }
    node->next = t->nodes;
    t->nodes = node;
    t->count++;
    t->unproven++;
    return node;
}

static int list_node(struct muster_topology *t, const struct muster_node_name *name,
                     enum muster_hearing hearing, uint64_t expires_ms) {
    struct muster_found_node *node = find_node(t, name);
    int is_new = node == NULL;
    if (is_new) {
        node = add_node(t, name);
    }
    if (node == NULL) {
        return MUSTER_E_NOMEM;
    }
    int is_news = is_new || (!node->confirmed && !node->proven);
    node->listed = 1;
    node->confirmed = hearing != MUSTER_HEARD_ONCE || !is_new;
    node->heard_ms = now_ms(t);
    node->expires_ms = expires_ms;
    if (is_new && hearing != MUSTER_HEARD_AUTHENTIC) {
        begin_doubting(node);
    }
    if (is_news) {
        assess(node);
    }
    return 0;
}

static void drop_node(struct muster_topology *t, struct muster_found_node **at) {
    struct muster_found_node *node = *at;
    *at = node->next;
    tdelete(node, &t->tree, compare);
    t->count--;
    t->unproven -= !node->proven;
    end_doubting(node);
    muster_peers_unwant(node->peer);
    drop_pending_metadata(node);
    free(node);
}

/* Lets go what is neither listed nor connected. */
static void sweep(struct muster_topology *t) {
    struct muster_topologies_owner *owner = &t->topologies->owner;
    struct muster_found_node **at = &t->nodes;
    while (*at != NULL) {
        struct muster_found_node *node = *at;
        if (node->listed || is_connected(node)) {
            at = &node->next;
            continue;
        }
        struct muster_node_name name = node->name;
        drop_node(t, at);
        owner->on_lost(owner->context, t, &name, "no longer listed, and not connected");
    }
}

/* --- Names that may be made up --- */

/* A dial ended without success, or there are none. */
static int has_failed(const struct muster_found_node *node) {
    return !node->proven && node->expires_ms != 0 && has_ended(node->peer);
}

/* Nobody heard of such a node from here, so nobody is told that it goes. */
static void drop_hopeless(struct muster_topology *t) {
    struct muster_found_node **at = &t->nodes;
    while (*at != NULL) {
        if (!(*at)->confirmed && has_failed(*at)) {
            drop_node(t, at);
        } else {
            at = &(*at)->next;
        }
    }
}

static int goes_before(const struct muster_found_node *a, const struct muster_found_node *b) {
    return a->confirmed != b->confirmed ? b->confirmed : a->heard_ms < b->heard_ms;
}

/* Only those who heard of it are told that it goes. */
static void drop_for_room(struct muster_topology *t, struct muster_found_node **at) {
    struct muster_topologies_owner *owner = &t->topologies->owner;
    struct muster_node_name name = (*at)->name;
    int was_told = (*at)->told_unproven;
    drop_node(t, at);
    if (was_told) {
        owner->on_lost(owner->context, t, &name, "not proven, and made room for another");
    }
}

static int make_room(struct muster_topology *t) {
    struct muster_found_node **goes = NULL;
    for (struct muster_found_node **at = &t->nodes; *at != NULL; at = &(*at)->next) {
        if (has_failed(*at) && (goes == NULL || goes_before(*at, *goes))) {
            goes = at;
        }
    }
    if (goes == NULL) {
        return MUSTER_E_LIMIT;
    }
    drop_for_room(t, goes);
    return 0;
}

/* --- For strategies --- */

void muster_topology_set_state(struct muster_topology *topology, void *state) {
    topology->state = state;
}

void *muster_topology_state(const struct muster_topology *topology) {
    return topology->state;
}

uv_loop_t *muster_topology_loop(const struct muster_topology *topology) {
    return topology->topologies->loop;
}

int muster_topology_family(const struct muster_topology *topology) {
    return topology->topologies->peers->lookup_options.family == AF_INET6 ? AF_INET6 : AF_INET;
}

struct muster_resolver *muster_topology_resolver(const struct muster_topology *topology) {
    return &topology->topologies->peers->resolver;
}

const struct muster_node_name *muster_topology_own_name(const struct muster_topology *topology) {
    return &topology->topologies->peers->beam;
}

struct muster_slice muster_topology_own_metadata(const struct muster_topology *topology,
                                                 int64_t *version) {
    *version = topology->topologies->metadata_version;
    return muster_slice(topology->topologies->metadata, topology->topologies->metadata_len);
}

const struct muster_lookup_options *
muster_topology_lookup_options(const struct muster_topology *topology) {
    const struct muster_peers *peers = topology->topologies->peers;
    return peers->started ? &peers->lookup_options : NULL;
}

unsigned muster_topology_size(const struct muster_topology *topology) {
    return none_can_prove(topology) ? topology->count : topology->count - topology->unproven;
}

unsigned muster_topology_dials(const struct muster_topology *topology) {
    unsigned dials = 0;
    for (const struct muster_found_node *n = topology->nodes; n != NULL; n = n->next) {
        dials += !n->proven && n->peer->dialling;
    }
    return dials;
}

void muster_topology_sync_begins(struct muster_topology *topology) {
    topology->sync_began_ns = uv_hrtime();
}

static void sync_ended(struct muster_topology *t, const char *error) {
    struct muster_topologies_owner *owner = &t->topologies->owner;
    if (t->sync_began_ns != 0) {
        t->last_duration_us = (uv_hrtime() - t->sync_began_ns) / NS_PER_US;
        t->sync_began_ns = 0;
    }
    if (error == NULL) {
        t->syncs++;
        t->last_sync_ms = now_ms(t);
        t->last_error[0] = '\0';
    } else {
        t->failures++;
        snprintf(t->last_error, sizeof t->last_error, "%s", error);
    }
    owner->on_sync(owner->context, t, error);
}

void muster_topology_report_part(struct muster_topology *topology,
                                 const struct muster_name_list *names) {
    for (unsigned i = 0; i < names->count; i++) {
        if (!is_skipped(topology, &names->names[i])) {
            list_node(topology, &names->names[i], MUSTER_HEARD_AUTHENTIC, 0);
        }
    }
}

void muster_topology_report(struct muster_topology *topology, struct muster_name_list *names) {
    muster_name_list_sort(names);
    for (struct muster_found_node *n = topology->nodes; n != NULL; n = n->next) {
        n->listed = muster_name_list_has(names, &n->name);
    }
    muster_topology_report_part(topology, names);
    sweep(topology);
    sync_ended(topology, NULL);
}

void muster_topology_synced(struct muster_topology *topology) {
    sync_ended(topology, NULL);
}

void muster_topology_failed(struct muster_topology *topology, const char *text) {
    sync_ended(topology, text);
}

static int is_full(const struct muster_topology *t, enum muster_hearing hearing) {
    int proof_is_due = hearing != MUSTER_HEARD_AUTHENTIC && !none_can_prove(t);
    return proof_is_due ? t->doubtful >= MUSTER_TOPOLOGY_DOUBTFUL_MAX
                        : t->unproven >= MUSTER_TOPOLOGY_UNPROVEN_MAX;
}

int muster_topology_heard(struct muster_topology *topology, const struct muster_node_name *name,
                          enum muster_hearing hearing, uint64_t expire_ms) {
    if (is_skipped(topology, name)) {
        return 0;
    }
    if (is_full(topology, hearing) && find_node(topology, name) == NULL &&
        make_room(topology) != 0) {
        return MUSTER_E_LIMIT;
    }
    return list_node(topology, name, hearing, now_ms(topology) + expire_ms);
}

void muster_topology_metadata(struct muster_topology *topology, const struct muster_node_name *name,
                              int64_t version, struct muster_slice metadata) {
    struct muster_found_node *node = find_node(topology, name);
    if (node == NULL || version <= node->metadata_version) {
        return;
    }
    node->metadata_version = version;
    if (node->proven) {
        tell_metadata(node, metadata);
    } else {
        keep_metadata(node, metadata);
    }
}

/* --- Topologies --- */

static void expire(struct muster_topology *t) {
    for (struct muster_found_node *n = t->nodes; n != NULL; n = n->next) {
        if (n->expires_ms != 0 && now_ms(t) >= n->expires_ms) {
            n->listed = 0;
        }
    }
    drop_hopeless(t);
    sweep(t);
}

static void on_expiry(uv_timer_t *timer) {
    struct muster_topologies *topologies = timer->data;
    for (struct muster_topology *t = topologies->first; t != NULL; t = t->next) {
        expire(t);
    }
}

void muster_topologies_init(struct muster_topologies *topologies, uv_loop_t *loop,
                            struct muster_peers *peers,
                            const struct muster_topologies_owner *owner) {
    memset(topologies, 0, sizeof *topologies);
    topologies->loop = loop;
    topologies->peers = peers;
    topologies->owner = *owner;
    uv_timer_init(loop, &topologies->expiry);
    topologies->expiry.data = topologies;
}

void muster_topologies_close(struct muster_topologies *topologies) {
    while (topologies->first != NULL) {
        muster_topology_stop(topologies->first);
    }
    uv_close((uv_handle_t *)&topologies->expiry, NULL);
}

void muster_topologies_peer_changed(struct muster_topologies *topologies,
                                    struct muster_peer *peer) {
    for (struct muster_topology *t = topologies->first; t != NULL; t = t->next) {
        struct muster_found_node *node = find_node(t, &peer->name);
        if (node != NULL) {
            assess(node);
        }
    }
}

int muster_topologies_set_metadata(struct muster_topologies *topologies, int64_t version,
                                   struct muster_slice term) {
    int error = muster_metadata_check(term);
    if (error != 0) {
        return error;
    }
    memcpy(topologies->metadata, term.data, term.len);
    topologies->metadata_len = term.len;
    topologies->metadata_version = version;
    for (struct muster_topology *t = topologies->first; t != NULL; t = t->next) {
        if (t->type->announce != NULL) {
            t->type->announce(t);
        }
    }
    return 0;
}

struct muster_topology *muster_topology_find(const struct muster_topologies *topologies,
                                             struct muster_slice key) {
    struct muster_topology *t = topologies->first;
    while (t != NULL && (t->key_len != key.len || memcmp(t->key, key.data, key.len) != 0)) {
        t = t->next;
    }
    return t;
}

static struct muster_topology *create(struct muster_topologies *topologies, struct muster_slice key,
                                      const struct muster_strategy_type *type) {
    struct muster_topology *t = calloc(1, sizeof *t);
    if (t != NULL) {
        t->topologies = topologies;
        t->type = type;
        t->key_len = (uint8_t)key.len;
        memcpy(t->key, key.data, key.len);
        t->next = topologies->first;
        topologies->first = t;
        uv_timer_start(&topologies->expiry, on_expiry, EXPIRY_INTERVAL_MS, EXPIRY_INTERVAL_MS);
    }
    return t;
}

static void remove_topology(struct muster_topology *topology) {
    struct muster_topologies *topologies = topology->topologies;
    struct muster_topology **at = &topologies->first;
    while (topology->nodes != NULL) {
        drop_node(topology, &topology->nodes);
    }
    while (*at != topology) {
        at = &(*at)->next;
    }
    *at = topology->next;
    free(topology);
    if (topologies->first == NULL) {
        uv_timer_stop(&topologies->expiry);
    }
}

int muster_topology_start(struct muster_topologies *topologies, struct muster_slice key,
                          const struct muster_strategy_type *type, struct muster_slice options,
                          struct muster_problem *problem) {
    struct muster_topology *existing = muster_topology_find(topologies, key);
    struct muster_topology *topology = create(topologies, key, type);
    if (topology == NULL) {
        snprintf(problem->text, sizeof problem->text, "out of memory");
        return MUSTER_E_NOMEM;
    }
    int error = type->start(topology, options, problem);
    if (error != 0) {
        remove_topology(topology);
    } else if (existing != NULL) {
        muster_topology_stop(existing);
    }
    return error;
}

void muster_topology_stop(struct muster_topology *topology) {
    topology->type->stop(topology);
    remove_topology(topology);
}
