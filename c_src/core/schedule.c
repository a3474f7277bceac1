#include "core/schedule.h"

void muster_schedule_init(struct muster_schedule *schedule, uint64_t now, uint64_t interval_ms,
                          uint32_t random) {
    schedule->interval_ms = interval_ms;
    schedule->due = now + (interval_ms == 0 ? 0 : random % interval_ms);
}

int muster_schedule_take(struct muster_schedule *schedule, uint64_t now) {
    if (now < schedule->due) {
        return 0;
    }
    if (schedule->interval_ms == 0) {
        schedule->due = now;
    } else {
        uint64_t passed = (now - schedule->due) / schedule->interval_ms;
        schedule->due += schedule->interval_ms * (passed + 1);
    }
    return 1;
}

uint64_t muster_schedule_wait(const struct muster_schedule *schedule, uint64_t now) {
    return schedule->due > now ? schedule->due - now : 0;
}
