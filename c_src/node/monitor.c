#include "node/monitor.h"

#include <sodium.h>
#include <stdlib.h>

#include "core/errors.h"

/* A timer this much behind is the scheduler's noise; more is time in which this process did not
 * run. */
#define LATENESS_TOLERATED_MS 20

/* --- Pinging --- */

static void write_is_auth(void *context, struct muster_writer *w) {
    const struct muster_mailbox *mailbox = context;
    muster_write_tuple(w, 2);
    muster_write_atom(w, "is_auth");
    muster_write_atom(w, mailbox->pid.node);
}

/*
 * One ping at a time: a second question to a peer that hangs would tell nothing new. Only when the
 * answer could no longer count as a round-trip time (net_kernel may have been restarted there) is
 * it asked again.
 */
static int is_under_way(const struct muster_watch *watch) {
    return watch->sent_at != 0 && uv_hrtime() - watch->sent_at < MUSTER_RTT_MAX_NS;
}

static void ping(struct muster_watch *watch) {
    struct muster_mailbox *mailbox = watch->monitor->monitors->mailbox;
    if (watch->peer == NULL || watch->peer->link == NULL || is_under_way(watch)) {
        return;
    }
    watch->tainted = 0;
    watch->sequence++;
    uint32_t ref[3] = {watch->sequence, watch->id, 0};
    watch->sent_at = uv_hrtime();
    muster_mailbox_call(mailbox, watch->peer, "net_kernel", ref, write_is_auth, mailbox);
}

/* --- Judging --- */

/* Where the cluster runs over a distribution that is not spoken here, silence says nothing about
 * anybody. */
static void judge(struct muster_watch *watch, uint64_t now) {
    struct muster_monitor *monitor = watch->monitor;
    if (monitor->monitors->peers->no_dialling != MUSTER_PEER_IDLE) {
        return;
    }
    struct muster_monitors_owner *owner = &monitor->monitors->owner;
    enum muster_health_status before = watch->health.status;
    enum muster_peer_state link = watch->peer->state;
    int silent = link == MUSTER_PEER_CONNECTED || muster_peer_state_is_silence(link);
    if (muster_health_judge(&watch->health, &monitor->options.thresholds, now, silent)) {
        owner->on_status(owner->context, watch, before);
    }
}

static void on_timer(uv_timer_t *timer);

/* Wakes for the next ping or for the next threshold, whichever comes first. */
static void arm(struct muster_watch *watch, uint64_t now) {
    const struct muster_monitor_options *options = &watch->monitor->options;
    uint64_t wait = muster_health_next_threshold(&watch->health, &options->thresholds, now);
    if (options->ping_interval_ms > 0) {
        uint64_t next_ping = muster_schedule_wait(&watch->schedule, now);
        wait = next_ping < wait ? next_ping : wait;
    }
    watch->armed_for = now + wait;
    uv_timer_start(&watch->timer, on_timer, wait, 0);
}

static void on_timer(uv_timer_t *timer) {
    struct muster_watch *watch = timer->data;
    uint64_t now = uv_now(timer->loop);
    uint64_t late = now - watch->armed_for;
    if (late > LATENESS_TOLERATED_MS) {
        muster_health_observer_late(&watch->health, now, late);
        watch->tainted = 1;
    }
    if (muster_schedule_take(&watch->schedule, now)) {
        ping(watch);
    }
    judge(watch, now);
    arm(watch, now);
}

static void measure(struct muster_watch *watch, uint64_t read_at) {
    struct muster_monitors_owner *owner = &watch->monitor->monitors->owner;
    uint64_t rtt = read_at - watch->sent_at;
    if (!watch->tainted && muster_rtt_add(&watch->rtt, rtt) == 0 && owner->on_sample != NULL) {
        owner->on_sample(owner->context, watch, rtt);
    }
    watch->sent_at = 0;
}

/* An answer to an older ping measures nothing any more, but it is a sign of life. */
static void take_answer(struct muster_watch *watch, uint32_t sequence, uint64_t read_at) {
    uint64_t now = uv_now(watch->timer.loop);
    if (watch->sequence == sequence && watch->sent_at != 0) {
        measure(watch, read_at);
    }
    muster_health_answered(&watch->health, now);
    judge(watch, now);
    if (watch->monitor->options.ping_interval_ms == 0) {
        ping(watch);
    }
}

void muster_monitors_message(struct muster_monitors *monitors, struct muster_peer *peer,
                             struct muster_slice message, uint64_t read_at) {
    uint32_t ref[3];
    struct muster_slice reply;
    (void)monitors;
    if (muster_mailbox_parse_answer(message, ref, &reply) != 0) {
        return;
    }
    for (struct muster_watch *w = peer->watches; w != NULL; w = w->next_of_peer) {
        if (w->id == ref[1]) {
            take_answer(w, ref[0], read_at);
            return;
        }
    }
}

void muster_monitors_peer_changed(struct muster_monitors *monitors, struct muster_peer *peer) {
    uint64_t now = uv_now(monitors->loop);
    for (struct muster_watch *w = peer->watches; w != NULL; w = w->next_of_peer) {
        w->sent_at = 0; /* whatever was asked over the old link will not be answered */
        ping(w);
        judge(w, now);
    }
}

