#include "core/trie_node.h"

#include <string.h>

#include "core/trie_bucket.h"

static unsigned popcount(uint32_t bits) {
    return (unsigned)__builtin_popcount(bits);
}

/* How many slots below `index` have their bit set in `map`. */
static size_t rank(uint32_t map, unsigned index) {
    return popcount(map & ((UINT32_C(1) << index) - 1));
}

static bool has(uint32_t map, unsigned index) {
    return map >> index & 1;
}

static int read_map(struct muster_heap *heap, muster_term term, uint32_t *map) {
    uint64_t value;
    int error = muster_heap_integer(heap, term, &value);
    if (error)
        return error;
    *map = (uint32_t)value;
    return value > UINT32_MAX ? MUSTER_E_MALFORMED : 0;
}

/* Sets where the leaves and children lie; MALFORMED if the maps and the arity disagree. */
static int lay_out(struct muster_node *node, const muster_term *elements, size_t arity,
                   unsigned depth) {
    bool bucket = depth == MUSTER_TRIE_DEPTH;
    size_t body = arity - MUSTER_NODE_HEADER;
    if ((node->leaf_map & node->child_map) != 0 ||
        (bucket && (node->leaf_map | node->child_map) != 0))
        return MUSTER_E_MALFORMED;
    node->leaf_count = bucket ? body / MUSTER_LEAF_WORDS : popcount(node->leaf_map);
    node->child_count = popcount(node->child_map);
    if (body != node->leaf_count * MUSTER_LEAF_WORDS + node->child_count)
        return MUSTER_E_MALFORMED;
    if (depth > 0 && node->leaf_count < 2 && node->child_count == 0)
        return MUSTER_E_MALFORMED;
    node->leaves = elements + MUSTER_NODE_HEADER;
    node->children = node->leaves + node->leaf_count * MUSTER_LEAF_WORDS;
    return 0;
}

int muster_node_read(struct muster_heap *heap, muster_term term, unsigned depth,
                     struct muster_node *node) {
    const muster_term *elements;
    size_t arity;
    int error = heap->ops->tuple(heap->env, term, &arity, &elements);
    if (error)
        return error;
    if (arity < MUSTER_NODE_HEADER)
        return MUSTER_E_MALFORMED;
    node->term = term;
    error = read_map(heap, elements[0], &node->leaf_map);
    if (!error)
        error = read_map(heap, elements[1], &node->child_map);
    if (!error)
        error = muster_heap_integer(heap, elements[2], &node->count);
    if (!error)
        error = muster_heap_integer(heap, elements[3], &node->sum);
    return error ? error : lay_out(node, elements, arity, depth);
}

struct muster_leaf muster_node_leaf(const struct muster_node *node, size_t position) {
    const muster_term *words = node->leaves + position * MUSTER_LEAF_WORDS;
    return (struct muster_leaf){.key = words[0], .head = words[1], .tail = words[2]};
}

struct muster_slot muster_node_slot(const struct muster_node *node, unsigned index) {
    if (has(node->leaf_map, index)) {
        struct muster_leaf leaf = muster_node_leaf(node, rank(node->leaf_map, index));
        return muster_slot_leaf(&leaf);
    }
    if (has(node->child_map, index))
        return (struct muster_slot){.kind = MUSTER_SLOT_CHILD,
                                    .child = node->children[rank(node->child_map, index)]};
    return muster_slot_empty();
}

/* The header of a child of any depth. */
static int child_tally(struct muster_heap *heap, muster_term child, uint64_t *count,
                       uint64_t *sum) {
    const muster_term *elements;
    size_t arity;
    int error = heap->ops->tuple(heap->env, child, &arity, &elements);
    if (error)
        return error;
    if (arity < MUSTER_NODE_HEADER)
        return MUSTER_E_MALFORMED;
    error = muster_heap_integer(heap, elements[2], count);
    return error ? error : muster_heap_integer(heap, elements[3], sum);
}

int muster_slot_tally(struct muster_heap *heap, const struct muster_slot *slot, uint64_t *count,
                      uint64_t *sum) {
    *count = *sum = 0;
    switch (slot->kind) {
    case MUSTER_SLOT_LEAF:
        *count = 1;
        return muster_leaf_sum(heap, &slot->leaf, sum);
    case MUSTER_SLOT_CHILD:
        return child_tally(heap, slot->child, count, sum);
    default:
        return 0;
    }
}

void muster_draft_init(struct muster_draft *draft) {
    draft->leaf_map = draft->child_map = 0;
    draft->count = draft->sum = 0;
    draft->leaf_count = draft->child_count = 0;
}

void muster_draft_add(struct muster_draft *draft, unsigned index, const struct muster_slot *slot) {
    if (slot->kind == MUSTER_SLOT_LEAF) {
        muster_term *words = draft->leaves + draft->leaf_count++ * MUSTER_LEAF_WORDS;
        words[0] = slot->leaf.key;
        words[1] = slot->leaf.head;
        words[2] = slot->leaf.tail;
        draft->leaf_map |= UINT32_C(1) << index;
    } else if (slot->kind == MUSTER_SLOT_CHILD) {
        draft->children[draft->child_count++] = slot->child;
        draft->child_map |= UINT32_C(1) << index;
    }
}

