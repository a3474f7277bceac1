#include "test/sim/sim_check.h"

#include "test/sim/sim_world.h"

#include <stdarg.h>
#include <stdio.h>

void sim_fail(struct sim_world *world, const char *format, ...) {
    if (world->check.failed)
        return;
    world->check.failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->check.failure, sizeof world->check.failure, format, arguments);
    va_end(arguments);
}

static bool leads(const struct sim_world *world, int node) {
    const struct sim_node *n = &world->node[node];
    return n->up &&
           muster_election_is_leader(&n->commander.election, sim_local(world, node, world->now));
}

/* Remembers a fact; returns the earlier one with the same term and subject, if any. */
static const struct sim_fact *remember(struct sim_world *world, struct sim_fact fact) {
    struct sim_check *c = &world->check;
    for (int i = c->fact_count - 1; i >= 0; i--)
        if (c->facts[i].term == fact.term && c->facts[i].subject == fact.subject &&
            c->facts[i].life == fact.life)
            return &c->facts[i];
    if (c->fact_count == SIM_HISTORY_MAX)
        sim_fail(world, "simulator: too many facts");
    else
        c->facts[c->fact_count++] = fact;
    return NULL;
}

/* The commander's voters are not declared: two are excluded only by a large quorum_size. */
static bool exclusive(const struct sim_world *world) {
    return !world->profile.commander ||
           world->profile.quorum_size > (uint32_t)world->profile.nodes / 2;
}

/* Voters that must stand behind a leader, worked out without the core's help. */
static uint32_t needed(const struct sim_world *world, const struct muster_config *config) {
    uint32_t majority = config->count / 2 + 1;
    uint32_t least = world->profile.commander ? world->profile.quorum_size : 0;
    return majority > least ? majority : least;
}

/* 1. At most one leader at a time. */
static void check_one_leader(struct sim_world *world) {
    int leader = -1;
    if (!exclusive(world))
        return;
    for (int i = 0; i < world->profile.nodes; i++) {
        if (!leads(world, i))
            continue;
        if (leader >= 0)
            sim_fail(world, "two leaders at a time: nodes %d and %d", leader, i);
        leader = i;
    }
}

/* 2. With saved votes at most one leader per term, ever; 3. no fencing token twice. */
static void check_leadership(struct sim_world *world, int node) {
    const struct muster_election *core = &world->node[node].commander.election;
    if (!leads(world, node))
        return;
    struct muster_token token;
    muster_election_leader(core, core->now, &token);
    struct sim_fact fact = {token.term, -1, world->profile.durable ? 0 : token.election, node,
                            token.election};
    const struct sim_fact *earlier = remember(world, fact);
    if (earlier == NULL)
        world->check.leaderships++;
    else if (earlier->object != node || earlier->election != token.election)
        sim_fail(world, "two leaders of term %llu: nodes %d and %d", (unsigned long long)token.term,
                 earlier->object, node);
}

/* 4. Terms never go back. */
static void check_term(struct sim_world *world, int node) {
    if (world->node[node].commander.election.term < world->check.term_before)
        sim_fail(world, "the term of node %d goes back", node);
}

/* 5. Whoever leads sent, less than election_timeout_min ago, heartbeats that a majority has
 * acknowledged: so a deposed leader stops within that time, and so a lease is never too long. */
static void check_lease(struct sim_world *world, int node) {
    const struct muster_election *core = &world->node[node].commander.election;
    if (!leads(world, node))
        return;
    uint64_t longest = world->options.election_timeout_min * SIM_MS;
    uint32_t support = 0;
    for (uint32_t i = 0; i < core->config.count; i++) {
        int voter = sim_index(core->config.voters[i]);
        uint64_t sent = world->check.support[node][voter].sent;
        bool counts =
            voter == node || (world->check.support[node][voter].election == core->election &&
                              sent + longest >= world->now);
        support += counts ? 1 : 0;
    }
    if (support < needed(world, &core->config))
        sim_fail(world, "node %d leads with the support of %u of %u voters", node, support,
                 core->config.count);
}

