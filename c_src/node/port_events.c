#include "node/port_events.h"

#include "node/election_report.h"
#include "node/requests.h"

void muster_port_begin(struct muster_writer *w, int arity, const char *kind) {
    muster_writer_init(w);
    muster_write_version(w);
    muster_write_tuple(w, arity);
    muster_write_atom(w, kind);
}

/* {event, Service, Key, Event}, as far as Event. */
static void begin_event(struct muster_writer *w, const char *service) {
    muster_port_begin(w, 4, "event");
    muster_write_atom(w, service);
}

static void on_peer(void *context, const struct muster_peer *peer) {
    struct muster_writer w;
    begin_event(&w, "node");
    muster_write_atom(&w, "peers");
    muster_write_tuple(&w, 4);
    muster_write_atom(&w, "peer");
    muster_write_name(&w, &peer->name);
    muster_write_atom(&w, muster_peer_state_name(peer->state));
    muster_write_text(&w, peer->detail);
    muster_port_send(context, &w);
}

static void on_published(void *context, int published, const char *text) {
    struct muster_writer w;
    begin_event(&w, "node");
    muster_write_atom(&w, "peers");
    muster_write_tuple(&w, 3);
    muster_write_atom(&w, "published");
    muster_write_atom(&w, published ? "true" : "false");
    muster_write_text(&w, text);
    muster_port_send(context, &w);
}

static void on_status(void *context, const struct muster_watch *watch,
                      enum muster_health_status from) {
    struct muster_writer w;
    begin_event(&w, "monitor");
    muster_write_binary(&w, muster_slice(watch->monitor->key, watch->monitor->key_len));
    muster_write_tuple(&w, 4);
    muster_write_atom(&w, "status");
    muster_write_name(&w, &watch->name);
    muster_write_atom(&w, muster_health_status_name(from));
    muster_write_atom(&w, muster_health_status_name(watch->health.status));
    muster_port_send(context, &w);
}

static void begin_discovery_event(struct muster_writer *w, const struct muster_topology *t,
                                  int arity, const char *event) {
    begin_event(w, "discovery");
    muster_write_binary(w, muster_slice(t->key, t->key_len));
    muster_write_tuple(w, arity);
    muster_write_atom(w, event);
}

static void on_found(void *context, const struct muster_topology *t,
                     const struct muster_node_name *node) {
    struct muster_writer w;
    begin_discovery_event(&w, t, 2, "found");
    muster_write_name(&w, node);
    muster_port_send(context, &w);
}

static void send_peer_event(struct muster_port *port, const struct muster_topology *t,
                            const char *event, const struct muster_peer *peer) {
    struct muster_writer w;
    begin_discovery_event(&w, t, 4, event);
    muster_write_name(&w, &peer->name);
    muster_write_atom(&w, muster_peer_state_name(peer->state));
    muster_write_text(&w, peer->detail);
    muster_port_send(port, &w);
}

static void on_unproven(void *context, const struct muster_topology *t,
                        const struct muster_peer *peer) {
    send_peer_event(context, t, "unproven", peer);
}

static void on_unreached(void *context, const struct muster_topology *t,
                         const struct muster_peer *peer) {
    send_peer_event(context, t, "unreached", peer);
}

static void on_lost(void *context, const struct muster_topology *t,
                    const struct muster_node_name *node, const char *why) {
    struct muster_writer w;
    begin_discovery_event(&w, t, 3, "lost");
    muster_write_name(&w, node);
    muster_write_text(&w, why);
    muster_port_send(context, &w);
}

static void on_metadata(void *context, const struct muster_topology *t,
                        const struct muster_node_name *node, int64_t version,
                        struct muster_slice metadata) {
    struct muster_writer w;
    begin_discovery_event(&w, t, 4, "metadata");
    muster_write_name(&w, node);
    muster_write_integer(&w, version);
    muster_write_raw(&w, metadata);
    muster_port_send(context, &w);
}

static void on_sync(void *context, const struct muster_topology *t, const char *error) {
    struct muster_writer w;
    begin_discovery_event(&w, t, 3, "sync");
    if (error != NULL) {
        muster_write_atom(&w, "error");
        muster_write_text(&w, error);
    } else {
        muster_write_atom(&w, "ok");
        muster_write_map(&w, 2);
        muster_write_atom(&w, "duration_us");
        muster_write_integer(&w, (int64_t)t->last_duration_us);
        muster_write_atom(&w, "listed");
        muster_write_integer(&w, t->count);
    }
    muster_port_send(context, &w);
}

static void on_election(void *context, const struct muster_election_group *group,
                        const struct muster_election_event *event) {
    struct muster_writer w;
    begin_event(&w, "election");
    muster_write_binary(&w, muster_slice(group->key, group->key_len));
    muster_report_election_event(&w, group, event);
    muster_port_send(context, &w);
}

static void on_answer(void *context, int64_t request, const char *error) {
    struct muster_writer w;
    if (request < 0) { /* it was a cast */
        return;
    }
    muster_port_begin(&w, 3, "reply");
    muster_write_integer(&w, request);
    if (error != NULL) {
        muster_requests_write_error(&w, error, "");
    } else {
        muster_write_tuple(&w, 2);
        muster_write_atom(&w, "ok");
        muster_write_map(&w, 0);
    }
    muster_port_send(context, &w);
}

void muster_port_events_set(struct muster_node_owner *owner) {
    owner->on_peer = on_peer;
    owner->on_published = on_published;
    owner->on_status = on_status;
    owner->discovery.on_found = on_found;
    owner->discovery.on_unproven = on_unproven;
    owner->discovery.on_unreached = on_unreached;
    owner->discovery.on_lost = on_lost;
    owner->discovery.on_metadata = on_metadata;
    owner->discovery.on_sync = on_sync;
    owner->election.on_event = on_election;
    owner->election.on_answer = on_answer;
}
