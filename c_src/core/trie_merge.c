#include "core/trie_merge.h"

#include "core/trie_bucket.h"

enum { A, B };

/* What can be said of the leaves that only one side has, without looking at them. */
enum verdict { KEEP_ALL, DROP_ALL, ASK_EACH };

struct merge {
    struct muster_heap *heap;
    const struct muster_context *seen[2];
    enum verdict verdict[2]; /* on what only this side has */
};

/* What comes of a pair of slots, and whether it equals what either side had there: a node whose
 * slots all equal one side's is that side's node, and need not be written. */
struct outcome {
    struct muster_slot slot;
    bool is[2];
};

static int merge_slots(struct merge *merge, const struct muster_slot *a,
                       const struct muster_slot *b, unsigned depth, struct outcome *out);
static int merge_nodes(struct merge *merge, const struct muster_node *a,
                       const struct muster_node *b, unsigned depth, struct outcome *out);

static enum verdict judge(const struct muster_context *own, const struct muster_context *other) {
    if (muster_context_disjoint(own, other))
        return KEEP_ALL;
    return muster_context_covers(other, own) ? DROP_ALL : ASK_EACH;
}

/* Merges the ordered siblings of one key, of which either side may have none. */
static int join_siblings(struct merge *merge, const struct muster_siblings *a,
                         const struct muster_siblings *b, struct muster_siblings *joined,
                         bool is[2]) {
    const struct muster_siblings *sides[2] = {a, b};
    size_t at[2] = {0, 0};
    is[A] = is[B] = true;
    while (at[A] < a->length || at[B] < b->length) {
        int order = at[A] == a->length   ? 1
                    : at[B] == b->length ? -1
                                         : muster_dot_compare(a->at[at[A]].dot, b->at[at[B]].dot);
        int side = order <= 0 ? A : B;
        const struct muster_sibling *sibling = &sides[side]->at[at[side]];
        bool kept = order == 0 || !muster_context_has(merge->seen[!side], sibling->dot);
        int error = kept ? muster_siblings_append(merge->heap, joined, sibling) : 0;
        if (error)
            return error;
        if (order != 0)
            is[kept ? !side : side] = false;
        at[A] += order <= 0;
        at[B] += order >= 0;
    }
    return 0;
}

/* `unchanged` is the side's leaf that all siblings make up again; NULL if neither is. */
static int write_outcome(struct merge *merge, muster_term key, const struct muster_leaf *unchanged,
                         const struct muster_siblings *joined, struct outcome *out) {
    struct muster_leaf leaf = {.key = key};
    int error = 0;
    if (joined->length == 0) {
        out->slot = muster_slot_empty();
        return 0;
    }
    if (unchanged != NULL)
        leaf = *unchanged;
    else
        error = muster_siblings_write(merge->heap, joined, &leaf);
    out->slot = muster_slot_leaf(&leaf);
    return error;
}

/* Merges the leaves of one key; NULL stands for a side that has none. */
static int merge_leaves(struct merge *merge, muster_term key, const struct muster_leaf *a,
                        const struct muster_leaf *b, struct outcome *out) {
    struct muster_siblings of_a, of_b, joined;
    int error = muster_heap_charge(merge->heap, 4);
    muster_siblings_init(&of_a);
    muster_siblings_init(&of_b);
    muster_siblings_init(&joined);
    if (!error && a != NULL)
        error = muster_siblings_read(merge->heap, a, &of_a);
    if (!error && b != NULL)
        error = muster_siblings_read(merge->heap, b, &of_b);
    if (!error)
        error = join_siblings(merge, &of_a, &of_b, &joined, out->is);
    if (!error)
        error = write_outcome(merge, key, out->is[A] ? a : out->is[B] ? b : NULL, &joined, out);
    muster_siblings_close(merge->heap, &joined);
    muster_siblings_close(merge->heap, &of_b);
    muster_siblings_close(merge->heap, &of_a);
    return error;
}

static int keep_leaf(struct merge *merge, int side, const struct muster_leaf *leaf,
                     struct outcome *out) {
    return merge_leaves(merge, leaf->key, side == A ? leaf : NULL, side == B ? leaf : NULL, out);
}

