/* A schedule in readable lines, for a person who replays a seed. */
#ifndef MUSTER_TEST_SIM_TRACE_H
#define MUSTER_TEST_SIM_TRACE_H

#include "core/election.h"

struct sim_world;

/* A step just taken: the event, the node afterwards, and its effects. */
void sim_trace_step(const struct sim_world *world, int node, const struct muster_event *event);
/* Something that happens to a node from outside. */
void sim_trace_note(const struct sim_world *world, int node, const char *what);

/* What every node has of the commander's table, at the end of a failed schedule. */
void sim_trace_tables(const struct sim_world *world);

#endif
