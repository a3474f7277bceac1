#include "core/schedule.h"

void muster_schedule_init(struct muster_schedule *schedule, uint64_t now, uint64_t interval_ms,
                          uint32_t random) {
    schedule->interval_ms = interval_ms;
    schedule->due = now + (interval_ms == 0 ? 0 : random % interval_ms);
}

int muster_schedule_take(struct muster_schedule *schedule, uint64_t now, uint64_t *late_ms) {
    *late_ms = 0;
    if (now < schedule->due) {
        return 0;
    }
    *late_ms = now - schedule->due;
    if (schedule->interval_ms == 0) {
        schedule->due = now;
    } else {
        schedule->due += schedule->interval_ms * (*late_ms / schedule->interval_ms + 1);
    }
    return 1;
}

uint64_t muster_schedule_wait(const struct muster_schedule *schedule, uint64_t now) {
    return schedule->due > now ? schedule->due - now : 0;
}
