/*
 * The strategy `dns` (libcluster's DNSPoll): every address of the names in option query is a node
 * `node_basename@address`.
 */
#include <stdio.h>

#include "core/errors.h"
#include "node/dns_poll.h"

static int take_queries(struct muster_dns_poll_options *options,
                        const struct muster_arg_binaries *queries, struct muster_problem *problem) {
    for (unsigned i = 0; i < queries->count; i++) {
        struct muster_slice query = queries->items[i];
        if (memchr(query.data, 0, query.len) != NULL) {
            snprintf(problem->text, sizeof problem->text, "option query: no name has a zero byte");
            return MUSTER_E_INVALID;
        }
        memcpy(options->queries[i], query.data, query.len);
        options->queries[i][query.len] = '\0';
    }
    options->query_count = queries->count;
    if (queries->count == 0) {
        snprintf(problem->text, sizeof problem->text, "option query: the list is empty");
        return MUSTER_E_INVALID;
    }
    return 0;
}

static int start_dns(struct muster_topology *topology, struct muster_slice map,
                     struct muster_problem *problem) {
    struct muster_dns_poll_options options;
    struct muster_arg_binaries queries = {.count = 0}, servers = {.count = 0};
    int records = MUSTER_DNS_RECORDS_FAMILY;
    muster_dns_poll_defaults(&options);
    struct muster_arg args[] = {
        {.name = "query",
         .type = MUSTER_ARG_BINARIES,
         .target = &queries,
         .required = 1,
         .max = MUSTER_DNS_QUERY_MAX},
        {.name = "node_basename",
         .type = MUSTER_ARG_TEXT,
         .target = options.basename,
         .required = 1,
         .max = MUSTER_NODE_NAME_MAX},
        {.name = "records",
         .type = MUSTER_ARG_CHOICE,
         .target = &records,
         .choices = muster_dns_record_choices},
        MUSTER_DNS_POLL_ARGS(&options, &servers),
    };
    if (muster_args_read(map, args, MUSTER_COUNT(args), problem) != 0 ||
        muster_dns_servers_read(&options.servers, &servers, problem) != 0 ||
        take_queries(&options, &queries, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    options.query_option = "query";
    options.records = (enum muster_dns_records)records;
    return muster_dns_poll_start(topology, &options, problem);
}

const struct muster_strategy_type muster_strategy_dns = {.name = "dns",
                                                         .start = start_dns,
                                                         .sync = muster_dns_poll_sync,
                                                         .stop = muster_dns_poll_stop,
                                                         .write_counters =
                                                             muster_dns_poll_write_counters};
