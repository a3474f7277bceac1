#include "core/trie_node.h"

#include <string.h>

#include "core/trie_bucket.h"

#define FULL 0xffff

/* Not the compiler's: without a flag for newer processors that is a call. */
static inline unsigned popcount(unsigned bits) {
    bits -= bits >> 1 & 0x55555555;
    bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f;
    return bits * 0x01010101 >> 24;
}

/* How many leaves lie before that of slot `index`: those of the slots above. */
static inline size_t leaf_rank(uint16_t leaf_map, unsigned index) {
    return popcount((unsigned)leaf_map >> index >> 1);
}

/* How many children lie before that of slot `index`: those of the slots below. Of the nodes near
 * the root nearly all are full of children, which then need no counting. */
static inline size_t child_rank(uint16_t child_map, unsigned index) {
    return child_map == FULL ? index : popcount(child_map & ((1u << index) - 1));
}

static bool has(uint16_t map, unsigned index) {
    return map >> index & 1;
}

/* Whether a node is none: its parent holds the one leaf, or nothing. The root is a node always. */
static bool is_too_small(unsigned depth, size_t leaves, size_t children) {
    return depth > 0 && children == 0 && leaves < 2;
}

static int read_map(struct muster_heap *heap, muster_term term, struct muster_node *node) {
    uint64_t map;
    int error = muster_heap_integer(heap, term, &map);
    if (error)
        return error;
    node->leaf_map = (uint16_t)map;
    node->child_map = (uint16_t)(map >> MUSTER_TRIE_FANOUT);
    return map >> (2 * MUSTER_TRIE_FANOUT) != 0 ? MUSTER_E_MALFORMED : 0;
}

static int read_tally(struct muster_heap *heap, const muster_term *elements,
                      struct muster_tally *tally) {
    int error = muster_heap_integer(heap, elements[1], &tally->count);
    return error ? error : muster_heap_integer(heap, elements[2], &tally->sum);
}

static void count_slots(struct muster_node *node) {
    if (node->child_map == FULL) {
        node->leaf_count = 0;
        node->child_count = MUSTER_TRIE_FANOUT;
    } else {
        node->leaf_count = popcount(node->leaf_map);
        node->child_count = popcount(node->child_map);
    }
}

/* Sets where the leaves and children lie; MALFORMED if the maps and the arity disagree. */
static int lay_out(struct muster_node *node, const muster_term *elements, size_t arity,
                   unsigned depth) {
    bool bucket = depth == MUSTER_TRIE_DEPTH;
    size_t body = arity - MUSTER_NODE_HEADER;
    if ((node->leaf_map & node->child_map) != 0 ||
        (bucket && (node->leaf_map | node->child_map) != 0))
        return MUSTER_E_MALFORMED;
    count_slots(node);
    if (bucket)
        node->leaf_count = body / MUSTER_LEAF_WORDS;
    if (body != node->leaf_count * MUSTER_LEAF_WORDS + node->child_count)
        return MUSTER_E_MALFORMED;
    if (is_too_small(depth, node->leaf_count, node->child_count))
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
    error = read_map(heap, elements[0], node);
    if (!error)
        error = read_tally(heap, elements, &node->tally);
    return error ? error : lay_out(node, elements, arity, depth);
}

struct muster_leaf muster_node_leaf(const struct muster_node *node, size_t position) {
    const muster_term *words = node->leaves + position * MUSTER_LEAF_WORDS;
    return (struct muster_leaf){.key = words[0], .head = words[1], .tail = words[2]};
}

void muster_node_slot(const struct muster_node *node, unsigned index, struct muster_slot *slot) {
    if (has(node->child_map, index)) {
        slot->kind = MUSTER_SLOT_CHILD;
        slot->child = node->children[child_rank(node->child_map, index)];
    } else if (has(node->leaf_map, index)) {
        slot->kind = MUSTER_SLOT_LEAF;
        slot->leaf = muster_node_leaf(node, leaf_rank(node->leaf_map, index));
    } else {
        slot->kind = MUSTER_SLOT_EMPTY;
    }
}

