/*
 * The strategy `gossip`: nodes say their names over UDP multicast or broadcast. Without a secret
 * the packets are libcluster's; with one only sealed packets are sent and believed.
 *
 * A sync is a heartbeat that went out: nobody answers for a group.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/admission.h"
#include "core/backoff.h"
#include "core/errors.h"
#include "core/gossip.h"
#include "core/gossip_pace.h"
#include "core/sealed.h"
#include "node/gossip_options.h"
#include "node/log.h"
#include "node/strategy.h"
#include "node/topology.h"

#define RETRY_FIRST_MS 500
#define RETRY_CAP_MS 10000
/* How often it is looked whether this node has a name yet. */
#define NAME_POLL_MS 100
/* A node is believed gone after so many silent intervals at least. */
#define EXPIRE_INTERVALS 4
/* Names heard once are not dialled while so many dials are under way: names of hosts that do not
 * resolve must not fill the resolver's queue. */
#define FRESH_DIALS_MAX 8
#define ERROR_MAX 256
/* After so many heartbeats none of which came back, nor anything else, the socket is deaf. */
#define DEAF_AFTER 5
/* How often the log tells of packets that point at a wrong setting somewhere. */
#define COMPLAINT_INTERVAL_MS 60000
_Static_assert(MUSTER_SEAL_KEYS_MAX >= 1 + MUSTER_ARG_BINARIES_MAX, "a key for each secret");

#define COUNTERS(X)                                                                                \
    X(packets)       /* that came */                                                               \
    X(own)           /* this node's own */                                                         \
    X(early)         /* came before this node had a name, and was not looked at */                 \
    X(unsealed)      /* libcluster's, where only sealed ones are believed */                       \
    X(sealed)        /* sealed ones, where there is no secret */                                   \
    X(rate_limited)  /* names that were not dialled: no budget */                                  \
    X(heard)         /* names, again or for the first time */                                      \
    X(heard_new)     /* names for the first time */                                                \
    X(sent)          /* heartbeats */                                                              \
    X(send_failures) /* heartbeats that the system refused */                                      \
    X(send_dropped)  /* heartbeats for which its queue had no room */

struct gossip {
    struct muster_topology *topology;
    struct muster_gossip_endpoint endpoint;
    struct muster_gossip_pace pace;
    struct muster_backoff backoff;
    struct muster_admission admission;
    struct muster_unsealer *unsealer; /* owned; NULL: there is no secret */
    uv_udp_t *udp;                    /* NULL: no socket */
    uv_timer_t timer;
    uint64_t interval_ms, expire_ms;
    uint64_t retry_at_ms; /* while there is no socket */
    uint64_t complain_at_ms;
    unsigned unheard; /* heartbeats sent since the last packet came */
    int announcing;   /* this node has a name, and the pace runs */
    struct {
#define X(name) uint64_t name;
        COUNTERS(X)
#undef X
        uint64_t verdicts[MUSTER_UNSEAL_VERDICT_COUNT];
    } counters;
};

static uint64_t now_ms(const struct gossip *g) {
    return uv_now(muster_topology_loop(g->topology));
}

static uint64_t unix_ms(void) {
    uv_timeval64_t t;
    uv_gettimeofday(&t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_usec / 1000;
}

/* --- The timer --- */

static void on_timer(uv_timer_t *timer);

static void plan(struct gossip *g) {
    uint64_t now = now_ms(g);
    uint64_t due = g->udp == NULL   ? g->retry_at_ms
                   : !g->announcing ? now + NAME_POLL_MS
                                    : g->pace.due_ms;
    uv_timer_start(&g->timer, on_timer, due > now ? due - now : 0, 0);
}

/* --- Hearing --- */

/* Nodes that do not hear each other for such a reason would leave no other trace. */
static void complain(struct gossip *g, const char *text) {
    if (now_ms(g) >= g->complain_at_ms) {
        g->complain_at_ms = now_ms(g) + COMPLAINT_INTERVAL_MS;
        muster_log(MUSTER_WARNING, "gossip %.*s: %s", g->topology->key_len, g->topology->key, text);
    }
}

static int is_own(const struct gossip *g, const struct muster_node_name *name) {
    return muster_node_name_equal(name, muster_topology_own_name(g->topology));
}

static void hear(struct gossip *g, const struct muster_node_name *name,
                 enum muster_hearing hearing) {
    unsigned nodes = muster_topology_size(g->topology);
    uint64_t patience = EXPIRE_INTERVALS * muster_gossip_pace_interval(&g->pace, nodes);
    uint64_t expire_ms = patience > g->expire_ms ? patience : g->expire_ms;
    int is_new = !muster_topology_knows(g->topology, name);
    if (muster_topology_heard(g->topology, name, hearing, expire_ms) != 0) {
        g->counters.rate_limited++;
        return;
    }
    g->counters.heard++;
    if (is_new) {
        g->counters.heard_new++;
        muster_gossip_pace_answer(&g->pace, nodes, now_ms(g), randombytes_random());
        plan(g);
    }
}

static struct muster_slice source_of(const struct sockaddr *from) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    return muster_slice(&in->sin_addr, sizeof in->sin_addr);
}

