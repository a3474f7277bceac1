/* The pace: quick, then steady; bounded as nodes grow; answers soon, few and not often. */
#include "unit.h"

#include "core/gossip_pace.h"

#define INTERVAL 2500

static void test_quick_then_steady(void **state) {
    static const uint64_t waits[] = {50, 100, 200, 400, 800, INTERVAL, INTERVAL};
    struct muster_gossip_pace pace;
    uint64_t random = 1;
    (void)state;
    for (int run = 0; run < 1000; run++) {
        uint64_t now = 1000;
        muster_gossip_pace_start(&pace, INTERVAL, now);
        assert_int_equal(pace.due_ms, now);
        for (size_t i = 0; i < UNIT_COUNT(waits); i++) {
            muster_gossip_pace_sent(&pace, 3, now, unit_random(&random));
            assert_in_range(pace.due_ms - now, waits[i] * 3 / 4, waits[i] * 5 / 4);
            now = pace.due_ms;
        }
    }
}

/* However many there are, a node hears 25 a second, give or take the jitter. */
static void test_bounded_traffic(void **state) {
    struct muster_gossip_pace pace;
    (void)state;
    muster_gossip_pace_start(&pace, INTERVAL, 0);
    assert_int_equal(muster_gossip_pace_interval(&pace, 0), INTERVAL);
    assert_int_equal(muster_gossip_pace_interval(&pace, 62), INTERVAL);
    for (unsigned nodes = 63; nodes < 10000; nodes += 7) {
        assert_in_range(muster_gossip_pace_interval(&pace, nodes), nodes * 40 - 1, nodes * 40);
    }
}

/* A short interval is not slowed down by the quick phase. */
static void test_short_interval(void **state) {
    struct muster_gossip_pace pace;
    uint64_t now = 0;
    (void)state;
    muster_gossip_pace_start(&pace, 100, now);
    for (int i = 0; i < 10; i++) {
        muster_gossip_pace_sent(&pace, 1, now, 0);
        assert_in_range(pace.due_ms - now, 1, 125);
        now = pace.due_ms;
    }
}

static void steady(struct muster_gossip_pace *pace, uint64_t now) {
    *pace =
        (struct muster_gossip_pace){.interval_ms = INTERVAL, .quick = 5, .due_ms = now + INTERVAL};
}

static void test_answers(void **state) {
    struct muster_gossip_pace pace;
    (void)state;
    steady(&pace, 10000);
    muster_gossip_pace_answer(&pace, 3, 10000, 7);
    assert_in_range(pace.due_ms, 10000, 10099);
    pace.due_ms = 10050 + INTERVAL;
    muster_gossip_pace_answer(&pace, 3, 10200, 7); /* too soon after the last */
    assert_int_equal(pace.due_ms, 10050 + INTERVAL);
    muster_gossip_pace_answer(&pace, 3, 10500, 7);
    assert_in_range(pace.due_ms, 10500, 10599);
    muster_gossip_pace_answer(&pace, 3, 11000, 99); /* never later than planned */
    assert_in_range(pace.due_ms, 10500, 10599);
}

/* Of many about ten answer. */
static void test_few_answer(void **state) {
    uint64_t random = 5;
    unsigned answers = 0;
    (void)state;
    for (int node = 0; node < 100 * 1000; node++) {
        struct muster_gossip_pace pace;
        steady(&pace, 10000);
        muster_gossip_pace_answer(&pace, 1000, 10000, unit_random(&random));
        answers += pace.due_ms != 10000 + INTERVAL;
    }
    assert_in_range(answers, 900, 1100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quick_then_steady), cmocka_unit_test(test_bounded_traffic),
        cmocka_unit_test(test_short_interval),    cmocka_unit_test(test_answers),
        cmocka_unit_test(test_few_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