static const struct muster_node empty_node;

static int keep_child(struct merge *merge, int side, muster_term child, unsigned depth,
                      struct outcome *out) {
    struct muster_node node;
    int error = muster_node_read(merge->heap, child, depth, &node);
    if (!error)
        error = merge_nodes(merge, side == A ? &node : &empty_node, side == A ? &empty_node : &node,
                            depth, out);
    if (!error)
        out->is[!side] = out->slot.kind == MUSTER_SLOT_EMPTY;
    return error;
}

/* What only `side` has. */
static int keep_slot(struct merge *merge, int side, const struct muster_slot *slot, unsigned depth,
                     struct outcome *out) {
    if (merge->verdict[side] == ASK_EACH)
        return slot->kind == MUSTER_SLOT_LEAF ? keep_leaf(merge, side, &slot->leaf, out)
                                              : keep_child(merge, side, slot->child, depth, out);
    out->slot = merge->verdict[side] == KEEP_ALL ? *slot : muster_slot_empty();
    out->is[side] = merge->verdict[side] == KEEP_ALL;
    out->is[!side] = !out->is[side];
    return 0;
}

/* Leaves of two keys that share a slot: each is judged alone; if both stay, they move down. */
static int merge_strangers(struct merge *merge, const struct muster_slot *a,
                           const struct muster_slot *b, unsigned depth, struct outcome *out) {
    struct outcome of_a, of_b;
    uint32_t hash_a, hash_b;
    int error = keep_slot(merge, A, a, depth, &of_a);
    if (!error)
        error = keep_slot(merge, B, b, depth, &of_b);
    if (error)
        return error;
    out->is[A] = out->is[B] = false;
    if (of_a.slot.kind == MUSTER_SLOT_EMPTY || of_b.slot.kind == MUSTER_SLOT_EMPTY) {
        out->slot = of_a.slot.kind == MUSTER_SLOT_EMPTY ? of_b.slot : of_a.slot;
        out->is[A] = of_b.slot.kind == MUSTER_SLOT_EMPTY && of_a.is[A];
        out->is[B] = of_a.slot.kind == MUSTER_SLOT_EMPTY && of_b.is[B];
        return 0;
    }
    error = muster_heap_hash(merge->heap, of_a.slot.leaf.key, &hash_a);
    if (!error)
        error = muster_heap_hash(merge->heap, of_b.slot.leaf.key, &hash_b);
    return error ? error
                 : muster_node_pair(merge->heap, depth, &of_a.slot.leaf, hash_a, &of_b.slot.leaf,
                                    hash_b, &out->slot);
}

/* A node that holds just one leaf, and exists only as a struct; `words` must outlive it. */
static int lone_node(struct merge *merge, const struct muster_leaf *leaf, unsigned depth,
                     muster_term words[MUSTER_LEAF_WORDS], struct muster_node *node) {
    uint32_t hash;
    int error = muster_heap_hash(merge->heap, leaf->key, &hash);
    if (error)
        return error;
    words[0] = leaf->key;
    words[1] = leaf->head;
    words[2] = leaf->tail;
    *node = (struct muster_node){.leaves = words, .leaf_count = 1, .tally.count = 1};
    if (depth < MUSTER_TRIE_DEPTH)
        node->leaf_map = (uint16_t)(1u << muster_slot_of(hash, depth));
    return muster_leaf_sum(merge->heap, leaf, &node->tally.sum);
}

static int view_slot(struct merge *merge, const struct muster_slot *slot, unsigned depth,
                     muster_term words[MUSTER_LEAF_WORDS], struct muster_node *node) {
    return slot->kind == MUSTER_SLOT_LEAF ? lone_node(merge, &slot->leaf, depth, words, node)
                                          : muster_node_read(merge->heap, slot->child, depth, node);
}

static int take_both(const struct muster_slot *slot, struct outcome *out) {
    *out = (struct outcome){.slot = *slot, .is = {true, true}};
    return 0;
}

