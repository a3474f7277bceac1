/* The network: links open and close, and messages may be lost, late, doubled or swapped. */
#include "test/sim/sim_world.h"

#include <stdlib.h>
#include <string.h>

static uint64_t delay(struct sim_world *world) {
    const struct sim_profile *p = &world->profile;
    if (!world->calm && sim_random_chance(&world->random, p->straggler_rate))
        return sim_random_between(&world->random, 100, p->straggler_max);
    return sim_random_between(&world->random, 100, p->delay_max);
}

static void *copy(const void *original, size_t size) {
    if (original == NULL)
        return NULL;
    void *memory = malloc(size);
    if (memory == NULL)
        abort();
    return memcpy(memory, original, size);
}

static void push_message(struct sim_world *world, int from, int to,
                         const struct muster_message *message) {
    struct sim_event event = {.at = world->now + delay(world),
                              .kind = SIM_MESSAGE,
                              .from = from,
                              .to = to,
                              .link = world->view[from][to],
                              .message = *message};
    event.config = copy(message->config, sizeof *event.config);
    if (world->profile.commander) {
        event.note = world->effects.note;
        event.table = copy(message->carries ? event.note.table : NULL, sizeof *event.table);
    }
    sim_queue_push(&world->queue, &event);
}

void sim_send(struct sim_world *world, int from, int to, const struct muster_message *message) {
    if (world->view[from][to] == 0)
        return;
    if (world->calm || !sim_random_chance(&world->random, world->profile.loss))
        push_message(world, from, to, message);
    if (!world->calm && sim_random_chance(&world->random, world->profile.duplication))
        push_message(world, from, to, message);
}

/* What meets a partition is sent again later, as TCP does, while both ends keep the link. */
static void retry(struct sim_world *world, const struct sim_event *event) {
    struct sim_event again = *event;
    again.at = world->now + sim_random_between(&world->random, 5 * SIM_MS, 80 * SIM_MS);
    again.config = copy(event->config, sizeof *again.config);
    again.table = copy(event->table, sizeof *again.table);
    sim_queue_push(&world->queue, &again);
}

static void close_view(struct sim_world *world, int node, int peer, bool by_peer) {
    world->view[node][peer] = 0;
    sim_step(world, node,
             (struct muster_event){
                 .kind = MUSTER_EVENT_LINK_CLOSED, .member = sim_id(peer), .by_peer = by_peer});
}

static void open_view(struct sim_world *world, int node, int peer, uint64_t link) {
    if (world->view[node][peer] != 0)
        close_view(world, node, peer, true);
    if (!world->node[node].up)
        return;
    world->view[node][peer] = link;
    sim_step(world, node,
             (struct muster_event){.kind = MUSTER_EVENT_LINK_OPENED, .member = sim_id(peer)});
}

static void deliver_message(struct sim_world *world, struct sim_event *event) {
    event->message.config = event->config;
    event->note.table = event->table;
    world->note = &event->note;
    sim_step(world, event->to,
             (struct muster_event){.kind = MUSTER_EVENT_MESSAGE,
                                   .member = sim_id(event->from),
                                   .message = &event->message});
    world->note = NULL;
}

void sim_deliver(struct sim_world *world, struct sim_event *event) {
    int from = event->from;
    int to = event->to;
    if (!world->node[to].up)
        return;
    bool current = world->view[to][from] == event->link;
    if (event->kind != SIM_OPEN && !current)
        return;
    if (world->blocked[from][to]) {
        retry(world, event);
        return;
    }
    if (event->kind == SIM_MESSAGE)
        deliver_message(world, event);
    else if (event->kind == SIM_FIN)
        close_view(world, to, from, true);
    else if (event->link > world->view[to][from])
        open_view(world, to, from, event->link);
}

/* Opens and ends of one direction arrive in the order they were sent. */
static void push_control(struct sim_world *world, enum sim_kind kind, int from, int to,
                         uint64_t link) {
    uint64_t at = world->now + sim_random_between(&world->random, 100, world->profile.delay_max);
    if (at <= world->control_after[from][to])
        at = world->control_after[from][to] + 1;
    world->control_after[from][to] = at;
    sim_queue_push(
        &world->queue,
        &(struct sim_event){.at = at, .kind = kind, .from = from, .to = to, .link = link});
}

void sim_close_link(struct sim_world *world, int node, int peer) {
    uint64_t link = world->view[node][peer];
    if (link == 0 || !world->node[node].up)
        return;
    push_control(world, SIM_FIN, node, peer, link);
    close_view(world, node, peer, false);
}

void sim_drop_links(struct sim_world *world, int node, bool silent) {
    for (int peer = 0; peer < world->profile.nodes; peer++) {
        if (!silent && world->view[node][peer] != 0)
            push_control(world, SIM_FIN, node, peer, world->view[node][peer]);
        world->view[node][peer] = 0;
    }
}

static bool runs(const struct sim_world *world, int node) {
    return world->node[node].up && world->node[node].paused_until <= world->now;
}

/* Nothing has come over this link for too long: its end gives it up. */
static void give_up_dead(struct sim_world *world, int node, int peer) {
    bool half_open = world->view[peer][node] != world->view[node][peer];
    bool dead = world->view[node][peer] != 0 && (world->blocked[peer][node] || half_open);
    if (!dead) {
        world->dead_since[node][peer] = world->now;
        return;
    }
    if (world->now - world->dead_since[node][peer] > world->profile.silence && runs(world, node))
        sim_close_link(world, node, peer);
}

static void dial(struct sim_world *world, int node, int peer) {
    if (world->view[node][peer] != 0 || !runs(world, node) || !runs(world, peer))
        return;
    if (world->blocked[node][peer] || world->blocked[peer][node])
        return;
    uint64_t link = ++world->links;
    open_view(world, node, peer, link);
    if (world->node[node].up)
        push_control(world, SIM_OPEN, node, peer, link);
}

void sim_redial(struct sim_world *world) {
    for (int i = 0; i < world->profile.nodes; i++) {
        for (int j = 0; j < world->profile.nodes; j++) {
            if (i == j)
                continue;
            give_up_dead(world, i, j);
            if (world->links < UINT64_C(1000000) && (i < j || world->view[j][i] == 0))
                dial(world, i, j);
        }
    }
    uint64_t next = world->now + sim_random_between(&world->random, 20 * SIM_MS, 200 * SIM_MS);
    sim_queue_push(&world->queue, &(struct sim_event){.at = next, .kind = SIM_REDIAL});
}

void sim_block(struct sim_world *world, int from, int to, bool blocked) {
    world->blocked[from][to] = blocked;
}

void sim_heal(struct sim_world *world) {
    memset(world->blocked, 0, sizeof world->blocked);
}
