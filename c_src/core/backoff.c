#include "core/backoff.h"

#include <limits.h>

#define FADING 600

void muster_backoff_init(struct muster_backoff *backoff, uint32_t first_ms, uint32_t cap_ms) {
    backoff->first_ms = first_ms;
    backoff->cap_ms = cap_ms;
    backoff->failures = 0;
}

void muster_backoff_reset(struct muster_backoff *backoff) {
    backoff->failures = 0;
}

uint32_t muster_backoff_next(struct muster_backoff *backoff, uint32_t random) {
    unsigned doublings = backoff->failures < 31 ? backoff->failures : 31;
    uint64_t full = (uint64_t)backoff->first_ms << doublings;
    if (full > backoff->cap_ms) {
        full = backoff->cap_ms;
    }
    backoff->failures += backoff->failures < UINT_MAX;
    uint32_t half = (uint32_t)(full / 2);
    return (uint32_t)full - (half > 0 ? random % (half + 1) : 0);
}

uint32_t muster_backoff_fading(uint64_t away_ms, uint32_t first_ms, uint32_t cap_ms) {
    uint64_t wait = away_ms / FADING;
    if (wait < first_ms) {
        wait = first_ms;
    }
    return wait < cap_ms ? (uint32_t)wait : cap_ms;
}
