/* Waiting times between attempts: doubling, capped, with jitter so that peers do not dial in step.
 */
#ifndef MUSTER_CORE_BACKOFF_H
#define MUSTER_CORE_BACKOFF_H

#include <stdint.h>

struct muster_backoff {
    uint32_t first_ms; /* the wait after the first failure */
    uint32_t cap_ms;   /* no wait is longer */
    unsigned failures;
};

void muster_backoff_init(struct muster_backoff *backoff, uint32_t first_ms, uint32_t cap_ms);
void muster_backoff_reset(struct muster_backoff *backoff);

/* Counts a failure and returns the wait before the next attempt: 50 to 100 % of the doubled, capped
 * time. */
uint32_t muster_backoff_next(struct muster_backoff *backoff, uint32_t random);

/*
 * The longest wait before the next attempt at one that was last there `away_ms` ago and may have
 * gone for good: `first_ms` for the first 600 times that, then a 600th of how long it has been
 * away, and never more than `cap_ms`.
 */
uint32_t muster_backoff_fading(uint64_t away_ms, uint32_t first_ms, uint32_t cap_ms);

#endif
