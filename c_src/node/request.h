/* One request of the BEAM, as the handlers of all services see it. */
#ifndef MUSTER_NODE_REQUEST_H
#define MUSTER_NODE_REQUEST_H

#include "node/args.h"
#include "node/codec.h"
#include "node/node.h"

/*
 * A handler writes the result on success and returns 0; otherwise it writes nothing, names the
 * error, fills in the problem and returns a negative code; or it returns MUSTER_REQUEST_LATER.
 */
struct muster_request {
    struct muster_node *node;
    int64_t id;
    struct muster_slice arg;
    struct muster_writer *w;
    const char *error;
    struct muster_problem problem;
};

int muster_request_refuse(struct muster_request *q, const char *error, const char *text);

int muster_request_args(struct muster_request *q, struct muster_arg *args, size_t count);

/* {ok, Result} is begun by the first thing a handler writes. */
struct muster_writer *muster_request_succeed(struct muster_request *q);

int muster_request_succeed_empty(struct muster_request *q);

#endif
