#include "node/poller.h"

#include <sodium.h>

/* A backend that failed for long is asked this often at least; one that is asked less often anyway
 * keeps its interval. */
#define BACKOFF_TIMES 4
#define BACKOFF_CAP_MS 30000
#define JITTER_PART 10

static uint64_t backoff_cap(uint64_t interval_ms) {
    uint64_t cap =
        interval_ms * BACKOFF_TIMES < BACKOFF_CAP_MS ? interval_ms * BACKOFF_TIMES : BACKOFF_CAP_MS;
    return cap > interval_ms ? cap : interval_ms;
}

static void ask(struct muster_poller *poller) {
    uv_timer_stop(&poller->timer);
    poller->asking = 1;
    muster_topology_sync_begins(poller->topology);
#ifdef MUSTER_FUZZING
    /* Fuzzed options choose addresses and commands: nobody is asked. */
    muster_poller_failed(poller, "no backend is asked while fuzzing");
#else
    poller->ask(poller->state);
#endif
}

static void on_due(uv_timer_t *timer) {
    ask(timer->data);
}

static void ask_after(struct muster_poller *poller, uint64_t wait_ms) {
    poller->asking = 0;
    uv_timer_start(&poller->timer, on_due, wait_ms, 0);
}

void muster_poller_start(struct muster_poller *poller, struct muster_topology *topology,
                         uint64_t interval_ms, muster_poller_ask ask_, void *state) {
    poller->topology = topology;
    poller->ask = ask_;
    poller->state = state;
    poller->interval_ms = interval_ms;
    muster_backoff_init(&poller->backoff, (uint32_t)interval_ms,
                        (uint32_t)backoff_cap(interval_ms));
    uv_timer_init(muster_topology_loop(topology), &poller->timer);
    poller->timer.data = poller;
    ask_after(poller, 0);
}

void muster_poller_sync(struct muster_poller *poller) {
    if (!poller->asking) {
        ask(poller);
    }
}

/* The jitter only adds: an answer is not asked for again before its time. */
void muster_poller_answered(struct muster_poller *poller, struct muster_name_list *names,
                            uint64_t wait_ms) {
    uint32_t jitter = randombytes_uniform((uint32_t)(wait_ms / JITTER_PART) + 1);
    muster_backoff_reset(&poller->backoff);
    ask_after(poller, wait_ms + jitter);
    muster_topology_report(poller->topology, names);
}

static void back_off(struct muster_poller *poller) {
    ask_after(poller, muster_backoff_next(&poller->backoff, randombytes_random()));
}

void muster_poller_failed(struct muster_poller *poller, const char *text) {
    back_off(poller);
    muster_topology_failed(poller->topology, text);
}

void muster_poller_partial(struct muster_poller *poller, const struct muster_name_list *names,
                           const char *text) {
    muster_topology_report_part(poller->topology, names);
    muster_poller_failed(poller, text);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct muster_poller *poller = handle->data;
    poller->free_state(poller->state);
}

void muster_poller_close(struct muster_poller *poller, void (*free_state)(void *state)) {
    poller->free_state = free_state;
    uv_close((uv_handle_t *)&poller->timer, on_timer_closed);
}
