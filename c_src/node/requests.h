/* The requests that the C node answers: from its BEAM over the control port, and from other nodes
 * to `muster`. */
#ifndef MUSTER_NODE_REQUESTS_H
#define MUSTER_NODE_REQUESTS_H

#include "node/codec.h"
#include "node/node.h"

/* The answer to a request comes later, through the node's owner. */
#define MUSTER_REQUEST_LATER 1

/*
 * Carries out `op` of `service` with the argument map `arg` and writes {ok, Result} or {error,
 * Reason}, exactly one term, and returns 0; or MUSTER_REQUEST_LATER, with nothing written, when the
 * request `id` is answered by on_answer. docs/control-port.md lists services, operations and
 * arguments.
 */
int muster_requests_from_beam(struct muster_node *node, int64_t id, const char *service,
                              const char *op, struct muster_slice arg, struct muster_writer *w);

/* {error, Atom}, or {error, {Atom, Text}} where there is more to say. */
void muster_requests_write_error(struct muster_writer *w, const char *error, const char *text);

/* Answers another node's gen_server call: `ping`, `info`, `peers`, `health`; writes exactly one
 * term. */
void muster_requests_from_peer(struct muster_node *node, struct muster_slice request,
                               struct muster_writer *w);

#endif
