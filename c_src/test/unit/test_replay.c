/* The table of nonces: nothing is accepted twice within the window, whatever is forgotten. */
#include "unit.h"

#include "core/replay.h"

#define WINDOW 30000
#define NEVER UINT64_MAX

static int set_up(void **state) {
    *state = calloc(1, sizeof(struct muster_replay));
    return *state == NULL;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static void test_once(void **state) {
    assert_int_equal(muster_replay_is_new(*state, 1, 1000, 0, NEVER), 1);
    assert_int_equal(muster_replay_is_new(*state, 1, 1000, 0, NEVER), 0);
    assert_int_equal(muster_replay_is_new(*state, 1, 1001, 0, NEVER), 0);
    assert_int_equal(muster_replay_is_new(*state, 2, 1000, 0, NEVER), 1);
}

/* More in one bucket than it holds: the oldest is forgotten, and refused all the same. */
static void test_overflow(void **state) {
    for (uint64_t i = 0; i < 3 * MUSTER_REPLAY_WAYS; i++) {
        assert_int_equal(
            muster_replay_is_new(*state, i * MUSTER_REPLAY_BUCKETS, 1000 + i, 0, NEVER), 1);
    }
    for (uint64_t i = 0; i < 3 * MUSTER_REPLAY_WAYS; i++) {
        assert_int_equal(
            muster_replay_is_new(*state, i * MUSTER_REPLAY_BUCKETS, 1000 + i, 0, NEVER), 0);
    }
    assert_int_equal(muster_replay_is_new(*state, 99 * MUSTER_REPLAY_BUCKETS, 999, 0, NEVER), 0);
    assert_int_equal(muster_replay_is_new(*state, 99 * MUSTER_REPLAY_BUCKETS, 2000, 0, NEVER), 1);
}

/* What is too old to come again makes room without a trace. */
static void test_expired_make_room(void **state) {
    for (uint64_t i = 0; i < MUSTER_REPLAY_WAYS; i++) {
        assert_int_equal(muster_replay_is_new(*state, i * MUSTER_REPLAY_BUCKETS, 1000, 0, NEVER),
                         1);
    }
    for (uint64_t i = 0; i < MUSTER_REPLAY_WAYS; i++) {
        assert_int_equal(
            muster_replay_is_new(*state, (100 + i) * MUSTER_REPLAY_BUCKETS, 1002, 1001, NEVER), 1);
    }
}

/* A hundred nodes for a minute, clocks apart, packets late: none refused, none accepted twice. */
static void test_steady_traffic(void **state) {
    static uint64_t nonces[6000], sent[6000];
    uint64_t random = 1;
    for (uint64_t i = 0; i < UNIT_COUNT(nonces); i++) {
        uint64_t now = 100000 + 10 * i;
        nonces[i] = (uint64_t)unit_random(&random) << 32 | unit_random(&random);
        sent[i] = now - unit_random(&random) % 5000;
        assert_int_equal(
            muster_replay_is_new(*state, nonces[i], sent[i], now - WINDOW, now + WINDOW), 1);
        uint64_t again = unit_random(&random) % (i + 1);
        if (sent[again] >= now - WINDOW) {
            assert_int_equal(muster_replay_is_new(*state, nonces[again], sent[again], now - WINDOW,
                                                  now + WINDOW),
                             0);
        }
    }
}

/* An hour's traffic, then the clock is set back by most of it: new packets are accepted at once,
 * and each of them once. */
static void test_clock_set_back(void **state) {
    uint64_t random = 1;
    for (uint64_t now = 3600000; now < 7200000; now += 100) {
        muster_replay_is_new(*state, (uint64_t)unit_random(&random) << 32 | unit_random(&random),
                             now, now - WINDOW, now + WINDOW);
    }
    for (uint64_t now = 3700000; now < 3800000; now += 100) {
        uint64_t nonce = (uint64_t)unit_random(&random) << 32 | unit_random(&random);
        for (int is_new = 1; is_new >= 0; is_new--) {
            assert_int_equal(muster_replay_is_new(*state, nonce, now, now - WINDOW, now + WINDOW),
                             is_new);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        TEST(test_once),           TEST(test_overflow),       TEST(test_expired_make_room),
        TEST(test_clock_set_back), TEST(test_steady_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
