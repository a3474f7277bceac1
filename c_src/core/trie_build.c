#include "core/trie_build.h"

#include <string.h>

#include "core/trie_bucket.h"

#define RADIX_BITS 9 /* three passes sort the 27 bits of a hash */
#define RADIX_SIZE (1 << RADIX_BITS)
#define RADIX_PASSES 3

struct item {
    muster_term key;
    uint64_t n;
    uint32_t hash;
};

struct items {
    size_t length, capacity;
    struct item *at;
};

static int grow(struct muster_heap *heap, struct items *items) {
    size_t capacity = items->capacity == 0 ? 64 : items->capacity * 2;
    struct item *at = muster_heap_alloc(heap, capacity, sizeof *at);
    if (at == NULL)
        return MUSTER_E_NOMEM;
    if (items->length > 0)
        memcpy(at, items->at, items->length * sizeof *at);
    muster_heap_free(heap, items->at);
    items->at = at;
    items->capacity = capacity;
    return 0;
}

static int read_items(struct muster_heap *heap, muster_term keys, struct items *items) {
    while (!heap->ops->is_nil(heap->env, keys)) {
        struct item *item;
        int error = muster_heap_charge(heap, 24);
        if (!error && items->length == items->capacity)
            error = grow(heap, items);
        if (error)
            return error;
        item = &items->at[items->length];
        error = heap->ops->cons(heap->env, keys, &item->key, &keys);
        if (!error)
            error = muster_heap_hash(heap, item->key, &item->hash);
        if (error)
            return error;
        item->n = ++items->length;
    }
    return 0;
}

static void radix_pass(const struct item *from, struct item *to, size_t length, unsigned shift) {
    size_t starts[RADIX_SIZE] = {0}, start = 0;
    for (size_t i = 0; i < length; i++)
        starts[from[i].hash >> shift & (RADIX_SIZE - 1)]++;
    for (size_t digit = 0; digit < RADIX_SIZE; digit++) {
        size_t size = starts[digit];
        starts[digit] = start;
        start += size;
    }
    for (size_t i = 0; i < length; i++)
        to[starts[from[i].hash >> shift & (RADIX_SIZE - 1)]++] = from[i];
}

/* Sorts by hash; items of equal hashes stay in order. */
static int sort(struct muster_heap *heap, struct items *items) {
    struct item *from = items->at, *to;
    if (items->length < 2)
        return 0;
    to = muster_heap_alloc(heap, items->length, sizeof *to);
    if (to == NULL)
        return MUSTER_E_NOMEM;
    for (unsigned pass = 0; pass < RADIX_PASSES; pass++) {
        struct item *sorted = to;
        radix_pass(from, to, items->length, pass * RADIX_BITS);
        to = from;
        from = sorted;
    }
    items->at = from;
    items->capacity = items->length;
    muster_heap_free(heap, to);
    return 0;
}

/* Whether a later item of the same hash has the same key. Keys may be chosen so that very many
 * share a hash. */
static int is_repeated(struct muster_heap *heap, const struct items *items, size_t position,
                       bool *repeated) {
    const struct item *item = &items->at[position];
    *repeated = false;
    for (size_t i = position + 1; i < items->length && items->at[i].hash == item->hash; i++) {
        int error = muster_heap_charge_term(heap, item->key, 1);
        if (error)
            return error;
        *repeated = heap->ops->identical(heap->env, items->at[i].key, item->key);
        if (*repeated)
            break;
    }
    return 0;
}

static int drop_repeated(struct muster_heap *heap, struct items *items) {
    size_t kept = 0;
    for (size_t i = 0; i < items->length; i++) {
        bool repeated;
        int error = is_repeated(heap, items, i, &repeated);
        if (error)
            return error;
        if (!repeated)
            items->at[kept++] = items->at[i];
    }
    items->length = kept;
    return 0;
}

static int make_leaf(struct muster_heap *heap, const struct item *item, uint64_t lineage,
                     struct muster_leaf *leaf) {
    struct muster_dot dot = {.lineage = lineage, .n = item->n};
    leaf->key = item->key;
    return muster_leaf_set_dot(heap, dot, leaf);
}

static int build_bucket(struct muster_heap *heap, const struct items *items, uint64_t lineage,
                        struct muster_slot *out) {
    struct muster_bucket bucket;
    int error = muster_bucket_init(heap, &bucket, items->length);
    for (size_t i = 0; !error && i < items->length; i++) {
        struct muster_leaf leaf;
        error = make_leaf(heap, &items->at[i], lineage, &leaf);
        if (!error)
            error = muster_bucket_add(heap, &bucket, &leaf);
    }
    if (!error)
        error = muster_bucket_finish(heap, &bucket, out);
    muster_bucket_close(heap, &bucket);
    return error;
}

/* The items, which follow `from`, that share its slot. */
static struct items run_of(const struct items *items, size_t from, unsigned depth) {
    unsigned index = muster_slot_of(items->at[from].hash, depth);
    size_t to = from + 1;
    while (to < items->length && muster_slot_of(items->at[to].hash, depth) == index)
        to++;
    return (struct items){.at = items->at + from, .length = to - from};
}

static int build_node(struct muster_heap *heap, const struct items *items, uint64_t lineage,
                      unsigned depth, struct muster_slot *out) {
    struct muster_draft draft;
    if (depth == MUSTER_TRIE_DEPTH)
        return build_bucket(heap, items, lineage, out);
    muster_draft_init(&draft);
    for (size_t from = 0; from < items->length;) {
        struct items run = run_of(items, from, depth);
        struct muster_slot slot = {.kind = MUSTER_SLOT_LEAF};
        int error = run.length == 1 ? make_leaf(heap, &run.at[0], lineage, &slot.leaf)
                                    : build_node(heap, &run, lineage, depth + 1, &slot);
        if (!error)
            error = muster_draft_add_counted(heap, &draft, muster_slot_of(run.at[0].hash, depth),
                                             &slot);
        if (error)
            return error;
        from += run.length;
    }
    return muster_draft_finish(heap, &draft, depth, out);
}

int muster_trie_build(struct muster_heap *heap, muster_term keys, uint64_t lineage,
                      muster_term *root, uint64_t *length) {
    struct items items = {0};
    struct muster_slot slot;
    int error = read_items(heap, keys, &items);
    *length = items.length;
    if (!error)
        error = sort(heap, &items);
    if (!error)
        error = drop_repeated(heap, &items);
    if (!error)
        error = build_node(heap, &items, lineage, 0, &slot);
    if (!error)
        *root = slot.child;
    muster_heap_free(heap, items.at);
    return error;
}
