/* What the C node tells its BEAM unasked, each as a term (docs/control-port.md). */
#ifndef MUSTER_NODE_PORT_EVENTS_H
#define MUSTER_NODE_PORT_EVENTS_H

#include "node/codec.h"
#include "node/node.h"

struct muster_port;

/* Fills in the callbacks that tell of something; the contexts, all the port, are the caller's. */
void muster_port_events_set(struct muster_node_owner *owner);

/* A frame is begun: {Kind, …}, a tuple of `arity`. */
void muster_port_begin(struct muster_writer *w, int arity, const char *kind);

/* Sends the frame that the writer holds, and frees it. */
void muster_port_send(struct muster_port *port, struct muster_writer *w);

#endif