/* Anybody may have sent it, under any address: new names pass only as far as there is budget. */
static void take_plain(struct gossip *g, struct muster_slice packet, const struct sockaddr *from) {
    struct muster_node_name name;
    if (muster_sealed_recognize(packet)) {
        g->counters.sealed++;
        complain(g, "sealed packets come in, but this node has no secret");
        return;
    }
    if (muster_gossip_parse(packet, &name) != 0 || muster_node_name_is_cnode(&name)) {
        g->counters.verdicts[MUSTER_UNSEAL_MALFORMED]++;
        return;
    }
    g->counters.verdicts[MUSTER_UNSEAL_ACCEPTED]++;
    if (is_own(g, &name)) {
        g->counters.own++;
        return;
    }
    if (muster_topology_knows(g->topology, &name)) {
        hear(g, &name, MUSTER_HEARD_AGAIN);
        return;
    }
    enum muster_admission_class class = muster_admission_hear(&g->admission, &name);
    if (!muster_admission_take(&g->admission, class, source_of(from), now_ms(g)) ||
        (class == MUSTER_ADMISSION_FRESH &&
         muster_topology_dials(g->topology) >= FRESH_DIALS_MAX)) {
        g->counters.rate_limited++;
        return;
    }
    hear(g, &name, class == MUSTER_ADMISSION_REPEATED ? MUSTER_HEARD_AGAIN : MUSTER_HEARD_ONCE);
}

/* Who sealed it knows the secret: no budgets, and what it says of its node is believed. */
static void take_sealed(struct gossip *g, struct muster_slice packet) {
    struct muster_sealed content;
    struct muster_node_name name;
    enum muster_unseal_verdict verdict = muster_unseal(g->unsealer, packet, unix_ms(), &content);
    if (verdict == MUSTER_UNSEAL_MALFORMED && muster_gossip_parse(packet, &name) == 0) {
        g->counters.unsealed++;
        complain(g, "packets without a seal come in; with a secret they are not believed");
        return;
    }
    g->counters.verdicts[verdict]++;
    if (verdict == MUSTER_UNSEAL_WRONG_KEY) {
        complain(g, "packets come in that were sealed with a secret not known here");
    } else if (verdict == MUSTER_UNSEAL_STALE) {
        complain(g,
                 "packets come in whose time is off by more than clock_window_ms: set the clocks");
    }
    if (verdict != MUSTER_UNSEAL_ACCEPTED) {
        return;
    }
    if (is_own(g, &content.name)) {
        g->counters.own++;
        return;
    }
    hear(g, &content.name, MUSTER_HEARD_AUTHENTIC);
    if (content.metadata.len > 0) {
        muster_topology_metadata(g->topology, &content.name, content.metadata_version,
                                 content.metadata);
    }
}

static void socket_failed(struct gossip *g, const char *text);

static void on_packet(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                      unsigned flags) {
    struct gossip *g = udp->data;
    if (udp != g->udp || (n == 0 && from == NULL)) {
        return;
    }
    if (n < 0) {
        socket_failed(g, uv_strerror((int)n));
        return;
    }
    g->counters.packets++;
    g->unheard = 0;
    if (!g->announcing) {
        g->counters.early++;
    } else if (flags & UV_UDP_PARTIAL) {
        g->counters.verdicts[MUSTER_UNSEAL_MALFORMED]++;
    } else if (g->unsealer != NULL) {
        take_sealed(g, muster_slice(buf->base, (size_t)n));
    } else {
        take_plain(g, muster_slice(buf->base, (size_t)n), from);
    }
}

