/* Nodes of the persistent hash trie: reading them with every check, and writing them.
 *
 * A node is a tuple {LeafMap, ChildMap, Count, Sum, Leaf..., Child...}. The maps have a bit for
 * each of the 32 slots: a slot is empty, a leaf (three words inline, see dot.h) or a child node;
 * leaves and children follow in ascending order of their slots. Count is the number of leaves in
 * the whole subtree, Sum the sum mod 2^59 of the hashes of their dots.
 *
 * A slot is five bits of the key's erlang:phash2/1, the highest first. Below the last of those
 * 27 bits, keys that share them all lie in a bucket: both maps 0, leaves in order of their first
 * dots (the order of terms cannot tell 1 from 1.0).
 *
 * A set of leaves has exactly one trie: a child holds at least two leaves, and the root is a
 * node always. Equal sets are therefore equal terms. */
#ifndef MUSTER_CORE_TRIE_NODE_H
#define MUSTER_CORE_TRIE_NODE_H

#include "core/dot.h"

#define MUSTER_TRIE_FANOUT 32
#define MUSTER_TRIE_DEPTH 6 /* levels of slots; buckets lie at this depth */
#define MUSTER_NODE_HEADER 4
#define MUSTER_LEAF_WORDS 3

/* A node taken apart; the words belong to the term. */
struct muster_node {
    muster_term term; /* 0 where the node exists only as this struct */
    uint32_t leaf_map, child_map;
    uint64_t count, sum;
    const muster_term *leaves;
    const muster_term *children;
    size_t leaf_count, child_count;
};

enum muster_slot_kind { MUSTER_SLOT_EMPTY, MUSTER_SLOT_LEAF, MUSTER_SLOT_CHILD };

struct muster_slot {
    enum muster_slot_kind kind;
    struct muster_leaf leaf;
    muster_term child;
};

/* A node under construction. Slots are added in ascending order. */
struct muster_draft {
    uint32_t leaf_map, child_map;
    uint64_t count, sum;
    size_t leaf_count, child_count;
    muster_term leaves[MUSTER_TRIE_FANOUT * MUSTER_LEAF_WORDS];
    muster_term children[MUSTER_TRIE_FANOUT];
};

/* The slot of a 27-bit hash in a node at `depth` < MUSTER_TRIE_DEPTH. */
static inline unsigned muster_slot_of(uint32_t hash, unsigned depth) {
    return hash << 3 >> (5 * (MUSTER_TRIE_DEPTH - 1 - depth)) & (MUSTER_TRIE_FANOUT - 1);
}

/* Takes a node at `depth` apart. MALFORMED unless its shape is that of a node there; the terms
 * in its leaves and children are not looked at. */
int muster_node_read(struct muster_heap *heap, muster_term term, unsigned depth,
                     struct muster_node *node);

/* The leaf at `position`, counted among the node's leaves. */
struct muster_leaf muster_node_leaf(const struct muster_node *node, size_t position);

/* What is in a slot of a node that is no bucket. */
struct muster_slot muster_node_slot(const struct muster_node *node, unsigned index);

/* How many leaves a slot holds, and the sum of their dots' hashes. */
int muster_slot_tally(struct muster_heap *heap, const struct muster_slot *slot, uint64_t *count,
                      uint64_t *sum);

/* Starts an empty node; then slots are added. Neither touches count and sum, which are the
 * caller's to keep: it often knows them without asking every slot. */
void muster_draft_init(struct muster_draft *draft);
void muster_draft_add(struct muster_draft *draft, unsigned index, const struct muster_slot *slot);

/* Adds a slot and what it holds to count and sum. */
int muster_draft_add_counted(struct muster_heap *heap, struct muster_draft *draft, unsigned index,
                             const struct muster_slot *slot);

/* What the parent of the finished node holds: a child, or the single leaf that is left of it, or
 * nothing. The root (depth 0) is always a child. NOMEM. */
int muster_draft_finish(struct muster_heap *heap, const struct muster_draft *draft, unsigned depth,
                        struct muster_slot *slot);

/* Writes `node` anew with one slot replaced, and its count and sum corrected. As
 * muster_draft_finish. */
int muster_node_replace(struct muster_heap *heap, const struct muster_node *node, unsigned index,
                        const struct muster_slot *slot, unsigned depth, struct muster_slot *out);

/* The smallest subtree at `depth` that holds two leaves of different keys with these hashes. */
int muster_node_pair(struct muster_heap *heap, unsigned depth, const struct muster_leaf *a,
                     uint32_t hash_a, const struct muster_leaf *b, uint32_t hash_b,
                     struct muster_slot *out);

static inline struct muster_slot muster_slot_leaf(const struct muster_leaf *leaf) {
    return (struct muster_slot){.kind = MUSTER_SLOT_LEAF, .leaf = *leaf};
}

static inline struct muster_slot muster_slot_empty(void) {
    return (struct muster_slot){.kind = MUSTER_SLOT_EMPTY};
}

#endif
