/* The strategy `local_epmd`: the nodes that the epmd of this host knows. Option: poll_interval. */
#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/epmd_names.h"
#include "node/poller.h"
#include "node/strategy.h"
#include "node/topology.h"

/* How often it is looked whether this node has a name yet. */
#define NAME_POLL_MS 100

struct local_epmd {
    struct muster_topology *topology;
    uv_timer_t timer;
    int64_t poll_interval_ms;
    struct muster_epmd_names *names; /* NULL when not asking */
};

static void on_timer(uv_timer_t *timer);

static void ask_again_in(struct local_epmd *l, uint64_t ms) {
    uv_timer_start(&l->timer, on_timer, ms, 0);
}

static void on_names(void *context, const struct muster_name_list *names, const char *detail) {
    struct local_epmd *l = context;
    char text[160];
    ask_again_in(l, (uint64_t)l->poll_interval_ms);
    if (names == NULL) {
        snprintf(text, sizeof text, "%s (this host's own)", detail);
        muster_topology_failed(l->topology, text);
    } else {
        struct muster_name_list list = *names;
        muster_topology_report(l->topology, &list); /* sorts in place */
    }
}

/* By the loopback address, where every epmd listens, whatever name the host has. */
static void ask(struct local_epmd *l) {
    const struct muster_lookup_options *options = muster_topology_lookup_options(l->topology);
    const struct muster_node_name *own = muster_topology_own_name(l->topology);
    if (options == NULL || own->len == 0) {
        ask_again_in(l, NAME_POLL_MS);
        return;
    }
    muster_topology_sync_begins(l->topology);
    if (muster_epmd_names_start(options, options->family == AF_INET6 ? "::1" : "127.0.0.1",
                                muster_node_name_host(own), on_names, l, &l->names) != 0) {
        on_names(l, NULL, muster_strerror(MUSTER_E_NOMEM));
    }
}

static void on_timer(uv_timer_t *timer) {
    ask(timer->data);
}

static void sync_local_epmd(struct muster_topology *topology) {
    struct local_epmd *l = muster_topology_state(topology);
    if (l->names == NULL) {
        ask_again_in(l, 0);
    }
}

static int start_local_epmd(struct muster_topology *topology, struct muster_slice options,
                            struct muster_problem *problem) {
    int64_t poll_interval_ms = MUSTER_POLL_INTERVAL_MS;
    struct muster_arg args[] = {{.name = "poll_interval",
                                 .type = MUSTER_ARG_INTEGER,
                                 .target = &poll_interval_ms,
                                 .min = MUSTER_POLL_INTERVAL_MIN_MS,
                                 .max = MUSTER_POLL_INTERVAL_MAX_MS}};
    int error = muster_args_read(options, args, 1, problem);
    struct local_epmd *l = error == 0 ? calloc(1, sizeof *l) : NULL;
    if (l == NULL) {
        return error != 0 ? error : MUSTER_E_NOMEM;
    }
    l->topology = topology;
    l->poll_interval_ms = poll_interval_ms;
    uv_timer_init(muster_topology_loop(topology), &l->timer);
    l->timer.data = l;
    muster_topology_set_state(topology, l);
    ask_again_in(l, 0);
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void stop_local_epmd(struct muster_topology *topology) {
    struct local_epmd *l = muster_topology_state(topology);
    if (l->names != NULL) {
        muster_epmd_names_cancel(l->names);
    }
    uv_close((uv_handle_t *)&l->timer, on_closed);
}

const struct muster_strategy_type muster_strategy_local_epmd = {.name = "local_epmd",
                                                                .needs_name = 1,
                                                                .start = start_local_epmd,
                                                                .sync = sync_local_epmd,
                                                                .stop = stop_local_epmd};
