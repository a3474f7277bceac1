#include "node/topology.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"

#define EXPIRY_INTERVAL_MS 500
#define NS_PER_US 1000

static uint64_t now_ms(const struct muster_topology *t) {
    return uv_now(t->topologies->loop);
}

/* --- For strategies --- */

int muster_topology_knows(const struct muster_topology *topology,
                          const struct muster_node_name *name) {
    return muster_found_find(topology, name) != NULL;
}

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
    return muster_found_none_can_prove(topology) ? topology->count
                                                 : topology->count - topology->unproven;
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

/* This node itself, and C nodes: nobody connects to those. */
static int is_skipped(const struct muster_topology *t, const struct muster_node_name *name) {
    return muster_node_name_equal(name, &t->topologies->peers->beam) ||
           muster_node_name_is_cnode(name);
}

void muster_topology_report_part(struct muster_topology *topology,
                                 const struct muster_name_list *names) {
    for (unsigned i = 0; i < names->count; i++) {
        if (!is_skipped(topology, &names->names[i])) {
            muster_found_list(topology, &names->names[i], MUSTER_HEARD_AUTHENTIC, 0);
        }
    }
}

void muster_topology_report(struct muster_topology *topology, struct muster_name_list *names) {
    muster_name_list_sort(names);
    for (struct muster_found_node *n = topology->nodes; n != NULL; n = n->next) {
        n->listed = muster_name_list_has(names, &n->name);
    }
    muster_topology_report_part(topology, names);
    muster_found_sweep(topology);
    sync_ended(topology, NULL);
}

void muster_topology_synced(struct muster_topology *topology) {
    sync_ended(topology, NULL);
}

void muster_topology_failed(struct muster_topology *topology, const char *text) {
    sync_ended(topology, text);
}

int muster_topology_heard(struct muster_topology *topology, const struct muster_node_name *name,
                          enum muster_hearing hearing, uint64_t expire_ms) {
    if (is_skipped(topology, name)) {
        return 0;
    }
    if (muster_found_find(topology, name) == NULL &&
        muster_found_make_room(topology, hearing) != 0) {
        return MUSTER_E_LIMIT;
    }
    return muster_found_list(topology, name, hearing, now_ms(topology) + expire_ms);
}

void muster_topology_metadata(struct muster_topology *topology, const struct muster_node_name *name,
                              int64_t version, struct muster_slice metadata) {
    struct muster_found_node *node = muster_found_find(topology, name);
    if (node != NULL) {
        muster_found_metadata(node, version, metadata);
    }
}

/* --- Topologies --- */

static void on_expiry(uv_timer_t *timer) {
    struct muster_topologies *topologies = timer->data;
    for (struct muster_topology *t = topologies->first; t != NULL; t = t->next) {
        muster_found_expire(t);
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
        struct muster_found_node *node = muster_found_find(t, &peer->name);
        if (node != NULL) {
            muster_found_assess(node);
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
    muster_found_drop_all(topology);
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
