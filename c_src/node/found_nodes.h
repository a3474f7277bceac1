/*
 * The nodes that a topology has found: from a name that was heard to a node that proved itself, and
 * until it is let go.
 */
#ifndef MUSTER_NODE_FOUND_NODES_H
#define MUSTER_NODE_FOUND_NODES_H

#include "core/bytes.h"
#include "core/node_name.h"

/* Nodes of one topology that are not proven yet; strangers can make up names, so there is an end to
 * it. */
#define MUSTER_TOPOLOGY_UNPROVEN_MAX 512
/* Of these, known by hearsay only. */
#define MUSTER_TOPOLOGY_DOUBTFUL_MAX 128

/* What a name that was heard is worth. */
enum muster_hearing {
    MUSTER_HEARD_ONCE,      /* anybody may have said it */
    MUSTER_HEARD_AGAIN,     /* likewise, but it was said before */
    MUSTER_HEARD_AUTHENTIC, /* by one who knows the secret */
};

struct muster_topology;
struct muster_peer;

struct muster_found_node {
    struct muster_found_node *next;
    struct muster_topology *topology;
    struct muster_node_name name;
    struct muster_peer *peer;
    int listed;
    int proven; /* since it was listed */
    int told_unproven;
    int confirmed;       /* heard more than once, or with proof that the name is not made up */
    int doubtful;        /* known by hearsay only, and not proven since */
    uint64_t heard_ms;   /* when it was last reported */
    uint64_t expires_ms; /* when it is no longer listed unless heard again; 0: a complete answer
                            decides */
    int64_t metadata_version;  /* -1: none yet */
    uint8_t *metadata_pending; /* owned; told once the node is proven */
    size_t metadata_pending_len;
};

/* Finds, or NULL. */
struct muster_found_node *muster_found_find(const struct muster_topology *t,
                                            const struct muster_node_name *name);

/*
 * The name is listed, until `expires_ms` (0: until a complete answer lacks it): a new one is wanted
 * of the peers. Returns 0 or MUSTER_E_NOMEM.
 */
int muster_found_list(struct muster_topology *t, const struct muster_node_name *name,
                      enum muster_hearing hearing, uint64_t expires_ms);

/*
 * Before a new name is listed: where too many have not proved themselves, one whose dials fail
 * goes. Returns 0, or MUSTER_E_LIMIT when there is none such.
 */
int muster_found_make_room(struct muster_topology *t, enum muster_hearing hearing);

/* Tells what the peer's state means for the node. */
void muster_found_assess(struct muster_found_node *node);

/* What the node says about itself: told if it is news, once the node is proven. */
void muster_found_metadata(struct muster_found_node *node, int64_t version,
                           struct muster_slice metadata);

/* Lets go what is neither listed nor connected; before that, expire takes what was not heard again
 * in its time off the list. */
void muster_found_sweep(struct muster_topology *t);
void muster_found_expire(struct muster_topology *t);

/* The topology ends: nobody is told. */
void muster_found_drop_all(struct muster_topology *t);

/* The cluster's distribution is not spoken here: every node stays unproven. */
int muster_found_none_can_prove(const struct muster_topology *t);

#endif
