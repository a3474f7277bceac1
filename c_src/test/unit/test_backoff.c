/* Back-off: doubling, cap, jitter within its bounds. */
#include "unit.h"

#include <limits.h>

#include "core/backoff.h"

static void test_doubles_up_to_the_cap(void **state) {
    static const uint32_t waits[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    struct muster_backoff backoff;
    (void)state;
    muster_backoff_init(&backoff, 100, 5000);
    for (size_t i = 0; i < UNIT_COUNT(waits); i++) {
        assert_int_equal(muster_backoff_next(&backoff, 0), waits[i]);
        assert_int_equal(backoff.failures, i + 1);
    }
}

/* Jitter takes off 0 to 50 %, each end reached. */
static void test_jitter(void **state) {
    uint64_t random = 1;
    uint32_t least = UINT32_MAX, most = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct muster_backoff backoff;
        muster_backoff_init(&backoff, 100, 5000);
        uint32_t wait = muster_backoff_next(&backoff, unit_random(&random));
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_int_equal(least, 50);
    assert_int_equal(most, 100);
}

static void test_jitter_by_hand(void **state) {
    static const struct {
        uint32_t first_ms, cap_ms, random, wait;
    } cases[] = {
        {100, 5000, 50, 50}, {100, 5000, 51, 100}, {100, 5000, 1, 99},   {101, 5000, 50, 51},
        {3, 10, 1, 2},       {3, 10, 2, 3},        {1, 10, 12345, 1},    {0, 10, 12345, 0},
        {100, 0, 7, 0},      {800, 500, 0, 500},   {800, 500, 250, 250},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_backoff backoff;
        muster_backoff_init(&backoff, cases[i].first_ms, cases[i].cap_ms);
        assert_int_equal(muster_backoff_next(&backoff, cases[i].random), cases[i].wait);
    }
}

static void test_reset(void **state) {
    struct muster_backoff backoff;
    (void)state;
    muster_backoff_init(&backoff, 100, 5000);
    for (int i = 0; i < 10; i++) {
        muster_backoff_next(&backoff, 0);
    }
    muster_backoff_reset(&backoff);
    assert_int_equal(backoff.failures, 0);
    assert_int_equal(muster_backoff_next(&backoff, 0), 100);
}

/* Dialling goes on for ever: no number of failures may bring the wait back to a small one. */
static void test_many_failures(void **state) {
    static const uint32_t firsts[] = {1, 100, UINT32_MAX};
    (void)state;
    for (size_t f = 0; f < UNIT_COUNT(firsts); f++) {
        struct muster_backoff backoff;
        uint32_t before = 0;
        muster_backoff_init(&backoff, firsts[f], UINT32_MAX);
        for (int i = 0; i < 1000; i++) {
            uint32_t wait = muster_backoff_next(&backoff, 0);
            assert_true(wait >= before && wait >= firsts[f]);
            before = wait;
        }
        assert_true(before >= UINT32_C(1) << 31);
        assert_int_equal(backoff.failures, 1000);
        assert_true(muster_backoff_next(&backoff, UINT32_MAX) >= before / 2);
    }
}

static void test_failures_do_not_wrap(void **state) {
    struct muster_backoff backoff;
    (void)state;
    muster_backoff_init(&backoff, 100, 5000);
    backoff.failures = UINT_MAX;
    assert_int_equal(muster_backoff_next(&backoff, 0), 5000);
    assert_int_equal(muster_backoff_next(&backoff, 0), 5000);
}

static void test_fading(void **state) {
    static const struct {
        uint64_t away_ms;
        uint32_t wait;
    } rows[] = {
        {0, 500},        {1000, 500},       {300000, 500},     {300600, 501},
        {3600000, 6000}, {36000000, 60000}, {36000600, 60000}, {UINT64_MAX, 60000},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_int_equal(muster_backoff_fading(rows[i].away_ms, 500, 60000), rows[i].wait);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_the_cap),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_jitter_by_hand),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_many_failures),
        cmocka_unit_test(test_failures_do_not_wrap),
        cmocka_unit_test(test_fading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
