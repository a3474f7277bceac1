#include "core/token_bucket.h"

#define TOKEN 1000

void muster_token_bucket_init(struct muster_token_bucket *bucket, uint32_t per_s, uint32_t burst,
                              uint64_t now_ms) {
    *bucket = (struct muster_token_bucket){.per_s = per_s,
                                           .burst = burst,
                                           .thousandths = (uint64_t)burst * TOKEN,
                                           .filled_ms = now_ms};
}

int muster_token_bucket_has(struct muster_token_bucket *bucket, uint64_t now_ms) {
    uint64_t full = (uint64_t)bucket->burst * TOKEN;
    /* A token a second is a thousandth of it a millisecond. */
    uint64_t passed_ms = now_ms - bucket->filled_ms;
    uint64_t missing = full - bucket->thousandths;
    bucket->filled_ms = now_ms;
    if (bucket->per_s > 0 && passed_ms >= missing / bucket->per_s + 1) {
        bucket->thousandths = full;
    } else {
        bucket->thousandths += passed_ms * bucket->per_s;
    }
    return bucket->thousandths >= TOKEN;
}

int muster_token_bucket_take(struct muster_token_bucket *bucket, uint64_t now_ms) {
    int has = muster_token_bucket_has(bucket, now_ms);
    bucket->thousandths -= has ? TOKEN : 0;
    return has;
}
