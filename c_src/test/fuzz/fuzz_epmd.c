/*
 * epmd's answers: what is read does not change when more bytes come, an answer that is complete or
 * wrong stays so, and all is known within the bytes that are kept.
 */
#include <stdlib.h>

#include "core/epmd.h"
#include "core/errors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

struct answer {
    int alive_result, port_result;
    struct muster_epmd_alive alive;
    struct muster_epmd_port port;
};

static struct answer parse(const uint8_t *data, size_t len) {
    struct answer answer;
    uint8_t *exact = malloc(len);
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, data, len);
    memset(&answer, 0, sizeof answer);
    answer.alive_result = muster_epmd_parse_alive(muster_slice(exact, len), &answer.alive);
    answer.port_result = muster_epmd_parse_port(muster_slice(exact, len), &answer.port);
    free(exact);
    return answer;
}

static void check_result(int result) {
    check(result == 0 || result == 1 || result == MUSTER_E_MALFORMED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    size_t longest = size < 32 ? size : 32;
    struct answer before = {0};
    for (size_t len = 1; len <= longest; len++) {
        struct answer now = parse(data, len);
        check_result(now.alive_result);
        check_result(now.port_result);
        if (before.alive_result != 0) {
            check(now.alive_result == before.alive_result);
            check(now.alive.accepted == before.alive.accepted);
            check(now.alive.creation == before.alive.creation);
        }
        if (before.port_result != 0) {
            check(now.port_result == before.port_result);
            check(now.port.known == before.port.known && now.port.port == before.port.port);
            check(now.port.protocol == before.port.protocol);
            check(now.port.highest_version == before.port.highest_version);
            check(now.port.lowest_version == before.port.lowest_version);
        }
        if (now.port_result == 1 && now.port.known) {
            check(now.port.port != 0);
        }
        /* No answer is both, and none needs more than the longest fixed part. */
        check(now.alive_result < 0 || now.port_result < 0);
        check(len < 10 || (now.alive_result != 0 && now.port_result != 0));
        before = now;
    }
    return 0;
}
