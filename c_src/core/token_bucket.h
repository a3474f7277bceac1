/* A rate with a burst: so many a second on average, so many at once. The clock is the caller's. */
#ifndef MUSTER_CORE_TOKEN_BUCKET_H
#define MUSTER_CORE_TOKEN_BUCKET_H

#include <stdint.h>

struct muster_token_bucket {
    uint32_t per_s;
    uint32_t burst;
    uint64_t thousandths; /* of tokens left */
    uint64_t filled_ms;   /* when that was so */
};

/* Full at first. */
void muster_token_bucket_init(struct muster_token_bucket *bucket, uint32_t per_s, uint32_t burst,
                              uint64_t now_ms);

/* Takes a token if there is one. `now_ms` never goes back. */
int muster_token_bucket_take(struct muster_token_bucket *bucket, uint64_t now_ms);

/* Whether there is one. */
int muster_token_bucket_has(struct muster_token_bucket *bucket, uint64_t now_ms);

#endif
