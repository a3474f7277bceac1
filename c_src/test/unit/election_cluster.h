/* A cluster of election cores in a test's hand: it says who ticks and what arrives, and reads what
 * happened as text. */
#ifndef MUSTER_TEST_UNIT_ELECTION_CLUSTER_H
#define MUSTER_TEST_UNIT_ELECTION_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/election.h"
#include "core/election_random.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CLUSTER_MAX 7
#define CLUSTER_FLIGHTS 512
#define MS UINT64_C(1000)

struct flight {
    int from;
    int to;
    struct muster_message message;
    struct muster_config config;
};

/* Nodes are numbered from 1, as their member ids are. Time stands still unless the test moves it.
 */
struct cluster {
    int nodes;
    int voters;
    bool durable;
    bool slow_disk; /* records stay on their way until cluster_write */
    bool show_heartbeats;
    uint64_t now;
    uint64_t wall_ms;
    uint64_t steps;
    bool up[CLUSTER_MAX + 1];
    bool cut[CLUSTER_MAX + 1][CLUSTER_MAX + 1]; /* from, to */
    struct muster_election node[CLUSTER_MAX + 1];
    struct muster_election_saved disk[CLUSTER_MAX + 1];
    bool written[CLUSTER_MAX + 1];
    struct muster_election_saved unwritten[CLUSTER_MAX + 1];
    uint64_t unwritten_sequence[CLUSTER_MAX + 1]; /* 0: none */
    struct flight flights[CLUSTER_FLIGHTS];
    int flight_count;
    int error; /* of the latest step */
    char log[32768];
};

static struct muster_effects cluster_effects;

static inline void cluster_log(struct cluster *c, const char *format, ...) {
    size_t used = strlen(c->log);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->log + used, sizeof c->log - used, format, arguments);
    va_end(arguments);
}

static inline struct muster_moment cluster_moment(struct cluster *c) {
    return (struct muster_moment){
        .now = c->now, .wall_ms = c->wall_ms, .random = muster_random_nth(2026, c->steps++)};
}

static inline void cluster_send(struct cluster *c, int from, const struct muster_effect *effect) {
    int to = (int)effect->member;
    if (c->cut[from][to] || !c->up[to])
        return;
    assert_true(c->flight_count < CLUSTER_FLIGHTS);
    struct flight *flight = &c->flights[c->flight_count++];
    flight->from = from;
    flight->to = to;
    flight->message = effect->message;
    if (effect->message.config != NULL)
        flight->config = *effect->message.config;
}

static inline void cluster_show_leader(struct cluster *c, int node, const struct muster_effect *e) {
    unsigned long long term = e->token.term;
    if (e->member == MUSTER_NOBODY)
        cluster_log(c, "n%d knows no leader\n", node);
    else if (e->member == (muster_member)node)
        cluster_log(c, "n%d leads in term %llu\n", node, term);
    else
        cluster_log(c, "n%d follows n%d in term %llu\n", node, (int)e->member, term);
}

static void cluster_event(struct cluster *c, int node, struct muster_event event);

static inline void cluster_write(struct cluster *c, int node) {
    uint64_t sequence = c->unwritten_sequence[node];
    if (sequence == 0)
        return;
    c->disk[node] = c->unwritten[node];
    c->written[node] = true;
    c->unwritten_sequence[node] = 0;
    cluster_event(c, node,
                  (struct muster_event){.kind = MUSTER_EVENT_PERSISTED, .sequence = sequence});
}

static inline void cluster_effect(struct cluster *c, int node, const struct muster_effect *effect) {
    switch (effect->kind) {
    case MUSTER_EFFECT_SEND:
        cluster_send(c, node, effect);
        break;
    case MUSTER_EFFECT_PERSIST:
        c->unwritten[node] = *effect->saved;
        c->unwritten_sequence[node] = effect->sequence;
        break;
    case MUSTER_EFFECT_LEADER:
        cluster_show_leader(c, node, effect);
        break;
    case MUSTER_EFFECT_CONFIG:
        if (effect->config->stamp.version > 0)
            cluster_log(c, "n%d has %u voters\n", node, effect->config->count);
        break;
    case MUSTER_EFFECT_COMMITTED:
        if (effect->stamp.version > 0)
            cluster_log(c, "n%d: a majority has the voters of version %llu\n", node,
                        (unsigned long long)effect->stamp.version);
        break;
    case MUSTER_EFFECT_TRANSFER_REFUSED:
        cluster_log(c, "n%d: no transfer to n%d\n", node, (int)effect->member);
        break;
    case MUSTER_EFFECT_TERM:
        break;
    }
}

static void cluster_event(struct cluster *c, int node, struct muster_event event) {
    c->error = muster_election_step(&c->node[node], &event, cluster_moment(c), &cluster_effects);
    for (size_t i = 0; i < cluster_effects.count; i++)
        cluster_effect(c, node, &cluster_effects.list[i]);
    if (!c->slow_disk)
        cluster_write(c, node);
}

static inline void cluster_tell(struct cluster *c, int node, enum muster_event_kind kind,
                                int member) {
    cluster_event(c, node, (struct muster_event){.kind = kind, .member = (muster_member)member});
}

static inline void cluster_link(struct cluster *c, int a, int b) {
    cluster_tell(c, a, MUSTER_EVENT_LINK_OPENED, b);
    cluster_tell(c, b, MUSTER_EVENT_LINK_OPENED, a);
}

