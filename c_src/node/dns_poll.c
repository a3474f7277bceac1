#include "node/dns_poll.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/dns_answer.h"
#include "core/errors.h"

#define TIMEOUT_MS 5000
#define TTL_MAX_MS 60000
/* An answer that lives shorter is not asked for more often than this. */
#define FLOOR_MS 1000
#define QUESTIONS_MAX (2 * MUSTER_ARG_BINARIES_MAX)

const char *const muster_dns_record_choices[] = {"a", "aaaa", "both", "family", NULL};

struct dns_poll {
    struct muster_poller poller;
    struct muster_dns_poll_options options;
    struct muster_dns *dns; /* under way */
    struct muster_dns_question questions[QUESTIONS_MAX];
    unsigned count;
    /* The answers so far. */
    struct muster_name_list names;
    uint32_t ttl;
    unsigned failed;
    char problem[400];
    /* Counters. */
    uint64_t answers, failures, odd_records;
};

/* --- Answers --- */

static void note_problem(struct dns_poll *poll, unsigned index, const char *text) {
    const char *name = poll->questions[index].name;
    poll->failures++;
    if (poll->failed++ == 0) {
        snprintf(poll->problem, sizeof poll->problem, "DNS, %s %.100s: %s",
                 poll->options.query_option, name, text);
    }
}

static int add_name(struct dns_poll *poll, const struct muster_dns_record *record) {
    char text[INET6_ADDRSTRLEN];
    struct muster_node_name name;
    const char *host = record->target;
    size_t len = record->target_len;
    if (record->type != MUSTER_DNS_SRV) {
        uv_inet_ntop(record->type == MUSTER_DNS_A ? AF_INET : AF_INET6, record->address, text,
                     sizeof text);
        host = text;
        len = strlen(text);
    } else if (len == 0) {
        return 0; /* RFC 2782: "." says that there is no such service */
    }
    if (muster_node_name_join(&name, poll->options.basename, host, len) != 0) {
        poll->odd_records++;
        return 0;
    }
    return muster_name_list_add(&poll->names, &name);
}

static int add_names(struct dns_poll *poll, uint16_t type, struct muster_slice message) {
    struct muster_dns_answer answer = {.ttl = UINT32_MAX};
    struct muster_dns_record record;
    int found = muster_dns_answer_open(&answer, message);
    while (found == 0 && (found = muster_dns_answer_next(&answer, type, &record)) == 1) {
        found = add_name(poll, &record);
    }
    poll->ttl = answer.ttl < poll->ttl ? answer.ttl : poll->ttl;
    return found;
}

static void on_answer(void *context, unsigned index, enum muster_dns_outcome outcome,
                      struct muster_slice message) {
    struct dns_poll *poll = context;
    int error = 0;
    if (outcome == MUSTER_DNS_ANSWER) {
        error = add_names(poll, poll->questions[index].type, message);
    }
    if (error == MUSTER_E_MALFORMED) {
        note_problem(poll, index, muster_dns_outcome_text(MUSTER_DNS_GARBLED));
    } else if (error != 0) {
        note_problem(poll, index, "more names than can be listed, or memory is short");
    } else if (outcome != MUSTER_DNS_ANSWER && outcome != MUSTER_DNS_NO_RECORDS) {
        note_problem(poll, index, muster_dns_outcome_text(outcome));
    } else {
        poll->answers++;
    }
}

static uint64_t wait_ms(const struct dns_poll *poll) {
    uint64_t interval = poll->poller.interval_ms;
    return muster_dns_wait_ms(poll->ttl, interval, interval < FLOOR_MS ? interval : FLOOR_MS,
                              (uint64_t)poll->options.ttl_max_ms);
}

static void note_how_many_failed(struct dns_poll *poll) {
    size_t used = strlen(poll->problem);
    if (poll->failed > 1) {
        snprintf(poll->problem + used, sizeof poll->problem - used, " (%u of %u questions failed)",
                 poll->failed, poll->count);
    }
}

static void on_end(void *context) {
    struct dns_poll *poll = context;
    if (poll->failed == 0) {
        muster_poller_answered(&poll->poller, &poll->names, wait_ms(poll));
    } else {
        note_how_many_failed(poll);
        muster_poller_partial(&poll->poller, &poll->names, poll->problem);
    }
    muster_name_list_close(&poll->names);
}