/* 6. A candidacy is decided within the longest timeout. */
static void check_candidacy(struct sim_world *world, int node) {
    const struct muster_election *core = &world->node[node].commander.election;
    bool at_once = core->term != world->check.term_before; /* alone */
    if (core->role != MUSTER_LEADER || world->check.role_before == MUSTER_LEADER || at_once)
        return;
    uint64_t longest =
        world->options.election_timeout_max * SIM_MS * 1000 / (1000 - world->options.clock_drift);
    if (world->now > world->check.stood_at[node] + longest + 1)
        sim_fail(world, "node %d wins %llu us after it stood", node,
                 (unsigned long long)(world->now - world->check.stood_at[node]));
}

/* 7. A member that hears no majority does not raise its term, unless a resigning leader asks. */
static void check_contact(struct sim_world *world, int node, const struct muster_event *event) {
    const struct muster_election *core = &world->node[node].commander.election;
    bool stood = core->role == MUSTER_CANDIDATE && core->term != world->check.term_before;
    bool asked =
        event->kind == MUSTER_EVENT_MESSAGE && event->message->kind == MUSTER_MESSAGE_RESIGN;
    if (!stood || asked)
        return;
    uint32_t heard = 1;
    for (uint32_t i = 0; i < core->config.count; i++) {
        int voter = sim_index(core->config.voters[i]);
        uint64_t at = world->check.heard[node][voter];
        if (voter != node && at != 0 && at + 2 * 300 * SIM_MS >= world->now)
            heard++;
    }
    if (heard < needed(world, &core->config))
        sim_fail(world, "node %d raised its term, having heard %u of %u voters", node, heard,
                 core->config.count);
}

static bool same_voters(const struct muster_config *a, const struct muster_config *b) {
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->voters[i] != b->voters[i])
            return false;
    return true;
}

static uint32_t differing_voters(const struct muster_config *a, const struct muster_config *b) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->count; i++)
        count += muster_config_has(b, a->voters[i]) ? 0 : 1;
    for (uint32_t i = 0; i < b->count; i++)
        count += muster_config_has(a, b->voters[i]) ? 0 : 1;
    return count;
}

/* The voters of a configuration on whose disk it is. */
static uint32_t holders(const struct sim_world *world, const struct muster_config *config) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct sim_node *n = &world->node[sim_index(config->voters[i])];
        if (n->disk_written && muster_stamp_compare(n->disk.config.stamp, config->stamp) >= 0)
            count++;
    }
    return count;
}

/* 8. Voters change one at a time, by a leader, after a majority has the current ones on disk. */
static void check_change(struct sim_world *world, int node) {
    const struct muster_config *now = &world->node[node].commander.election.config;
    const struct muster_config *before = &world->check.config_before;
    if (same_voters(now, before))
        return;
    world->check.config_changes++;
    if (!world->profile.durable)
        sim_fail(world, "node %d changed the voters without a disk", node);
    if (!world->check.led_before)
        sim_fail(world, "node %d changed the voters without leading", node);
    if (differing_voters(now, before) != 1)
        sim_fail(world, "node %d changed %u voters at once", node, differing_voters(now, before));
    if (holders(world, before) < before->count / 2 + 1)
        sim_fail(world, "node %d changed voters that no majority holds", node);
}

/* 9. Configurations with the same stamp are the same. */
static void check_configs(struct sim_world *world, int node) {
    const struct muster_config *mine = &world->node[node].commander.election.config;
    if (world->profile.commander)
        return;
    for (int i = 0; i < world->profile.nodes; i++) {
        const struct muster_config *other = &world->node[i].commander.election.config;
        if (muster_stamp_compare(mine->stamp, other->stamp) == 0 && !same_voters(mine, other))
            sim_fail(world, "nodes %d and %d have different voters under one stamp", node, i);
    }
}

/* 10. Observers neither vote nor lead. */
static void check_voter(struct sim_world *world, int node) {
    const struct muster_election *core = &world->node[node].commander.election;
    if (core->role != MUSTER_FOLLOWER && !muster_config_has(&core->config, sim_id(node)))
        sim_fail(world, "node %d is no voter and stands", node);
}

/* Whom every running node names, if that one leads. */
static int common_leader(const struct sim_world *world) {
    muster_member leader = MUSTER_NOBODY;
    for (int i = 0; i < world->profile.nodes; i++) {
        const struct sim_node *n = &world->node[i];
        if (!n->up)
            continue;
        muster_member named =
            muster_election_leader(&n->commander.election, sim_local(world, i, world->now), NULL);
        if (named == MUSTER_NOBODY || (leader != MUSTER_NOBODY && named != leader))
            return -1;
        leader = named;
    }
    return leader != MUSTER_NOBODY && leads(world, sim_index(leader)) ? sim_index(leader) : -1;
}

