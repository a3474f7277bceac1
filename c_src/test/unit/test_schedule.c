/* The ping schedule: a grid of times, spread over the peers, never a burst. */
#include "unit.h"

#include "core/schedule.h"

static void test_first_slot_is_spread(void **state) {
    static const struct {
        uint32_t random;
        uint64_t due;
    } cases[] = {{0, 5000}, {1, 5001}, {999, 5999}, {1000, 5000}, {1234567, 5567}};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_schedule schedule;
        muster_schedule_init(&schedule, 5000, 1000, cases[i].random);
        assert_int_equal(schedule.due, cases[i].due);
    }
}

/* A thousand peers: every tenth of the interval gets its share. */
static void test_peers_do_not_ping_in_step(void **state) {
    unsigned tenths[10] = {0};
    uint64_t random = 7;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct muster_schedule schedule;
        muster_schedule_init(&schedule, 0, 1000, unit_random(&random));
        assert_in_range(schedule.due, 0, 999);
        tenths[schedule.due / 100]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(tenths[i], 60, 140);
    }
}

static void test_take(void **state) {
    static const struct {
        uint64_t now;
        int taken;
        uint64_t due;
    } steps[] = {
        {1000, 0, 1300}, {1299, 0, 1300}, {1300, 1, 2300}, {1300, 0, 2300}, {2310, 1, 3300},
        {3299, 0, 3300}, {4299, 1, 4300}, {4300, 1, 5300}, {6300, 1, 7300}, {100000, 1, 100300},
    };
    struct muster_schedule schedule;
    (void)state;
    muster_schedule_init(&schedule, 1000, 1000, 300);
    for (size_t i = 0; i < UNIT_COUNT(steps); i++) {
        assert_int_equal(muster_schedule_take(&schedule, steps[i].now), steps[i].taken);
        assert_int_equal(schedule.due, steps[i].due);
    }
}

/* However irregularly it is asked: never two pings in one slot, always on the grid. */
static void test_never_a_burst(void **state) {
    struct muster_schedule schedule;
    uint64_t random = 3, now = 0, last_slot = 0;
    unsigned taken = 0;
    (void)state;
    muster_schedule_init(&schedule, 0, 250, 100);
    for (int i = 0; i < 100000; i++) {
        uint32_t r = unit_random(&random);
        now += r % 100 == 0 ? r % 10000 : r % 60;
        if (muster_schedule_take(&schedule, now)) {
            uint64_t slot = (now - 100) / 250 + 1;
            assert_true(slot > last_slot);
            last_slot = slot;
            taken++;
        }
        assert_true(schedule.due > now);
        assert_true(schedule.due - now <= 250);
        assert_int_equal(schedule.due % 250, 100);
    }
    assert_true(taken > 1000);
}

static void test_wait(void **state) {
    struct muster_schedule schedule;
    (void)state;
    muster_schedule_init(&schedule, 1000, 1000, 300);
    assert_int_equal(muster_schedule_wait(&schedule, 1000), 300);
    assert_int_equal(muster_schedule_wait(&schedule, 1299), 1);
    assert_int_equal(muster_schedule_wait(&schedule, 1300), 0);
    assert_int_equal(muster_schedule_wait(&schedule, 9999), 0);
}

static void test_interval_of_zero(void **state) {
    struct muster_schedule schedule;
    (void)state;
    muster_schedule_init(&schedule, 1000, 0, 300);
    assert_int_equal(muster_schedule_wait(&schedule, 1000), 0);
    assert_int_equal(muster_schedule_take(&schedule, 1000), 1);
    assert_int_equal(muster_schedule_take(&schedule, 1500), 1);
    assert_int_equal(muster_schedule_take(&schedule, 1500), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_slot_is_spread),
        cmocka_unit_test(test_peers_do_not_ping_in_step),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_never_a_burst),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_interval_of_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
