#include "node/discovery_requests.h"

#include <stdio.h>

#include "core/errors.h"
#include "node/report.h"

#define TOPOLOGY_ARG(target_)                                                                      \
    {                                                                                              \
        .name = "topology", .type = MUSTER_ARG_BINARY, .target = (target_), .required = 1,         \
        .max = MUSTER_TOPOLOGY_KEY_MAX                                                             \
    }

int muster_discovery_request_start(struct muster_request *q) {
    struct muster_slice key, options;
    char strategy[MUSTER_ATOM_SIZE];
    struct muster_arg args[] = {
        TOPOLOGY_ARG(&key),
        {.name = "strategy", .type = MUSTER_ARG_ATOM, .target = strategy, .required = 1},
        {.name = "options", .type = MUSTER_ARG_MAP, .target = &options, .required = 1},
    };
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    const struct muster_strategy_type *type = muster_strategy_find(strategy);
    if (type == NULL) {
        q->error = "unknown_strategy";
        snprintf(q->problem.text, sizeof q->problem.text,
                 "option strategy: %.200s is not one of %s", strategy, muster_strategy_names());
        return MUSTER_E_INVALID;
    }
    int error = muster_topology_start(&q->node->topologies, key, type, options, &q->problem);
    return error != 0 ? error : muster_request_succeed_empty(q);
}

static int find_topology(struct muster_request *q, struct muster_topology **topology) {
    struct muster_slice key;
    struct muster_arg args[] = {TOPOLOGY_ARG(&key)};
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    *topology = muster_topology_find(&q->node->topologies, key);
    return *topology != NULL ? 0
                             : muster_request_refuse(q, "unknown_topology",
                                                     "no topology of this key was started");
}

int muster_discovery_request_stop(struct muster_request *q) {
    struct muster_topology *topology;
    int error = find_topology(q, &topology);
    if (error != 0) {
        return error;
    }
    muster_topology_stop(topology);
    return muster_request_succeed_empty(q);
}

int muster_discovery_request_sync(struct muster_request *q) {
    struct muster_topology *topology;
    int error = find_topology(q, &topology);
    if (error != 0) {
        return error;
    }
    if (topology->type->needs_name && muster_topology_own_name(topology)->len == 0) {
        return muster_request_refuse(q, "not_distributed",
                                     "this node is not distributed: it has no name yet");
    }
    topology->type->sync(topology);
    return muster_request_succeed_empty(q);
}

int muster_discovery_request_status(struct muster_request *q) {
    struct muster_topology *topology;
    int error = find_topology(q, &topology);
    if (error == 0) {
        muster_report_topology(muster_request_succeed(q), topology);
    }
    return error;
}

int muster_discovery_request_set_metadata(struct muster_request *q) {
    struct muster_slice metadata;
    int64_t version;
    struct muster_arg args[] = {
        {.name = "version",
         .type = MUSTER_ARG_INTEGER,
         .target = &version,
         .required = 1,
         .max = INT64_MAX},
        {.name = "metadata", .type = MUSTER_ARG_MAP, .target = &metadata, .required = 1},
    };
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    int error = muster_topologies_set_metadata(&q->node->topologies, version, metadata);
    if (error != 0) {
        return muster_request_refuse(q, "invalid_argument",
                                     error == MUSTER_E_LIMIT
                                         ? "option metadata: more than 1024 bytes as a term"
                                         : "option metadata: not a map of binaries to binaries");
    }
    return muster_request_succeed_empty(q);
}
