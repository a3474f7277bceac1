/*
 * The strategy `hosts_file`: the hosts of an `.hosts.erlang` file, and the nodes that their epmds
 * know (libcluster's ErlangHosts). The file is read anew each time. Options: path, root_dir,
 * poll_interval.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/epmd_names.h"
#include "node/hosts_reading.h"
#include "node/poller.h"
#include "node/strategy.h"
#include "node/topology.h"

/* How often it is looked whether this node has a name yet. */
#define NAME_POLL_MS 100
/* Hosts asked at the same time: a dead one holds its place for 3 s, and delays no other. */
#define ASKED_AT_ONCE 64

/* The asking of one host. */
struct asked_host {
    struct hosts_file *owner;
    struct muster_epmd_names *names; /* NULL: free */
    unsigned index;
};

struct hosts_file {
    struct muster_topology *topology;
    uv_timer_t timer;
    int64_t poll_interval_ms;
    char path[PATH_MAX], root_dir[PATH_MAX];
    struct muster_hosts_reading *reading; /* NULL when not reading */
    struct muster_hosts hosts;
    unsigned next_host, asking; /* of this round */
    int starting;               /* askings that end at once do not start others from within */
    struct asked_host asked[ASKED_AT_ONCE];
    struct muster_name_list found;
    unsigned failed_hosts;
    char failures[256]; /* a text that names the first of them */
};

static void on_timer(uv_timer_t *timer);

static void poll_in(struct hosts_file *h, uint64_t ms) {
    uv_timer_start(&h->timer, on_timer, ms, 0);
}

/* --- A round: all hosts of the file --- */

static void begin_round(struct hosts_file *h) {
    h->found.count = 0;
    h->next_host = h->failed_hosts = 0;
    h->failures[0] = '\0';
}

static void end_round(struct hosts_file *h) {
    char text[sizeof h->failures + 64];
    poll_in(h, (uint64_t)h->poll_interval_ms);
    if (h->failed_hosts == 0) {
        muster_topology_report(h->topology, &h->found);
    } else {
        snprintf(text, sizeof text, "%u of %u hosts gave no names: %s", h->failed_hosts,
                 h->hosts.count, h->failures);
        muster_topology_failed(h->topology, text);
    }
}

static void host_failed(struct hosts_file *h, unsigned index, const char *detail) {
    size_t len = strlen(h->failures);
    h->failed_hosts++;
    snprintf(h->failures + len, sizeof h->failures - len, "%s%s: %s", len > 0 ? "; " : "",
             h->hosts.names[index], detail);
}

static void collect(struct hosts_file *h, unsigned index, const struct muster_name_list *names) {
    for (unsigned i = 0; i < names->count; i++) {
        if (muster_name_list_add(&h->found, &names->names[i]) != 0) {
            host_failed(h, index, "too many nodes");
            return;
        }
    }
}

static void ask_hosts(struct hosts_file *h);

static void on_names(void *context, const struct muster_name_list *names, const char *detail) {
    struct asked_host *asked = context;
    struct hosts_file *h = asked->owner;
    h->asking--;
    if (names == NULL) {
        host_failed(h, asked->index, detail);
    } else {
        collect(h, asked->index, names);
        muster_topology_report_part(h->topology, names); /* the others may take their time */
    }
    if (!h->starting) {
        ask_hosts(h);
    }
}

static struct asked_host *free_place(struct hosts_file *h) {
    struct asked_host *place = h->asked;
    while (place->names != NULL) {
        place++;
    }
    return place;
}

static void ask_host(struct hosts_file *h, const struct muster_lookup_options *options,
                     unsigned index) {
    struct asked_host *place = free_place(h);
    const char *host = h->hosts.names[index];
    place->owner = h;
    place->index = index;
    h->asking++;
    if (muster_epmd_names_start(options, host, host, on_names, place, &place->names) != 0) {
        on_names(place, NULL, muster_strerror(MUSTER_E_NOMEM));
    }
}

