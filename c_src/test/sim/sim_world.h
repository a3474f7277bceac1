/* A simulated cluster: nodes with clocks and disks, the links between them, and true time. */
#ifndef MUSTER_TEST_SIM_WORLD_H
#define MUSTER_TEST_SIM_WORLD_H

#include "core/commander.h"
#include "test/sim/sim_check.h"
#include "test/sim/sim_queue.h"
#include "test/sim/sim_random.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_NODES_MAX SIM_CHECK_NODES
#define SIM_RECORDS_MAX 64
#define SIM_MS UINT64_C(1000)

/* How bad a schedule's world is; drawn from its seed. */
struct sim_profile {
    bool durable;
    bool commander; /* the commander's core: seen voters and the role table */
    uint32_t quorum_size;
    int nodes;
    int voters;              /* the first so many; the others observe */
    uint64_t delay_max;      /* of most messages, µs */
    uint64_t straggler_rate; /* permille of messages that take up to straggler_max */
    uint64_t straggler_max;
    uint64_t loss; /* permille */
    uint64_t duplication;
    uint64_t disk_max;   /* the longest usual write, µs */
    uint64_t chaos_mean; /* µs between two mishaps */
    uint64_t chaos_until;
    uint64_t silence; /* after so long a side gives up a dead link, µs */
    uint32_t drift;   /* permille */
};

struct sim_node {
    bool up;
    bool beam_silent;
    uint64_t age;  /* ms, at its start */
    uint64_t life; /* how often it has started */
    uint64_t started_at;
    uint64_t paused_until;
    uint64_t wake_generation;
    int crash_after; /* effects of the next step; -1: no crash planned */
    /* This node's clock shows offset + true time * speed / 10^6; its unix time is off by skew. */
    uint64_t clock_offset;
    uint64_t clock_speed;
    int64_t wall_skew_ms;
    /* The disk, and what is on its way there. */
    bool disk_written;
    struct muster_election_saved disk;
    struct muster_election_saved pending[SIM_RECORDS_MAX];
    uint64_t pending_sequence[SIM_RECORDS_MAX];
    int pending_count;
    uint64_t disk_busy_until;
    struct muster_commander commander;
};

struct sim_world {
    uint64_t seed;
    uint64_t now; /* true time, µs */
    bool trace;
    bool calm; /* no mishaps any more */
    struct sim_random random;
    struct sim_profile profile;
    struct muster_election_options options;
    struct sim_node node[SIM_NODES_MAX];
    /* view[i][j]: the number of the link to j that i believes open, or 0. */
    uint64_t view[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t links;
    bool blocked[SIM_NODES_MAX][SIM_NODES_MAX]; /* nothing gets from i to j */
    uint64_t dead_since[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t control_after[SIM_NODES_MAX][SIM_NODES_MAX]; /* opens and fins keep their order */
    struct sim_queue queue;
    const struct muster_note *note; /* of the message being delivered */
    struct sim_check check;
    uint64_t steps;
    int newest_error; /* what the latest step returned */
    struct muster_commander_effects effects;
};

static inline muster_member sim_id(int node) {
    return (muster_member)node + 1;
}

static inline int sim_index(muster_member member) {
    return (int)member - 1;
}

uint64_t sim_local(const struct sim_world *world, int node, uint64_t at);
/* The first true time at which the node's clock shows at least `local`. */
uint64_t sim_true(const struct sim_world *world, int node, uint64_t local);

void sim_world_init(struct sim_world *world, uint64_t seed, const struct sim_profile *profile);
void sim_world_close(struct sim_world *world);
/* Lets everything happen until `until`, or until an invariant breaks; false then. */
bool sim_world_run(struct sim_world *world, uint64_t until);

/* One step of a node's core, its effects carried out and everything checked. */
void sim_step(struct sim_world *world, int node, struct muster_event event);
/* The same with a request of the commander's. */
void sim_request(struct sim_world *world, int node, enum muster_commander_event_kind kind,
                 muster_member member, enum muster_cluster_role role);

void sim_start(struct sim_world *world, int node);
/* `silent`: the host is gone with it, so nobody is told. */
void sim_crash(struct sim_world *world, int node, bool silent);
void sim_pause(struct sim_world *world, int node, uint64_t for_us);

/* sim_net.c */
void sim_send(struct sim_world *world, int from, int to, const struct muster_message *message);
void sim_deliver(struct sim_world *world, struct sim_event *event);
/* `node` gives up its link to `peer`; the peer is told if anything gets there. */
void sim_close_link(struct sim_world *world, int node, int peer);
/* All links of a node that has ended. */
void sim_drop_links(struct sim_world *world, int node, bool silent);
void sim_redial(struct sim_world *world);
void sim_block(struct sim_world *world, int from, int to, bool blocked);
void sim_heal(struct sim_world *world);

/* sim_chaos.c: one mishap, and the time of the next. */
void sim_chaos(struct sim_world *world);

#endif
