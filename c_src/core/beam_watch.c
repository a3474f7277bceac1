#include "core/beam_watch.h"

void muster_beam_watch_init(struct muster_beam_watch *watch, uint64_t patience, uint64_t now) {
    *watch = (struct muster_beam_watch){.patience = patience, .answered_at = now};
}

bool muster_beam_watch_asked(struct muster_beam_watch *watch, uint64_t due, uint64_t now) {
    if (now > due)
        watch->excused += now - due;
    bool was_silent = watch->silent;
    uint64_t waited = now - watch->answered_at;
    uint64_t counted = waited > watch->excused ? waited - watch->excused : 0;
    watch->silent =
        watch->silent || (watch->unanswered >= MUSTER_BEAM_QUESTIONS && counted >= watch->patience);
    watch->unanswered++;
    return watch->silent && !was_silent;
}

bool muster_beam_watch_answered(struct muster_beam_watch *watch, uint64_t now) {
    bool was_silent = watch->silent;
    watch->answered_at = now;
    watch->excused = 0;
    watch->unanswered = 0;
    watch->silent = false;
    return was_silent;
}
