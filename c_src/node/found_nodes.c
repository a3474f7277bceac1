#include "node/found_nodes.h"

#include <search.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/topology.h"

static uint64_t now_ms(const struct muster_topology *t) {
    return uv_now(t->topologies->loop);
}

static int compare(const void *a, const void *b) {
    const struct muster_found_node *left = a, *right = b;
    return muster_node_name_compare(&left->name, &right->name);
}

struct muster_found_node *muster_found_find(const struct muster_topology *t,
                                            const struct muster_node_name *name) {
    struct muster_found_node key = {.name = *name};
    void *found = tfind(&key, &t->tree, compare);
    return found != NULL ? *(struct muster_found_node **)found : NULL;
}

/* --- Metadata --- */

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

void muster_found_metadata(struct muster_found_node *node, int64_t version,
                           struct muster_slice metadata) {
    if (version <= node->metadata_version) {
        return;
    }
    node->metadata_version = version;
    if (node->proven) {
        tell_metadata(node, metadata);
    } else {
        keep_metadata(node, metadata);
    }
}

/* --- From hearsay to proof --- */

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

int muster_found_none_can_prove(const struct muster_topology *t) {
    return t->topologies->peers->no_dialling != MUSTER_PEER_IDLE;
}

/* A dial or a link did, and nothing stands in its place. */
static int has_ended(const struct muster_peer *peer) {
    return peer->state != MUSTER_PEER_IDLE && peer->state != MUSTER_PEER_DIALING &&
           peer->state != MUSTER_PEER_CONNECTED;
}

void muster_found_assess(struct muster_found_node *node) {
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
    } else if (muster_found_none_can_prove(t) && node->confirmed && !node->told_unproven) {
        node->told_unproven = 1;
        owner->on_unproven(owner->context, t, node->peer);
    } else if (node->confirmed && has_ended(node->peer)) {
        owner->on_unreached(owner->context, t, node->peer);
    }
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

int muster_found_list(struct muster_topology *t, const struct muster_node_name *name,
                      enum muster_hearing hearing, uint64_t expires_ms) {
    struct muster_found_node *node = muster_found_find(t, name);
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
        muster_found_assess(node);
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

static int is_connected(const struct muster_found_node *node) {
    return node->peer->link != NULL;
}

void muster_found_sweep(struct muster_topology *t) {
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

static int is_full(const struct muster_topology *t, enum muster_hearing hearing) {
    int proof_is_due = hearing != MUSTER_HEARD_AUTHENTIC && !muster_found_none_can_prove(t);
    return proof_is_due ? t->doubtful >= MUSTER_TOPOLOGY_DOUBTFUL_MAX
                        : t->unproven >= MUSTER_TOPOLOGY_UNPROVEN_MAX;
}

int muster_found_make_room(struct muster_topology *t, enum muster_hearing hearing) {
    return is_full(t, hearing) ? make_room(t) : 0;
}

void muster_found_expire(struct muster_topology *t) {
    for (struct muster_found_node *n = t->nodes; n != NULL; n = n->next) {
        if (n->expires_ms != 0 && now_ms(t) >= n->expires_ms) {
            n->listed = 0;
        }
    }
    drop_hopeless(t);
    muster_found_sweep(t);
}

void muster_found_drop_all(struct muster_topology *t) {
    while (t->nodes != NULL) {
        drop_node(t, &t->nodes);
    }
}
