/* Nodes of the persistent hash trie: reading them with every check, and writing them.
 *
 * A node is a tuple {Map, Count, Sum, Leaf..., Child...}. It has 16 slots: a slot is empty, a leaf
 * (three words inline, see dot.h) or a child node. The low 16 bits of Map say which are leaves,
 * the next 16 which are children. Leaves come first, in descending order of their slots, children
 * last, in ascending order: so each is found by counting the bits from its slot on. Count is the
 * number of leaves in the whole subtree, Sum the sum mod 2^59 of the hashes of their dots. (With 32
 * slots, lookups are no faster, but an update copies a third more.)
 *
 * A slot is four bits of the key's erlang:phash2/1, the highest first. Below the last of those
 * 27 bits, keys that share them all lie in a bucket: Map is 0, leaves are in order of their first
 * dots (the order of terms cannot tell 1 from 1.0).
 *
 * A set of leaves has exactly one trie: a child holds at least two leaves, and the root is a
 * node always. Equal sets are therefore equal terms. */
#ifndef MUSTER_CORE_TRIE_NODE_H
#define MUSTER_CORE_TRIE_NODE_H

#include "core/dot.h"

#define MUSTER_SLOT_BITS 4
#define MUSTER_TRIE_FANOUT (1 << MUSTER_SLOT_BITS)
#define MUSTER_TRIE_DEPTH 7 /* levels of slots; buckets lie at this depth */
#define MUSTER_NODE_HEADER 3
#define MUSTER_LEAF_WORDS 3

#define MUSTER_NODE_WORDS (MUSTER_NODE_HEADER + MUSTER_TRIE_FANOUT * MUSTER_LEAF_WORDS)

/* How many leaves a subtree holds, and the sum of their dots' hashes. Differences wrap around. */
struct muster_tally {
    uint64_t count, sum;
};

/* A node taken apart; the words belong to the term. */
struct muster_node {
    muster_term term; /* 0 where the node exists only as this struct */
    uint16_t leaf_map, child_map;
    struct muster_tally tally;
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
    uint16_t leaf_map, child_map;
    struct muster_tally tally;
    size_t leaf_count, child_count;
    muster_term leaves[MUSTER_TRIE_FANOUT * MUSTER_LEAF_WORDS]; /* filled from the end */
    muster_term children[MUSTER_TRIE_FANOUT];
};

/* The slot of a hash in a node at `depth` < MUSTER_TRIE_DEPTH. Seven times four bits are one more
 * than a hash has: the lowest is 0. */
static inline unsigned muster_slot_of(uint32_t hash, unsigned depth) {
    return hash << 1 >> (MUSTER_SLOT_BITS * (MUSTER_TRIE_DEPTH - 1 - depth)) &
           (MUSTER_TRIE_FANOUT - 1);
}

/* Takes a node at `depth` apart. MALFORMED unless its shape is that of a node there; the terms
 * in its leaves and children are not looked at. */
int muster_node_read(struct muster_heap *heap, muster_term term, unsigned depth,
                     struct muster_node *node);

/* The leaf at `position`, counted among the node's leaves. */
struct muster_leaf muster_node_leaf(const struct muster_node *node, size_t position);

/* What is in a slot of a node that is no bucket. */
void muster_node_slot(const struct muster_node *node, unsigned index, struct muster_slot *slot);

int muster_slot_tally(struct muster_heap *heap, const struct muster_slot *slot,
                      struct muster_tally *tally);

/* Starts an empty node; then slots are added. Neither touches the tally, which is the
 * caller's to keep: it often knows it without asking every slot. */
void muster_draft_init(struct muster_draft *draft);
void muster_draft_add(struct muster_draft *draft, unsigned index, const struct muster_slot *slot);

/* Adds a slot, and what it holds to the tally. */
int muster_draft_add_counted(struct muster_heap *heap, struct muster_draft *draft, unsigned index,
                             const struct muster_slot *slot);

/* What the parent of the finished node holds: a child, or the single leaf that is left of it, or
 * nothing. The root (depth 0) is always a child. NOMEM. */
int muster_draft_finish(struct muster_heap *heap, struct muster_draft *draft, unsigned depth,
                        struct muster_slot *slot);

/* Writes `node` anew with one slot replaced, by which its tally changes as given. Then sets `slot`
 * to the outcome, as muster_draft_finish does. */
int muster_node_replace(struct muster_heap *heap, const struct muster_node *node, unsigned index,
                        struct muster_slot *slot, const struct muster_tally *change,
                        unsigned depth);

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