/* Asks as many as may be asked at once; the round is over when nobody is left. */
static void ask_hosts(struct hosts_file *h) {
    const struct muster_lookup_options *options = muster_topology_lookup_options(h->topology);
    h->starting = 1;
    while (h->asking < ASKED_AT_ONCE && h->next_host < h->hosts.count) {
        ask_host(h, options, h->next_host++);
    }
    h->starting = 0;
    if (h->asking == 0) {
        end_round(h);
    }
}

static void on_hosts(void *context, const struct muster_hosts *hosts, const char *problem) {
    struct hosts_file *h = context;
    if (hosts == NULL) {
        poll_in(h, (uint64_t)h->poll_interval_ms);
        muster_topology_failed(h->topology, problem);
        return;
    }
    h->hosts = *hosts;
    begin_round(h);
    ask_hosts(h);
}

static void on_timer(uv_timer_t *timer) {
    struct hosts_file *h = timer->data;
    if (muster_topology_lookup_options(h->topology) == NULL) {
        poll_in(h, NAME_POLL_MS);
        return;
    }
    muster_topology_sync_begins(h->topology);
    int status = muster_hosts_reading_start(muster_topology_loop(h->topology), h->path, h->root_dir,
                                            on_hosts, h, &h->reading);
    if (status != 0) {
        on_hosts(h, NULL, "the hosts file cannot be read now: out of memory");
    }
}

/* --- Life --- */

static void sync_hosts_file(struct muster_topology *topology) {
    struct hosts_file *h = muster_topology_state(topology);
    if (h->reading == NULL && h->asking == 0) {
        poll_in(h, 0);
    }
}

static int read_options(struct hosts_file *h, struct muster_slice options,
                        struct muster_problem *problem) {
    h->poll_interval_ms = MUSTER_POLL_INTERVAL_MS;
    struct muster_arg args[] = {
        {.name = "path", .type = MUSTER_ARG_TEXT, .target = h->path, .max = PATH_MAX - 1},
        {.name = "root_dir", .type = MUSTER_ARG_TEXT, .target = h->root_dir, .max = PATH_MAX - 1},
        {.name = "poll_interval",
         .type = MUSTER_ARG_INTEGER,
         .target = &h->poll_interval_ms,
         .min = MUSTER_POLL_INTERVAL_MIN_MS,
         .max = MUSTER_POLL_INTERVAL_MAX_MS}};
    return muster_args_read(options, args, MUSTER_COUNT(args), problem);
}

static int start_hosts_file(struct muster_topology *topology, struct muster_slice options,
                            struct muster_problem *problem) {
    struct hosts_file *h = calloc(1, sizeof *h);
    if (h == NULL) {
        snprintf(problem->text, sizeof problem->text, "%s", muster_strerror(MUSTER_E_NOMEM));
        return MUSTER_E_NOMEM;
    }
    int error = read_options(h, options, problem);
    if (error != 0) {
        free(h);
        return error;
    }
    h->topology = topology;
    uv_timer_init(muster_topology_loop(topology), &h->timer);
    h->timer.data = h;
    muster_topology_set_state(topology, h);
    poll_in(h, 0);
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct hosts_file *h = handle->data;
    muster_name_list_close(&h->found);
    free(h);
}

static void stop_hosts_file(struct muster_topology *topology) {
    struct hosts_file *h = muster_topology_state(topology);
    if (h->reading != NULL) {
        muster_hosts_reading_cancel(h->reading);
    }
    for (unsigned i = 0; i < ASKED_AT_ONCE; i++) {
        if (h->asked[i].names != NULL) {
            muster_epmd_names_cancel(h->asked[i].names);
        }
    }
    uv_close((uv_handle_t *)&h->timer, on_closed);
}

const struct muster_strategy_type muster_strategy_hosts_file = {.name = "hosts_file",
                                                                .needs_name = 1,
                                                                .start = start_hosts_file,
                                                                .sync = sync_hosts_file,
                                                                .stop = stop_hosts_file};