/* --- Questions --- */

static void add_question(struct dns_poll *poll, unsigned query, uint16_t type) {
    poll->questions[poll->count++] =
        (struct muster_dns_question){.name = poll->options.queries[query], .type = type};
}

static void add_questions(struct dns_poll *poll, unsigned query) {
    enum muster_dns_records records = poll->options.records;
    if (records == MUSTER_DNS_RECORDS_FAMILY) {
        records = muster_topology_family(poll->poller.topology) == AF_INET6
                      ? MUSTER_DNS_RECORDS_AAAA
                      : MUSTER_DNS_RECORDS_A;
    }
    if (records == MUSTER_DNS_RECORDS_SRV) {
        add_question(poll, query, MUSTER_DNS_SRV);
    }
    if (records == MUSTER_DNS_RECORDS_A || records == MUSTER_DNS_RECORDS_BOTH) {
        add_question(poll, query, MUSTER_DNS_A);
    }
    if (records == MUSTER_DNS_RECORDS_AAAA || records == MUSTER_DNS_RECORDS_BOTH) {
        add_question(poll, query, MUSTER_DNS_AAAA);
    }
}

static void ask(void *state) {
    struct dns_poll *poll = state;
    struct muster_dns_owner owner = {.context = poll, .on_answer = on_answer, .on_end = on_end};
    poll->ttl = UINT32_MAX;
    poll->failed = 0;
    poll->count = 0;
    for (unsigned i = 0; i < poll->options.query_count; i++) {
        add_questions(poll, i);
    }
    int error = muster_dns_ask(muster_topology_loop(poll->poller.topology), &poll->options.servers,
                               (uint64_t)poll->options.timeout_ms, poll->questions, poll->count,
                               &owner, &poll->dns);
    if (error != 0) {
        muster_poller_failed(&poll->poller, "DNS: the resolver (c-ares) cannot be started: memory "
                                            "or file descriptors are short");
    }
}

/* --- Life --- */

void muster_dns_poll_defaults(struct muster_dns_poll_options *options) {
    memset(options, 0, sizeof *options);
    options->records = MUSTER_DNS_RECORDS_FAMILY;
    options->interval_ms = MUSTER_POLL_INTERVAL_MS;
    options->timeout_ms = TIMEOUT_MS;
    options->ttl_max_ms = TTL_MAX_MS;
}

static int check_basename(const struct muster_dns_poll_options *options,
                          struct muster_problem *problem) {
    int is_service = strcmp(options->query_option, "service") == 0;
    return muster_args_check_basename(is_service ? "application_name" : "node_basename",
                                      options->basename, problem);
}

int muster_dns_poll_start(struct muster_topology *topology,
                          const struct muster_dns_poll_options *options,
                          struct muster_problem *problem) {
    if (check_basename(options, problem) != 0) {
        return MUSTER_E_INVALID;
    }
    struct dns_poll *poll = calloc(1, sizeof *poll);
    if (poll == NULL) {
        snprintf(problem->text, sizeof problem->text, "out of memory");
        return MUSTER_E_NOMEM;
    }
    poll->options = *options;
    muster_topology_set_state(topology, poll);
    muster_poller_start(&poll->poller, topology, (uint64_t)options->interval_ms, ask, poll);
    return 0;
}

void muster_dns_poll_sync(struct muster_topology *topology) {
    struct dns_poll *poll = muster_topology_state(topology);
    muster_poller_sync(&poll->poller);
}

void muster_dns_poll_stop(struct muster_topology *topology) {
    struct dns_poll *poll = muster_topology_state(topology);
    if (poll->dns != NULL) {
        muster_dns_cancel(poll->dns);
    }
    muster_name_list_close(&poll->names);
    muster_poller_close(&poll->poller, free);
}

void muster_dns_poll_write_counters(const struct muster_topology *topology,
                                    struct muster_writer *w) {
    const struct dns_poll *poll = muster_topology_state(topology);
    muster_write_map(w, 3);
    muster_write_pair(w, "answers", (int64_t)poll->answers);
    muster_write_pair(w, "failed_questions", (int64_t)poll->failures);
    muster_write_pair(w, "unusable_records", (int64_t)poll->odd_records);
}