/* 11. While all is well and a leader is heard, nothing changes. */
static void check_calm(struct sim_world *world, int node) {
    if (world->check.calm_leader &&
        world->node[node].commander.election.term != world->check.calm_term)
        sim_fail(world, "node %d disturbs a healthy leader", node);
    if (world->check.calm_leader && common_leader(world) < 0)
        sim_fail(world, "a healthy leader is lost at node %d", node);
}

/* Whether the leader's lease may count on the voter now. */
static bool held_up_by(const struct sim_world *world, int leader, int voter) {
    const struct muster_election *core = &world->node[leader].commander.election;
    uint64_t sent = world->check.support[leader][voter].sent;
    return leader != voter && leads(world, leader) &&
           world->check.support[leader][voter].election == core->election &&
           sim_local(world, leader, world->now) - sim_local(world, leader, sent) <
               core->timing.lease;
}

/* 16. Nobody votes for somebody else while a leader's lease counts on it. */
static void check_loyalty(struct sim_world *world, int voter, int candidate) {
    for (int i = 0; i < world->profile.nodes; i++)
        if (i != candidate && exclusive(world) && held_up_by(world, i, voter))
            sim_fail(world, "node %d votes for %d while it holds up the lease of %d", voter,
                     candidate, i);
}

void sim_check_before(struct sim_world *world, int node, const struct muster_event *event) {
    struct sim_check *c = &world->check;
    const struct muster_election *core = &world->node[node].commander.election;
    c->role_before = core->role;
    c->term_before = core->term;
    c->led_before = leads(world, node);
    if (event->kind == MUSTER_EVENT_ADD_VOTER || event->kind == MUSTER_EVENT_REMOVE_VOTER)
        c->config_before = core->config;
    /* What the peer acknowledged counts no more; a restarted voter has promised nothing. */
    if (event->kind == MUSTER_EVENT_LINK_CLOSED)
        c->support[node][sim_index(event->member)].sent = 0;
    if (event->kind == MUSTER_EVENT_MESSAGE)
        c->heard[node][sim_index(event->member)] = world->now;
}

void sim_check_after(struct sim_world *world, int node, const struct muster_event *event) {
    const struct muster_election *core = &world->node[node].commander.election;
    check_one_leader(world);
    check_leadership(world, node);
    check_term(world, node);
    check_calm(world, node);
    if (world->check.promises_only)
        return;
    if (core->role == MUSTER_CANDIDATE && core->term != world->check.term_before) {
        world->check.stood_at[node] = world->now;
        check_loyalty(world, node, node);
    }
    check_lease(world, node);
    check_candidacy(world, node);
    check_contact(world, node, event);
    check_voter(world, node);
    if (event->kind == MUSTER_EVENT_ADD_VOTER || event->kind == MUSTER_EVENT_REMOVE_VOTER)
        check_change(world, node);
    if (core->role != MUSTER_FOLLOWER || event->kind == MUSTER_EVENT_ADD_VOTER)
        check_configs(world, node);
}

/* 12. A vote is on the disk before it is given; 13. no voter votes twice in a term; 14. none votes
 * while it may have forgotten a vote or a leader. */
static void check_grant(struct sim_world *world, int node, int candidate,
                        const struct muster_message *reply) {
    const struct sim_node *n = &world->node[node];
    bool saved = n->disk_written &&
                 (n->disk.term > reply->term ||
                  (n->disk.term == reply->term && n->disk.voted_for == sim_id(candidate)));
    if (world->profile.durable && !saved)
        sim_fail(world, "node %d votes before its vote is saved", node);
    check_loyalty(world, node, candidate);
    struct sim_fact fact = {reply->term, node, world->profile.durable ? 0 : n->life, candidate,
                            reply->election};
    const struct sim_fact *earlier = remember(world, fact);
    if (earlier != NULL && (earlier->object != candidate || earlier->election != reply->election))
        sim_fail(world, "node %d votes for %d and %d in term %llu", node, earlier->object,
                 candidate, (unsigned long long)reply->term);
    uint64_t abstention = (world->profile.durable ? world->options.election_timeout_min
                                                  : world->options.election_timeout_max) *
                          SIM_MS;
    if (world->now < n->started_at + abstention && exclusive(world))
        sim_fail(world, "node %d votes %llu us after its start", node,
                 (unsigned long long)(world->now - n->started_at));
}