/* --- The socket --- */

static void close_socket(struct gossip *g) {
    if (g->udp != NULL) {
        muster_gossip_socket_close(g->udp);
        g->udp = NULL;
    }
}

/* A new socket later: a membership does not survive its interface. */
static void socket_failed(struct gossip *g, const char *text) {
    close_socket(g);
    g->retry_at_ms = now_ms(g) + muster_backoff_next(&g->backoff, randombytes_random());
    plan(g);
    muster_topology_failed(g->topology, text);
}

static int open_socket(struct gossip *g) {
    char text[ERROR_MAX];
    int error = muster_gossip_socket_open(muster_topology_loop(g->topology), &g->endpoint,
                                          on_packet, g, &g->udp, text, sizeof text);
    if (error != 0) {
        socket_failed(g, text);
    }
    return error;
}

/* --- Saying --- */

static size_t build_sealed(struct gossip *g, uint8_t *out) {
    struct muster_sealed content = {.sent_ms = unix_ms(),
                                    .name = *muster_topology_own_name(g->topology)};
    uint8_t nonce[MUSTER_SEAL_NONCE_SIZE];
    content.metadata = muster_topology_own_metadata(g->topology, &content.metadata_version);
    randombytes_buf(nonce, sizeof nonce);
    return muster_seal(out, &g->unsealer->keys[0], nonce, &content);
}

static size_t build(struct gossip *g, uint8_t *out) {
    return g->unsealer != NULL ? build_sealed(g, out)
                               : muster_gossip_build(out, muster_topology_own_name(g->topology));
}

/*
 * What is sent to a group or a broadcast address comes back to its sender. If it does not, others
 * are not heard either: the interface was replaced, and the membership went with the old one, or
 * what comes in is dropped. A new socket helps in the first case.
 */
static void sent(struct gossip *g) {
    char text[ERROR_MAX];
    g->counters.sent++;
    if (++g->unheard <= DEAF_AFTER) {
        muster_backoff_reset(&g->backoff);
        muster_topology_synced(g->topology);
        return;
    }
    snprintf(text, sizeof text,
             "nothing comes in on UDP port %u, not even this node's own heartbeats: a firewall "
             "drops it, or the network does not do multicast or broadcast",
             g->endpoint.port);
    if (g->unheard % DEAF_AFTER == 1) {
        socket_failed(g, text);
    } else {
        muster_topology_failed(g->topology, text);
    }
}

