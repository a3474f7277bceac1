#include "test/sim/sim_world.h"

#include "test/sim/sim_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLION UINT64_C(1000000)
#define EPOCH_MS INT64_C(1700000000000)

uint64_t sim_local(const struct sim_world *world, int node, uint64_t at) {
    const struct sim_node *n = &world->node[node];
    return n->clock_offset + at * n->clock_speed / MILLION;
}

uint64_t sim_true(const struct sim_world *world, int node, uint64_t local) {
    const struct sim_node *n = &world->node[node];
    if (local <= n->clock_offset)
        return 0;
    return ((local - n->clock_offset) * MILLION + n->clock_speed - 1) / n->clock_speed;
}

static struct muster_moment moment(struct sim_world *world, int node) {
    int64_t wall = EPOCH_MS + (int64_t)(world->now / 1000) + world->node[node].wall_skew_ms;
    return (struct muster_moment){
        .now = sim_local(world, node, world->now),
        .wall_ms = (uint64_t)wall,
        .random = sim_random_next(&world->random),
    };
}

static void plan_wake(struct sim_world *world, int node) {
    struct sim_node *n = &world->node[node];
    uint64_t deadline = world->profile.commander ? muster_commander_deadline(&n->commander)
                                                 : muster_election_deadline(&n->commander.election);
    n->wake_generation++;
    if (deadline == MUSTER_NEVER)
        return;
    uint64_t at = sim_true(world, node, deadline);
    uint64_t late = sim_random_between(&world->random, 0, 500);
    if (!world->calm && sim_random_chance(&world->random, 20))
        late += sim_random_between(&world->random, 0, 40 * SIM_MS);
    at = (at > world->now ? at : world->now) + late;
    sim_queue_push(&world->queue,
                   &(struct sim_event){
                       .at = at, .kind = SIM_WAKE, .to = node, .generation = n->wake_generation});
}

static void write_record(struct sim_world *world, int node, const struct muster_effect *effect) {
    struct sim_node *n = &world->node[node];
    if (n->pending_count == SIM_RECORDS_MAX) {
        sim_fail(world, "simulator: node %d has too many writes under way", node);
        return;
    }
    n->pending[n->pending_count] = *effect->saved;
    n->pending_sequence[n->pending_count++] = effect->sequence;
    uint64_t start = n->disk_busy_until > world->now ? n->disk_busy_until : world->now;
    n->disk_busy_until = start + sim_random_between(&world->random, 50, world->profile.disk_max);
    if (!world->calm && sim_random_chance(&world->random, 20))
        n->disk_busy_until += sim_random_between(&world->random, 0, 150 * SIM_MS);
    sim_queue_push(&world->queue, &(struct sim_event){.at = n->disk_busy_until,
                                                      .kind = SIM_DISK,
                                                      .to = node,
                                                      .generation = n->life});
}

static void carry_out(struct sim_world *world, int node, const struct muster_effect *effect) {
    sim_check_effect(world, node, effect);
    if (effect->kind == MUSTER_EFFECT_SEND)
        sim_send(world, node, sim_index(effect->member), &effect->message);
    else if (effect->kind == MUSTER_EFFECT_PERSIST)
        write_record(world, node, effect);
}

static int step_core(struct sim_world *world, int node,
                     const struct muster_commander_event *event) {
    struct muster_commander *core = &world->node[node].commander;
    if (world->profile.commander)
        return muster_commander_step(core, event, moment(world, node), &world->effects);
    return muster_election_step(&core->election, &event->election, moment(world, node),
                                &world->effects.election);
}

static void step(struct sim_world *world, int node, const struct muster_commander_event *event) {
    struct sim_node *n = &world->node[node];
    world->steps++;
    sim_check_before(world, node, &event->election);
    world->newest_error = step_core(world, node, event);
    if (world->trace)
        sim_trace_step(world, node, &event->election);
    sim_check_after(world, node, &event->election);
    int crash_after = n->crash_after;
    for (size_t i = 0; i < world->effects.election.count; i++) {
        if (crash_after >= 0 && (int)i >= crash_after)
            break;
        carry_out(world, node, &world->effects.election.list[i]);
    }
    if (crash_after >= 0)
        sim_crash(world, node, sim_random_chance(&world->random, 300));
    else
        plan_wake(world, node);
}

