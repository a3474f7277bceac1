#include "core/trie_bucket.h"

#include <stdlib.h>

int muster_bucket_init(struct muster_heap *heap, struct muster_bucket *bucket, size_t capacity) {
    int error = muster_heap_charge(heap, capacity * 16); /* they will be sorted */
    bucket->length = 0;
    bucket->entries = NULL;
    if (error)
        return error;
    bucket->entries = muster_heap_alloc(heap, capacity, sizeof *bucket->entries);
    return bucket->entries == NULL ? MUSTER_E_NOMEM : 0;
}

void muster_bucket_close(struct muster_heap *heap, struct muster_bucket *bucket) {
    muster_heap_free(heap, bucket->entries);
}

int muster_bucket_add(struct muster_heap *heap, struct muster_bucket *bucket,
                      const struct muster_leaf *leaf) {
    struct muster_bucket_entry *entry = &bucket->entries[bucket->length++];
    entry->leaf = *leaf;
    return muster_leaf_first_dot(heap, leaf, &entry->first);
}

static int compare(const void *a, const void *b) {
    const struct muster_bucket_entry *left = a, *right = b;
    return muster_dot_compare(left->first, right->first);
}

static int fill(struct muster_heap *heap, const struct muster_bucket *bucket, muster_term *words) {
    uint64_t sum = 0, leaf_sum;
    for (size_t i = 0; i < bucket->length; i++) {
        const struct muster_leaf *leaf = &bucket->entries[i].leaf;
        muster_term *to = words + MUSTER_NODE_HEADER + i * MUSTER_LEAF_WORDS;
        int error = muster_leaf_sum(heap, leaf, &leaf_sum);
        if (error)
            return error;
        sum += leaf_sum;
        to[0] = leaf->key;
        to[1] = leaf->head;
        to[2] = leaf->tail;
    }
    words[0] = muster_heap_make_integer(heap, 0);
    words[1] = muster_heap_make_integer(heap, bucket->length);
    words[2] = muster_heap_make_integer(heap, sum & MUSTER_INTEGER_MASK);
    return words[0] == 0 || words[1] == 0 || words[2] == 0 ? MUSTER_E_NOMEM : 0;
}

int muster_bucket_finish(struct muster_heap *heap, struct muster_bucket *bucket,
                         struct muster_slot *slot) {
    size_t arity = MUSTER_NODE_HEADER + bucket->length * MUSTER_LEAF_WORDS;
    muster_term *words;
    int error;
    if (bucket->length < 2) {
        *slot =
            bucket->length == 0 ? muster_slot_empty() : muster_slot_leaf(&bucket->entries[0].leaf);
        return 0;
    }
    words = muster_heap_alloc(heap, arity, sizeof *words);
    if (words == NULL)
        return MUSTER_E_NOMEM;
    qsort(bucket->entries, bucket->length, sizeof *bucket->entries, compare);
    error = fill(heap, bucket, words);
    if (!error) {
        slot->kind = MUSTER_SLOT_CHILD;
        slot->child = heap->ops->make_tuple(heap->env, words, arity);
        error = slot->child == 0 ? MUSTER_E_NOMEM : 0;
    }
    muster_heap_free(heap, words);
    return error;
}

int muster_bucket_find(struct muster_heap *heap, const struct muster_node *node, muster_term key,
                       size_t *position) {
    int error = muster_heap_charge_term(heap, key, node->leaf_count);
    if (error)
        return error;
    for (*position = 0; *position < node->leaf_count; ++*position)
        if (heap->ops->identical(heap->env, muster_node_leaf(node, *position).key, key))
            break;
    return 0;
}

int muster_bucket_pair(struct muster_heap *heap, const struct muster_leaf *a,
                       const struct muster_leaf *b, struct muster_slot *slot) {
    struct muster_bucket bucket;
    int error = muster_bucket_init(heap, &bucket, 2);
    if (!error)
        error = muster_bucket_add(heap, &bucket, a);
    if (!error)
        error = muster_bucket_add(heap, &bucket, b);
    if (!error)
        error = muster_bucket_finish(heap, &bucket, slot);
    muster_bucket_close(heap, &bucket);
    return error;
}
