/*
 * epmd's list of names: what is read lies within the answer, in order, and what began as an answer
 * is told from what did not by every part of it.
 */
#include <stdlib.h>

#include "core/epmd.h"
#include "core/errors.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    struct muster_slice alive;
    size_t at = 0, names = 0;
    int result;
    if (size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    struct muster_slice in = muster_slice(guard_put(&guard, data, size), size);
    const uint8_t *last = in.data;
    while ((result = muster_epmd_next_name(in, &at, &alive)) == 1) {
        check(alive.len > 0 && alive.data > last && alive.data + alive.len < in.data + in.len);
        last = alive.data;
        names++;
    }
    check(result == 0 || result == MUSTER_E_MALFORMED);
    int plausible = muster_epmd_names_plausible(in);
    check(plausible || names == 0);
    for (size_t n = 0; n < size && n < 32; n++) {
        check(!plausible || muster_epmd_names_plausible(muster_slice(in.data, n)));
    }
    return 0;
}