static void send_heartbeat(struct gossip *g) {
    uint8_t packet[MUSTER_SEALED_BUILT_MAX];
    char text[ERROR_MAX];
    size_t len = build(g, packet);
    muster_topology_sync_begins(g->topology);
    int status = muster_gossip_socket_send(g->udp, &g->endpoint, muster_slice(packet, len), text,
                                           sizeof text);
    muster_gossip_pace_sent(&g->pace, muster_topology_size(g->topology), now_ms(g),
                            randombytes_random());
    if (status == 0) {
        sent(g);
    } else if (status == UV_EAGAIN) {
        g->counters.send_dropped++;
    } else {
        g->counters.send_failures++;
        g->announcing = 0; /* quickly again when it works again */
        socket_failed(g, text);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct gossip *g = timer->data;
    if (g->udp == NULL && open_socket(g) != 0) {
        return;
    }
    if (!g->announcing && muster_topology_own_name(g->topology)->len > 0) {
        g->announcing = 1;
        muster_gossip_pace_start(&g->pace, g->interval_ms, now_ms(g));
    }
    if (g->announcing && now_ms(g) >= g->pace.due_ms) {
        send_heartbeat(g);
    }
    plan(g);
}

/* --- Life --- */

static void add_key(struct gossip *g, struct muster_slice secret) {
    muster_seal_key_derive(&g->unsealer->keys[g->unsealer->key_count++], secret);
}

static int set_up_secrets(struct gossip *g, const struct muster_gossip_options *options) {
    g->unsealer = calloc(1, sizeof *g->unsealer);
    if (g->unsealer == NULL) {
        return MUSTER_E_NOMEM;
    }
    g->unsealer->window_ms = (uint64_t)options->clock_window_ms;
    add_key(g, options->secret);
    for (unsigned i = 0; i < options->old_secrets.count; i++) {
        add_key(g, options->old_secrets.items[i]);
    }
    return 0;
}

static int set_up_admission(struct gossip *g, const struct muster_gossip_options *options) {
    uint8_t random[crypto_shorthash_KEYBYTES];
    randombytes_buf(random, sizeof random);
    return muster_admission_init(&g->admission, (uint32_t)options->connects_per_s, random,
                                 now_ms(g));
}

static void free_gossip(struct gossip *g) {
    if (g->unsealer != NULL) {
        sodium_memzero(g->unsealer->keys, sizeof g->unsealer->keys);
        free(g->unsealer);
    }
    muster_admission_close(&g->admission);
    free(g);
}

static void on_timer_closed(uv_handle_t *handle) {
    free_gossip(handle->data);
}

static int start_gossip(struct muster_topology *topology, struct muster_slice map,
                        struct muster_problem *problem) {
    struct muster_gossip_options options;
    int error = muster_gossip_options_read(&options, map, problem);
    if (error != 0) {
        return error;
    }
    struct gossip *g = calloc(1, sizeof *g);
    if (g == NULL) {
        snprintf(problem->text, sizeof problem->text, "%s", muster_strerror(MUSTER_E_NOMEM));
        return MUSTER_E_NOMEM;
    }
    g->topology = topology;
    g->endpoint = options.endpoint;
    g->interval_ms = (uint64_t)options.interval_ms;
    g->expire_ms = (uint64_t)options.expire_ms;
    muster_backoff_init(&g->backoff, RETRY_FIRST_MS, RETRY_CAP_MS);
    error = options.secret.len > 0 ? set_up_secrets(g, &options) : set_up_admission(g, &options);
    if (error != 0) {
        free_gossip(g);
        snprintf(problem->text, sizeof problem->text, "%s", muster_strerror(error));
        return error;
    }
    uv_timer_init(muster_topology_loop(topology), &g->timer);
    g->timer.data = g;
    muster_topology_set_state(topology, g);
    uv_timer_start(&g->timer, on_timer, 0, 0);
    return 0;
}

/* Says hello now; without a socket, tries to have one now. */
static void sync_gossip(struct muster_topology *topology) {
    struct gossip *g = muster_topology_state(topology);
    g->retry_at_ms = g->pace.due_ms = now_ms(g);
    plan(g);
}

static void announce_gossip(struct muster_topology *topology) {
    struct gossip *g = muster_topology_state(topology);
    if (g->unsealer != NULL && g->announcing) {
        muster_gossip_pace_answer(&g->pace, 0, now_ms(g), randombytes_random());
        plan(g);
    }
}

static void stop_gossip(struct muster_topology *topology) {
    struct gossip *g = muster_topology_state(topology);
    close_socket(g);
    uv_close((uv_handle_t *)&g->timer, on_timer_closed);
}

static void write_counters(const struct muster_topology *topology, struct muster_writer *w) {
    static const char *const verdicts[] = {
#define X(constant, name) #name,
        MUSTER_UNSEAL_VERDICTS(X)
#undef X
    };
    const struct gossip *g = muster_topology_state(topology);
#define X(name) +1
    muster_write_map(w, MUSTER_UNSEAL_VERDICT_COUNT COUNTERS(X));
#undef X
#define X(name) muster_write_pair(w, #name, (int64_t)g->counters.name);
    COUNTERS(X)
#undef X
    for (unsigned i = 0; i < MUSTER_UNSEAL_VERDICT_COUNT; i++) {
        muster_write_pair(w, verdicts[i], (int64_t)g->counters.verdicts[i]);
    }
}

const struct muster_strategy_type muster_strategy_gossip = {.name = "gossip",
                                                            .needs_name = 1,
                                                            .start = start_gossip,
                                                            .sync = sync_gossip,
                                                            .announce = announce_gossip,
                                                            .stop = stop_gossip,
                                                            .write_counters = write_counters};
