/*
 * A bounded check of the external term format, run on every term before ei decodes it.
 *
 * ei's decoders do not know where their input ends and recurse without limit. A term that passed
 * this check is complete, nested no deeper than the limits say, and holds only tags that ei
 * understands.
 */
#ifndef MUSTER_CORE_TERM_H
#define MUSTER_CORE_TERM_H

#include "core/bytes.h"

/* The check is iterative, its stack is this deep and `max_depth` may not exceed it. */
#define MUSTER_TERM_DEPTH_MAX 128

struct muster_term_limits {
    unsigned max_depth;    /* nesting of tuples, lists, maps and funs; 1 to MUSTER_TERM_DEPTH_MAX */
    uint32_t max_elements; /* terms in total, the outermost included */
};

extern const struct muster_term_limits muster_term_default_limits;

/*
 * Checks one term at the start of `in`, without a version byte before it, and stores in `*used` how
 * many bytes it takes. Atom cache references, compressed and local terms are refused, and so are
 * decimal floats (99), which ei reads with sscanf beyond their end and no peer of today sends.
 * Returns 0, MUSTER_E_TRUNCATED, MUSTER_E_MALFORMED, MUSTER_E_TOO_DEEP, MUSTER_E_LIMIT or
 * MUSTER_E_UNSUPPORTED (an unknown or refused tag).
 */
int muster_term_check(struct muster_slice in, const struct muster_term_limits *limits,
                      size_t *used);

/* The same for a term with its version byte (131) before it; `*used` includes that byte. */
int muster_term_check_versioned(struct muster_slice in, const struct muster_term_limits *limits,
                                size_t *used);

#endif
