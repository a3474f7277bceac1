/*
 * Requests over the control port, against a node without distribution: each gets exactly one
 * well-formed answer, whatever its argument, and when the node has left, its loop is empty.
 *
 * Input: a byte of settings, then requests: which one, how its argument is made (raw bytes, or a
 * map of known options whose values the bytes choose), and the bytes for it.
 */
#include <stdlib.h>

#include "core/term.h"
#include "node/log.h"
#include "node/requests.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 14)
#define REQUESTS_MAX 64

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

struct input {
    const uint8_t *data;
    size_t len;
};

static uint8_t byte(struct input *in) {
    if (in->len == 0) {
        return 0;
    }
    in->len--;
    return *in->data++;
}

static struct muster_slice bytes(struct input *in, size_t n) {
    n = n < in->len ? n : in->len;
    struct muster_slice s = muster_slice(in->data, n);
    in->data += n;
    in->len -= n;
    return s;
}

/* --- Arguments --- */

static void write_node(struct muster_writer *w, uint8_t which) {
    char name[32];
    int n = snprintf(name, sizeof name, "n%d@127.0.0.1", which % 100);
    muster_write_binary(w, muster_slice(name, (size_t)n));
}

static void write_value(struct muster_writer *w, struct input *in) {
    static const char *const atoms[] = {"healthy", "down", "inet6",  "tls",
                                        "other",   "x",    "static", "none"};
    uint8_t kind = byte(in), value = byte(in);
    switch (kind % 8) {
    case 0:
        muster_write_integer(w, value);
        break;
    case 1:
        muster_write_integer(w, (int64_t)((uint64_t)value << 56) >> (value % 60));
        break;
    case 2:
        write_node(w, value);
        break;
    case 3:
        muster_write_binary(w, bytes(in, value));
        break;
    case 4:
        muster_write_atom(w, atoms[value % 8]);
        break;
    case 5:
        muster_write_list(w, value % 8);
        for (int i = 0; i < value % 8; i++) {
            write_node(w, byte(in));
        }
        muster_write_nil(w);
        break;
    case 6:
        muster_write_map(w, 1);
        muster_write_atom(w, "nodes");
        muster_write_list(w, 1);
        write_node(w, value);
        muster_write_nil(w);
        break;
    default:
        muster_write_double(w, value);
    }
}

/* Values of options that requests cannot do without are right most of the time. */
static void write_option(struct muster_writer *w, struct input *in) {
    static const char *const options[] = {"monitor",
                                          "node",
                                          "ping_interval_ms",
                                          "suspect_after_ms",
                                          "down_after_ms",
                                          "status",
                                          "silent_ms",
                                          "topology",
                                          "strategy",
                                          "options",
                                          "cookie",
                                          "name",
                                          "beam",
                                          "epmd_port",
                                          "family",
                                          "listen_ip",
                                          "listen_min",
                                          "listen_max",
                                          "ticktime_ms",
                                          "transport",
                                          "metadata",
                                          "version",
                                          "nodes",
                                          "interval_ms",
                                          "group",
                                          "kind",
                                          "bootstrap",
                                          "observer",
                                          "quorum_size",
                                          "role"};
    uint8_t which = byte(in);
    const char *name = options[which % (sizeof options / sizeof options[0])];
    muster_write_atom(w, name);
    if (which & 0x80) {
        write_value(w, in);
    } else if (strcmp(name, "monitor") == 0 || strcmp(name, "topology") == 0 ||
               strcmp(name, "group") == 0) {
        muster_write_text(w, byte(in) % 2 ? "a" : "b");
    } else if (strcmp(name, "node") == 0 || strcmp(name, "name") == 0) {
        write_node(w, byte(in));
    } else if (strcmp(name, "kind") == 0) {
        muster_write_atom(w, byte(in) % 2 ? "leader" : "commander");
    } else if (strcmp(name, "strategy") == 0) {
        muster_write_atom(w, "static");
    } else if (strcmp(name, "options") == 0) {
        muster_write_map(w, 1);
        muster_write_atom(w, "nodes");
        muster_write_list(w, 2);
        write_node(w, byte(in));
        write_node(w, byte(in));
        muster_write_nil(w);
    } else {
        write_value(w, in);
    }
}

static void write_argument(struct muster_writer *w, struct input *in) {
    size_t used;
    uint8_t shape = byte(in);
    if (shape % 8 == 0) {
        struct muster_slice raw = bytes(in, byte(in));
        if (muster_term_check(raw, &muster_term_default_limits, &used) == 0) {
            muster_write_raw(w, muster_slice(raw.data, used));
            return;
        }
    }
    int pairs = shape % 8;
    muster_write_map(w, pairs);
    for (int i = 0; i < pairs; i++) {
        write_option(w, in);
    }
}

/* --- One request --- */

