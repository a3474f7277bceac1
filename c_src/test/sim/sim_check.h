/* The invariants: what must hold after every step, kept apart from the core that must keep it. */
#ifndef MUSTER_TEST_SIM_CHECK_H
#define MUSTER_TEST_SIM_CHECK_H

#include "core/commander.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_world;

#define SIM_CHECK_NODES 24
#define SIM_HISTORY_MAX 4096

/* Who led a term, or whom a voter voted for in it. */
struct sim_fact {
    uint64_t term;
    int subject; /* voter; -1 for leaderships */
    uint64_t life;
    int object;
    uint64_t election;
};

struct sim_check {
    bool failed;
    bool promises_only; /* check what users see, not how it comes about */
    bool calm_leader;   /* from now on nothing may change */
    uint64_t calm_term;
    char failure[256];
    struct sim_fact facts[SIM_HISTORY_MAX];
    int fact_count;
    /* support[i][j]: when node i sent the newest heartbeat of `election` that j has acknowledged.
     */
    struct {
        uint64_t sent;
        uint64_t election;
    } support[SIM_CHECK_NODES][SIM_CHECK_NODES];
    uint64_t heard[SIM_CHECK_NODES][SIM_CHECK_NODES]; /* when i last took in a message of j */
    uint64_t stood_at[SIM_CHECK_NODES];
    uint64_t term_shown[SIM_CHECK_NODES]; /* the highest term a node has acknowledged or voted in */
    /* The core as it was before the step. */
    enum muster_election_role role_before;
    uint64_t term_before;
    bool led_before;
    struct muster_config config_before;
    uint64_t leaderships;
    uint64_t config_changes;
};

/* Records the first broken invariant of a schedule; printf-like. */
void sim_fail(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void sim_check_before(struct sim_world *world, int node, const struct muster_event *event);
void sim_check_after(struct sim_world *world, int node, const struct muster_event *event);
/* Each effect, before it is carried out. */
void sim_check_effect(struct sim_world *world, int node, const struct muster_effect *effect);
/* A node has just started. */
void sim_check_started(struct sim_world *world, int node);
/* The leader if every running node names it and it leads, else -1. The commander's nodes must also
 * have one table, and the leader must be the rightful one: pinned, or no senior could lead. */
int sim_check_agreed(const struct sim_world *world);

#endif
