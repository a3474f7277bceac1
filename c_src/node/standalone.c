#include "node/standalone.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/errors.h"
#include "node/leaving.h"
#include "node/node.h"
#include "node/options.h"

#define MONITOR_KEY "standalone"
#define NS_PER_US 1e3

struct standalone {
    struct muster_node node;
    struct muster_options options;
    uv_loop_t *loop;
    struct muster_leaving leaving;
    uv_timer_t limit;     /* ping: until the first answer */
    uint64_t *samples_ns; /* ping: what was measured, for the summary */
    size_t samples, capacity;
};

static void on_leave(void *context) {
    struct standalone *s = context;
    muster_node_leave(&s->node);
    uv_close((uv_handle_t *)&s->limit, NULL);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line on stdout; dropped when nobody reads, for the loop must not wait. */
static void say(const char *format, ...) {
    char line[1024];
    va_list args;
    struct pollfd stdout_ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t len = n < (int)sizeof line ? (size_t)n : sizeof line - 1;
    if (poll(&stdout_ready, 1, 0) == 1 && write(STDOUT_FILENO, line, len) < 0) {
        return; /* there is nowhere to say so */
    }
}

static const char *reason(const struct muster_peer *peer) {
    return peer->detail[0] != '\0' ? peer->detail : muster_peer_state_text(peer->state);
}

/* --- Run: one line for each thing that happens --- */

static void on_peer(void *context, const struct muster_peer *peer) {
    (void)context;
    say("peer %s %s: %s\n", peer->name.text, muster_peer_state_name(peer->state), reason(peer));
}

static void on_published(void *context, int published, const char *text) {
    struct standalone *s = context;
    say("node %s %s: port %u, %s\n", s->options.distribution.name.text,
        published ? "published" : "unpublished", (unsigned)s->node.peers.listener.port, text);
}

static void on_status(void *context, const struct muster_watch *watch,
                      enum muster_health_status from) {
    (void)context;
    say("health %s %s: was %s\n", watch->name.text, muster_health_status_name(watch->health.status),
        muster_health_status_name(from));
}

/* --- Ping --- */

static int by_size(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static double percentile_us(const struct standalone *s, double fraction) {
    size_t i = (size_t)(fraction * (double)(s->samples - 1) + 0.5);
    return (double)s->samples_ns[i] / NS_PER_US;
}

static void print_summary(struct standalone *s) {
    double sum = 0;
    if (s->samples == 0) {
        return;
    }
    qsort(s->samples_ns, s->samples, sizeof s->samples_ns[0], by_size);
    for (size_t i = 0; i < s->samples; i++) {
        sum += (double)s->samples_ns[i] / NS_PER_US;
    }
    printf(s->options.json
               ? "{\"node\":\"%s\",\"n\":%zu,\"min_us\":%.1f,\"avg_us\":%.1f,\"p50_us\":%.1f,\"p99_"
                 "us\":%.1f,\"max_us\":%.1f}\n"
               : "%s: %zu round trips, min %.1f avg %.1f p50 %.1f p99 %.1f max %.1f us\n",
           s->options.peers[0].text, s->samples, percentile_us(s, 0), sum / (double)s->samples,
           percentile_us(s, 0.5), percentile_us(s, 0.99), percentile_us(s, 1));
}

static int keep(struct standalone *s, uint64_t rtt_ns) {
    if (s->samples == s->capacity) {
        size_t capacity = s->capacity > 0 ? 2 * s->capacity : 1024;
        uint64_t *grown = realloc(s->samples_ns, capacity * sizeof *grown);
        if (grown == NULL) {
            return -1;
        }
        s->samples_ns = grown;
        s->capacity = capacity;
    }
    s->samples_ns[s->samples++] = rtt_ns;
    return 0;
}

static void on_sample(void *context, const struct muster_watch *watch, uint64_t rtt_ns) {
    struct standalone *s = context;
    if (s->leaving.begun) {
        return;
    }
    uv_timer_stop(&s->limit);
    if (keep(s, rtt_ns) != 0) {
        muster_leaving_begin(&s->leaving, MUSTER_EXIT_FAILED);
        return;
    }
    if (!s->options.json && s->options.monitor.ping_interval_ms > 0) {
        say("%s: rtt %.1f us\n", watch->name.text, (double)rtt_ns / NS_PER_US);
    }
    if (s->options.count > 0 && s->samples == s->options.count) {
        muster_leaving_begin(&s->leaving, MUSTER_EXIT_LEFT);
    }
}

static void give_up(struct standalone *s, const struct muster_peer *peer) {
    if (!s->leaving.begun) {
        fprintf(stderr, "muster_node: %s does not answer: %s: %s\n", peer->name.text,
                muster_peer_state_name(peer->state), reason(peer));
        muster_leaving_begin(&s->leaving, MUSTER_EXIT_FAILED);
    }
}

/* A dial or the link has failed: another attempt would tell nothing else, and whoever pings wants
 * to know why. Where both sides dial, the peer's attempt is still to come. */
static void on_pinged_peer(void *context, const struct muster_peer *peer) {
    struct standalone *s = context;
    if (peer->state != MUSTER_PEER_CONNECTED && peer->state != MUSTER_PEER_SIMULTANEOUS &&
        muster_node_name_equal(&peer->name, &s->options.peers[0])) {
        give_up(s, peer);
    }
}

static void on_ping_limit(uv_timer_t *timer) {
    struct standalone *s = timer->data;
    give_up(s, muster_peers_find(&s->node.peers, &s->options.peers[0]));
}

/* --- Life --- */

static int join(struct standalone *s) {
    int status = muster_node_distribute(&s->node, &s->options.distribution);
    if (status != 0) {
        fprintf(stderr, "muster_node: cannot listen: %s\n", uv_strerror(status));
        return status;
    }
    struct muster_slice key = muster_slice(MONITOR_KEY, strlen(MONITOR_KEY));
    status = muster_monitor_start(&s->node.monitors, key, &s->options.monitor);
    if (status != 0) {
        fprintf(stderr, "muster_node: cannot watch: %s\n", muster_strerror(status));
        return status;
    }
    struct muster_monitor *monitor = muster_monitor_find(&s->node.monitors, key);
    for (unsigned i = 0; i < s->options.peer_count; i++) {
        if (muster_watch_start(monitor, &s->options.peers[i], MUSTER_HEALTHY, 0) != 0) {
            fprintf(stderr, "muster_node: --peer %s: a node cannot watch itself\n",
                    s->options.peers[i].text);
            return UV_EINVAL;
        }
    }
    return 0;
}

static enum muster_exit run(struct standalone *s) {
    int ping = s->options.mode == MUSTER_MODE_PING;
    struct muster_node_owner owner = {.context = s};
    if (ping) {
        owner.on_peer = on_pinged_peer;
        owner.on_sample = on_sample;
    } else {
        owner.on_peer = on_peer;
        owner.on_published = on_published;
        owner.on_status = on_status;
    }
    s->loop = uv_default_loop();
    muster_node_init(&s->node, s->loop, &owner);
    muster_leaving_init(&s->leaving, s->loop, on_leave, s);
    uv_timer_init(s->loop, &s->limit);
    s->limit.data = s;
    if (ping) {
        uv_timer_start(&s->limit, on_ping_limit, s->options.timeout_ms, 0);
    }
    if (join(s) != 0) {
        muster_leaving_begin(&s->leaving, MUSTER_EXIT_FAILED);
    }
    uv_run(s->loop, UV_RUN_DEFAULT);
    print_summary(s);
    free(s->samples_ns);
    return s->leaving.exit_code;
}

enum muster_exit muster_standalone_run(int argc, char *argv[]) {
    static struct standalone s; /* large, and there is one */
    if (muster_options_parse(&s.options, argc, argv) != 0) {
        return MUSTER_EXIT_USAGE;
    }
    switch (s.options.mode) {
    case MUSTER_MODE_HELP:
        muster_options_print_help();
        return MUSTER_EXIT_LEFT;
    case MUSTER_MODE_VERSION:
        puts("muster_node " MUSTER_VERSION);
        return MUSTER_EXIT_LEFT;
    default:
        muster_priority_set(s.options.priority);
        setvbuf(stdout, NULL, _IOLBF, 0); /* line by line for whoever reads along */
        return run(&s);
    }
}
