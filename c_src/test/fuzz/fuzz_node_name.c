/* Node names: what is accepted is whole, of safe characters, and taken apart as it was put
 * together; what is refused leaves no trace. Accepted names go on into epmd requests. */
#include <stdlib.h>

#include "core/epmd.h"
#include "core/errors.h"
#include "core/node_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void check_accepted(const struct muster_node_name *name, const char *text, size_t len) {
    char alive[MUSTER_NODE_NAME_MAX + 1];
    check(len >= 3 && len <= MUSTER_NODE_NAME_MAX);
    check(name->len == len && strlen(name->text) == len && memcmp(name->text, text, len) == 0);
    muster_node_name_alive(name, alive);
    const char *host = muster_node_name_host(name);
    check(strlen(alive) == name->alive_len && alive[0] != '\0' && host[0] != '\0');
    check(strlen(alive) + 1 + strlen(host) == len);
    check(strchr(alive, '@') == NULL && strchr(host, '@') == NULL);
    for (size_t i = 0; i < len; i++) {
        check(text[i] > ' ' && text[i] < 0x7f &&
              strchr("/\\\"'`$;|&<>(){}[]*?!#,^", text[i]) == NULL);
    }
    check(muster_node_name_equal(name, name) && muster_node_name_compare(name, name) == 0);
}

static void check_requests(const struct muster_node_name *name) {
    uint8_t *out = malloc(MUSTER_EPMD_REQUEST_MAX);
    if (out == NULL) {
        return;
    }
    size_t len = muster_epmd_alive_request(out, name, 4242);
    check(len <= MUSTER_EPMD_REQUEST_MAX && len == 2u + muster_get16(out));
    len = muster_epmd_port_request(out, name);
    check(len <= MUSTER_EPMD_REQUEST_MAX && len == 2u + muster_get16(out));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct muster_node_name name, before;
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(text + 1, data, size); /* ends where its block ends */
    }
    memset(&name, 0x5a, sizeof name);
    before = name;
    int error = muster_node_name_parse(&name, text + 1, size);
    if (error == 0) {
        check_accepted(&name, text + 1, size);
        check_requests(&name);
        before = name;
        check(muster_node_name_parse_cstr(&name, before.text) == 0);
        check(muster_node_name_equal(&name, &before));
    } else {
        check(error == (size > MUSTER_NODE_NAME_MAX ? MUSTER_E_LIMIT : MUSTER_E_INVALID));
        check(memcmp(&name, &before, sizeof name) == 0);
    }
    free(text);
    return 0;
}
