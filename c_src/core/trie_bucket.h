/* Buckets: the leaves of a trie whose keys share all bits of their hash. See trie_node.h. */
#ifndef MUSTER_CORE_TRIE_BUCKET_H
#define MUSTER_CORE_TRIE_BUCKET_H

#include "core/trie_node.h"

struct muster_bucket_entry {
    struct muster_leaf leaf;
    struct muster_dot first;
};

/* A bucket under construction, in scratch memory. */
struct muster_bucket {
    size_t length;
    struct muster_bucket_entry *entries;
};

/* Room for `capacity` leaves; NOMEM, LIMIT. To be closed in any case. */
int muster_bucket_init(struct muster_heap *heap, struct muster_bucket *bucket, size_t capacity);
void muster_bucket_close(struct muster_heap *heap, struct muster_bucket *bucket);

/* Adds a leaf; the caller has made room and seen to it that the key is new. */
int muster_bucket_add(struct muster_heap *heap, struct muster_bucket *bucket,
                      const struct muster_leaf *leaf);

/* What the bucket's parent holds: a child, a leaf or nothing. */
int muster_bucket_finish(struct muster_heap *heap, struct muster_bucket *bucket,
                         struct muster_slot *slot);

/* The position of `key` among the node's leaves; node->leaf_count if it is not there. LIMIT. */
int muster_bucket_find(struct muster_heap *heap, const struct muster_node *node, muster_term key,
                       size_t *position);

/* A finished bucket of two leaves. */
int muster_bucket_pair(struct muster_heap *heap, const struct muster_leaf *a,
                       const struct muster_leaf *b, struct muster_slot *slot);

#endif
