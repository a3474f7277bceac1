/*
 * Topologies: each runs one strategy and keeps the nodes it found. A node that is listed is wanted
 * of the peers, which dial it; once it has proved its name and cookie there, the BEAM is told and
 * may connect.
 *
 * What a backend no longer lists is let go only when it is not connected: an answer may be partial.
 */
#ifndef MUSTER_NODE_TOPOLOGY_H
#define MUSTER_NODE_TOPOLOGY_H

#include <uv.h>

#include "core/metadata.h"
#include "core/name_list.h"
#include "node/found_nodes.h"
#include "node/peers.h"
#include "node/strategy.h"

#define MUSTER_TOPOLOGY_KEY_MAX 255

struct muster_topology {
    struct muster_topology *next;
    struct muster_topologies *topologies;
    const struct muster_strategy_type *type;
    void *state; /* the strategy's */
    struct muster_found_node *nodes;
    void *tree; /* the nodes by name, for tsearch */
    unsigned count, unproven, doubtful;
    uint64_t sync_began_ns;
    uint64_t last_duration_us;
    uint64_t last_sync_ms; /* 0: never yet */
    uint64_t syncs, failures;
    char last_error[640];
    uint8_t key_len;
    char key[MUSTER_TOPOLOGY_KEY_MAX];
};

struct muster_topologies_owner {
    void *context;
    void (*on_found)(void *context, const struct muster_topology *t,
                     const struct muster_node_name *node);
    void (*on_unproven)(void *context, const struct muster_topology *t,
                        const struct muster_peer *peer);
    /* A node that is listed was not reached, or no longer: its peer's state says why. */
    void (*on_unreached)(void *context, const struct muster_topology *t,
                         const struct muster_peer *peer);
    void (*on_lost)(void *context, const struct muster_topology *t,
                    const struct muster_node_name *node, const char *why);
    void (*on_metadata)(void *context, const struct muster_topology *t,
                        const struct muster_node_name *node, int64_t version,
                        struct muster_slice metadata);
    /* `error` is NULL when the backend answered. */
    void (*on_sync)(void *context, const struct muster_topology *t, const char *error);
};

struct muster_topologies {
    uv_loop_t *loop;
    struct muster_peers *peers;
    struct muster_topologies_owner owner;
    struct muster_topology *first;
    uv_timer_t expiry;
    /* What packets of ours say about this node: a map as a term, and its version. */
    uint8_t metadata[MUSTER_METADATA_MAX];
    size_t metadata_len;
    int64_t metadata_version;
};

void muster_topologies_init(struct muster_topologies *topologies, uv_loop_t *loop,
                            struct muster_peers *peers,
                            const struct muster_topologies_owner *owner);
void muster_topologies_close(struct muster_topologies *topologies);

/* To be told when a peer's state changes. */
void muster_topologies_peer_changed(struct muster_topologies *topologies, struct muster_peer *peer);

/* Takes the node's own metadata. Returns 0, or what muster_metadata_check says. */
int muster_topologies_set_metadata(struct muster_topologies *topologies, int64_t version,
                                   struct muster_slice term);

/*
 * Starts one, in place of a topology of the same key, which goes on if this one cannot be started.
 * Returns 0 or a negative code with the problem filled in.
 */
int muster_topology_start(struct muster_topologies *topologies, struct muster_slice key,
                          const struct muster_strategy_type *type, struct muster_slice options,
                          struct muster_problem *problem);
void muster_topology_stop(struct muster_topology *topology);
struct muster_topology *muster_topology_find(const struct muster_topologies *topologies,
                                             struct muster_slice key);

/* --- For strategies --- */

void muster_topology_set_state(struct muster_topology *topology, void *state);
void *muster_topology_state(const struct muster_topology *topology);
uv_loop_t *muster_topology_loop(const struct muster_topology *topology);

/* The address family of the distribution, AF_INET or AF_INET6; AF_INET while there is none. */
int muster_topology_family(const struct muster_topology *topology);

/* Host names to addresses, at most two look-ups under way in the whole node. */
struct muster_resolver *muster_topology_resolver(const struct muster_topology *topology);

/* The node's own BEAM, whose name is announced; empty text while there is no distribution. */
const struct muster_node_name *muster_topology_own_name(const struct muster_topology *topology);

/* What packets say about this node: a map of binaries as a term, empty while there is none, and its
 * version. */
struct muster_slice muster_topology_own_metadata(const struct muster_topology *topology,
                                                 int64_t *version);

/* How to ask an epmd, and by which resolver; NULL while there is no distribution. */
const struct muster_lookup_options *
muster_topology_lookup_options(const struct muster_topology *topology);

/* How many nodes the cluster seems to have: those who proved themselves, or, where none can, all.
 */
unsigned muster_topology_size(const struct muster_topology *topology);

/* How many nodes that are not proven are being dialled right now. */
unsigned muster_topology_dials(const struct muster_topology *topology);

/* A question to the backend goes out now: the time until the next report or failure is measured. */
void muster_topology_sync_begins(struct muster_topology *topology);

/*
 * The backend's complete answer. The list is sorted in passing. Names that are not in it are let go
 * as soon as they are not connected. This node's own name and those of C nodes (`…-muster@…`) are
 * skipped.
 */
void muster_topology_report(struct muster_topology *topology, struct muster_name_list *names);

/* The backend failed or its answer is of no use; what is listed stays. `text` says what to do about
 * it. */
void muster_topology_failed(struct muster_topology *topology, const char *text);

/*
 * Part of an answer: the names in it are listed now, nobody is let go. A report or a failure
 * follows when the rest has come, or did not.
 */
void muster_topology_report_part(struct muster_topology *topology,
                                 const struct muster_name_list *names);

/* The backend works, as far as can be told without an answer: a heartbeat went out. */
void muster_topology_synced(struct muster_topology *topology);

/*
 * One node was heard of (gossip); it is let go when it was not heard for `expire_ms` and is not
 * connected. One heard once is dropped without a word as soon as a dial has failed and it was not
 * heard again: strangers make up names.
 *
 * Where too many have not proved themselves, the one heard longest ago whose dials fail makes room,
 * those heard once first. Returns 0, MUSTER_E_LIMIT when there is none such, or MUSTER_E_NOMEM.
 */
int muster_topology_heard(struct muster_topology *topology, const struct muster_node_name *name,
                          enum muster_hearing hearing, uint64_t expire_ms);

/* An authentic packet told this of the node, `metadata` being a checked map of binaries as a term.
 * It is passed on when the node is proven. */
void muster_topology_metadata(struct muster_topology *topology, const struct muster_node_name *name,
                              int64_t version, struct muster_slice metadata);

/* Whether the name is listed already, so that hearing it again costs nothing. */
int muster_topology_knows(const struct muster_topology *topology,
                          const struct muster_node_name *name);

#endif
