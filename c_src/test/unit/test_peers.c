/* How often peers that are away are dialled: nobody listens where these are said to be. */
#include "unit.h"

#include "node/peers.h"

#define AWAY_MIN_MS 3600000
#define FAILURES 30 /* the back-off has come to its cap */

static uv_loop_t loop;
static struct muster_cookies cookies;
static struct muster_peers peers;

static void on_state(void *context, struct muster_peer *peer) {
    (void)context, (void)peer;
}

/* A port that was free a moment ago. */
static uint16_t unused_port(void) {
    struct sockaddr_in address;
    int len = sizeof address;
    uv_tcp_t tcp;
    uv_tcp_init(&loop, &tcp);
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&tcp, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_tcp_getsockname(&tcp, (struct sockaddr *)&address, &len), 0);
    uv_close((uv_handle_t *)&tcp, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return ntohs(address.sin_port);
}

static int set_up(void **state) {
    static const struct muster_peers_owner owner = {.on_state = on_state};
    (void)state;
    uv_loop_init(&loop);
    memset(&cookies, 0, sizeof cookies);
    muster_peers_init(&peers, &loop, &cookies, &owner);
    peers.lookup_options.family = AF_INET;
    peers.lookup_options.epmd_port = unused_port();
    muster_node_name_parse_cstr(&peers.link_settings.self, "self-muster@127.0.0.1");
    return muster_peers_start(&peers, "127.0.0.1", 0, 0);
}

static int tear_down(void **state) {
    (void)state;
    muster_peers_stop(&peers);
    uv_run(&loop, UV_RUN_DEFAULT);
    muster_cookies_close(&cookies);
    return uv_loop_close(&loop);
}

static struct muster_peer *want(const char *text) {
    struct muster_node_name name;
    assert_int_equal(muster_node_name_parse_cstr(&name, text), 0);
    struct muster_peer *peer = muster_peers_want(&peers, &name);
    assert_non_null(peer);
    return peer;
}

/* Runs until the dial under way has failed; returns how long the next one waits. */
static int64_t wait_after_failure(struct muster_peer *peer) {
    peer->backoff.failures = FAILURES;
    while (peer->dialling) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(peer->state, MUSTER_PEER_EPMD_UNREACHABLE);
    return muster_peer_retry_in(peer);
}

static void test_the_ordinary_pace(void **state) {
    int64_t wait = wait_after_failure(want("a-muster@127.0.0.1"));
    (void)state;
    assert_in_range(wait, 4000, 10000);
}

static void test_a_voter_is_never_given_up(void **state) {
    struct muster_peer *peer = want("a-muster@127.0.0.1");
    (void)state;
    muster_peers_hurry(peer, 500, 0);
    peer->there_ms -= AWAY_MIN_MS;
    assert_in_range(wait_after_failure(peer), 1, MUSTER_PEERS_URGENT_MS);
}

static void test_who_was_only_met_fades(void **state) {
    struct muster_peer *peer = want("a-muster@127.0.0.1");
    (void)state;
    muster_peers_hurry(peer, 500, 1);
    assert_in_range(wait_after_failure(peer), 1, MUSTER_PEERS_URGENT_MS);
    peer->there_ms -= AWAY_MIN_MS;
    uv_timer_start(&peer->retry, peer->retry.timer_cb, 0, 0);
    uv_run(&loop, UV_RUN_ONCE);
    assert_in_range(wait_after_failure(peer), 2500, 6100);
}

static void test_one_urgent_want_among_fading_ones(void **state) {
    struct muster_peer *peer = want("a-muster@127.0.0.1");
    (void)state;
    muster_peers_hurry(peer, 500, 1);
    want("a-muster@127.0.0.1");
    muster_peers_hurry(peer, 500, 0);
    peer->there_ms -= AWAY_MIN_MS;
    assert_in_range(wait_after_failure(peer), 1, MUSTER_PEERS_URGENT_MS);
    muster_peers_relax(peer, 0);
    muster_peers_unwant(peer);
    uv_timer_start(&peer->retry, peer->retry.timer_cb, 0, 0);
    uv_run(&loop, UV_RUN_ONCE);
    assert_in_range(wait_after_failure(peer), 2500, 6100);
}

static void test_one_that_is_expected_is_dialled_at_once(void **state) {
    struct muster_peer *peer = want("a-muster@127.0.0.1");
    (void)state;
    muster_peers_hurry(peer, 500, 1);
    peer->there_ms -= AWAY_MIN_MS;
    assert_true(wait_after_failure(peer) > MUSTER_PEERS_URGENT_MS);
    muster_peers_expect(peer);
    assert_true(peer->dialling);
    assert_in_range(wait_after_failure(peer), 1, MUSTER_PEERS_URGENT_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_ordinary_pace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_voter_is_never_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_was_only_met_fades, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_urgent_want_among_fading_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_expected_is_dialled_at_once, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
