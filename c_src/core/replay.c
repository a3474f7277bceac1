#include "core/replay.h"

static void forget_future(struct muster_replay_bucket *bucket, uint64_t newest_ms) {
    if (bucket->floor_ms > newest_ms) {
        bucket->floor_ms = 0;
    }
    for (unsigned i = 0; i < MUSTER_REPLAY_WAYS; i++) {
        if (bucket->ways[i].sent_ms > newest_ms) {
            bucket->ways[i].sent_ms = 0;
        }
    }
}

int muster_replay_is_new(struct muster_replay *replay, uint64_t nonce, uint64_t sent_ms,
                         uint64_t oldest_ms, uint64_t newest_ms) {
    struct muster_replay_bucket *bucket = &replay->buckets[nonce % MUSTER_REPLAY_BUCKETS];
    unsigned oldest = 0;
    forget_future(bucket, newest_ms);
    if (sent_ms <= bucket->floor_ms) {
        return 0;
    }
    for (unsigned i = 0; i < MUSTER_REPLAY_WAYS; i++) {
        if (bucket->ways[i].sent_ms != 0 && bucket->ways[i].nonce == nonce) {
            return 0;
        }
        if (bucket->ways[i].sent_ms < bucket->ways[oldest].sent_ms) {
            oldest = i;
        }
    }
    if (bucket->ways[oldest].sent_ms >= oldest_ms && bucket->ways[oldest].sent_ms != 0) {
        bucket->floor_ms = bucket->ways[oldest].sent_ms;
        if (sent_ms <= bucket->floor_ms) {
            return 0;
        }
    }
    bucket->ways[oldest].nonce = nonce;
    bucket->ways[oldest].sent_ms = sent_ms;
    return 1;
}