/* From the header of a child of any depth. */
static int child_tally(struct muster_heap *heap, muster_term child, struct muster_tally *tally) {
    const muster_term *elements;
    size_t arity;
    int error = heap->ops->tuple(heap->env, child, &arity, &elements);
    if (error)
        return error;
    if (arity < MUSTER_NODE_HEADER)
        return MUSTER_E_MALFORMED;
    return read_tally(heap, elements, tally);
}

int muster_slot_tally(struct muster_heap *heap, const struct muster_slot *slot,
                      struct muster_tally *tally) {
    *tally = (struct muster_tally){0, 0};
    switch (slot->kind) {
    case MUSTER_SLOT_LEAF:
        tally->count = 1;
        return muster_leaf_sum(heap, &slot->leaf, &tally->sum);
    case MUSTER_SLOT_CHILD:
        return child_tally(heap, slot->child, tally);
    default:
        return 0;
    }
}

static void write_leaf(muster_term *words, const struct muster_leaf *leaf) {
    words[0] = leaf->key;
    words[1] = leaf->head;
    words[2] = leaf->tail;
}

/* Where the leaves added so far begin. */
static muster_term *draft_leaves(struct muster_draft *draft) {
    return draft->leaves + (MUSTER_TRIE_FANOUT - draft->leaf_count) * MUSTER_LEAF_WORDS;
}

void muster_draft_init(struct muster_draft *draft) {
    draft->leaf_map = draft->child_map = 0;
    draft->tally = (struct muster_tally){0, 0};
    draft->leaf_count = draft->child_count = 0;
}

void muster_draft_add(struct muster_draft *draft, unsigned index, const struct muster_slot *slot) {
    if (slot->kind == MUSTER_SLOT_LEAF) {
        draft->leaf_count++;
        write_leaf(draft_leaves(draft), &slot->leaf);
        draft->leaf_map |= (uint16_t)(1u << index);
    } else if (slot->kind == MUSTER_SLOT_CHILD) {
        draft->children[draft->child_count++] = slot->child;
        draft->child_map |= (uint16_t)(1u << index);
    }
}

int muster_draft_add_counted(struct muster_heap *heap, struct muster_draft *draft, unsigned index,
                             const struct muster_slot *slot) {
    struct muster_tally tally;
    int error = muster_slot_tally(heap, slot, &tally);
    if (error)
        return error;
    draft->tally.count += tally.count;
    draft->tally.sum += tally.sum;
    muster_draft_add(draft, index, slot);
    return 0;
}

static muster_term make_masked(struct muster_heap *heap, uint64_t value) {
    return muster_heap_make_integer(heap, value & MUSTER_INTEGER_MASK);
}

/* The header must be there. */
static int finish_child(struct muster_heap *heap, const muster_term *words, size_t arity,
                        struct muster_slot *slot) {
    if (words[0] == 0 || words[1] == 0 || words[2] == 0)
        return MUSTER_E_NOMEM;
    slot->kind = MUSTER_SLOT_CHILD;
    slot->child = heap->ops->make_tuple(heap->env, words, arity);
    return slot->child == 0 ? MUSTER_E_NOMEM : 0;
}

/* What the parent of such a node holds: its one leaf, at `leaf`, or nothing. */
static int collapse(size_t leaves, const muster_term *leaf, struct muster_slot *slot) {
    slot->kind = leaves == 0 ? MUSTER_SLOT_EMPTY : MUSTER_SLOT_LEAF;
    if (leaves == 1)
        slot->leaf = (struct muster_leaf){leaf[0], leaf[1], leaf[2]};
    return 0;
}

int muster_draft_finish(struct muster_heap *heap, struct muster_draft *draft, unsigned depth,
                        struct muster_slot *slot) {
    muster_term words[MUSTER_NODE_WORDS];
    const muster_term *leaves = draft_leaves(draft);
    size_t leaf_words = draft->leaf_count * MUSTER_LEAF_WORDS;
    if (is_too_small(depth, draft->leaf_count, draft->child_count))
        return collapse(draft->leaf_count, leaves, slot);
    words[0] =
        make_masked(heap, (uint64_t)draft->child_map << MUSTER_TRIE_FANOUT | draft->leaf_map);
    words[1] = make_masked(heap, draft->tally.count);
    words[2] = make_masked(heap, draft->tally.sum);
    memcpy(words + MUSTER_NODE_HEADER, leaves, leaf_words * sizeof *words);
    memcpy(words + MUSTER_NODE_HEADER + leaf_words, draft->children,
           draft->child_count * sizeof *words);
    return finish_child(heap, words, MUSTER_NODE_HEADER + leaf_words + draft->child_count, slot);
}