int muster_draft_add_counted(struct muster_heap *heap, struct muster_draft *draft, unsigned index,
                             const struct muster_slot *slot) {
    uint64_t count, sum;
    int error = muster_slot_tally(heap, slot, &count, &sum);
    if (error)
        return error;
    draft->count += count;
    draft->sum += sum;
    muster_draft_add(draft, index, slot);
    return 0;
}

int muster_draft_finish(struct muster_heap *heap, const struct muster_draft *draft, unsigned depth,
                        struct muster_slot *slot) {
    muster_term words[MUSTER_NODE_HEADER + MUSTER_TRIE_FANOUT * MUSTER_LEAF_WORDS];
    size_t leaf_words = draft->leaf_count * MUSTER_LEAF_WORDS;
    if (depth > 0 && draft->child_count == 0 && draft->leaf_count < 2) {
        *slot = muster_slot_empty();
        if (draft->leaf_count == 1) {
            struct muster_leaf leaf = {draft->leaves[0], draft->leaves[1], draft->leaves[2]};
            *slot = muster_slot_leaf(&leaf);
        }
        return 0;
    }
    words[0] = heap->ops->make_integer(heap->env, draft->leaf_map);
    words[1] = heap->ops->make_integer(heap->env, draft->child_map);
    words[2] = heap->ops->make_integer(heap->env, draft->count & MUSTER_INTEGER_MASK);
    words[3] = heap->ops->make_integer(heap->env, draft->sum & MUSTER_INTEGER_MASK);
    for (size_t i = 0; i < MUSTER_NODE_HEADER; i++)
        if (words[i] == 0)
            return MUSTER_E_NOMEM;
    memcpy(words + MUSTER_NODE_HEADER, draft->leaves, leaf_words * sizeof *words);
    memcpy(words + MUSTER_NODE_HEADER + leaf_words, draft->children,
           draft->child_count * sizeof *words);
    slot->kind = MUSTER_SLOT_CHILD;
    slot->child = heap->ops->make_tuple(heap->env, words,
                                        MUSTER_NODE_HEADER + leaf_words + draft->child_count);
    return slot->child == 0 ? MUSTER_E_NOMEM : 0;
}

/* Copies the leaves and children in [first, last) of their positions into the draft. */
static void copy_run(struct muster_draft *draft, const struct muster_node *node, size_t leaf_first,
                     size_t leaf_last, size_t child_first, size_t child_last) {
    memcpy(draft->leaves + draft->leaf_count * MUSTER_LEAF_WORDS,
           node->leaves + leaf_first * MUSTER_LEAF_WORDS,
           (leaf_last - leaf_first) * MUSTER_LEAF_WORDS * sizeof(muster_term));
    memcpy(draft->children + draft->child_count, node->children + child_first,
           (child_last - child_first) * sizeof(muster_term));
    draft->leaf_count += leaf_last - leaf_first;
    draft->child_count += child_last - child_first;
}

int muster_node_replace(struct muster_heap *heap, const struct muster_node *node, unsigned index,
                        const struct muster_slot *slot, unsigned depth, struct muster_slot *out) {
    struct muster_draft draft;
    struct muster_slot old = muster_node_slot(node, index);
    size_t leaf_rank = rank(node->leaf_map, index), child_rank = rank(node->child_map, index);
    uint32_t others = ~(UINT32_C(1) << index);
    uint64_t count, sum;
    int error = muster_slot_tally(heap, &old, &count, &sum);
    if (error)
        return error;
    muster_draft_init(&draft);
    draft.leaf_map = node->leaf_map & others;
    draft.child_map = node->child_map & others;
    draft.count = node->count - count;
    draft.sum = node->sum - sum;
    copy_run(&draft, node, 0, leaf_rank, 0, child_rank);
    error = muster_draft_add_counted(heap, &draft, index, slot);
    if (error)
        return error;
    copy_run(&draft, node, leaf_rank + has(node->leaf_map, index), node->leaf_count,
             child_rank + has(node->child_map, index), node->child_count);
    return muster_draft_finish(heap, &draft, depth, out);
}

int muster_node_pair(struct muster_heap *heap, unsigned depth, const struct muster_leaf *a,
                     uint32_t hash_a, const struct muster_leaf *b, uint32_t hash_b,
                     struct muster_slot *out) {
    struct muster_draft draft;
    struct muster_slot first = muster_slot_leaf(a), second = muster_slot_leaf(b);
    unsigned slot_a, slot_b;
    int error;
    if (depth == MUSTER_TRIE_DEPTH)
        return muster_bucket_pair(heap, a, b, out);
    slot_a = muster_slot_of(hash_a, depth);
    slot_b = muster_slot_of(hash_b, depth);
    muster_draft_init(&draft);
    if (slot_a == slot_b) {
        error = muster_node_pair(heap, depth + 1, a, hash_a, b, hash_b, &first);
        if (!error)
            error = muster_draft_add_counted(heap, &draft, slot_a, &first);
        return error ? error : muster_draft_finish(heap, &draft, depth, out);
    }
    error = muster_draft_add_counted(heap, &draft, slot_a < slot_b ? slot_a : slot_b,
                                     slot_a < slot_b ? &first : &second);
    if (!error)
        error = muster_draft_add_counted(heap, &draft, slot_a < slot_b ? slot_b : slot_a,
                                         slot_a < slot_b ? &second : &first);
    return error ? error : muster_draft_finish(heap, &draft, depth, out);
}
