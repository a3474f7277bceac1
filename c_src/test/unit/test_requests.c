/* Requests against a node without distribution: results, refusals, exactly one term each time. */
#include "core/errors.h"
#include "node/requests.h"
#include "test/unit/term_text.h"

static uv_loop_t loop;
static struct muster_node node;
static unsigned unproven;

static void on_found(void *context, const struct muster_topology *t,
                     const struct muster_node_name *name) {
    (void)context, (void)t, (void)name;
}

static void on_unproven(void *context, const struct muster_topology *t,
                        const struct muster_peer *peer) {
    (void)context, (void)t, (void)peer;
    unproven++;
}

static void on_unreached(void *context, const struct muster_topology *t,
                         const struct muster_peer *peer) {
    (void)context, (void)t, (void)peer;
}

static void on_lost(void *context, const struct muster_topology *t,
                    const struct muster_node_name *name, const char *why) {
    (void)context, (void)t, (void)name, (void)why;
}

static void on_sync(void *context, const struct muster_topology *t, const char *error) {
    (void)context, (void)t, (void)error;
}

static int set_up(void **state) {
    (void)state;
    struct muster_node_owner owner = {.discovery = {.on_found = on_found,
                                                    .on_unproven = on_unproven,
                                                    .on_unreached = on_unreached,
                                                    .on_lost = on_lost,
                                                    .on_sync = on_sync}};
    unproven = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    muster_node_init(&node, &loop, &owner);
    return 0;
}

/* --- Asking --- */

struct option {
    const char *name;
    const char *text; /* a binary; or NULL, then */
    const char *atom; /* an atom; or NULL, then */
    int64_t integer;
};

static char answer_atom[MUSTER_ATOM_SIZE]; /* the error */
static char answer_text[1024];             /* and what it says */
static struct muster_slice result;         /* or the result, a part of: */
static struct muster_slice answer;         /* the last answer */

static void forget_answer(void) {
    if (answer.data != NULL) {
        unit_free(answer);
    }
    answer = (struct muster_slice){0};
}

static void take_answer(struct muster_slice term) {
    struct muster_reader r = muster_reader(term);
    struct muster_slice text;
    int arity;
    char outcome[MUSTER_ATOM_SIZE];
    answer_atom[0] = answer_text[0] = '\0';
    assert_int_equal(muster_read_tuple(&r, &arity), 0);
    assert_int_equal(arity, 2);
    assert_int_equal(muster_read_atom(&r, outcome), 0);
    if (strcmp(outcome, "ok") == 0) {
        result = muster_slice(term.data + r.at, term.len - (size_t)r.at);
        return;
    }
    assert_string_equal(outcome, "error");
    if (muster_read_tuple(&r, &arity) == 0) {
        assert_int_equal(muster_read_atom(&r, answer_atom), 0);
        assert_int_equal(muster_read_binary(&r, &text), 0);
        snprintf(answer_text, sizeof answer_text, "%.*s", (int)text.len, (const char *)text.data);
    } else {
        assert_int_equal(muster_read_atom(&r, answer_atom), 0);
    }
}

/* 0 for ok, -1 for an error. */
static int ask(const char *service, const char *op, const struct option *options) {
    struct muster_writer argument, w;
    int count = 0;
    while (options[count].name != NULL) {
        count++;
    }
    muster_writer_init(&argument);
    muster_write_map(&argument, count);
    for (int i = 0; i < count; i++) {
        muster_write_atom(&argument, options[i].name);
        if (options[i].text != NULL) {
            muster_write_text(&argument, options[i].text);
        } else if (options[i].atom != NULL) {
            muster_write_atom(&argument, options[i].atom);
        } else {
            muster_write_integer(&argument, options[i].integer);
        }
    }
    struct muster_slice arg = unit_term(&argument);
    muster_writer_init(&w);
    muster_requests_from_beam(&node, 1, service, op, arg, &w);
    unit_free(arg);
    forget_answer();
    answer = unit_term(&w);
    unit_check_term(answer);
    take_answer(answer);
    return answer_atom[0] == '\0' ? 0 : -1;
}

/* An option of no name ends the list. */
#define ASK(service, op, ...) ask(service, op, (struct option[]){__VA_ARGS__, {0}})
#define KEY(key_)                                                                                  \
    { .name = "monitor", .text = key_ }
#define NODE(name_)                                                                                \
    { .name = "node", .text = name_ }

static void assert_refused(int outcome, const char *error, const char *part) {
    assert_int_equal(outcome, -1);
    assert_string_equal(answer_atom, error);
    if (strstr(answer_text, part) == NULL) {
        fail_msg("\"%s\" does not hold \"%s\"", answer_text, part);
    }
}

static int list_length(void) {
    struct muster_reader r = muster_reader(result);
    int n = -1;
    assert_int_equal(ei_decode_list_header(r.data, &r.at, &n), 0);
    return n;
}

/* --- Tests --- */

