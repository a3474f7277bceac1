#include "node/strategy.h"

#include <string.h>

/* One line for each strategy: X(the struct's name, the atom). */
#define STRATEGIES(X)                                                                              \
    X(muster_strategy_static, "static")                                                            \
    X(muster_strategy_gossip, "gossip")                                                            \
    X(muster_strategy_local_epmd, "local_epmd")                                                    \
    X(muster_strategy_hosts_file, "hosts_file")                                                    \
    X(muster_strategy_dns, "dns")                                                                  \
    X(muster_strategy_dns_srv, "dns_srv")                                                          \
    X(muster_strategy_kubernetes_dns, "kubernetes_dns")                                            \
    X(muster_strategy_kubernetes, "kubernetes")                                                    \
    X(muster_strategy_tailscale, "tailscale")

#define X(type, name) extern const struct muster_strategy_type type;
STRATEGIES(X)
#undef X

static const struct muster_strategy_type *const strategies[] = {
#define X(type, name) &type,
    STRATEGIES(X)
#undef X
};

const struct muster_strategy_type *muster_strategy_find(const char *name) {
    for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
        if (strcmp(strategies[i]->name, name) == 0) {
            return strategies[i];
        }
    }
    return NULL;
}

const char *muster_strategy_names(void) {
#define X(type, name) " " name
    return &STRATEGIES(X)[1];
#undef X
}
