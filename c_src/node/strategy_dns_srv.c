/*
 * The strategies that ask for a service by name:
 *
 * `dns_srv` (libcluster's Kubernetes.DNSSRV, and any other SRV record): every target is a node
 * `basename@target`.
 *
 * `kubernetes_dns` (libcluster's Kubernetes.DNS): every address of a headless service is a node
 * `application_name@address`.
 */
#include <stdio.h>

#include "core/errors.h"
#include "node/dns_poll.h"

#define LABEL_MAX 63
#define DOMAIN_MAX (MUSTER_DNS_QUERY_MAX / 2)
#define DOMAIN_DEFAULT "cluster.local"

/* The options that say which service; absent ones are empty. */
struct service {
    char query[MUSTER_DNS_QUERY_MAX + 1], service[MUSTER_DNS_QUERY_MAX + 1];
    char basename[MUSTER_NODE_NAME_MAX + 1], application[MUSTER_NODE_NAME_MAX + 1];
    char namespace[LABEL_MAX + 1], domain[DOMAIN_MAX + 1];
};

#define SERVICE_ARGS(s)                                                                            \
    {.name = "service",                                                                            \
     .type = MUSTER_ARG_TEXT,                                                                      \
     .target = (s)->service,                                                                       \
     .max = MUSTER_DNS_QUERY_MAX},                                                                 \
        {.name = "application_name",                                                               \
         .type = MUSTER_ARG_TEXT,                                                                  \
         .target = (s)->application,                                                               \
         .max = MUSTER_NODE_NAME_MAX},                                                             \
        {.name = "namespace",                                                                      \
         .type = MUSTER_ARG_TEXT,                                                                  \
         .target = (s)->namespace,                                                                 \
         .max = LABEL_MAX},                                                                        \
    {                                                                                              \
        .name = "cluster_domain", .type = MUSTER_ARG_TEXT, .target = (s)->domain,                  \
        .max = DOMAIN_MAX                                                                          \
    }

static int missing(const char *what, struct muster_problem *problem) {
    snprintf(problem->text, sizeof problem->text, "option %s is missing", what);
    return MUSTER_E_INVALID;
}

/* The service's name in full within Kubernetes, or as it was given when there is no namespace. */
static int service_query(const struct service *s, char out[MUSTER_DNS_QUERY_MAX + 1],
                         struct muster_problem *problem) {
    int n = s->namespace[0] == '\0' ? snprintf(out, MUSTER_DNS_QUERY_MAX + 1, "%s", s->service)
                                    : snprintf(out, MUSTER_DNS_QUERY_MAX + 1, "%s.%s.svc.%s.",
                                               s->service, s->namespace, s->domain);
    if (n > MUSTER_DNS_QUERY_MAX) {
        snprintf(problem->text, sizeof problem->text,
                 "options service, namespace and cluster_domain make a name longer than %d bytes",
                 MUSTER_DNS_QUERY_MAX);
        return MUSTER_E_INVALID;
    }
    return 0;
}

static int begin(struct muster_topology *topology, struct muster_dns_poll_options *options,
                 const struct service *s, struct muster_problem *problem) {
    int by_query = s->query[0] != '\0';
    options->query_count = 1;
    options->query_option = by_query ? "query" : "service";
    memcpy(options->basename, by_query ? s->basename : s->application, sizeof options->basename);
    if (by_query) {
        memcpy(options->queries[0], s->query, sizeof options->queries[0]);
    } else if (service_query(s, options->queries[0], problem) != 0) {
        return MUSTER_E_INVALID;
    }
    return muster_dns_poll_start(topology, options, problem);
}

static int start_srv(struct muster_topology *topology, struct muster_slice map,
                     struct muster_problem *problem) {
    struct muster_dns_poll_options options;
    struct service s = {.domain = DOMAIN_DEFAULT};
    struct muster_arg_binaries servers = {.count = 0};
    muster_dns_poll_defaults(&options);
    options.records = MUSTER_DNS_RECORDS_SRV;
    struct muster_arg args[] = {
        {.name = "query", .type = MUSTER_ARG_TEXT, .target = s.query, .max = MUSTER_DNS_QUERY_MAX},
        {.name = "node_basename",
         .type = MUSTER_ARG_TEXT,
         .target = s.basename,
         .max = MUSTER_NODE_NAME_MAX},
        SERVICE_ARGS(&s),
        MUSTER_DNS_POLL_ARGS(&options, &servers),
    };
    if (muster_args_read(map, args, MUSTER_COUNT(args), problem) != 0 ||
        muster_dns_servers_read(&options.servers, &servers, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    if (s.query[0] == '\0' && s.service[0] == '\0') {
        return missing("query (or service, for a headless service in Kubernetes)", problem);
    }
    if (s.query[0] != '\0' && s.basename[0] == '\0') {
        return missing("node_basename", problem);
    }
    if (s.query[0] == '\0' && s.application[0] == '\0') {
        return missing("application_name", problem);
    }
    return begin(topology, &options, &s, problem);
}

static int start_kubernetes_dns(struct muster_topology *topology, struct muster_slice map,
                                struct muster_problem *problem) {
    struct muster_dns_poll_options options;
    struct service s = {.domain = DOMAIN_DEFAULT};
    struct muster_arg_binaries servers = {.count = 0};
    int records = MUSTER_DNS_RECORDS_FAMILY;
    muster_dns_poll_defaults(&options);
    struct muster_arg args[] = {
        SERVICE_ARGS(&s),
        {.name = "records",
         .type = MUSTER_ARG_CHOICE,
         .target = &records,
         .choices = muster_dns_record_choices},
        MUSTER_DNS_POLL_ARGS(&options, &servers),
    };
    if (muster_args_read(map, args, MUSTER_COUNT(args), problem) != 0 ||
        muster_dns_servers_read(&options.servers, &servers, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    if (s.service[0] == '\0' || s.application[0] == '\0') {
        return missing(s.service[0] == '\0' ? "service" : "application_name", problem);
    }
    options.records = (enum muster_dns_records)records;
    return begin(topology, &options, &s, problem);
}

const struct muster_strategy_type muster_strategy_dns_srv = {.name = "dns_srv",
                                                             .start = start_srv,
                                                             .sync = muster_dns_poll_sync,
                                                             .stop = muster_dns_poll_stop,
                                                             .write_counters =
                                                                 muster_dns_poll_write_counters};

const struct muster_strategy_type muster_strategy_kubernetes_dns = {
    .name = "kubernetes_dns",
    .start = start_kubernetes_dns,
    .sync = muster_dns_poll_sync,
    .stop = muster_dns_poll_stop,
    .write_counters = muster_dns_poll_write_counters};
