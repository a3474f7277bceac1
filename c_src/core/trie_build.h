/* Building a whole trie at once, bottom up. */
#ifndef MUSTER_CORE_TRIE_BUILD_H
#define MUSTER_CORE_TRIE_BUILD_H

#include "core/trie_node.h"

/* The trie of the keys in the list `keys`, the i-th with the bare dot {lineage, i}; of a key that
 * comes several times, the last dot stays. `length` becomes the number of dots given.
 * MALFORMED if it is no proper list, NOMEM, LIMIT. */
int muster_trie_build(struct muster_heap *heap, muster_term keys, uint64_t lineage,
                      muster_term *root, uint64_t *length);

#endif
