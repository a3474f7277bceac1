/* What will happen, ordered by virtual time. */
#ifndef MUSTER_TEST_SIM_QUEUE_H
#define MUSTER_TEST_SIM_QUEUE_H

#include "core/commander.h"

#include <stddef.h>
#include <stdint.h>

enum sim_kind {
    SIM_WAKE,    /* a node's timer; generation */
    SIM_MESSAGE, /* from, to, link, message */
    SIM_OPEN,    /* `to` learns that the link `link` from `from` is open */
    SIM_FIN,     /* `to` learns that `from` ended the link `link` */
    SIM_DISK,    /* the oldest pending record of `to` reaches the disk; generation = life */
    SIM_REDIAL,  /* every pair looks at its link */
    SIM_RESTART, /* `to` starts again; generation = life */
    SIM_CHAOS,   /* something goes wrong */
};

struct sim_event {
    uint64_t at;    /* true time, µs */
    uint64_t order; /* ties in the order of pushing */
    enum sim_kind kind;
    int from;
    int to;
    uint64_t link;
    uint64_t generation;
    struct muster_message message;
    struct muster_config *config; /* the message's, owned */
    struct muster_note note;
    struct muster_role_table *table; /* the note's, owned */
};

struct sim_queue {
    struct sim_event **heap;
    size_t count;
    size_t capacity;
    uint64_t pushed;
};

/* Copies *event, and takes over its config and table. */
void sim_queue_push(struct sim_queue *queue, const struct sim_event *event);
/* The earliest event, for the caller to sim_event_free; NULL if none is left. */
struct sim_event *sim_queue_pop(struct sim_queue *queue);
void sim_event_free(struct sim_event *event);
void sim_queue_close(struct sim_queue *queue);

#endif
