/*
 * The strategy `tailscale`: the machines of the tailnet that are online, as `tailscale status
 * --json` tells them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "core/tailscale_parse.h"
#include "node/command.h"
#include "node/poller.h"

#define TIMEOUT_MS 5000
#define OUTPUT_LIMIT (64u << 20)
#define COMMAND_MAX 1023
#define TAG_MAX 255
#define STATE_SIZE 64
#define TEXT_SIZE 640

struct tailscale {
    struct muster_poller poller;
    char command[COMMAND_MAX + 1];
    char basename[MUSTER_NODE_NAME_MAX + 1];
    char tag[TAG_MAX + 1]; /* empty: all machines */
    int use_dns_names;
    int64_t timeout_ms;
    struct muster_command *run; /* under way */
    struct muster_tailscale_parse parse;
    struct muster_name_list names;
    size_t received;
    int parse_error;
    /* What the last complete answer said. */
    unsigned peers, online, tagged, unnamed;
};

static void fail(struct tailscale *t, const char *text) {
    muster_poller_failed(&t->poller, text);
}

/* --- The answer --- */

static int on_output(void *context, struct muster_slice bytes) {
    struct tailscale *t = context;
    t->received += bytes.len;
    t->parse_error =
        t->received > OUTPUT_LIMIT ? MUSTER_E_LIMIT : muster_tailscale_parse_feed(&t->parse, bytes);
    return t->parse_error;
}

static void fail_exit(struct tailscale *t, enum muster_command_outcome outcome, int64_t code,
                      const char *said) {
    char text[TEXT_SIZE];
    if (outcome == MUSTER_COMMAND_TIMED_OUT) {
        snprintf(text, sizeof text,
                 "Tailscale: %.150s status --json did not end within %lld ms and was killed: does "
                 "tailscaled answer? Option timeout gives it longer",
                 t->command, (long long)t->timeout_ms);
    } else {
        snprintf(text, sizeof text,
                 "Tailscale: %.150s status --json ended with %s %lld: run it by hand as this user. "
                 "It says: %s",
                 t->command, outcome == MUSTER_COMMAND_SIGNALLED ? "signal" : "exit status",
                 (long long)code, said[0] != '\0' ? said : "nothing");
    }
    fail(t, text);
}

static void fail_parse(struct tailscale *t, int error) {
    char text[TEXT_SIZE];
    if (error == MUSTER_E_LIMIT) {
        snprintf(text, sizeof text, "Tailscale: %.150s prints more than is sensible (%zu bytes)",
                 t->command, t->received);
    } else {
        snprintf(text, sizeof text,
                 "Tailscale: what %.150s status --json prints is no status (%s): is option command "
                 "the Tailscale client, 1.8 or newer?",
                 t->command,
                 error == MUSTER_E_UNSUPPORTED ? "it is JSON of another kind"
                                               : muster_strerror(error));
    }
    fail(t, text);
}

static int is_running(const char *state) {
    return state[0] == '\0' || strcmp(state, "Running") == 0;
}

static void remember(struct tailscale *t) {
    t->peers = t->parse.peers;
    t->online = t->parse.online;
    t->tagged = t->parse.tagged;
    t->unnamed = t->parse.unnamed;
}

static void report(struct tailscale *t) {
    char state[STATE_SIZE], text[TEXT_SIZE];
    int error = t->parse_error != 0 ? t->parse_error
                                    : muster_tailscale_parse_finish(&t->parse, state, sizeof state);
    if (error != 0) {
        fail_parse(t, error);
    } else if (!is_running(state)) {
        snprintf(text, sizeof text,
                 "Tailscale is not connected (state %s): run `tailscale up` on this machine",
                 state);
        fail(t, text);
    } else if (t->parse.tagged > 0 && t->names.count == 0) {
        fail(t, t->use_dns_names ? "Tailscale: the machines have no DNS names: enable MagicDNS for "
                                   "the tailnet, or set use_dns_names to false"
                                 : "Tailscale: the machines have no addresses");
    } else {
        remember(t);
        muster_poller_answered(&t->poller, &t->names, t->poller.interval_ms);
    }
}

static void end_question(struct tailscale *t) {
    muster_tailscale_parse_close(&t->parse);
    muster_name_list_close(&t->names);
}

static void on_end(void *context, enum muster_command_outcome outcome, int64_t code,
                   const char *said) {
    struct tailscale *t = context;
    if (outcome == MUSTER_COMMAND_STOPPED || (outcome == MUSTER_COMMAND_EXITED && code == 0)) {
        report(t);
    } else {
        fail_exit(t, outcome, code, said);
    }
    end_question(t);
}