static bool same_tally(const struct muster_node *a, const struct muster_node *b) {
    return a->tally.count == b->tally.count && a->tally.sum == b->tally.sum;
}

/* Two slots of which at least one holds a child. */
static int merge_children(struct merge *merge, const struct muster_slot *a,
                          const struct muster_slot *b, unsigned depth, struct outcome *out) {
    muster_term a_words[MUSTER_LEAF_WORDS], b_words[MUSTER_LEAF_WORDS];
    struct muster_node a_node, b_node;
    int error;
    if (a->kind == b->kind && a->child == b->child)
        return take_both(a, out);
    error = view_slot(merge, a, depth, a_words, &a_node);
    if (!error)
        error = view_slot(merge, b, depth, b_words, &b_node);
    if (error)
        return error;
    if (a->kind == b->kind && same_tally(&a_node, &b_node))
        return take_both(a, out);
    return merge_nodes(merge, &a_node, &b_node, depth, out);
}

/* Two slots that both hold a leaf. */
static int merge_leaf_slots(struct merge *merge, const struct muster_slot *a,
                            const struct muster_slot *b, unsigned depth, struct outcome *out) {
    int error =
        a->leaf.key == b->leaf.key ? 0 : muster_heap_charge_term(merge->heap, a->leaf.key, 1);
    if (error)
        return error;
    return merge->heap->ops->identical(merge->heap->env, a->leaf.key, b->leaf.key)
               ? merge_leaves(merge, a->leaf.key, &a->leaf, &b->leaf, out)
               : merge_strangers(merge, a, b, depth, out);
}

/* `depth` is that of a child in this slot. */
static int merge_slots(struct merge *merge, const struct muster_slot *a,
                       const struct muster_slot *b, unsigned depth, struct outcome *out) {
    if (b->kind == MUSTER_SLOT_EMPTY)
        return keep_slot(merge, A, a, depth, out);
    if (a->kind == MUSTER_SLOT_EMPTY)
        return keep_slot(merge, B, b, depth, out);
    if (a->kind == MUSTER_SLOT_CHILD || b->kind == MUSTER_SLOT_CHILD)
        return merge_children(merge, a, b, depth, out);
    return merge_leaf_slots(merge, a, b, depth, out);
}

/* Corrects the draft's tally, begun as that of one side, for one slot. */
static int account(struct merge *merge, struct muster_draft *draft, const struct muster_slot *base,
                   const struct muster_slot *now) {
    struct muster_tally had, has;
    int error = muster_slot_tally(merge->heap, base, &had);
    if (!error)
        error = muster_slot_tally(merge->heap, now, &has);
    if (error)
        return error;
    draft->tally.count += has.count - had.count;
    draft->tally.sum += has.sum - had.sum;
    return 0;
}

/* Merges slot by slot into the draft; keeps `is` true for a side as long as all equals it. */
static int fill_draft(struct merge *merge, const struct muster_node *a, const struct muster_node *b,
                      unsigned depth, struct muster_draft *draft, bool is[2]) {
    unsigned left = a->leaf_map | a->child_map | b->leaf_map | b->child_map;
    int base = a->tally.count >= b->tally.count ? A : B;
    draft->tally = base == A ? a->tally : b->tally;
    for (; left != 0; left &= left - 1) {
        unsigned index = (unsigned)__builtin_ctz(left);
        struct muster_slot slots[2];
        struct outcome out;
        int error;
        muster_node_slot(a, index, &slots[A]);
        muster_node_slot(b, index, &slots[B]);
        error = merge_slots(merge, &slots[A], &slots[B], depth + 1, &out);
        if (!error && !out.is[base])
            error = account(merge, draft, &slots[base], &out.slot);
        if (error)
            return error;
        muster_draft_add(draft, index, &out.slot);
        is[A] = is[A] && out.is[A];
        is[B] = is[B] && out.is[B];
    }
    return 0;
}

