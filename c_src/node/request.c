#include "node/request.h"

#include <stdio.h>

#include "core/errors.h"

int muster_request_refuse(struct muster_request *q, const char *error, const char *text) {
    q->error = error;
    snprintf(q->problem.text, sizeof q->problem.text, "%s", text);
    return MUSTER_E_INVALID;
}

int muster_request_args(struct muster_request *q, struct muster_arg *args, size_t count) {
    q->error = "invalid_argument";
    return muster_args_read(q->arg, args, count, &q->problem);
}

struct muster_writer *muster_request_succeed(struct muster_request *q) {
    muster_write_tuple(q->w, 2);
    muster_write_atom(q->w, "ok");
    return q->w;
}

int muster_request_succeed_empty(struct muster_request *q) {
    muster_write_map(muster_request_succeed(q), 0);
    return 0;
}
