/*
 * Output of `tailscale status --json`: the same names and outcome whether it comes at once or in
 * pieces, all names checked. The first byte chooses the options and the pieces' size.
 */
#include <stdlib.h>

#include "core/errors.h"
#include "core/tailscale_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static int parse(const struct muster_tailscale_naming *naming, struct muster_slice in, size_t step,
                 struct muster_name_list *names) {
    struct muster_tailscale_parse parse;
    char state[16];
    int error = 0;
    muster_tailscale_parse_init(&parse, naming, names);
    for (size_t at = 0; at < in.len && error == 0; at += step) {
        size_t n = in.len - at < step ? in.len - at : step;
        error = muster_tailscale_parse_feed(&parse, muster_slice(in.data + at, n));
    }
    if (error == 0) {
        error = muster_tailscale_parse_finish(&parse, state, sizeof state);
    }
    check(parse.online <= parse.peers && parse.tagged <= parse.online);
    muster_tailscale_parse_close(&parse);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct muster_name_list whole = {.count = 0}, pieces = {.count = 0};
    if (size == 0) {
        return 0;
    }
    struct muster_tailscale_naming naming = {.basename = "x",
                                             .tag = (data[0] & 1) != 0 ? "tag:raxol" : NULL,
                                             .use_dns_names = (data[0] & 2) != 0,
                                             .prefer_ipv6 = (data[0] & 4) != 0};
    struct muster_slice in = muster_slice(data + 1, size - 1);
    int error = parse(&naming, in, in.len + 1, &whole);
    check(parse(&naming, in, 1u + (data[0] >> 4), &pieces) == error);
    check(error <= 0 && whole.count == pieces.count);
    for (unsigned i = 0; i < whole.count; i++) {
        struct muster_node_name name;
        check(muster_node_name_equal(&whole.names[i], &pieces.names[i]));
        check(muster_node_name_parse_cstr(&name, whole.names[i].text) == 0);
    }
    muster_name_list_close(&whole);
    muster_name_list_close(&pieces);
    return 0;
}
