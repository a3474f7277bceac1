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

/* The way from the root to a slot: the nodes, and which slot of each. */
struct path {
    unsigned depth;
    struct muster_node nodes[MUSTER_TRIE_DEPTH];
    unsigned indices[MUSTER_TRIE_DEPTH];
};

muster_term muster_trie_empty(struct muster_heap *heap) {
    struct muster_draft draft;
    struct muster_slot slot;
    muster_draft_init(&draft);
    return muster_draft_finish(heap, &draft, 0, &slot) == 0 ? slot.child : 0;
}

/* Sets `slot` to that of `hash`: nothing, a leaf, or the bucket below the last nodes. */
static int descend(struct muster_heap *heap, muster_term root, uint32_t hash, struct path *path,
                   struct muster_slot *slot) {
    slot->kind = MUSTER_SLOT_CHILD;
    slot->child = root;
    for (path->depth = 0; slot->kind == MUSTER_SLOT_CHILD && path->depth < MUSTER_TRIE_DEPTH;
         path->depth++) {
        struct muster_node *node = &path->nodes[path->depth];
        unsigned index = path->indices[path->depth] = muster_slot_of(hash, path->depth);
        int error = muster_node_read(heap, slot->child, path->depth, node);
        if (error)
            return error;
        muster_node_slot(node, index, slot);
    }
    return 0;
}

static int find_in_bucket(struct muster_heap *heap, muster_term term, muster_term key,
                          struct muster_leaf *leaf, bool *found) {
    struct muster_node bucket;
    size_t position = 0;
    int error = muster_node_read(heap, term, MUSTER_TRIE_DEPTH, &bucket);
    if (!error)
        error = muster_bucket_find(heap, &bucket, key, &position);
    *found = !error && position < bucket.leaf_count;
    if (*found)
        *leaf = muster_node_leaf(&bucket, position);
    return error;
}

int muster_trie_find(struct muster_heap *heap, muster_term root, muster_term key, uint32_t hash,
                     struct muster_leaf *leaf, bool *found) {
    struct muster_slot slot;
    struct path path;
    int error = descend(heap, root, hash, &path, &slot);
    if (!error && slot.kind == MUSTER_SLOT_CHILD)
        return find_in_bucket(heap, slot.child, key, leaf, found);
    *found = !error && slot.kind == MUSTER_SLOT_LEAF &&
             heap->ops->identical(heap->env, slot.leaf.key, key);
    *leaf = slot.leaf;
    return error;
}

/* The key was there, with the leaf `old`, or was not there (NULL). */
static int note_change(struct muster_heap *heap, struct edit *edit, const struct muster_leaf *old) {
    uint64_t had = 0, has = 0;
    int error = old != NULL ? muster_leaf_sum(heap, old, &had) : 0;
    if (!error && !edit->removes)
        error = muster_leaf_sum(heap, &edit->leaf, &has);
    edit->changed = old != NULL || !edit->removes;
    edit->change.count = (uint64_t)!edit->removes - (old != NULL);
    edit->change.sum = has - had;
    return error;
}

/* `depth` is that of a child in this slot. */
static int edit_leaf(struct muster_heap *heap, struct edit *edit, const struct muster_leaf *old,
                     unsigned depth, struct muster_slot *out) {
    bool same = heap->ops->identical(heap->env, old->key, edit->leaf.key);
    uint32_t old_hash;
    int error = note_change(heap, edit, same ? old : NULL);
    if (error || !edit->changed)
        return error;
    if (same) {
        *out = edit->removes ? muster_slot_empty() : muster_slot_leaf(&edit->leaf);
        return 0;
    }
    error = muster_heap_hash(heap, old->key, &old_hash);
    return error ? error
                 : muster_node_pair(heap, depth, old, old_hash, &edit->leaf, edit->hash, out);
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

static int edit_bucket(struct muster_heap *heap, struct edit *edit, muster_term term,
                       struct muster_slot *out) {
    struct muster_node node;
    struct muster_bucket bucket;
    struct muster_leaf old;
    size_t found;
    int error = muster_node_read(heap, term, MUSTER_TRIE_DEPTH, &node);
    if (!error)
        error = muster_bucket_find(heap, &node, edit->leaf.key, &found);
    if (error)
        return error;
    if (found < node.leaf_count)
        old = muster_node_leaf(&node, found);
    error = note_change(heap, edit, found < node.leaf_count ? &old : NULL);
    if (error || !edit->changed)
        return error;
    error = muster_bucket_init(heap, &bucket, node.leaf_count + 1);
    if (!error)
        error = edit_entries(heap, edit, &node, found, &bucket, out);
    muster_bucket_close(heap, &bucket);
    return error;
}

/* Sets `out` to what the slot at the end of the path is to hold, if anything changes. */
static int edit_slot(struct muster_heap *heap, struct edit *edit, const struct muster_slot *old,
                     unsigned depth, struct muster_slot *out) {
    switch (old->kind) {
    case MUSTER_SLOT_CHILD:
        return edit_bucket(heap, edit, old->child, out);
    case MUSTER_SLOT_LEAF:
        return edit_leaf(heap, edit, &old->leaf, depth, out);
    default:
        *out = muster_slot_leaf(&edit->leaf);
        return note_change(heap, edit, NULL);
    }
}

static int edit_root(struct muster_heap *heap, struct edit *edit, muster_term root,
                     muster_term *out) {
    struct path path;
    struct muster_slot old, slot;
    int error = descend(heap, root, edit->hash, &path, &old);
    if (!error)
        error = edit_slot(heap, edit, &old, path.depth, &slot);
    *out = root;
    if (error || !edit->changed)
        return error;
    for (unsigned depth = path.depth; !error && depth-- > 0;)
        error = muster_node_replace(heap, &path.nodes[depth], path.indices[depth], &slot,
                                    &edit->change, depth);
    *out = slot.child;
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
