#include "core/health.h"

const char *muster_health_status_name(enum muster_health_status status) {
    static const char *const names[] = {"healthy", "suspect", "down"};
    return names[status];
}

void muster_health_init(struct muster_health *health, uint64_t now,
                        enum muster_health_status status, uint64_t silent_ms) {
    health->status = status;
    health->last_answer = silent_ms < now ? now - silent_ms : 0;
}

void muster_health_answered(struct muster_health *health, uint64_t now) {
    health->last_answer = now;
}

void muster_health_observer_late(struct muster_health *health, uint64_t now, uint64_t ms) {
    uint64_t silent = muster_health_silent_ms(health, now);
    health->last_answer += ms < silent ? ms : silent;
}

static enum muster_health_status judge(const struct muster_health *health,
                                       const struct muster_health_thresholds *thresholds,
                                       uint64_t silent_ms, int silent) {
    if (silent_ms < thresholds->suspect_after_ms) {
        return MUSTER_HEALTHY;
    }
    if (silent_ms < thresholds->down_after_ms) {
        return MUSTER_SUSPECT;
    }
    /* Being refused does not bring a node back that silence took down. */
    return silent || health->status == MUSTER_DOWN ? MUSTER_DOWN : MUSTER_SUSPECT;
}

int muster_health_judge(struct muster_health *health,
                        const struct muster_health_thresholds *thresholds, uint64_t now,
                        int silent) {
    enum muster_health_status before = health->status;
    health->status = judge(health, thresholds, muster_health_silent_ms(health, now), silent);
    return health->status != before;
}

uint64_t muster_health_silent_ms(const struct muster_health *health, uint64_t now) {
    return now > health->last_answer ? now - health->last_answer : 0;
}

uint64_t muster_health_next_threshold(const struct muster_health *health,
                                      const struct muster_health_thresholds *thresholds,
                                      uint64_t now) {
    uint64_t silent = muster_health_silent_ms(health, now);
    if (silent < thresholds->suspect_after_ms) {
        return thresholds->suspect_after_ms - silent;
    }
    return silent < thresholds->down_after_ms ? thresholds->down_after_ms - silent : UINT64_MAX;
}
