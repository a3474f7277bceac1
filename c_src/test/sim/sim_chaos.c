/* The mishaps. Each is drawn from the seed; several last until a later one ends them. */
#include "test/sim/sim_world.h"

static int any_node(struct sim_world *world) {
    return (int)sim_random_between(&world->random, 0, (uint64_t)world->profile.nodes - 1);
}

static int node_in_role(struct sim_world *world, enum muster_election_role role) {
    int first = any_node(world);
    for (int i = 0; i < world->profile.nodes; i++) {
        int node = (first + i) % world->profile.nodes;
        if (world->node[node].up && world->node[node].commander.election.role == role)
            return node;
    }
    return first;
}

/* Half of the mishaps are aimed at whoever matters most at the moment. */
static int victim(struct sim_world *world) {
    switch (sim_random_between(&world->random, 0, 3)) {
    case 0:
        return node_in_role(world, MUSTER_CANDIDATE);
    case 1:
        return node_in_role(world, MUSTER_LEADER);
    default:
        return any_node(world);
    }
}

static bool runs(const struct sim_world *world, int node) {
    return world->node[node].up && world->node[node].paused_until <= world->now;
}

static void tell(struct sim_world *world, int node, enum muster_event_kind kind, int other) {
    if (runs(world, node))
        sim_step(world, node, (struct muster_event){.kind = kind, .member = sim_id(other)});
}

static void crash(struct sim_world *world) {
    sim_crash(world, victim(world), sim_random_chance(&world->random, 300));
}

/* In the middle of its next step: some of what it wants done is done, the rest is not. */
static void crash_in_step(struct sim_world *world) {
    struct sim_node *n = &world->node[victim(world)];
    if (n->up)
        n->crash_after = (int)sim_random_between(&world->random, 0, 4);
}

/* Power comes back and most of a rack starts again. */
static void crash_many(struct sim_world *world) {
    uint64_t share = sim_random_between(&world->random, 300, 1000);
    for (int i = 0; i < world->profile.nodes; i++)
        if (sim_random_chance(&world->random, share))
            sim_crash(world, i, sim_random_chance(&world->random, 500));
}

static void pause_one(struct sim_world *world) {
    sim_pause(world, victim(world), sim_random_between(&world->random, 5 * SIM_MS, 900 * SIM_MS));
}

/* A candidate is stopped while its voters, its grants perhaps on their way, start again. */
static void freeze_candidate(struct sim_world *world) {
    int candidate = node_in_role(world, MUSTER_CANDIDATE);
    sim_pause(world, candidate, sim_random_between(&world->random, 50 * SIM_MS, 700 * SIM_MS));
    for (int i = 0; i < world->profile.nodes; i++)
        if (i != candidate && sim_random_chance(&world->random, 600))
            sim_crash(world, i, true);
}

static void split(struct sim_world *world) {
    bool side[SIM_NODES_MAX] = {false};
    bool one_way = sim_random_chance(&world->random, 250);
    for (int i = 0; i < world->profile.nodes; i++)
        side[i] = sim_random_chance(&world->random, 500);
    for (int i = 0; i < world->profile.nodes; i++)
        for (int j = 0; j < world->profile.nodes; j++)
            if (side[i] != side[j] && (!one_way || side[i]))
                sim_block(world, i, j, true);
}

static void isolate(struct sim_world *world) {
    int node = victim(world);
    bool in = sim_random_chance(&world->random, 700);
    bool out = !in || sim_random_chance(&world->random, 700);
    for (int i = 0; i < world->profile.nodes; i++) {
        if (i == node)
            continue;
        sim_block(world, i, node, in);
        sim_block(world, node, i, out);
    }
}

static void cut_one_way(struct sim_world *world) {
    int from = any_node(world);
    int to = any_node(world);
    if (from != to)
        sim_block(world, from, to, true);
}

static void reset_link(struct sim_world *world) {
    int node = victim(world);
    int peer = any_node(world);
    if (node != peer && runs(world, node))
        sim_close_link(world, node, peer);
}

static void silence_beam(struct sim_world *world) {
    int node = victim(world);
    if (!runs(world, node))
        return;
    bool silent = !world->node[node].beam_silent;
    world->node[node].beam_silent = silent;
    tell(world, node, silent ? MUSTER_EVENT_BEAM_SILENT : MUSTER_EVENT_BEAM_ANSWERS, node);
}

/* What only the commander can be asked: a promotion by hand, news of a member without a C node. */
static void ask_commander(struct sim_world *world) {
    int node = node_in_role(world, MUSTER_LEADER);
    int other = any_node(world);
    if (!runs(world, node))
        return;
    enum muster_cluster_role role =
        (enum muster_cluster_role)sim_random_between(&world->random, 1, 4);
    if (sim_random_chance(&world->random, 200))
        sim_request(world, node, MUSTER_COMMANDER_JOINED, 100, role);
    else if (sim_random_chance(&world->random, 200))
        sim_request(world, node, MUSTER_COMMANDER_LEFT, 100, role);
    else
        sim_request(world, node, MUSTER_COMMANDER_PROMOTE, sim_id(other), role);
}

static void transfer(struct sim_world *world) {
    tell(world, node_in_role(world, MUSTER_LEADER), MUSTER_EVENT_TRANSFER, any_node(world));
}

static void change_voters(struct sim_world *world) {
    if (world->profile.commander) {
        ask_commander(world);
        return;
    }
    bool at_leader = sim_random_chance(&world->random, 800);
    int node = at_leader ? node_in_role(world, MUSTER_LEADER) : any_node(world);
    int other = any_node(world);
    bool voter = muster_config_has(&world->node[node].commander.election.config, sim_id(other));
    bool last = world->node[node].commander.election.config.count <= 2;
    if (!voter)
        tell(world, node, MUSTER_EVENT_ADD_VOTER, other);
    else if (!last)
        tell(world, node, MUSTER_EVENT_REMOVE_VOTER, other);
}

static void exit_orderly(struct sim_world *world) {
    int node = victim(world);
    if (!runs(world, node))
        return;
    tell(world, node, MUSTER_EVENT_EXIT, node);
    sim_crash(world, node, false);
}

static void mishap(struct sim_world *world) {
    uint64_t kind = sim_random_between(&world->random, 0, 99);
    if (kind < 14)
        crash(world);
    else if (kind < 22)
        crash_in_step(world);
    else if (kind < 26)
        crash_many(world);
    else if (kind < 40)
        pause_one(world);
    else if (kind < 48)
        split(world);
    else if (kind < 56)
        isolate(world);
    else if (kind < 60)
        cut_one_way(world);
    else if (kind < 72)
        sim_heal(world);
    else if (kind < 78)
        reset_link(world);
    else if (kind < 82)
        silence_beam(world);
    else if (kind < 86)
        tell(world, node_in_role(world, MUSTER_LEADER), MUSTER_EVENT_RESIGN, 0);
    else if (kind < 90)
        transfer(world);
    else if (kind < 95)
        change_voters(world);
    else if (kind < 97)
        freeze_candidate(world);
    else
        exit_orderly(world);
}

void sim_chaos(struct sim_world *world) {
    if (world->calm)
        return;
    mishap(world);
    uint64_t wait = sim_random_between(&world->random, SIM_MS, 2 * world->profile.chaos_mean);
    sim_queue_push(&world->queue, &(struct sim_event){.at = world->now + wait, .kind = SIM_CHAOS});
}
