/* Whether the BEAM beside a C node has stopped answering, the C node's own lateness not counted. */
#ifndef MUSTER_CORE_BEAM_WATCH_H
#define MUSTER_CORE_BEAM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The C node asks its BEAM at every heartbeat. It is silent when nothing has come for as long as
 * `patience` and at least three questions are unanswered. A C node that was itself
 * stopped, or whose loop was busy, asks late and reads late: that time is taken off.
 * All times are microseconds of one monotonic clock. What follows from a change is
 * MUSTER_EVENT_BEAM_SILENT and MUSTER_EVENT_BEAM_ANSWERS.
 */
#define MUSTER_BEAM_QUESTIONS 3

struct muster_beam_watch {
    uint64_t patience;
    uint64_t answered_at;
    uint64_t excused; /* our own lateness since then */
    uint32_t unanswered;
    bool silent;
};

/* `patience` in microseconds. */
void muster_beam_watch_init(struct muster_beam_watch *watch, uint64_t patience, uint64_t now);

/* A question goes out now that was due at `due`. True if the BEAM is silent from now on. */
bool muster_beam_watch_asked(struct muster_beam_watch *watch, uint64_t due, uint64_t now);

/* An answer came. True if the BEAM was silent until now. */
bool muster_beam_watch_answered(struct muster_beam_watch *watch, uint64_t now);

#endif
