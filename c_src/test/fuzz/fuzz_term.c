/*
 * The term validator: it stays within its input, and ei walks over whatever it accepted without a
 * complaint, reading not a byte more. There is no valid term that ei refuses: the validator is at
 * least as strict (decimal floats, tag 99, are refused although ei would take them).
 */
#include <stdlib.h>

#include <ei.h>

#include "core/errors.h"
#include "core/term.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

/* libei is not instrumented: an unreadable page stands where the term ends. */
static void check_ei(const uint8_t *data, size_t used) {
    static struct guard guard;
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    const char *term = (const char *)guard_put(&guard, data, used);
    int index = 0;
    check(ei_skip_term(term, &index) == 0);
    check((size_t)index == used);
}

static void check_versioned(struct muster_slice in, int expected) {
    size_t used;
    int error = muster_term_check_versioned(in, &muster_term_default_limits, &used);
    check(used <= in.len);
    if (in.len > 0 && in.data[0] == 131) {
        check((error == 0) == (expected == 0));
    } else {
        check(error == (in.len == 0 ? MUSTER_E_TRUNCATED : MUSTER_E_MALFORMED));
    }
}

/* The first byte chooses the limits. */
static struct muster_term_limits limits_of(uint8_t byte) {
    if (byte % 4 != 0) {
        return muster_term_default_limits;
    }
    return (struct muster_term_limits){.max_depth = 1 + byte / 4, .max_elements = byte};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > SIZE_MAX_HERE) {
        return 0;
    }
    struct muster_term_limits limits = limits_of(data[0]);
    size_t used, len = size - 1;
    uint8_t *copy = malloc(size);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    struct muster_slice in = muster_slice(copy + 1, len);
    int error = muster_term_check(in, &limits, &used);
    check(used <= len);
    if (error == 0) {
        check(used > 0);
        check_ei(copy + 1, used);
        /* Its end is its own: a byte less is too little, and nothing behind it matters. */
        size_t again;
        check(muster_term_check(muster_slice(copy + 1, used - 1), &limits, &again) != 0);
        check(muster_term_check(muster_slice(copy + 1, used), &limits, &again) == 0);
        check(again == used);
    }
    if (len > 0) {
        struct muster_slice rest = muster_slice(copy + 2, len - 1);
        check_versioned(in, muster_term_check(rest, &muster_term_default_limits, &used));
    }
    free(copy);
    return 0;
}
