#include "core/admission.h"

#include <stdlib.h>

#include "core/errors.h"

#define FRESH_SHARE 5
#define SOURCE_SHARE 2

static uint64_t hash(const struct muster_admission *admission, const void *data, size_t len) {
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, data, len, admission->key);
    return muster_get64(out);
}

static uint32_t at_least_one(uint32_t n) {
    return n > 0 ? n : 1;
}

static void init_pair(struct muster_token_bucket *pair, uint32_t per_s, uint64_t now_ms) {
    uint32_t fresh = at_least_one(per_s / FRESH_SHARE);
    uint32_t repeated = at_least_one(per_s - fresh);
    muster_token_bucket_init(&pair[MUSTER_ADMISSION_FRESH], fresh, fresh * MUSTER_ADMISSION_BURST_S,
                             now_ms);
    muster_token_bucket_init(&pair[MUSTER_ADMISSION_REPEATED], repeated,
                             repeated * MUSTER_ADMISSION_BURST_S, now_ms);
}

int muster_admission_init(struct muster_admission *admission, uint32_t per_s, const uint8_t *random,
                          uint64_t now_ms) {
    memset(admission, 0, sizeof *admission);
    memcpy(admission->key, random, sizeof admission->key);
    init_pair(admission->total, per_s, now_ms);
    for (unsigned i = 0; i < MUSTER_ADMISSION_SOURCES; i++) {
        init_pair(admission->sources[i], per_s / SOURCE_SHARE, now_ms);
    }
    admission->names = calloc(MUSTER_ADMISSION_NAMES, sizeof *admission->names);
    return admission->names != NULL ? 0 : MUSTER_E_NOMEM;
}

void muster_admission_close(struct muster_admission *admission) {
    free(admission->names);
    admission->names = NULL;
}

enum muster_admission_class muster_admission_hear(struct muster_admission *admission,
                                                  const struct muster_node_name *name) {
    uint64_t h = hash(admission, name->text, name->len);
    uint16_t *slot = &admission->names[h % MUSTER_ADMISSION_NAMES];
    uint16_t fingerprint = (uint16_t)(h >> 48);
    fingerprint = fingerprint != 0 ? fingerprint : 1;
    int heard = *slot == fingerprint;
    *slot = fingerprint;
    return heard ? MUSTER_ADMISSION_REPEATED : MUSTER_ADMISSION_FRESH;
}

int muster_admission_take(struct muster_admission *admission, enum muster_admission_class class,
                          struct muster_slice source, uint64_t now_ms) {
    uint64_t h = hash(admission, source.data, source.len);
    struct muster_token_bucket *own = &admission->sources[h % MUSTER_ADMISSION_SOURCES][class];
    struct muster_token_bucket *total = &admission->total[class];
    /* Both or none: what one source may not have is not taken from the others. */
    if (!muster_token_bucket_has(own, now_ms) || !muster_token_bucket_has(total, now_ms)) {
        return 0;
    }
    muster_token_bucket_take(own, now_ms);
    muster_token_bucket_take(total, now_ms);
    return 1;
}