/* Starts a node with what its disk holds, and links it to all that run. */
static inline void cluster_start(struct cluster *c, int node) {
    muster_member voters[CLUSTER_MAX];
    for (int i = 0; i < c->voters; i++)
        voters[i] = (muster_member)i + 1;
    struct muster_election_options options;
    muster_election_options_default(&options);
    options.self = (muster_member)node;
    options.durable = c->durable;
    assert_int_equal(0, muster_election_init(&c->node[node], &options, voters, (size_t)c->voters,
                                             c->written[node] ? &c->disk[node] : NULL,
                                             cluster_moment(c)));
    c->up[node] = true;
    for (int i = 1; i <= c->nodes; i++)
        if (i != node && c->up[i])
            cluster_link(c, node, i);
}

static inline void cluster_init(struct cluster *c, int nodes, int voters, bool durable) {
    memset(c, 0, sizeof *c);
    c->nodes = nodes;
    c->voters = voters;
    c->durable = durable;
    c->now = 1000 * MS;
    for (int i = 1; i <= nodes; i++)
        cluster_start(c, i);
    c->log[0] = '\0';
}

/* Ends a node's process; `noticed`: its host tells the others. */
static inline void cluster_crash(struct cluster *c, int node, bool noticed) {
    c->up[node] = false;
    c->unwritten_sequence[node] = 0;
    for (int i = 1; i <= c->nodes; i++)
        if (noticed && i != node && c->up[i])
            cluster_event(c, i,
                          (struct muster_event){.kind = MUSTER_EVENT_LINK_CLOSED,
                                                .member = (muster_member)node,
                                                .by_peer = true});
}

static inline bool cluster_is_heartbeat(const struct muster_message *message) {
    return message->kind == MUSTER_MESSAGE_HEARTBEAT ||
           message->kind == MUSTER_MESSAGE_HEARTBEAT_REPLY;
}

static inline void cluster_show_message(struct cluster *c, const struct flight *flight) {
    const struct muster_message *m = &flight->message;
    if (cluster_is_heartbeat(m) && !c->show_heartbeats)
        return;
    bool reply = m->kind == MUSTER_MESSAGE_PRE_VOTE_REPLY || m->kind == MUSTER_MESSAGE_VOTE_REPLY ||
                 m->kind == MUSTER_MESSAGE_HEARTBEAT_REPLY;
    cluster_log(c, "n%d -> n%d: %s %llu%s\n", flight->from, flight->to,
                muster_message_name(m->kind), (unsigned long long)m->term,
                !reply       ? ""
                : m->granted ? " yes"
                             : " no");
}

/* Delivers the oldest message under way. */
static inline void cluster_deliver(struct cluster *c) {
    struct flight flight = c->flights[0];
    c->flight_count--;
    memmove(&c->flights[0], &c->flights[1], (size_t)c->flight_count * sizeof c->flights[0]);
    if (!c->up[flight.to] || c->cut[flight.from][flight.to])
        return;
    if (flight.message.config != NULL)
        flight.message.config = &flight.config;
    cluster_show_message(c, &flight);
    cluster_event(c, flight.to,
                  (struct muster_event){.kind = MUSTER_EVENT_MESSAGE,
                                        .member = (muster_member)flight.from,
                                        .message = &flight.message});
}

/* Delivers everything, and what follows from it, in no time. */
static inline void cluster_settle(struct cluster *c) {
    for (int guard = 0; c->flight_count > 0; guard++) {
        assert_true(guard < 10000);
        cluster_deliver(c);
    }
}

/* Moves time to the node's next deadline and lets only this node notice. */
static inline void cluster_tick(struct cluster *c, int node) {
    uint64_t deadline = muster_election_deadline(&c->node[node]);
    if (deadline > c->now)
        c->now = deadline;
    cluster_tell(c, node, MUSTER_EVENT_TICK, 0);
}

/* Lets time pass for all: every deadline is met, every message arrives at once. */
static inline void cluster_pass(struct cluster *c, uint64_t for_us) {
    uint64_t end = c->now + for_us;
    cluster_settle(c);
    for (;;) {
        int next = 0;
        uint64_t soonest = end;
        for (int i = 1; i <= c->nodes; i++) {
            uint64_t deadline = c->up[i] ? muster_election_deadline(&c->node[i]) : MUSTER_NEVER;
            if (deadline <= soonest) {
                soonest = deadline;
                next = i;
            }
        }
        if (next == 0)
            break;
        cluster_tick(c, next);
        cluster_settle(c);
    }
    c->now = end;
}

/* The one member that leads, or 0. */
static inline int cluster_leader(const struct cluster *c) {
    int leader = 0;
    for (int i = 1; i <= c->nodes; i++) {
        if (!c->up[i] || !muster_election_is_leader(&c->node[i], c->now))
            continue;
        assert_int_equal(0, leader);
        leader = i;
    }
    return leader;
}

/* Lets `node` win an election among nodes that are past their abstention. */
static inline void cluster_elect(struct cluster *c, int node) {
    c->now += 400 * MS;
    cluster_tick(c, node);
    cluster_settle(c);
    assert_int_equal(node, cluster_leader(c));
    c->log[0] = '\0';
}

static inline void cluster_isolate(struct cluster *c, int node, bool in, bool out) {
    for (int i = 1; i <= c->nodes; i++) {
        c->cut[i][node] = in;
        c->cut[node][i] = out;
    }
}

/* What happened since the last look. */
#define cluster_expect(c, expected)                                                                \
    do {                                                                                           \
        assert_string_equal(expected, (c)->log);                                                   \
        (c)->log[0] = '\0';                                                                        \
    } while (0)

#endif
