/* The options of the strategy `gossip`: libcluster's names, and some of our own. */
#ifndef MUSTER_NODE_GOSSIP_OPTIONS_H
#define MUSTER_NODE_GOSSIP_OPTIONS_H

#include "node/args.h"
#include "node/gossip_socket.h"

#define MUSTER_GOSSIP_SECRET_MAX 1024

struct muster_gossip_options {
    struct muster_gossip_endpoint endpoint;
    int64_t interval_ms, expire_ms, clock_window_ms, connects_per_s;
    struct muster_slice secret;             /* empty: none */
    struct muster_arg_binaries old_secrets; /* both point into the map that was read */
};

/* Returns 0 or MUSTER_E_INVALID with `*problem` filled in. */
int muster_gossip_options_read(struct muster_gossip_options *options, struct muster_slice map,
                               struct muster_problem *problem);

#endif
