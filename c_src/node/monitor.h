/*
 * Monitors: each pings the nodes it watches on a timer of their own, keeps their round-trip times
 * and judges their health. Several stand side by side, with their own intervals and thresholds.
 */
#ifndef MUSTER_NODE_MONITOR_H
#define MUSTER_NODE_MONITOR_H

#include <uv.h>

#include "core/health.h"
#include "core/rtt.h"
#include "core/schedule.h"
#include "node/mailbox.h"
#include "node/peers.h"

#define MUSTER_MONITOR_KEY_MAX 255

struct muster_monitor_options {
    uint64_t ping_interval_ms; /* 0: the next ping follows the answer at once */
    struct muster_health_thresholds thresholds;
};

struct muster_watch {
    struct muster_watch *next;         /* of the same monitor */
    struct muster_watch *next_of_peer; /* of the same peer */
    struct muster_monitor *monitor;
    struct muster_node_name name;
    struct muster_peer *peer; /* NULL while paused */
    struct muster_schedule schedule;
    struct muster_health health;
    struct muster_rtt rtt;
    uv_timer_t timer;
    uint64_t armed_for; /* when the timer was to fire */
    uint32_t id;
    uint32_t sequence; /* of the last ping */
    uint64_t sent_at;  /* uv_hrtime of the ping that is under way; 0: none is */
    int tainted;       /* this process stood still meanwhile: the time measured is not the peer's */
};

struct muster_monitor {
    struct muster_monitor *next;
    struct muster_monitors *monitors;
    struct muster_monitor_options options;
    struct muster_watch *watches;
    uint8_t key_len;
    char key[MUSTER_MONITOR_KEY_MAX];
};

struct muster_monitors_owner {
    void *context;
    void (*on_status)(void *context, const struct muster_watch *watch,
                      enum muster_health_status from);
    /* Each accepted round-trip time; may be NULL. */
    void (*on_sample)(void *context, const struct muster_watch *watch, uint64_t rtt_ns);
};

struct muster_monitors {
    uv_loop_t *loop;
    struct muster_peers *peers;
    struct muster_mailbox *mailbox;
    struct muster_monitors_owner owner;
    struct muster_monitor *first;
    uint32_t next_id;
};

void muster_monitors_init(struct muster_monitors *monitors, uv_loop_t *loop,
                          struct muster_peers *peers, struct muster_mailbox *mailbox,
                          const struct muster_monitors_owner *owner);

/* Drops all monitors. */
void muster_monitors_close(struct muster_monitors *monitors);

/* Makes a monitor; one that has the key already is replaced. Returns 0, MUSTER_E_INVALID or
 * MUSTER_E_NOMEM. */
int muster_monitor_start(struct muster_monitors *monitors, struct muster_slice key,
                         const struct muster_monitor_options *options);
void muster_monitor_stop(struct muster_monitor *monitor);
struct muster_monitor *muster_monitor_find(const struct muster_monitors *monitors,
                                           struct muster_slice key);

/*
 * Begins to ping a node, or takes it up again after a pause; `status` and `silent_ms` are what is
 * known from before. Returns 0, MUSTER_E_NOMEM, or MUSTER_E_INVALID for the node itself or the BEAM
 * beside it.
 */
int muster_watch_start(struct muster_monitor *monitor, const struct muster_node_name *name,
                       enum muster_health_status status, uint64_t silent_ms);
struct muster_watch *muster_watch_find(const struct muster_monitor *monitor,
                                       const struct muster_node_name *name);

/* Stops pinging and wanting the node; what was measured stays to be asked for. */
void muster_watch_pause(struct muster_watch *watch);
void muster_watch_forget(struct muster_watch *watch);

/* To be told of what happens at the peers. */
void muster_monitors_peer_changed(struct muster_monitors *monitors, struct muster_peer *peer);
void muster_monitors_message(struct muster_monitors *monitors, struct muster_peer *peer,
                             struct muster_slice message, uint64_t read_at);

#endif
