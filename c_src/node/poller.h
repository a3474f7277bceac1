/*
 * Asks a backend again and again: one question under way at a time, with a jitter so that nodes
 * started together do not ask in step, and less and less often while it fails.
 */
#ifndef MUSTER_NODE_POLLER_H
#define MUSTER_NODE_POLLER_H

#include "core/backoff.h"
#include "node/topology.h"

#define MUSTER_POLL_INTERVAL_MS 5000
#define MUSTER_POLL_INTERVAL_MIN_MS 100
#define MUSTER_POLL_INTERVAL_MAX_MS MUSTER_DAY_MS

/* The interval as options: libcluster's strategies have it under two names. */
#define MUSTER_POLLER_ARGS(target_)                                                                \
    {.name = "poll_interval",                                                                      \
     .type = MUSTER_ARG_INTEGER,                                                                   \
     .target = (target_),                                                                          \
     .min = MUSTER_POLL_INTERVAL_MIN_MS,                                                           \
     .max = MUSTER_POLL_INTERVAL_MAX_MS},                                                          \
    {                                                                                              \
        .name = "polling_interval", .type = MUSTER_ARG_INTEGER, .target = (target_),               \
        .min = MUSTER_POLL_INTERVAL_MIN_MS, .max = MUSTER_POLL_INTERVAL_MAX_MS                     \
    }

/*
 * Begins a question. Exactly one of muster_poller_answered, _partial and _failed must follow, later
 * or from within the call.
 */
typedef void (*muster_poller_ask)(void *state);

struct muster_poller {
    uv_timer_t timer;
    struct muster_topology *topology;
    muster_poller_ask ask;
    void (*free_state)(void *state);
    void *state;
    uint64_t interval_ms;
    struct muster_backoff backoff;
    int asking;
};

/* Begins; the first question goes out from the loop, not from within this call. */
void muster_poller_start(struct muster_poller *poller, struct muster_topology *topology,
                         uint64_t interval_ms, muster_poller_ask ask, void *state);

/* Asks now, unless a question is under way. */
void muster_poller_sync(struct muster_poller *poller);

/* A complete answer is reported, and the next question follows after `wait_ms`. */
void muster_poller_answered(struct muster_poller *poller, struct muster_name_list *names,
                            uint64_t wait_ms);

/* No answer, or part of one: the next question follows after a back-off. */
void muster_poller_failed(struct muster_poller *poller, const char *text);
void muster_poller_partial(struct muster_poller *poller, const struct muster_name_list *names,
                           const char *text);

/* Ends it; the state, which may hold this poller, is freed by `free_state` once the loop lets go.
 */
void muster_poller_close(struct muster_poller *poller, void (*free_state)(void *state));

#endif
