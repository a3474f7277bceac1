/*
 * A discovery strategy: something that finds names of nodes. One strategy, one file; each is a
 * struct muster_strategy_type, listed in strategy.c, and talks back through topology.h.
 */
#ifndef MUSTER_NODE_STRATEGY_H
#define MUSTER_NODE_STRATEGY_H

#include "node/args.h"

struct muster_topology;

struct muster_strategy_type {
    const char *name; /* the atom that selects it */
    int needs_name;   /* it has nobody to ask before this node is distributed */

    /*
     * Reads the option map, allocates what it needs, hands it to muster_topology_set_state and
     * begins. Nothing may block; reports come later or from within this call. Returns 0, or a
     * negative code with `*problem` filled in and nothing left behind (handles being closed apart).
     */
    int (*start)(struct muster_topology *topology, struct muster_slice options,
                 struct muster_problem *problem);

    /* Asks the backend now; may do nothing while that is under way already. */
    void (*sync)(struct muster_topology *topology);

    /* What is said about this node has changed; NULL: this strategy says nothing. */
    void (*announce)(struct muster_topology *topology);

    /* Ends it: no report after this returns. Closes its handles and frees its state, now or in
     * their callbacks. */
    void (*stop)(struct muster_topology *topology);

    /* Writes the strategy's own counters as a map; NULL: it has none. */
    void (*write_counters)(const struct muster_topology *topology, struct muster_writer *w);
};

/* The strategy of that name, or NULL. */
const struct muster_strategy_type *muster_strategy_find(const char *name);

/* All names, separated by blanks, for error texts. */
const char *muster_strategy_names(void);

#endif
