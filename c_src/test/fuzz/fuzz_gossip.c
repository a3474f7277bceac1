/*
 * libcluster's packet: what is accepted is a whole term with a good name, is built anew from that
 * name, and nothing beyond the packet is read.
 */
#include <stdlib.h>

#include "core/errors.h"
#include "core/gossip.h"
#include "core/term.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)
#define PREFIX_LEN 11

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    struct muster_node_name name, again;
    uint8_t built[MUSTER_GOSSIP_BUILT_MAX];
    size_t used;
    if (size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    struct muster_slice packet = muster_slice(guard_put(&guard, data, size), size);
    int result = muster_gossip_parse(packet, &name);
    if (result != 0) {
        check(result == MUSTER_E_MALFORMED);
        return 0;
    }
    struct muster_slice term = muster_slice(packet.data + PREFIX_LEN, packet.len - PREFIX_LEN);
    check(muster_term_check_versioned(term, &muster_term_default_limits, &used) == 0);
    check(used == term.len);
    check(name.len > 0 && strlen(name.text) == name.len);
    size_t len = muster_gossip_build(built, &name);
    check(len <= sizeof built);
    check(muster_gossip_parse(muster_slice(built, len), &again) == 0);
    check(muster_node_name_equal(&name, &again));
    return 0;
}