void sim_step(struct sim_world *world, int node, struct muster_event event) {
    step(world, node,
         &(struct muster_commander_event){
             .kind = MUSTER_COMMANDER_ELECTION, .election = event, .note = world->note});
}

void sim_request(struct sim_world *world, int node, enum muster_commander_event_kind kind,
                 muster_member member, enum muster_cluster_role role) {
    step(world, node,
         &(struct muster_commander_event){.kind = kind, .member = member, .role = role});
}

static int init_commander(struct sim_world *world, int node) {
    struct muster_commander_options options;
    muster_commander_options_default(&options);
    options.election.self = sim_id(node);
    options.election.clock_drift = world->profile.drift;
    options.election.age = world->node[node].age;
    options.quorum_size = world->profile.quorum_size;
    options.settle = 300;
    options.hold_down = 300;
    options.hold_down_max = 1200;
    options.incarnation = sim_random_next(&world->random) | 1;
    return muster_commander_init(&world->node[node].commander, &options, moment(world, node));
}

static int init_election(struct sim_world *world, int node) {
    struct sim_node *n = &world->node[node];
    muster_member voters[SIM_NODES_MAX];
    for (int i = 0; i < world->profile.voters; i++)
        voters[i] = sim_id(i);
    struct muster_election_options options = world->options;
    options.self = sim_id(node);
    return muster_election_init(&n->commander.election, &options, voters,
                                (size_t)world->profile.voters, n->disk_written ? &n->disk : NULL,
                                moment(world, node));
}

void sim_start(struct sim_world *world, int node) {
    struct sim_node *n = &world->node[node];
    n->up = true;
    n->age = n->life++ == 0 ? sim_random_between(&world->random, 0, 30000) : 0;
    n->started_at = world->now;
    n->crash_after = -1;
    n->beam_silent = false;
    int error = world->profile.commander ? init_commander(world, node) : init_election(world, node);
    if (error != 0)
        sim_fail(world, "simulator: node %d does not start (%d)", node, error);
    if (world->trace)
        sim_trace_note(world, node, "starts");
    sim_check_started(world, node);
    plan_wake(world, node);
}

void sim_crash(struct sim_world *world, int node, bool silent) {
    struct sim_node *n = &world->node[node];
    if (!n->up)
        return;
    if (world->trace)
        sim_trace_note(world, node, silent ? "crashes with its host" : "crashes");
    n->up = false;
    n->paused_until = 0;
    n->wake_generation++;
    /* Of the writes under way any number may have reached the disk. */
    uint64_t reached = sim_random_between(&world->random, 0, (uint64_t)n->pending_count);
    if (reached > 0) {
        n->disk = n->pending[reached - 1];
        n->disk_written = true;
    }
    n->pending_count = 0;
    n->disk_busy_until = 0;
    sim_drop_links(world, node, silent);
    uint64_t away = sim_random_chance(&world->random, 500)
                        ? sim_random_between(&world->random, SIM_MS, 60 * SIM_MS)
                        : sim_random_between(&world->random, 50 * SIM_MS, 1500 * SIM_MS);
    sim_queue_push(&world->queue, &(struct sim_event){.at = world->now + away,
                                                      .kind = SIM_RESTART,
                                                      .to = node,
                                                      .generation = n->life});
}

void sim_pause(struct sim_world *world, int node, uint64_t for_us) {
    if (world->trace)
        sim_trace_note(world, node, "is stopped");
    world->node[node].paused_until = world->now + for_us;
}

