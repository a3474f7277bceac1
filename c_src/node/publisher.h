/* The node's entry in the local epmd: made, kept, and made again when epmd was restarted. */
#ifndef MUSTER_NODE_PUBLISHER_H
#define MUSTER_NODE_PUBLISHER_H

#include <uv.h>

#include "core/backoff.h"
#include "core/epmd.h"
#include "core/node_name.h"

/* `published` is true or false, `text` says why not. Called on each change, first failures
 * included. */
typedef void (*muster_published)(void *context, int published, const char *text);

struct muster_publisher {
    uv_loop_t *loop;
    struct muster_node_name name;
    uint16_t epmd_port;
    uint16_t node_port;
    int family;
    muster_published changed;
    void *context;
    struct muster_backoff backoff;
    uv_timer_t retry;
    struct publication *publication; /* the connection that is, or is to be, the entry */
    int published;
    const char *told; /* the last failure's text, which is told once; NULL: there was none */
};

/* Begins to publish; the outcome is told later. The struct must live until the loop has run once
 * more after muster_publisher_stop. */
void muster_publisher_start(struct muster_publisher *publisher, uv_loop_t *loop,
                            const struct muster_node_name *name, uint16_t epmd_port,
                            uint16_t node_port, int family, muster_published changed,
                            void *context);

/* Closing the connection is what takes the entry out of epmd. */
void muster_publisher_stop(struct muster_publisher *publisher);

#endif
