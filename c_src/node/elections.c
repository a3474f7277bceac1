#include "node/elections.h"

#include <time.h>

#include "node/log.h"

/* A machine that slept has a leader whose lease is over: CLOCK_MONOTONIC would not know. */
uint64_t muster_elections_now(void) {
#if defined(CLOCK_BOOTTIME)
    struct timespec t;
    if (clock_gettime(CLOCK_BOOTTIME, &t) == 0) {
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000 + 1;
    }
#endif
    return uv_hrtime() / 1000 + 1;
}

struct muster_election_group *muster_elections_find(const struct muster_elections *elections,
                                                    struct muster_slice key) {
    struct muster_election_group *g = elections->first;
    while (g != NULL && (g->key_len != key.len || memcmp(g->key, key.data, key.len) != 0)) {
        g = g->next;
    }
    return g;
}

/* --- The BEAM --- */

static uint64_t longest_timeout_us(const struct muster_elections *elections) {
    uint64_t longest = 0;
    for (const struct muster_election_group *g = elections->first; g != NULL; g = g->next) {
        uint64_t max = g->core.election.timing.timeout_max;
        longest = max > longest ? max : longest;
    }
    return longest;
}

/* Two timeouts, as a BEAM with 5,000 busy processes on a machine with ten runnable threads a
 * processor takes up to 580 ms to answer (measured); with three questions in each, so that a silent
 * one is found out in little more. */
void muster_elections_set_pace(struct muster_elections *elections) {
    uint64_t longest = longest_timeout_us(elections);
    uint64_t pace = longest / 1000 / MUSTER_BEAM_QUESTIONS;
    elections->watch.patience = 2 * longest;
    elections->pace_ms = longest == 0 ? 0 : pace > 10 ? pace : 10;
    elections->asked_due = 0;
    if (elections->owner.on_pace != NULL) {
        elections->owner.on_pace(elections->owner.context, elections->pace_ms);
    }
}

static void beam_changed(struct muster_elections *elections, enum muster_event_kind kind) {
    for (struct muster_election_group *g = elections->first; g != NULL; g = g->next) {
        muster_election_group_happen(g, kind, MUSTER_NOBODY);
    }
}

void muster_elections_beam_asked(struct muster_elections *elections) {
    if (elections->first == NULL) {
        return;
    }
    uint64_t now = muster_elections_now();
    uint64_t due = elections->asked_due != 0 ? elections->asked_due : now;
    if (muster_beam_watch_asked(&elections->watch, due < now ? due : now, now)) {
        muster_log(MUSTER_WARNING, "election: the BEAM does not answer, its leaderships are ended");
        beam_changed(elections, MUSTER_EVENT_BEAM_SILENT);
    }
    elections->asked_due = now + elections->pace_ms * 1000;
}

void muster_elections_beam_answered(struct muster_elections *elections) {
    if (elections->first != NULL &&
        muster_beam_watch_answered(&elections->watch, muster_elections_now())) {
        beam_changed(elections, MUSTER_EVENT_BEAM_ANSWERS);
    }
}

/* --- Beginning and end --- */

void muster_elections_init(struct muster_elections *elections, uv_loop_t *loop,
                           struct muster_peers *peers, struct muster_mailbox *mailbox,
                           const struct muster_elections_owner *owner) {
    memset(elections, 0, sizeof *elections);
    elections->loop = loop;
    elections->peers = peers;
    elections->mailbox = mailbox;
    elections->owner = *owner;
    muster_election_stores_init(&elections->stores, loop);
}

void muster_elections_leave(struct muster_elections *elections) {
    elections->owner = (struct muster_elections_owner){0};
    while (elections->first != NULL) {
        muster_election_group_stop(elections->first, false);
    }
}