static void disk_done(struct sim_world *world, int node, uint64_t life) {
    struct sim_node *n = &world->node[node];
    if (!n->up || n->life != life || n->pending_count == 0)
        return;
    n->disk = n->pending[0];
    n->disk_written = true;
    uint64_t sequence = n->pending_sequence[0];
    n->pending_count--;
    memmove(&n->pending[0], &n->pending[1], (size_t)n->pending_count * sizeof n->pending[0]);
    memmove(&n->pending_sequence[0], &n->pending_sequence[1],
            (size_t)n->pending_count * sizeof n->pending_sequence[0]);
    sim_step(world, node,
             (struct muster_event){.kind = MUSTER_EVENT_PERSISTED, .sequence = sequence});
}

static bool concerns_paused(const struct sim_world *world, const struct sim_event *event) {
    bool of_node = event->kind != SIM_REDIAL && event->kind != SIM_CHAOS;
    const struct sim_node *n = &world->node[event->to];
    return of_node && n->up && n->paused_until > world->now;
}

static void happen(struct sim_world *world, struct sim_event *event) {
    struct sim_node *n = &world->node[event->to];
    switch (event->kind) {
    case SIM_WAKE:
        if (n->up && event->generation == n->wake_generation)
            sim_step(world, event->to, (struct muster_event){.kind = MUSTER_EVENT_TICK});
        break;
    case SIM_DISK:
        disk_done(world, event->to, event->generation);
        break;
    case SIM_RESTART:
        if (!n->up && event->generation == n->life)
            sim_start(world, event->to);
        break;
    case SIM_REDIAL:
        sim_redial(world);
        break;
    case SIM_CHAOS:
        sim_chaos(world);
        break;
    case SIM_MESSAGE:
    case SIM_OPEN:
    case SIM_FIN:
        sim_deliver(world, event);
        break;
    }
}

/* What comes for a stopped process waits, in order, until it goes on. */
static void postpone(struct sim_world *world, struct sim_event *event) {
    event->at = world->node[event->to].paused_until;
    sim_queue_push(&world->queue, event);
    free(event);
}

bool sim_world_run(struct sim_world *world, uint64_t until) {
    while (!world->check.failed && world->queue.count > 0 && world->queue.heap[0]->at <= until) {
        struct sim_event *event = sim_queue_pop(&world->queue);
        world->now = event->at;
        if (concerns_paused(world, event)) {
            postpone(world, event);
            continue;
        }
        happen(world, event);
        sim_event_free(event);
    }
    if (!world->check.failed)
        world->now = until;
    return !world->check.failed;
}

static void set_clock(struct sim_world *world, int node) {
    struct sim_node *n = &world->node[node];
    uint64_t drift = (uint64_t)world->profile.drift * 1000; /* millionths */
    n->clock_offset = sim_random_between(&world->random, 1, 3600 * 1000 * SIM_MS);
    n->clock_speed = MILLION - drift + sim_random_between(&world->random, 0, 2 * drift);
    /* Half of the worlds have good wall clocks, the others any. */
    int64_t range = world->seed % 2 == 0 ? 20 : 100000;
    n->wall_skew_ms = (int64_t)sim_random_between(&world->random, 0, (uint64_t)range) - range / 2;
}

void sim_world_init(struct sim_world *world, uint64_t seed, const struct sim_profile *profile) {
    memset(world, 0, offsetof(struct sim_world, effects));
    world->seed = seed;
    world->profile = *profile;
    sim_random_init(&world->random, seed);
    muster_election_options_default(&world->options);
    world->options.durable = profile->durable;
    world->options.clock_drift = profile->drift;
    for (int i = 0; i < profile->nodes; i++) {
        set_clock(world, i);
        sim_start(world, i);
    }
    sim_queue_push(&world->queue, &(struct sim_event){.at = 0, .kind = SIM_REDIAL});
    sim_queue_push(&world->queue, &(struct sim_event){.at = 600 * SIM_MS, .kind = SIM_CHAOS});
}

void sim_world_close(struct sim_world *world) {
    sim_queue_close(&world->queue);
}