/* 4, also over restarts: no voter speaks for a term below one it has voted in or acknowledged. */
static void check_spoken_term(struct sim_world *world, int node,
                              const struct muster_message *message) {
    struct sim_check *c = &world->check;
    bool binding = message->kind == MUSTER_MESSAGE_HEARTBEAT ||
                   (message->granted && (message->kind == MUSTER_MESSAGE_VOTE_REPLY ||
                                         message->kind == MUSTER_MESSAGE_HEARTBEAT_REPLY));
    if (!binding || !world->profile.durable)
        return;
    if (message->term < c->term_shown[node])
        sim_fail(world, "node %d goes back to term %llu", node, (unsigned long long)message->term);
    c->term_shown[node] = message->term;
}

/* 15. Without saved votes, no voter holds up a lease while it may have forgotten a vote. */
static void check_supporter(struct sim_world *world, int node) {
    uint64_t abstention = world->options.election_timeout_max * SIM_MS;
    bool forgetful = !world->profile.durable && exclusive(world);
    if (forgetful && world->now < world->node[node].started_at + abstention)
        sim_fail(world, "node %d holds up a lease too soon after its start", node);
}

static void note_support(struct sim_world *world, int voter, int leader,
                         const struct muster_message *reply) {
    if (!reply->granted || !reply->supports)
        return;
    check_supporter(world, voter);
    uint64_t sent = sim_true(world, leader, reply->sent_at);
    bool newer = world->check.support[leader][voter].election != reply->election ||
                 world->check.support[leader][voter].sent < sent;
    if (newer) {
        world->check.support[leader][voter].election = reply->election;
        world->check.support[leader][voter].sent = sent;
    }
}

void sim_check_effect(struct sim_world *world, int node, const struct muster_effect *effect) {
    if (effect->kind != MUSTER_EFFECT_SEND || world->check.promises_only)
        return;
    const struct muster_message *message = &effect->message;
    int to = sim_index(effect->member);
    check_spoken_term(world, node, message);
    if (message->kind == MUSTER_MESSAGE_VOTE_REPLY && message->granted)
        check_grant(world, node, to, message);
    if (message->kind == MUSTER_MESSAGE_HEARTBEAT_REPLY)
        note_support(world, node, to, message);
}

void sim_check_started(struct sim_world *world, int node) {
    for (int i = 0; i < world->profile.nodes; i++)
        world->check.heard[node][i] = 0;
}

/* Everyone's role table is the leader's. */
static bool one_table(const struct sim_world *world, int leader) {
    const struct muster_role_table *table = &world->node[leader].commander.table;
    for (int i = 0; i < world->profile.nodes; i++) {
        const struct muster_role_table *other = &world->node[i].commander.table;
        if (world->node[i].up && muster_stamp_compare(table->stamp, other->stamp) != 0)
            return false;
    }
    return true;
}

/* Nobody who could lead is older than the leader by more than the tolerance; or it is pinned. */
static bool rightful(const struct sim_world *world, int leader) {
    const struct muster_role_table *table = &world->node[leader].commander.table;
    if (table->pin != MUSTER_NOBODY)
        return table->pin == sim_id(leader);
    uint64_t age = muster_election_age(&world->node[leader].commander.election);
    for (int i = 0; i < world->profile.nodes; i++) {
        const struct muster_role_row *row = muster_table_look(table, sim_id(i));
        /* More for what ages lose on their way, and for clocks of different speed. */
        uint64_t other = muster_election_age(&world->node[i].commander.election);
        uint64_t blur =
            200 + world->profile.straggler_max / 1000 + age * world->profile.drift / 400;
        bool able = world->node[i].up && (row == NULL || row->role != MUSTER_ROLE_OBSERVER);
        if (able && other > age + MUSTER_AGE_TOLERANCE + blur)
            return false;
    }
    return true;
}

int sim_check_agreed(const struct sim_world *world) {
    int leader = common_leader(world);
    if (leader < 0 || !world->profile.commander)
        return leader;
    return one_table(world, leader) && rightful(world, leader) ? leader : -1;
}
