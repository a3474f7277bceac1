#include "core/trie.h"

#include "core/trie_bucket.h"

/* What is done to one key. */
struct edit {
    struct muster_leaf leaf; /* only its key where it is removed */
    uint32_t hash;
    bool removes;
    bool changed;               /* whether the trie became another one, */
    struct muster_tally change; /* and by how much */
};

static int edit_node(struct muster_heap *heap, struct edit *edit, muster_term term, unsigned depth,
                     struct muster_slot *out);

muster_term muster_trie_empty(struct muster_heap *heap) {
    struct muster_draft draft;
    struct muster_slot slot;
    muster_draft_init(&draft);
    return muster_draft_finish(heap, &draft, 0, &slot) == 0 ? slot.child : 0;
}

/* The key was there, with the leaf `old`, or was not there (NULL). */
static int note_change(struct muster_heap *heap, struct edit *edit, const struct muster_leaf *old) {
    struct muster_slot before = muster_slot_empty(), after = muster_slot_empty();
    struct muster_tally had, has;
    int error;
    if (old != NULL)
        before = muster_slot_leaf(old);
    if (!edit->removes)
        after = muster_slot_leaf(&edit->leaf);
    edit->changed = old != NULL || !edit->removes;
    error = muster_slot_tally(heap, &before, &had);
    if (!error)
        error = muster_slot_tally(heap, &after, &has);
    if (error)
        return error;
    edit->change.count = has.count - had.count;
    edit->change.sum = has.sum - had.sum;
    return 0;
}

static int find_in_bucket(struct muster_heap *heap, const struct muster_node *node, muster_term key,
                          struct muster_leaf *leaf, bool *found) {
    size_t position;
    int error = muster_bucket_find(heap, node, key, &position);
    *found = !error && position < node->leaf_count;
    if (*found)
        *leaf = muster_node_leaf(node, position);
    return error;
}

int muster_trie_find(struct muster_heap *heap, muster_term root, muster_term key, uint32_t hash,
                     struct muster_leaf *leaf, bool *found) {
    struct muster_slot slot = {.kind = MUSTER_SLOT_CHILD, .child = root};
    struct muster_node node;
    for (unsigned depth = 0; slot.kind == MUSTER_SLOT_CHILD; depth++) {
        int error = muster_node_read(heap, slot.child, depth, &node);
        if (error)
            return error;
        if (depth == MUSTER_TRIE_DEPTH)
            return find_in_bucket(heap, &node, key, leaf, found);
        slot = muster_node_slot(&node, muster_slot_of(hash, depth));
    }
    *leaf = slot.leaf;
    *found = slot.kind == MUSTER_SLOT_LEAF && heap->ops->identical(heap->env, leaf->key, key);
    return 0;
}

static int edit_leaf(struct muster_heap *heap, struct edit *edit, const struct muster_slot *old,
                     unsigned depth, struct muster_slot *out) {
    bool same = heap->ops->identical(heap->env, old->leaf.key, edit->leaf.key);
    uint32_t old_hash;
    int error = note_change(heap, edit, same ? &old->leaf : NULL);
    if (error || !edit->changed)
        return error;
    if (same) {
        *out = edit->removes ? muster_slot_empty() : muster_slot_leaf(&edit->leaf);
        return 0;
    }
    error = muster_heap_hash(heap, old->leaf.key, &old_hash);
    return error ? error
                 : muster_node_pair(heap, depth + 1, &old->leaf, old_hash, &edit->leaf, edit->hash,
                                    out);
}

/* `depth` is that of the node which holds the slot. */
static int edit_slot(struct muster_heap *heap, struct edit *edit, const struct muster_slot *old,
                     unsigned depth, struct muster_slot *out) {
    switch (old->kind) {
    case MUSTER_SLOT_CHILD:
        return edit_node(heap, edit, old->child, depth + 1, out);
    case MUSTER_SLOT_LEAF:
        return edit_leaf(heap, edit, old, depth, out);
    default:
        *out = muster_slot_leaf(&edit->leaf);
        return note_change(heap, edit, NULL);
    }
}

static int edit_entries(struct muster_heap *heap, const struct edit *edit,
                        const struct muster_node *node, size_t found, struct muster_bucket *bucket,
                        struct muster_slot *out) {
    int error = 0;
    for (size_t i = 0; !error && i < node->leaf_count; i++) {
        struct muster_leaf leaf = muster_node_leaf(node, i);
        if (i != found)
            error = muster_bucket_add(heap, bucket, &leaf);
    }
    if (!error && !edit->removes)
        error = muster_bucket_add(heap, bucket, &edit->leaf);
    return error ? error : muster_bucket_finish(heap, bucket, out);
}

static int edit_bucket(struct muster_heap *heap, struct edit *edit, const struct muster_node *node,
                       struct muster_slot *out) {
    struct muster_bucket bucket;
    struct muster_leaf old;
    size_t found;
    int error = muster_bucket_find(heap, node, edit->leaf.key, &found);
    if (error)
        return error;
    if (found < node->leaf_count)
        old = muster_node_leaf(node, found);
    error = note_change(heap, edit, found < node->leaf_count ? &old : NULL);
    if (error || !edit->changed)
        return error;
    error = muster_bucket_init(heap, &bucket, node->leaf_count + 1);
    if (!error)
        error = edit_entries(heap, edit, node, found, &bucket, out);
    muster_bucket_close(heap, &bucket);
    return error;
}

/* Sets `out` to what the node's parent is to hold; leaves it alone where nothing changes. */
static int edit_node(struct muster_heap *heap, struct edit *edit, muster_term term, unsigned depth,
                     struct muster_slot *out) {
    struct muster_node node;
    struct muster_slot old, slot;
    unsigned index;
    int error = muster_node_read(heap, term, depth, &node);
    if (error)
        return error;
    if (depth == MUSTER_TRIE_DEPTH)
        return edit_bucket(heap, edit, &node, out);
    index = muster_slot_of(edit->hash, depth);
    old = muster_node_slot(&node, index);
    error = edit_slot(heap, edit, &old, depth, &slot);
    if (error || !edit->changed)
        return error;
    return muster_node_replace(heap, &node, index, &slot, &edit->change, depth, out);
}

static int edit_root(struct muster_heap *heap, struct edit *edit, muster_term root,
                     muster_term *out) {
    struct muster_slot slot;
    int error = edit_node(heap, edit, root, 0, &slot);
    if (!error)
        *out = edit->changed ? slot.child : root;
    return error;
}

int muster_trie_put(struct muster_heap *heap, muster_term root, const struct muster_leaf *leaf,
                    uint32_t hash, muster_term *out) {
    struct edit edit = {.leaf = *leaf, .hash = hash};
    return edit_root(heap, &edit, root, out);
}

int muster_trie_remove(struct muster_heap *heap, muster_term root, muster_term key, uint32_t hash,
                       muster_term *out) {
    struct edit edit = {.leaf.key = key, .hash = hash, .removes = true};
    return edit_root(heap, &edit, root, out);
}