/* --- The question --- */

static void fail_start(struct tailscale *t, int status) {
    char text[TEXT_SIZE];
    if (status == UV_ENOENT) {
        snprintf(text, sizeof text,
                 "Tailscale: there is no command %.200s in PATH: install Tailscale here, or set "
                 "option command to its path",
                 t->command);
    } else {
        snprintf(text, sizeof text, "Tailscale: %.200s cannot be run: %s", t->command,
                 uv_strerror(status));
    }
    fail(t, text);
}

static void ask(void *state) {
    struct tailscale *t = state;
    char *args[] = {t->command, "status", "--json", NULL};
    struct muster_command_owner owner = {.context = t, .on_output = on_output, .on_end = on_end};
    struct muster_tailscale_naming naming = {
        .basename = t->basename,
        .tag = t->tag[0] != '\0' ? t->tag : NULL,
        .use_dns_names = t->use_dns_names,
        .prefer_ipv6 = muster_topology_family(t->poller.topology) == AF_INET6};
    muster_tailscale_parse_init(&t->parse, &naming, &t->names);
    t->received = 0;
    t->parse_error = 0;
    int status = muster_command_start(muster_topology_loop(t->poller.topology), args,
                                      (uint64_t)t->timeout_ms, &owner, &t->run);
    if (status != 0) {
        end_question(t);
        fail_start(t, status);
    }
}

/* --- Life --- */

static int read_options(struct tailscale *t, int64_t *interval_ms, struct muster_slice map,
                        struct muster_problem *problem) {
    static const char *const booleans[] = {"false", "true", NULL};
    struct muster_arg args[] = {
        {.name = "node_basename",
         .type = MUSTER_ARG_TEXT,
         .target = t->basename,
         .required = 1,
         .max = MUSTER_NODE_NAME_MAX},
        {.name = "tag_filter", .type = MUSTER_ARG_TEXT, .target = t->tag, .max = TAG_MAX},
        {.name = "use_dns_names",
         .type = MUSTER_ARG_CHOICE,
         .target = &t->use_dns_names,
         .choices = booleans},
        {.name = "command", .type = MUSTER_ARG_TEXT, .target = t->command, .max = COMMAND_MAX},
        {.name = "timeout",
         .type = MUSTER_ARG_INTEGER,
         .target = &t->timeout_ms,
         .min = 100,
         .max = 60000},
        MUSTER_POLLER_ARGS(interval_ms),
    };
    if (muster_args_read(map, args, MUSTER_COUNT(args), problem) != 0) {
        return MUSTER_E_INVALID;
    }
    return muster_args_check_basename("node_basename", t->basename, problem);
}

static int start_tailscale(struct muster_topology *topology, struct muster_slice map,
                           struct muster_problem *problem) {
    int64_t interval_ms = MUSTER_POLL_INTERVAL_MS;
    struct tailscale *t = calloc(1, sizeof *t);
    if (t == NULL) {
        snprintf(problem->text, sizeof problem->text, "out of memory");
        return MUSTER_E_NOMEM;
    }
    snprintf(t->command, sizeof t->command, "tailscale");
    t->timeout_ms = TIMEOUT_MS;
    int error = read_options(t, &interval_ms, map, problem);
    if (error != 0) {
        free(t);
        return error;
    }
    muster_topology_set_state(topology, t);
    muster_poller_start(&t->poller, topology, (uint64_t)interval_ms, ask, t);
    return 0;
}

static void sync_tailscale(struct muster_topology *topology) {
    struct tailscale *t = muster_topology_state(topology);
    muster_poller_sync(&t->poller);
}

static void stop_tailscale(struct muster_topology *topology) {
    struct tailscale *t = muster_topology_state(topology);
    if (t->run != NULL) {
        muster_command_cancel(t->run);
        end_question(t);
    }
    muster_poller_close(&t->poller, free);
}

static void write_counters(const struct muster_topology *topology, struct muster_writer *w) {
    const struct tailscale *t = muster_topology_state(topology);
    muster_write_map(w, 4);
    muster_write_pair(w, "peers", t->peers);
    muster_write_pair(w, "online", t->online);
    muster_write_pair(w, "tagged", t->tagged);
    muster_write_pair(w, "unnamed", t->unnamed);
}

const struct muster_strategy_type muster_strategy_tailscale = {.name = "tailscale",
                                                               .start = start_tailscale,
                                                               .sync = sync_tailscale,
                                                               .stop = stop_tailscale,
                                                               .write_counters = write_counters};
