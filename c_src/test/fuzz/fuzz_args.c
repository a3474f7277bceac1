/*
 * Maps of options: every type of option, from terms as they come over the control port and from
 * other nodes. Values stay within their bounds, every refusal has a text, and nothing beyond the
 * term is read, not even to print the value that was refused.
 */
#include <stdlib.h>

#include "core/errors.h"
#include "core/term.h"
#include "node/args.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void check_inside(struct muster_slice whole, struct muster_slice part) {
    check(part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void read_options(struct muster_slice map) {
    static const char *const choices[] = {"tcp", "tls", "other", NULL};
    struct muster_slice cookie = {0}, options = {0};
    struct muster_arg_binaries list = {.count = 0};
    struct muster_node_name name = {.len = 0};
    struct muster_problem problem;
    int64_t port = 4369;
    int choice = 0;
    struct muster_arg args[] = {
        {.name = "n", .type = MUSTER_ARG_NODE, .target = &name, .required = 1},
        {.name = "cookie", .type = MUSTER_ARG_BINARY, .target = &cookie, .max = 16},
        {.name = "p", .type = MUSTER_ARG_INTEGER, .target = &port, .min = -1, .max = 65535},
        {.name = "t", .type = MUSTER_ARG_CHOICE, .target = &choice, .choices = choices},
        {.name = "o", .type = MUSTER_ARG_MAP, .target = &options},
        {.name = "l", .type = MUSTER_ARG_BINARIES, .target = &list, .max = 8},
    };
    memset(&problem, 'x', sizeof problem);
    int error = muster_args_read(map, args, sizeof args / sizeof *args, &problem);
    check(choice >= 0 && choice < 3 && port >= -1 && port <= 65535);
    if (error != 0) {
        check(error == MUSTER_E_INVALID);
        check(memchr(problem.text, 0, sizeof problem.text) != NULL && problem.text[0] != '\0');
        return;
    }
    check(args[0].given && name.len > 0);
    if (args[1].given) {
        check(cookie.len >= 1 && cookie.len <= 16);
        check_inside(map, cookie);
    }
    check(list.count <= MUSTER_ARG_BINARIES_MAX);
    for (unsigned i = 0; i < list.count; i++) {
        check(list.items[i].len >= 1 && list.items[i].len <= 8);
        check_inside(map, list.items[i]);
    }
    if (args[4].given) {
        check_inside(map, options);
        read_options(options);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    size_t used;
    if (size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    if (muster_term_check(muster_slice(data, size), &muster_term_default_limits, &used) == 0) {
        read_options(muster_slice(guard_put(&guard, data, used), used));
    }
    return 0;
}
