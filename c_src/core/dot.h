/* Dots, and the dots of one leaf.
 *
 * A leaf is three words inside its node: key, head, tail. With one bare dot, the common case of
 * a set, head and tail are the lineage and n. Otherwise head is a list of siblings, tuples
 * {Lineage, N} or {Lineage, N, Stamp, Value}, in ascending order of their dots, and tail is []. */
#ifndef MUSTER_CORE_DOT_H
#define MUSTER_CORE_DOT_H

#include "core/crdt_term.h"

struct muster_dot {
    uint64_t lineage, n;
};

struct muster_leaf {
    muster_term key, head, tail;
};

struct muster_sibling {
    struct muster_dot dot;
    muster_term term; /* the sibling's tuple; 0 where it is a bare dot inside the leaf */
};

#define MUSTER_SIBLINGS_INLINE 4

/* The siblings of one leaf, in ascending order. */
struct muster_siblings {
    size_t length, capacity;
    struct muster_sibling *at;
    struct muster_sibling room[MUSTER_SIBLINGS_INLINE]; /* `at` points here until it is too small */
};

/* The hash of a dot whose sum over a set of dots identifies the set: SipHash under a published
 * key, so that every node and release computes the same; below 2^59. */
uint64_t muster_dot_hash(struct muster_dot dot);

/* Negative, 0 or positive: by lineage, then by n. */
int muster_dot_compare(struct muster_dot a, struct muster_dot b);

void muster_siblings_init(struct muster_siblings *siblings);
void muster_siblings_close(struct muster_heap *heap, struct muster_siblings *siblings);

/* Appends one; NOMEM. */
int muster_siblings_append(struct muster_heap *heap, struct muster_siblings *siblings,
                           const struct muster_sibling *sibling);

/* Reads a leaf's siblings into an initialised, empty collection. MALFORMED if there are none, or
 * out of order. */
int muster_siblings_read(struct muster_heap *heap, const struct muster_leaf *leaf,
                         struct muster_siblings *siblings);

/* The reverse: sets head and tail, in the one form that a set of siblings has. At least one. */
int muster_siblings_write(struct muster_heap *heap, const struct muster_siblings *siblings,
                          struct muster_leaf *leaf);

/* Sets head and tail to one bare dot; NOMEM. */
int muster_leaf_set_dot(struct muster_heap *heap, struct muster_dot dot, struct muster_leaf *leaf);

/* A leaf's first dot: unique to the leaf, as a dot is never issued twice. */
int muster_leaf_first_dot(struct muster_heap *heap, const struct muster_leaf *leaf,
                          struct muster_dot *dot);

/* The sum of the hashes of a leaf's dots, mod 2^59. */
int muster_leaf_sum(struct muster_heap *heap, const struct muster_leaf *leaf, uint64_t *sum);

#endif