static int keep_entry(struct merge *merge, int side, const struct muster_node *node,
                      size_t position, struct muster_bucket *bucket) {
    struct muster_leaf leaf = muster_node_leaf(node, position);
    struct muster_slot slot = muster_slot_leaf(&leaf);
    struct outcome out;
    int error = keep_slot(merge, side, &slot, MUSTER_TRIE_DEPTH, &out);
    if (error || out.slot.kind == MUSTER_SLOT_EMPTY)
        return error;
    return muster_bucket_add(merge->heap, bucket, &out.slot.leaf);
}

static int merge_entry(struct merge *merge, const struct muster_node *a, size_t position,
                       const struct muster_node *b, struct muster_bucket *bucket) {
    struct muster_leaf of_a = muster_node_leaf(a, position), of_b;
    struct outcome out;
    size_t found;
    int error = muster_bucket_find(merge->heap, b, of_a.key, &found);
    if (error)
        return error;
    if (found == b->leaf_count)
        return keep_entry(merge, A, a, position, bucket);
    of_b = muster_node_leaf(b, found);
    error = merge_leaves(merge, of_a.key, &of_a, &of_b, &out);
    if (error || out.slot.kind == MUSTER_SLOT_EMPTY)
        return error;
    return muster_bucket_add(merge->heap, bucket, &out.slot.leaf);
}

static int fill_bucket(struct merge *merge, const struct muster_node *a,
                       const struct muster_node *b, struct muster_bucket *bucket) {
    size_t found;
    int error = 0;
    for (size_t i = 0; !error && i < a->leaf_count; i++)
        error = merge_entry(merge, a, i, b, bucket);
    for (size_t i = 0; !error && i < b->leaf_count; i++) {
        error = muster_bucket_find(merge->heap, a, muster_node_leaf(b, i).key, &found);
        if (!error && found == a->leaf_count)
            error = keep_entry(merge, B, b, i, bucket);
    }
    return error;
}

static int merge_buckets(struct merge *merge, const struct muster_node *a,
                         const struct muster_node *b, struct outcome *out) {
    struct muster_bucket bucket;
    int error = muster_bucket_init(merge->heap, &bucket, a->leaf_count + b->leaf_count);
    out->is[A] = out->is[B] = false;
    if (!error)
        error = fill_bucket(merge, a, b, &bucket);
    if (!error)
        error = muster_bucket_finish(merge->heap, &bucket, &out->slot);
    muster_bucket_close(merge->heap, &bucket);
    return error;
}

static int merge_nodes(struct merge *merge, const struct muster_node *a,
                       const struct muster_node *b, unsigned depth, struct outcome *out) {
    struct muster_draft draft;
    int error =
        muster_heap_charge(merge->heap, MUSTER_NODE_HEADER + a->leaf_count + a->child_count +
                                            b->leaf_count + b->child_count);
    if (error)
        return error;
    if (depth == MUSTER_TRIE_DEPTH)
        return merge_buckets(merge, a, b, out);
    muster_draft_init(&draft);
    out->is[A] = a->term != 0;
    out->is[B] = b->term != 0;
    error = fill_draft(merge, a, b, depth, &draft, out->is);
    if (error)
        return error;
    if (out->is[A] || out->is[B]) {
        out->slot.kind = MUSTER_SLOT_CHILD;
        out->slot.child = out->is[A] ? a->term : b->term;
        return 0;
    }
    return muster_draft_finish(merge->heap, &draft, depth, &out->slot);
}

int muster_trie_merge(struct muster_heap *heap, muster_term a, const struct muster_context *a_seen,
                      muster_term b, const struct muster_context *b_seen, muster_term *out) {
    struct merge merge = {.heap = heap,
                          .seen = {a_seen, b_seen},
                          .verdict = {judge(a_seen, b_seen), judge(b_seen, a_seen)}};
    struct muster_slot slots[2] = {{.kind = MUSTER_SLOT_CHILD, .child = a},
                                   {.kind = MUSTER_SLOT_CHILD, .child = b}};
    struct outcome outcome;
    int error = merge_children(&merge, &slots[A], &slots[B], 0, &outcome);
    if (!error)
        *out = outcome.slot.child;
    return error;
}
