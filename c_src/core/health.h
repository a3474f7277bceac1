/*
 * Whether a watched node is healthy, suspect or down, from when it last answered a ping.
 *
 * Times are milliseconds of one monotonic clock, passed in. Two rules beyond the thresholds:
 * time in which the observer itself did not run is not held against the node, and only silence
 * makes a node down: while its link is refused or lost for another reason it is suspect at the
 * most.
 */
#ifndef MUSTER_CORE_HEALTH_H
#define MUSTER_CORE_HEALTH_H

#include <stdint.h>

enum muster_health_status { MUSTER_HEALTHY, MUSTER_SUSPECT, MUSTER_DOWN };

struct muster_health_thresholds {
    uint64_t suspect_after_ms;
    uint64_t down_after_ms; /* greater than suspect_after_ms */
};

struct muster_health {
    enum muster_health_status status;
    uint64_t last_answer; /* moved forward by the observer's own lateness */
};

/* "healthy", "suspect" or "down". */
const char *muster_health_status_name(enum muster_health_status status);

/* Takes over a status known from before, with the node silent for `silent_ms` already. */
void muster_health_init(struct muster_health *health, uint64_t now,
                        enum muster_health_status status, uint64_t silent_ms);

void muster_health_answered(struct muster_health *health, uint64_t now);

/* The observer itself stood still for `ms` until now; never more than what has passed since the
 * last judgement. */
void muster_health_observer_late(struct muster_health *health, uint64_t now, uint64_t ms);

/*
 * Judges by the clock. `silent`: the link is up, or fails in a way that looks like a dead host.
 * Returns true when `status` changed.
 */
int muster_health_judge(struct muster_health *health,
                        const struct muster_health_thresholds *thresholds, uint64_t now,
                        int silent);

/* Milliseconds until silence would next change the status; UINT64_MAX when nothing is left to
 * happen. */
uint64_t muster_health_next_threshold(const struct muster_health *health,
                                      const struct muster_health_thresholds *thresholds,
                                      uint64_t now);

uint64_t muster_health_silent_ms(const struct muster_health *health, uint64_t now);

#endif
