/* Causal contexts: which dots a value has seen, live or removed since.
 *
 * As lineages never fork, `lineage => n` says it exactly: dots 1..n. In a value the context is a
 * map from replica to a *group*, the tuple {Lineage, N, Lineage, N, ...} of the lineages begun
 * under that replica's name, the highest N first (then the lowest lineage): a fresh lineage
 * counts on from its group's highest N, so the newest come first, which is where an add looks for
 * one it may continue. Here the groups of all replicas are one array, sorted by lineage. */
#ifndef MUSTER_CORE_CAUSAL_CONTEXT_H
#define MUSTER_CORE_CAUSAL_CONTEXT_H

#include "core/dot.h"
#include "core/lineage.h"

struct muster_context {
    size_t length, capacity;
    struct muster_dot *entries; /* lineage, and its highest n */
};

/* Reads a list of groups; MALFORMED, NOMEM, LIMIT. To be closed in any case. */
int muster_context_read(struct muster_heap *heap, muster_term groups,
                        struct muster_context *context);
void muster_context_close(struct muster_heap *heap, struct muster_context *context);

/* Whether the dot has been seen. */
bool muster_context_has(const struct muster_context *context, struct muster_dot dot);

/* Whether no lineage is in both. */
bool muster_context_disjoint(const struct muster_context *a, const struct muster_context *b);

/* Whether every dot that `b` has seen, `a` has too. */
bool muster_context_covers(const struct muster_context *a, const struct muster_context *b);

/* Mints a dot that continues one of the group's lineages: sets the dot and the group that has
 * seen it. Where no lineage may be continued, begins the one that `fresh` gives (random, in
 * [1, 2^59); 0 if it has none, which counts as NOMEM). On an error a dot may have been used up,
 * which does no harm. MALFORMED, NOMEM, LIMIT. */
int muster_group_mint(struct muster_heap *heap, struct muster_lineage_table *table,
                      muster_term group, uint64_t (*fresh)(void), struct muster_dot *dot,
                      muster_term *out);

#endif
