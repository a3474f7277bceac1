/* The options of the strategy `kubernetes`, under libcluster's names. */
#ifndef MUSTER_NODE_KUBERNETES_OPTIONS_H
#define MUSTER_NODE_KUBERNETES_OPTIONS_H

#include "core/k8s_request.h"
#include "node/args.h"

#define MUSTER_KUBERNETES_NAME_MAX 63
#define MUSTER_KUBERNETES_PATH_MAX 1023
#define MUSTER_KUBERNETES_SELECTOR_MAX 1000

struct muster_kubernetes_options {
    struct muster_k8s_naming naming; /* lookup and mode only; the texts are below */
    char basename[MUSTER_NODE_NAME_MAX + 1];
    char selector[MUSTER_KUBERNETES_SELECTOR_MAX + 1];
    char namespace[MUSTER_KUBERNETES_NAME_MAX + 1]; /* empty: the service account's */
    char service[MUSTER_KUBERNETES_NAME_MAX + 1];
    char domain[MUSTER_K8S_HOST_MAX + 1];
    char master[MUSTER_K8S_HOST_MAX + 1]; /* empty: the environment's */
    char account_path[MUSTER_KUBERNETES_PATH_MAX + 1];
    int use_cached;
    int64_t interval_ms, timeout_ms;
};

/* Returns 0, or MUSTER_E_INVALID with the problem filled in. */
int muster_kubernetes_options_read(struct muster_kubernetes_options *options,
                                   struct muster_slice map, struct muster_problem *problem);

/* Where the API server is: the option, else $KUBERNETES_SERVICE_HOST and _PORT, else the cluster's
 * name for it. Returns 0 or MUSTER_E_INVALID. */
int muster_kubernetes_server(const struct muster_kubernetes_options *options,
                             struct muster_k8s_server *server);

#endif
