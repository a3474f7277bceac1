/* Hosts files: every host lies within the text and would do in a node's name; lines only grow. */
#include <stdlib.h>

#include "core/errors.h"
#include "core/hosts_file.h"
#include "core/node_name.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void check_host(struct muster_slice host) {
    struct muster_node_name name;
    char text[MUSTER_NODE_NAME_MAX] = "n@";
    check(host.len > 0 && host.len <= sizeof text - 2);
    memcpy(text + 2, host.data, host.len);
    check(muster_node_name_parse(&name, text, host.len + 2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    struct muster_hosts_reader reader;
    struct muster_slice host;
    unsigned line = 1, breaks = 0;
    int result;
    if (size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    struct muster_slice text = muster_slice(guard_put(&guard, data, size), size);
    for (size_t i = 0; i < size; i++) {
        breaks += data[i] == '\n';
    }
    muster_hosts_reader_init(&reader, text);
    while ((result = muster_hosts_reader_next(&reader, &host)) == 1) {
        check(host.data > text.data - 1 && host.data + host.len <= text.data + text.len);
        check_host(host);
        check(reader.line >= line);
        line = reader.line;
    }
    check(result == 0 || result == MUSTER_E_MALFORMED);
    check(reader.line <= breaks + 1);
    check(muster_hosts_reader_next(&reader, &host) == 0);
    return 0;
}
