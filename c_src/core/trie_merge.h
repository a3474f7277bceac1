/* Merging two tries under their causal contexts: cost follows the difference.
 *
 * A dot survives if both sides have it, or one has it and the other has not seen it. Subtrees
 * that are the same term, or whose counts and sums of dot hashes agree, are taken as they are. */
#ifndef MUSTER_CORE_TRIE_MERGE_H
#define MUSTER_CORE_TRIE_MERGE_H

#include "core/causal_context.h"
#include "core/trie_node.h"

/* The merge of the tries `a` and `b`; one of these very terms where it equals one.
 * MALFORMED, NOMEM, LIMIT. */
int muster_trie_merge(struct muster_heap *heap, muster_term a, const struct muster_context *a_seen,
                      muster_term b, const struct muster_context *b_seen, muster_term *out);

#endif
