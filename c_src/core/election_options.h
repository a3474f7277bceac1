/* The timings of an election, their checks, and the durations derived from them. */
#ifndef MUSTER_CORE_ELECTION_OPTIONS_H
#define MUSTER_CORE_ELECTION_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A member's number. It means the same member on every node, is never 0, and outlives restarts; the
 * core orders and compares it and knows nothing else of it. The names stay outside: the C node uses
 * the 64-bit keyed hash of the member's name and refuses a group in which two names collide.
 */
typedef uint64_t muster_member;
#define MUSTER_NOBODY ((muster_member)0)

/* The members of one election, observers and oneself included; all memory is in its struct. */
#ifndef MUSTER_MEMBERS_MAX
#define MUSTER_MEMBERS_MAX 128
#endif

/* Times are microseconds of a monotonic clock with any origin; the options are milliseconds. */
#define MUSTER_NEVER UINT64_MAX

enum muster_membership {
    /* The voters are declared and change only as election_config.h says (leader groups). */
    MUSTER_MEMBERSHIP_DECLARED,
    /* The voters are whoever has been seen and has not left (the commander). */
    MUSTER_MEMBERSHIP_SEEN,
};

struct muster_election_options {
    muster_member self;
    enum muster_membership membership;
    /* True: the caller carries out MUSTER_EFFECT_PERSIST and gives the record back at the start. */
    bool durable;
    /* Votes needed are never fewer than this; 0 in leader groups. */
    uint32_t quorum_min;
    /* How long the member has been running already, ms; orders leaders that meet in one term. */
    uint64_t age;

    /* How long a follower stays loyal to a leader it does not hear; default 150, 1 to 3,600,000.
     * Shorter finds a silent leader sooner and mistakes more hiccups for deaths. */
    uint32_t election_timeout_min;
    /* Each wait is random between the two, so that two rarely stand at once; default 300. */
    uint32_t election_timeout_max;
    /* How often the leader is heard; default 50, below election_timeout_min. A third of it or less
     * lets two heartbeats in a row be lost without an election. */
    uint32_t heartbeat_interval;
    /* The most by which a clock's speed may differ from true time, in thousandths; default 10, at
     * most 200. The lease is shorter by twice as much. */
    uint32_t clock_drift;
};

/* What the election computes with, in microseconds. */
struct muster_election_timing {
    uint64_t timeout_min;
    uint64_t timeout_max;
    uint64_t heartbeat;
    /* A leader may act for so long after it sent the heartbeat that a majority acknowledged: on the
     * slowest clock still less than timeout_min on the fastest. */
    uint64_t lease;
    /* A voter that has restarted neither votes nor stands for so long. It may have forgotten whom
     * it was loyal to (timeout_min) and, without a saved record, whom it voted for (timeout_max:
     * by then that candidacy is over); on the fastest clock still longer than on the slowest. */
    uint64_t abstention;
    /* After a closed connection, which all see at once, each waits a random part of this. */
    uint64_t jitter;
};

/* Two ages less than this apart are taken for equal, ms. */
#define MUSTER_AGE_TOLERANCE 1000

/* Whether a member of this age is the senior of one of the other. */
static inline bool muster_age_senior(uint64_t age, uint64_t other) {
    return age >= other + MUSTER_AGE_TOLERANCE;
}

/* Fills in the documented defaults; what has none becomes zero. */
void muster_election_options_default(struct muster_election_options *options);

/* 0, or MUSTER_E_INVALID if an option is out of its range. */
int muster_election_options_check(const struct muster_election_options *options);

/* Precondition: the options passed the check. */
struct muster_election_timing
muster_election_timing_of(const struct muster_election_options *options);

#endif