static muster_term *copy(muster_term *to, const muster_term *from, size_t count) {
    memcpy(to, from, count * sizeof *to);
    return to + count;
}

/* The whole node written anew, its slots moved to where they belong. */
static int rebuild(struct muster_heap *heap, const struct muster_node *node, unsigned index,
                   struct muster_slot *slot, const struct muster_tally *change, unsigned depth) {
    muster_term words[MUSTER_NODE_WORDS], *to = words + MUSTER_NODE_HEADER;
    size_t leaves_above = leaf_rank(node->leaf_map, index) * MUSTER_LEAF_WORDS;
    size_t leaf_end = leaves_above + (has(node->leaf_map, index) ? MUSTER_LEAF_WORDS : 0);
    size_t children_below = child_rank(node->child_map, index);
    size_t child_end = children_below + has(node->child_map, index);
    uint32_t others = ~(1u << index | 1u << index << MUSTER_TRIE_FANOUT);
    uint32_t map = ((uint32_t)node->child_map << MUSTER_TRIE_FANOUT | node->leaf_map) & others;
    to = copy(to, node->leaves, leaves_above);
    if (slot->kind == MUSTER_SLOT_LEAF) {
        write_leaf(to, &slot->leaf);
        to += MUSTER_LEAF_WORDS;
        map |= 1u << index;
    }
    to = copy(to, node->leaves + leaf_end, node->leaf_count * MUSTER_LEAF_WORDS - leaf_end);
    to = copy(to, node->children, children_below);
    if (slot->kind == MUSTER_SLOT_CHILD) {
        *to++ = slot->child;
        map |= 1u << index << MUSTER_TRIE_FANOUT;
    }
    to = copy(to, node->children + child_end, node->child_count - child_end);
    if (is_too_small(depth, popcount(map & FULL), map >> MUSTER_TRIE_FANOUT))
        return collapse(popcount(map & FULL), words + MUSTER_NODE_HEADER, slot);
    words[0] = make_masked(heap, map);
    words[1] = make_masked(heap, node->tally.count + change->count);
    words[2] = make_masked(heap, node->tally.sum + change->sum);
    return finish_child(heap, words, (size_t)(to - words), slot);
}

/* The same words but for one slot, whose kind stays. */
static int patch(struct muster_heap *heap, const struct muster_node *node, unsigned index,
                 struct muster_slot *slot, const struct muster_tally *change) {
    size_t leaf_words = node->leaf_count * MUSTER_LEAF_WORDS;
    muster_term *words, count = make_masked(heap, node->tally.count + change->count),
                        sum = make_masked(heap, node->tally.sum + change->sum);
    muster_term copied =
        heap->ops->copy_tuple(heap->env, node->leaves - MUSTER_NODE_HEADER,
                              MUSTER_NODE_HEADER + leaf_words + node->child_count, &words);
    if (copied == 0 || count == 0 || sum == 0)
        return MUSTER_E_NOMEM;
    words[1] = count;
    words[2] = sum;
    words += MUSTER_NODE_HEADER;
    if (slot->kind == MUSTER_SLOT_CHILD)
        words[leaf_words + child_rank(node->child_map, index)] = slot->child;
    else
        write_leaf(words + leaf_rank(node->leaf_map, index) * MUSTER_LEAF_WORDS, &slot->leaf);
    slot->kind = MUSTER_SLOT_CHILD;
    slot->child = copied;
    return 0;
}

int muster_node_replace(struct muster_heap *heap, const struct muster_node *node, unsigned index,
                        struct muster_slot *slot, const struct muster_tally *change,
                        unsigned depth) {
    bool patches = (slot->kind == MUSTER_SLOT_LEAF && has(node->leaf_map, index)) ||
                   (slot->kind == MUSTER_SLOT_CHILD && has(node->child_map, index));
    return patches ? patch(heap, node, index, slot, change)
                   : rebuild(heap, node, index, slot, change, depth);
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
