/* Terms for tests: built with the codec's own writer, as bare terms in memory of exact size. */
#ifndef MUSTER_TEST_TERM_TEXT_H
#define MUSTER_TEST_TERM_TEXT_H

#include "core/term.h"
#include "node/codec.h"
#include "test/unit/unit.h"

/* What the writer holds, without the frame's length; frees the writer. Pair with unit_free. */
static inline struct muster_slice unit_term(struct muster_writer *w) {
    struct muster_slice frame;
    assert_int_equal(muster_writer_finish(w, &frame), 0);
    struct muster_slice term = unit_exact(frame.data + 4, frame.len - 4);
    muster_writer_free(w);
    return term;
}

/* Exactly one well-formed term. */
static inline void unit_check_term(struct muster_slice term) {
    size_t used;
    assert_int_equal(muster_term_check(term, &muster_term_default_limits, &used), 0);
    assert_int_equal(used, term.len);
}

#endif
