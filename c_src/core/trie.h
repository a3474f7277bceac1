/* One key of the trie: finding its leaf, putting it, and taking it out. See trie_node.h for the
 * form. */
#ifndef MUSTER_CORE_TRIE_H
#define MUSTER_CORE_TRIE_H

#include "core/trie_node.h"

/* The root of a trie without leaves; 0 when memory is short. */
muster_term muster_trie_empty(struct muster_heap *heap);

/* Finds the leaf of `key`, whose erlang:phash2/1 is `hash`; `found` says whether there is one.
 * MALFORMED, LIMIT. */
int muster_trie_find(struct muster_heap *heap, muster_term root, muster_term key, uint32_t hash,
                     struct muster_leaf *leaf, bool *found);

/* The trie with `leaf` in place of whatever its key had. `hash` as above.
 * MALFORMED, NOMEM, LIMIT. */
int muster_trie_put(struct muster_heap *heap, muster_term root, const struct muster_leaf *leaf,
                    uint32_t hash, muster_term *out);

/* The trie without `key`; the very same term if the key is not there. Errors as above. */
int muster_trie_remove(struct muster_heap *heap, muster_term root, muster_term key, uint32_t hash,
                       muster_term *out);

#endif
