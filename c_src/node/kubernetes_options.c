#include "node/kubernetes_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/poller.h"

#define SERVICE_ACCOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"
#define CLUSTER_SERVER "kubernetes.default.svc"
/* libcluster's. */
#define TIMEOUT_MS 15000

/* What is not taken as it is given. */
struct given {
    char cluster[MUSTER_KUBERNETES_NAME_MAX + 1];
    int mode, lookup;
};

#define TEXT(name_, target_, max_)                                                                 \
    { .name = (name_), .type = MUSTER_ARG_TEXT, .target = (target_), .max = (max_) }

static int read_args(struct muster_kubernetes_options *o, struct given *g, struct muster_slice map,
                     struct muster_problem *problem) {
    static const char *const modes[] = {"ip", "hostname", "dns", NULL};
    static const char *const lookups[] = {"endpoints", "pods", NULL};
    static const char *const booleans[] = {"false", "true", NULL};
    struct muster_arg args[] = {
        {.name = "kubernetes_node_basename",
         .type = MUSTER_ARG_TEXT,
         .target = o->basename,
         .required = 1,
         .max = MUSTER_NODE_NAME_MAX},
        {.name = "kubernetes_selector",
         .type = MUSTER_ARG_TEXT,
         .target = o->selector,
         .required = 1,
         .max = MUSTER_KUBERNETES_SELECTOR_MAX},
        TEXT("kubernetes_namespace", o->namespace, MUSTER_KUBERNETES_NAME_MAX),
        TEXT("kubernetes_service_name", o->service, MUSTER_KUBERNETES_NAME_MAX),
        TEXT("kubernetes_cluster_name", g->cluster, MUSTER_KUBERNETES_NAME_MAX),
        TEXT("kubernetes_master", o->master, MUSTER_K8S_HOST_MAX),
        TEXT("kubernetes_service_account_path", o->account_path, MUSTER_KUBERNETES_PATH_MAX),
        {.name = "mode", .type = MUSTER_ARG_CHOICE, .target = &g->mode, .choices = modes},
        {.name = "kubernetes_ip_lookup_mode",
         .type = MUSTER_ARG_CHOICE,
         .target = &g->lookup,
         .choices = lookups},
        {.name = "kubernetes_use_cached_resources",
         .type = MUSTER_ARG_CHOICE,
         .target = &o->use_cached,
         .choices = booleans},
        {.name = "timeout",
         .type = MUSTER_ARG_INTEGER,
         .target = &o->timeout_ms,
         .min = 100,
         .max = 120000},
        MUSTER_POLLER_ARGS(&o->interval_ms),
    };
    return muster_args_read(map, args, MUSTER_COUNT(args), problem);
}

/* As libcluster: the environment's CLUSTER_DOMAIN goes before the cluster's name. */
static void take_domain(struct muster_kubernetes_options *o, const char *cluster) {
    const char *domain = getenv("CLUSTER_DOMAIN");
    if (domain != NULL && domain[0] != '\0') {
        snprintf(o->domain, sizeof o->domain, "%s", domain);
    } else {
        snprintf(o->domain, sizeof o->domain, "%s.local", cluster);
    }
}

static int check(const struct muster_kubernetes_options *o, struct muster_problem *problem) {
    struct muster_k8s_server server;
    if (muster_args_check_basename("kubernetes_node_basename", o->basename, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    if (o->naming.mode == MUSTER_K8S_HOSTNAME && o->service[0] == '\0') {
        snprintf(problem->text, sizeof problem->text,
                 "option kubernetes_service_name is missing: mode hostname makes names of it");
        return MUSTER_E_INVALID;
    }
    if (o->master[0] != '\0' && muster_k8s_server_read(&server, o->master, o->domain) != 0) {
        snprintf(problem->text, sizeof problem->text,
                 "option kubernetes_master: <<\"%.150s\">> is not a host name or address, with or "
                 "without a port, for HTTPS",
                 o->master);
        return MUSTER_E_INVALID;
    }
    return 0;
}

int muster_kubernetes_options_read(struct muster_kubernetes_options *options,
                                   struct muster_slice map, struct muster_problem *problem) {
    struct given g = {.cluster = "cluster"};
    *options = (struct muster_kubernetes_options){.account_path = SERVICE_ACCOUNT_PATH,
                                                  .interval_ms = MUSTER_POLL_INTERVAL_MS,
                                                  .timeout_ms = TIMEOUT_MS};
    if (read_args(options, &g, map, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    take_domain(options, g.cluster);
    options->naming.lookup = (enum muster_k8s_lookup)g.lookup;
    options->naming.mode = (enum muster_k8s_mode)g.mode;
    return check(options, problem);
}

int muster_kubernetes_server(const struct muster_kubernetes_options *options,
                             struct muster_k8s_server *server) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    char text[MUSTER_K8S_HOST_MAX + 16];
    if (options->master[0] != '\0') {
        return muster_k8s_server_read(server, options->master, options->domain);
    }
    if (host == NULL || host[0] == '\0') {
        return muster_k8s_server_read(server, CLUSTER_SERVER, options->domain);
    }
    int is_ip6 = strchr(host, ':') != NULL;
    snprintf(text, sizeof text, "%s%s%s:%s", is_ip6 ? "[" : "", host, is_ip6 ? "]" : "",
             port != NULL && port[0] != '\0' ? port : "443");
    return muster_k8s_server_read(server, text, options->domain);
}
