#include "node/report.h"

#define US_PER_NS 1e-3

static void pair_text(struct muster_writer *w, const char *key, const char *text) {
    muster_write_atom(w, key);
    muster_write_text(w, text);
}

static void pair_atom(struct muster_writer *w, const char *key, const char *atom) {
    muster_write_atom(w, key);
    muster_write_atom(w, atom);
}

static void pair_us(struct muster_writer *w, const char *key, double ns) {
    muster_write_atom(w, key);
    muster_write_double(w, ns * US_PER_NS);
}

void muster_report_info(struct muster_writer *w, const struct muster_node *node) {
    size_t rss = 0;
    uv_resident_set_memory(&rss);
    muster_write_map(w, 8);
    pair_text(w, "version", MUSTER_VERSION);
    muster_write_pair(w, "os_pid", uv_os_getpid());
    pair_text(w, "name", node->distributed ? node->peers.link_settings.self.text : "");
    muster_write_pair(w, "listen_port", node->peers.listener.port);
    pair_atom(w, "published", node->distributed && node->publisher.published ? "true" : "false");
    muster_write_pair(w, "uptime_ms", (int64_t)(uv_now(node->loop) - node->started_ms));
    muster_write_pair(w, "peers", node->peers.count);
    muster_write_pair(w, "resident_bytes", (int64_t)rss);
}

static const char *direction(const struct muster_peer *peer) {
    if (peer->link == NULL) {
        return "none";
    }
    return muster_link_is_outgoing(peer->link) ? "outgoing" : "incoming";
}

/* The state in general, then what is known of this case. */
static void write_reason(struct muster_writer *w, const struct muster_peer *peer) {
    const char *detail =
        peer->detail[0] != '\0' ? peer->detail : muster_peer_state_text(peer->state);
    muster_write_text(w, detail);
}

void muster_report_peer(struct muster_writer *w, const struct muster_peer *peer) {
    int64_t retry_in = muster_peer_retry_in(peer);
    muster_write_map(w, 8);
    muster_write_atom(w, "node");
    muster_write_name(w, &peer->name);
    pair_atom(w, "state", muster_peer_state_name(peer->state));
    muster_write_atom(w, "reason");
    write_reason(w, peer);
    muster_write_pair(w, "since_ms", (int64_t)muster_peer_since(peer));
    pair_atom(w, "direction", direction(peer));
    muster_write_pair(w, "attempts", peer->attempts);
    muster_write_atom(w, "retry_in_ms");
    if (retry_in >= 0) {
        muster_write_integer(w, retry_in);
    } else {
        muster_write_atom(w, "none");
    }
    pair_atom(w, "wanted", peer->wanted > 0 ? "true" : "false");
}

void muster_report_peers(struct muster_writer *w, const struct muster_node *node) {
    muster_write_list(w, (int)node->peers.count);
    for (const struct muster_peer *p = node->peers.first; p != NULL; p = p->next) {
        muster_report_peer(w, p);
    }
    muster_write_nil(w);
}

static void write_history(struct muster_writer *w, const struct muster_rtt *rtt) {
    muster_write_list(w, (int)rtt->count);
    for (unsigned i = 0; i < rtt->count; i++) {
        muster_write_double(w, (double)muster_rtt_sample(rtt, i) * US_PER_NS);
    }
    muster_write_nil(w);
}

static void write_connection(struct muster_writer *w, const struct muster_peer *peer) {
    pair_atom(w, "connection", peer != NULL ? muster_peer_state_name(peer->state) : "idle");
    muster_write_atom(w, "reason");
    if (peer != NULL) {
        write_reason(w, peer);
    } else {
        muster_write_text(w, "not watched at the moment");
    }
    muster_write_pair(w, "connection_since_ms",
                      peer != NULL ? (int64_t)muster_peer_since(peer) : 0);
}

#define HEALTH_PAIRS 12