/* --- Watches --- */

struct muster_watch *muster_watch_find(const struct muster_monitor *monitor,
                                       const struct muster_node_name *name) {
    struct muster_watch *w = monitor->watches;
    while (w != NULL && !muster_node_name_equal(&w->name, name)) {
        w = w->next;
    }
    return w;
}

static struct muster_watch *create(struct muster_monitor *monitor,
                                   const struct muster_node_name *name) {
    struct muster_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->monitor = monitor;
    watch->name = *name;
    watch->id = ++monitor->monitors->next_id;
    uv_timer_init(monitor->monitors->loop, &watch->timer);
    watch->timer.data = watch;
    watch->next = monitor->watches;
    monitor->watches = watch;
    return watch;
}

static int attach(struct muster_watch *watch) {
    struct muster_peer *peer = muster_peers_want(watch->monitor->monitors->peers, &watch->name);
    if (peer == NULL) {
        return MUSTER_E_INVALID;
    }
    watch->peer = peer;
    watch->next_of_peer = peer->watches;
    peer->watches = watch;
    return 0;
}

static void detach(struct muster_watch *watch) {
    struct muster_watch **at = (struct muster_watch **)&watch->peer->watches;
    while (*at != watch) {
        at = &(*at)->next_of_peer;
    }
    *at = watch->next_of_peer;
    muster_peers_unwant(watch->peer);
    watch->peer = NULL;
    watch->sent_at = 0;
}

int muster_watch_start(struct muster_monitor *monitor, const struct muster_node_name *name,
                       enum muster_health_status status, uint64_t silent_ms) {
    uint64_t now = uv_now(monitor->monitors->loop);
    struct muster_watch *watch = muster_watch_find(monitor, name);
    if (watch == NULL) {
        watch = create(monitor, name);
    }
    if (watch == NULL) {
        return MUSTER_E_NOMEM;
    }
    if (watch->peer == NULL) {
        int error = attach(watch);
        if (error != 0) {
            muster_watch_forget(watch);
            return error;
        }
    }
    muster_rtt_init(&watch->rtt);
    muster_health_init(&watch->health, now, status, silent_ms);
    muster_schedule_init(&watch->schedule, now, monitor->options.ping_interval_ms,
                         randombytes_random());
    ping(watch);
    arm(watch, now);
    return 0;
}

void muster_watch_pause(struct muster_watch *watch) {
    uv_timer_stop(&watch->timer);
    if (watch->peer != NULL) {
        detach(watch);
    }
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle->data);
}

void muster_watch_forget(struct muster_watch *watch) {
    struct muster_watch **at = &watch->monitor->watches;
    muster_watch_pause(watch);
    while (*at != watch) {
        at = &(*at)->next;
    }
    *at = watch->next;
    uv_close((uv_handle_t *)&watch->timer, on_watch_closed);
}

/* --- Monitors --- */

void muster_monitors_init(struct muster_monitors *monitors, uv_loop_t *loop,
                          struct muster_peers *peers, struct muster_mailbox *mailbox,
                          const struct muster_monitors_owner *owner) {
    memset(monitors, 0, sizeof *monitors);
    monitors->loop = loop;
    monitors->peers = peers;
    monitors->mailbox = mailbox;
    monitors->owner = *owner;
}

void muster_monitors_close(struct muster_monitors *monitors) {
    while (monitors->first != NULL) {
        muster_monitor_stop(monitors->first);
    }
}

struct muster_monitor *muster_monitor_find(const struct muster_monitors *monitors,
                                           struct muster_slice key) {
    struct muster_monitor *m = monitors->first;
    while (m != NULL && (m->key_len != key.len || memcmp(m->key, key.data, key.len) != 0)) {
        m = m->next;
    }
    return m;
}

int muster_monitor_start(struct muster_monitors *monitors, struct muster_slice key,
                         const struct muster_monitor_options *options) {
    if (key.len == 0 || key.len > MUSTER_MONITOR_KEY_MAX ||
        options->thresholds.down_after_ms <= options->thresholds.suspect_after_ms) {
        return MUSTER_E_INVALID;
    }
    struct muster_monitor *existing = muster_monitor_find(monitors, key);
    if (existing != NULL) {
        muster_monitor_stop(existing);
    }
    struct muster_monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL) {
        return MUSTER_E_NOMEM;
    }
    monitor->monitors = monitors;
    monitor->options = *options;
    monitor->key_len = (uint8_t)key.len;
    memcpy(monitor->key, key.data, key.len);
    monitor->next = monitors->first;
    monitors->first = monitor;
    return 0;
}

void muster_monitor_stop(struct muster_monitor *monitor) {
    struct muster_monitor **at = &monitor->monitors->first;
    while (monitor->watches != NULL) {
        muster_watch_forget(monitor->watches);
    }
    while (*at != monitor) {
        at = &(*at)->next;
    }
    *at = monitor->next;
    free(monitor);
}
