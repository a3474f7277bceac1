/* What the strategies that ask DNS share: questions, names from the answers, times to live. */
#ifndef MUSTER_NODE_DNS_POLL_H
#define MUSTER_NODE_DNS_POLL_H

#include "node/dns.h"
#include "node/poller.h"

#define MUSTER_DNS_QUERY_MAX 255

enum muster_dns_records {
    MUSTER_DNS_RECORDS_A,
    MUSTER_DNS_RECORDS_AAAA,
    MUSTER_DNS_RECORDS_BOTH,
    MUSTER_DNS_RECORDS_FAMILY, /* as the distribution's addresses */
    MUSTER_DNS_RECORDS_SRV
};

/* For MUSTER_ARG_CHOICE, in the order of the enumeration. */
extern const char *const muster_dns_record_choices[];

struct muster_dns_poll_options {
    char queries[MUSTER_ARG_BINARIES_MAX][MUSTER_DNS_QUERY_MAX + 1];
    unsigned query_count;
    const char *query_option; /* what the user gave the query as, for error texts */
    char basename[MUSTER_NODE_NAME_MAX + 1];
    enum muster_dns_records records;
    struct muster_dns_servers servers;
    int64_t interval_ms, timeout_ms, ttl_max_ms;
};

/* Defaults; then the options that all share, for a table of muster_args_read. */
void muster_dns_poll_defaults(struct muster_dns_poll_options *options);

#define MUSTER_DNS_POLL_ARGS(options_, servers_)                                                   \
    MUSTER_POLLER_ARGS(&(options_)->interval_ms),                                                  \
        {.name = "nameservers", .type = MUSTER_ARG_BINARIES, .target = (servers_), .max = 63},     \
        {.name = "timeout",                                                                        \
         .type = MUSTER_ARG_INTEGER,                                                               \
         .target = &(options_)->timeout_ms,                                                        \
         .min = 50,                                                                                \
         .max = 60000},                                                                            \
    {                                                                                              \
        .name = "ttl_max", .type = MUSTER_ARG_INTEGER, .target = &(options_)->ttl_max_ms,          \
        .min = 1000, .max = MUSTER_POLL_INTERVAL_MAX_MS                                            \
    }

/* Checks what was read, and begins. Returns 0 or a negative code with the problem filled in. */
int muster_dns_poll_start(struct muster_topology *topology,
                          const struct muster_dns_poll_options *options,
                          struct muster_problem *problem);

/* The same for all of them. */
void muster_dns_poll_sync(struct muster_topology *topology);
void muster_dns_poll_stop(struct muster_topology *topology);
void muster_dns_poll_write_counters(const struct muster_topology *topology,
                                    struct muster_writer *w);

#endif