/* Leaving leaves nothing on the loop; under a sanitizer, nothing in memory either. */
static int tear_down(void **state) {
    (void)state;
    forget_answer();
    muster_node_leave(&node);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void unknown_requests(void **state) {
    (void)state;
    assert_refused(ASK("node", "dance", {0}), "unknown_request", "dance");
    assert_refused(ASK("", "", {0}), "unknown_request", "");
    assert_refused(ASK("monitors", "start", {0}), "unknown_request", "monitors");
}

static void a_monitors_life(void **state) {
    (void)state;
    assert_refused(ASK("monitor", "list", KEY("a")), "unknown_monitor", "");
    assert_int_equal(ASK("monitor", "start", KEY("a")), 0);
    assert_int_equal(ASK("monitor", "start", KEY("b")), 0);
    assert_int_equal(ASK("monitor", "watch", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "watch", KEY("b"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "watch", KEY("a"), NODE("y@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "list", KEY("a")), 0);
    assert_int_equal(list_length(), 2);
    assert_int_equal(ASK("monitor", "health", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "pause", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "pause", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "health", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "watch", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_int_equal(ASK("monitor", "forget", KEY("a"), NODE("x@127.0.0.1")), 0);
    assert_refused(ASK("monitor", "health", KEY("a"), NODE("x@127.0.0.1")), "unknown", "");
    assert_refused(ASK("monitor", "forget", KEY("a"), NODE("x@127.0.0.1")), "unknown", "");
    assert_int_equal(ASK("monitor", "start", KEY("a")), 0);
    assert_int_equal(ASK("monitor", "list", KEY("a")), 0);
    assert_int_equal(list_length(), 0);
    assert_int_equal(ASK("monitor", "stop", KEY("b")), 0);
    assert_refused(ASK("monitor", "stop", KEY("b")), "unknown_monitor", "");
    assert_int_equal(node.peers.first->wanted, 0);
}

static void thresholds_are_in_order(void **state) {
    (void)state;
    assert_refused(ASK("monitor", "start", KEY("a"), {.name = "suspect_after_ms", .integer = 1000}),
                   "invalid_argument", "suspect_after_ms (1000)");
    assert_refused(ASK("monitor", "start", KEY("a"), {.name = "down_after_ms", .integer = 5000}),
                   "invalid_argument", "down_after_ms (5000)");
    assert_refused(ASK("monitor", "start", KEY("a"), {.name = "ping_interval_ms", .integer = 0}),
                   "invalid_argument", "ping_interval_ms");
    assert_refused(ASK("monitor", "list", KEY("a")), "unknown_monitor", "");
}

static void what_was_known_before_is_taken_over(void **state) {
    (void)state;
    static const char *const statuses[] = {"healthy", "suspect", "down"};
    assert_int_equal(ASK("monitor", "start", KEY("a")), 0);
    for (size_t i = 0; i < UNIT_COUNT(statuses); i++) {
        assert_int_equal(ASK("monitor", "watch", KEY("a"), NODE("x@127.0.0.1"),
                             {.name = "status", .atom = statuses[i]},
                             {.name = "silent_ms", .integer = INT64_MAX / 2}),
                         0);
        assert_int_equal(node.monitors.first->watches->health.status, i);
    }
    assert_refused(ASK("monitor", "watch", KEY("a"), NODE("x@127.0.0.1"),
                       {.name = "silent_ms", .integer = -1}),
                   "invalid_argument", "silent_ms");
    assert_refused(
        ASK("monitor", "watch", KEY("a"), NODE("x@127.0.0.1"), {.name = "status", .atom = "well"}),
        "invalid_argument", "well");
}

static void keys_are_bounded(void **state) {
    (void)state;
    char key[MUSTER_MONITOR_KEY_MAX + 2];
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = '\0';
    assert_refused(ASK("monitor", "start", KEY(key)), "invalid_argument", "monitor");
    key[sizeof key - 2] = '\0';
    assert_int_equal(ASK("monitor", "start", KEY(key)), 0);
    assert_refused(ASK("monitor", "start", KEY("")), "invalid_argument", "monitor");
}

static void own_names_are_not_watched(void **state) {
    (void)state;
    muster_node_name_parse_cstr(&node.peers.link_settings.self, "own@127.0.0.1");
    muster_node_name_parse_cstr(&node.peers.beam, "beam@127.0.0.1");
    assert_int_equal(ASK("monitor", "start", KEY("a")), 0);
    assert_refused(ASK("monitor", "watch", KEY("a"), NODE("own@127.0.0.1")), "invalid_argument",
                   "node");
    assert_refused(ASK("monitor", "watch", KEY("a"), NODE("beam@127.0.0.1")), "invalid_argument",
                   "node");
    assert_int_equal(ASK("monitor", "list", KEY("a")), 0);
    assert_int_equal(list_length(), 0);
}

static void peers_and_info(void **state) {
    (void)state;
    assert_int_equal(ASK("node", "info", {0}), 0);
    assert_int_equal(ASK("node", "peers", {0}), 0);
    assert_int_equal(list_length(), 0);
    assert_refused(ASK("node", "peer", NODE("x@h")), "unknown", "");
    assert_refused(ASK("node", "peer", NODE("x")), "invalid_argument", "<<\"x\">>");
    assert_int_equal(ASK("monitor", "start", KEY("a")), 0);
    assert_int_equal(ASK("monitor", "watch", KEY("a"), NODE("x@h")), 0);
    assert_int_equal(ASK("node", "peer", NODE("x@h")), 0);
    assert_int_equal(ASK("node", "peers", {0}), 0);
    assert_int_equal(list_length(), 1);
}

/* Peers that nobody wants any more are remembered up to a number. */
static void unwanted_peers_are_forgotten(void **state) {
    (void)state;
    char name[32];
    assert_int_equal(ASK("monitor", "start", KEY("a")), 0);
    for (int i = 0; i < 3 * MUSTER_PEERS_REMEMBERED; i++) {
        snprintf(name, sizeof name, "n%d@127.0.0.1", i);
        assert_int_equal(ASK("monitor", "watch", KEY("a"), NODE(name)), 0);
    }
    assert_int_equal(node.peers.count, 3 * MUSTER_PEERS_REMEMBERED);
    assert_int_equal(ASK("monitor", "stop", KEY("a")), 0);
    assert_int_equal(node.peers.count, MUSTER_PEERS_REMEMBERED);
}

static void cookies(void **state) {
    (void)state;
    assert_int_equal(ASK("node", "set_cookie", {.name = "cookie", .text = "all"}), 0);
    assert_int_equal(ASK("node", "set_cookie", {.name = "cookie", .text = "one"}, NODE("x@h")), 0);
    assert_string_equal(node.cookies.all, "all");
    assert_refused(ASK("node", "set_cookie", NODE("x@h")), "invalid_argument", "cookie");
    assert_refused(ASK("node", "set_cookie", {.name = "cookie", .atom = "geheim"}),
                   "invalid_argument", "cookie");
    assert_null(strstr(answer_text, "geheim"));
}

static void distribution_is_refused(void **state) {
    (void)state;
    struct option name = {.name = "name", .text = "x@127.0.0.1"};
    struct option cookie = {.name = "cookie", .text = "c"};
    assert_refused(ASK("node", "distribute", name), "invalid_argument", "cookie");
    assert_refused(
        ASK("node", "distribute", name, cookie, {.name = "listen_ip", .text = "nowhere"}),
        "invalid_argument", "listen_ip");
    assert_refused(
        ASK("node", "distribute", name, cookie, {.name = "listen_min", .integer = 65536}),
        "invalid_argument", "listen_min");
    assert_refused(ASK("node", "distribute", name, cookie, {.name = "family", .atom = "ipx"}),
                   "invalid_argument", "ipx");
    node.distributed = 1;
    assert_refused(ASK("node", "distribute", name, cookie), "already_distributed", "");
    node.distributed = 0;
}

/* Dials that end at once tell of it while the node is still being added. */
static void discovery_where_nothing_is_dialled(void **state) {
    (void)state;
    struct muster_writer argument, w;
    node.peers.started = 1;
    node.peers.no_dialling = MUSTER_PEER_TLS_REQUIRED;
    for (int i = 0; i < 2; i++) {
        muster_writer_init(&argument);
        muster_write_map(&argument, 3);
        muster_write_atom(&argument, "topology");
        muster_write_text(&argument, i == 0 ? "one" : "two");
        muster_write_atom(&argument, "strategy");
        muster_write_atom(&argument, "static");
        muster_write_atom(&argument, "options");
        muster_write_map(&argument, 1);
        muster_write_atom(&argument, "nodes");
        muster_write_list(&argument, 2);
        muster_write_text(&argument, "x@127.0.0.1");
        muster_write_text(&argument, "y@127.0.0.1");
        muster_write_nil(&argument);
        struct muster_slice arg = unit_term(&argument);
        muster_writer_init(&w);
        muster_requests_from_beam(&node, 1, "discovery", "start", arg, &w);
        forget_answer();
        answer = unit_term(&w);
        take_answer(answer);
        assert_string_equal(answer_atom, "");
        unit_free(arg);
    }
    assert_int_equal(unproven, 4);
    assert_int_equal(node.peers.first->state, MUSTER_PEER_TLS_REQUIRED);
}

static void from_another_node(void **state) {
    (void)state;
    static const char *const requests[] = {"ping", "info", "peers", "health", "dance"};
    for (size_t i = 0; i < UNIT_COUNT(requests); i++) {
        struct muster_writer q, w;
        muster_writer_init(&q);
        muster_write_atom(&q, requests[i]);
        struct muster_slice request = unit_term(&q);
        muster_writer_init(&w);
        muster_requests_from_peer(&node, request, &w);
        forget_answer();
        answer = unit_term(&w);
        unit_check_term(answer);
        unit_free(request);
    }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(unknown_requests),
        TEST(a_monitors_life),
        TEST(thresholds_are_in_order),
        TEST(what_was_known_before_is_taken_over),
        TEST(keys_are_bounded),
        TEST(own_names_are_not_watched),
        TEST(peers_and_info),
        TEST(unwanted_peers_are_forgotten),
        TEST(cookies),
        TEST(distribution_is_refused),
        TEST(discovery_where_nothing_is_dialled),
        TEST(from_another_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
