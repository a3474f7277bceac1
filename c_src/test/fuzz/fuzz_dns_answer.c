/*
 * DNS messages: addresses and services are found within the message, targets are names without
 * surprises, the shortest time to live is the shortest.
 */
#include <stdlib.h>

#include "core/dns_answer.h"
#include "core/errors.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void check_record(const struct muster_dns_answer *answer, uint16_t type,
                         const struct muster_dns_record *record) {
    check(record->type == type && answer->ttl <= record->ttl && record->ttl <= INT32_MAX);
    if (type == MUSTER_DNS_SRV) {
        check(strlen(record->target) == record->target_len);
    }
}

static void read_all(struct muster_slice message, uint16_t type) {
    struct muster_dns_answer answer;
    struct muster_dns_record record;
    int found = muster_dns_answer_open(&answer, message);
    while (found >= 0 && (found = muster_dns_answer_next(&answer, type, &record)) == 1) {
        check_record(&answer, type, &record);
    }
    check(found == 0 || found == MUSTER_E_MALFORMED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    if (size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    struct muster_slice message = muster_slice(guard_put(&guard, data, size), size);
    read_all(message, MUSTER_DNS_A);
    read_all(message, MUSTER_DNS_AAAA);
    read_all(message, MUSTER_DNS_SRV);
    return 0;
}