static void check_answer(struct muster_writer *w) {
    struct muster_slice frame;
    size_t used;
    struct muster_term_limits limits = {.max_depth = 16, .max_elements = 1u << 20};
    check(muster_writer_finish(w, &frame) == 0);
    struct muster_slice answer = muster_slice(frame.data + 4, frame.len - 4);
    check(muster_term_check(answer, &limits, &used) == 0 && used == answer.len);
    struct muster_reader r = muster_reader(answer);
    char atom[MUSTER_ATOM_SIZE];
    int arity;
    check(muster_read_tuple(&r, &arity) == 0 && arity == 2 && muster_read_atom(&r, atom) == 0);
    check(strcmp(atom, "ok") == 0 || strcmp(atom, "error") == 0);
}

static void request(struct muster_node *node, struct input *in, struct guard *guard) {
    static const struct {
        const char *service, *op;
    } known[] = {{"node", "distribute"},
                 {"node", "set_cookie"},
                 {"node", "info"},
                 {"node", "peers"},
                 {"node", "peer"},
                 {"monitor", "start"},
                 {"monitor", "stop"},
                 {"monitor", "watch"},
                 {"monitor", "pause"},
                 {"monitor", "forget"},
                 {"monitor", "health"},
                 {"monitor", "list"},
                 {"discovery", "start"},
                 {"discovery", "stop"},
                 {"discovery", "sync"},
                 {"discovery", "status"},
                 {"discovery", "set_metadata"},
                 {"election", "start"},
                 {"election", "stop"},
                 {"election", "status"},
                 {"election", "join"},
                 {"election", "leave"},
                 {"election", "transfer"},
                 {"election", "resign"},
                 {"election", "promote"},
                 {"election", "node_joined"},
                 {"election", "node_left"},
                 {"node", "nothing"},
                 {"", ""}};
    uint8_t which = byte(in) % (sizeof known / sizeof known[0]);
    struct muster_writer argument, answer;
    struct muster_slice frame;
    muster_writer_init(&argument);
    muster_writer_init(&answer);
    write_argument(&argument, in);
    check(muster_writer_finish(&argument, &frame) == 0);
    /* libei is not instrumented: an unreadable page stands where the argument ends. */
    const uint8_t *copy = guard_put(guard, frame.data + 4, frame.len - 4);
    if (muster_requests_from_beam(node, 1, known[which].service, known[which].op,
                                  muster_slice(copy, frame.len - 4), &answer) == 0) {
        check_answer(&answer);
    }
    muster_writer_free(&answer);
    muster_writer_free(&argument);
}

/* --- The node --- */

static void quiet(void *context, enum muster_log_level level, const char *text) {
    (void)context, (void)level, (void)text;
}

static void on_found(void *context, const struct muster_topology *t,
                     const struct muster_node_name *node) {
    (void)context, (void)t, (void)node;
}

static void on_unproven(void *context, const struct muster_topology *t,
                        const struct muster_peer *peer) {
    (void)context, (void)t;
    check(peer->name.len > 0);
}

static void on_unreached(void *context, const struct muster_topology *t,
                         const struct muster_peer *peer) {
    (void)context, (void)t, (void)peer;
}

static void on_lost(void *context, const struct muster_topology *t,
                    const struct muster_node_name *node, const char *why) {
    (void)context, (void)t;
    check(node->len > 0 && why != NULL);
}

static void on_sync(void *context, const struct muster_topology *t, const char *error) {
    (void)context, (void)t, (void)error;
}

/* Settings: whether dialling is refused for the transport's sake, whether distribution is said to
 * stand already. */
static void init(struct muster_node *node, uv_loop_t *loop, uint8_t settings) {
    struct muster_node_owner owner = {.discovery = {.on_found = on_found,
                                                    .on_unproven = on_unproven,
                                                    .on_unreached = on_unreached,
                                                    .on_lost = on_lost,
                                                    .on_sync = on_sync}};
    muster_node_init(node, loop, &owner);
    if (settings & 1) {
        muster_node_name_parse_cstr(&node->peers.link_settings.self, "n1@127.0.0.1");
        muster_node_name_parse_cstr(&node->peers.beam, "n2@127.0.0.1");
        node->peers.no_dialling = MUSTER_PEER_TLS_REQUIRED;
        node->peers.started = 1;
    }
    node->distributed = 1; /* so that `distribute` is read, and refused */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    static struct muster_node node;
    uv_loop_t loop;
    if (size == 0 || size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, 1 << 20);
        muster_log_set_sink(quiet, NULL);
    }
    struct input in = {.data = data, .len = size};
    check(uv_loop_init(&loop) == 0);
    init(&node, &loop, byte(&in));
    for (int i = 0; i < REQUESTS_MAX && in.len > 0; i++) {
        request(&node, &in, &guard);
        if (i % 4 == 3) {
            uv_run(&loop, UV_RUN_NOWAIT);
        }
    }
    node.distributed = 0;
    muster_node_leave(&node);
    uv_run(&loop, UV_RUN_DEFAULT);
    check(uv_loop_close(&loop) == 0);
    return 0;
}