static void write_health_pairs(struct muster_writer *w, const struct muster_watch *watch) {
    struct muster_rtt_summary summary = muster_rtt_summarize(&watch->rtt);
    muster_write_atom(w, "node");
    muster_write_name(w, &watch->name);
    pair_atom(w, "status", muster_health_status_name(watch->health.status));
    muster_write_atom(w, "rtt_history_us");
    write_history(w, &watch->rtt);
    pair_us(w, "avg_rtt_us", summary.average);
    pair_us(w, "min_rtt_us", summary.min);
    pair_us(w, "max_rtt_us", summary.max);
    pair_us(w, "jitter_us", summary.jitter);
    muster_write_pair(w, "samples", (int64_t)watch->rtt.total);
    muster_write_pair(w, "silent_ms",
                      (int64_t)muster_health_silent_ms(&watch->health, uv_now(watch->timer.loop)));
    write_connection(w, watch->peer);
}

void muster_report_health(struct muster_writer *w, const struct muster_watch *watch) {
    muster_write_map(w, HEALTH_PAIRS);
    write_health_pairs(w, watch);
}

static int watch_count(const struct muster_monitor *monitor) {
    int n = 0;
    for (const struct muster_watch *watch = monitor->watches; watch != NULL; watch = watch->next) {
        n++;
    }
    return n;
}

void muster_report_monitor(struct muster_writer *w, const struct muster_monitor *monitor) {
    muster_write_list(w, watch_count(monitor));
    for (const struct muster_watch *watch = monitor->watches; watch != NULL; watch = watch->next) {
        muster_report_health(w, watch);
    }
    muster_write_nil(w);
}

void muster_report_all_health(struct muster_writer *w, const struct muster_node *node) {
    int total = 0;
    for (const struct muster_monitor *m = node->monitors.first; m != NULL; m = m->next) {
        total += watch_count(m);
    }
    muster_write_list(w, total);
    for (const struct muster_monitor *m = node->monitors.first; m != NULL; m = m->next) {
        for (const struct muster_watch *watch = m->watches; watch != NULL; watch = watch->next) {
            muster_write_map(w, HEALTH_PAIRS + 1);
            muster_write_atom(w, "monitor");
            muster_write_binary(w, muster_slice(m->key, m->key_len));
            write_health_pairs(w, watch);
        }
    }
    muster_write_nil(w);
}

static void write_found_node(struct muster_writer *w, const struct muster_found_node *node,
                             uint64_t now) {
    muster_write_map(w, 6);
    muster_write_atom(w, "node");
    muster_write_name(w, &node->name);
    pair_atom(w, "proven", node->proven ? "true" : "false");
    pair_atom(w, "listed", node->listed ? "true" : "false");
    pair_atom(w, "state", muster_peer_state_name(node->peer->state));
    muster_write_atom(w, "reason");
    write_reason(w, node->peer);
    muster_write_pair(w, "heard_ms", (int64_t)(now - node->heard_ms));
}

void muster_report_topology(struct muster_writer *w, const struct muster_topology *topology) {
    uint64_t now = uv_now(topology->topologies->loop);
    muster_write_map(w, 8);
    pair_atom(w, "strategy", topology->type->name);
    muster_write_atom(w, "nodes");
    muster_write_list(w, (int)topology->count);
    for (const struct muster_found_node *n = topology->nodes; n != NULL; n = n->next) {
        write_found_node(w, n, now);
    }
    muster_write_nil(w);
    muster_write_pair(w, "syncs", (int64_t)topology->syncs);
    muster_write_pair(w, "failures", (int64_t)topology->failures);
    muster_write_atom(w, "last_sync_ms");
    if (topology->last_sync_ms != 0) {
        muster_write_integer(w, (int64_t)(now - topology->last_sync_ms));
    } else {
        muster_write_atom(w, "none");
    }
    muster_write_pair(w, "last_duration_us", (int64_t)topology->last_duration_us);
    pair_text(w, "last_error", topology->last_error);
    muster_write_atom(w, "counters");
    if (topology->type->write_counters != NULL) {
        topology->type->write_counters(topology, w);
    } else {
        muster_write_map(w, 0);
    }
}
