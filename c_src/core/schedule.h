/* When the next ping is due: a fixed grid of times per peer, never a burst to make up for missed
 * ones. */
#ifndef MUSTER_CORE_SCHEDULE_H
#define MUSTER_CORE_SCHEDULE_H

#include <stdint.h>

struct muster_schedule {
    uint64_t interval_ms;
    uint64_t due; /* the next slot of the grid */
};

/* `random` spreads the peers over the interval. An interval of 0 means: again at once. */
void muster_schedule_init(struct muster_schedule *schedule, uint64_t now, uint64_t interval_ms,
                          uint32_t random);

/* If the slot is due, moves on to the first slot after `now` and returns true. */
int muster_schedule_take(struct muster_schedule *schedule, uint64_t now);

/* Milliseconds until the next slot. */
uint64_t muster_schedule_wait(const struct muster_schedule *schedule, uint64_t now);

#endif
