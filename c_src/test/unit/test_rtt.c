/* Round-trip times: the window of 60, what is refused, and the summary computed by hand. */
#include "unit.h"

#include "core/errors.h"
#include "core/rtt.h"

#define SECOND UINT64_C(1000000000)

static void test_empty(void **state) {
    struct muster_rtt rtt;
    (void)state;
    memset(&rtt, 0xff, sizeof rtt);
    muster_rtt_init(&rtt);
    struct muster_rtt_summary s = muster_rtt_summarize(&rtt);
    assert_int_equal(rtt.count, 0);
    assert_int_equal(rtt.total, 0);
    assert_true(s.average == 0 && s.min == 0 && s.max == 0 && s.jitter == 0);
}

static void test_bounds(void **state) {
    static const struct {
        uint64_t ns;
        int result;
    } cases[] = {
        {0, MUSTER_E_INVALID},
        {1, 0},
        {10 * SECOND - 1, 0},
        {10 * SECOND, MUSTER_E_INVALID},
        {10 * SECOND + 1, MUSTER_E_INVALID},
        {UINT64_MAX, MUSTER_E_INVALID}, /* what a clock that ran backwards would give */
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_rtt rtt;
        muster_rtt_init(&rtt);
        assert_int_equal(muster_rtt_add(&rtt, cases[i].ns), cases[i].result);
        assert_int_equal(rtt.count, cases[i].result == 0);
        assert_int_equal(rtt.total, cases[i].result == 0);
    }
}

static void test_refused_samples_leave_no_trace(void **state) {
    struct muster_rtt rtt;
    (void)state;
    muster_rtt_init(&rtt);
    muster_rtt_add(&rtt, 5);
    muster_rtt_add(&rtt, 0);
    muster_rtt_add(&rtt, 20 * SECOND);
    muster_rtt_add(&rtt, 7);
    assert_int_equal(rtt.count, 2);
    assert_int_equal(muster_rtt_sample(&rtt, 0), 7);
    assert_int_equal(muster_rtt_sample(&rtt, 1), 5);
}

static void test_one_sample(void **state) {
    struct muster_rtt rtt;
    (void)state;
    muster_rtt_init(&rtt);
    muster_rtt_add(&rtt, 1500);
    struct muster_rtt_summary s = muster_rtt_summarize(&rtt);
    assert_true(s.average == 1500 && s.min == 1500 && s.max == 1500 && s.jitter == 0);
}

/* 100 400 200 800: average 375, differences 300, 200, 600. */
static void test_summary_by_hand(void **state) {
    struct muster_rtt rtt;
    (void)state;
    muster_rtt_init(&rtt);
    muster_rtt_add(&rtt, 100);
    muster_rtt_add(&rtt, 400);
    muster_rtt_add(&rtt, 200);
    muster_rtt_add(&rtt, 800);
    struct muster_rtt_summary s = muster_rtt_summarize(&rtt);
    assert_float_equal(s.average, 375, 1e-6);
    assert_float_equal(s.min, 100, 0);
    assert_float_equal(s.max, 800, 0);
    assert_float_equal(s.jitter, (300 + 200 + 600) / 3.0, 1e-3);
}

/* After every sample of 200, the window holds exactly the last 60, newest first. */
static void test_window(void **state) {
    struct muster_rtt rtt;
    (void)state;
    muster_rtt_init(&rtt);
    for (uint64_t n = 1; n <= 200; n++) {
        assert_int_equal(muster_rtt_add(&rtt, 1000 * n), 0);
        assert_int_equal(rtt.total, n);
        assert_int_equal(rtt.count, n < 60 ? n : 60);
        for (unsigned i = 0; i < rtt.count; i++) {
            assert_int_equal(muster_rtt_sample(&rtt, i), 1000 * (n - i));
        }
        struct muster_rtt_summary s = muster_rtt_summarize(&rtt);
        double oldest = 1000.0 * (double)(n - rtt.count + 1);
        assert_float_equal(s.max, 1000.0 * (double)n, 0);
        assert_float_equal(s.min, oldest, 0);
        assert_float_equal(s.average, (s.max + oldest) / 2, 1e-1);
        assert_float_equal(s.jitter, n == 1 ? 0 : 1000, 1e-3);
    }
}

/* The join between the ring's end and its beginning is a pair like any other. */
static void test_jitter_across_the_ring(void **state) {
    struct muster_rtt rtt;
    (void)state;
    muster_rtt_init(&rtt);
    for (int i = 0; i < MUSTER_RTT_HISTORY + 17; i++) {
        muster_rtt_add(&rtt, i % 2 == 0 ? 1000 : 3000);
    }
    assert_float_equal(muster_rtt_summarize(&rtt).jitter, 2000, 1e-3);
    assert_float_equal(muster_rtt_summarize(&rtt).average, 2000, 1e-3);
}

static void test_largest_samples(void **state) {
    struct muster_rtt rtt;
    (void)state;
    muster_rtt_init(&rtt);
    for (int i = 0; i < MUSTER_RTT_HISTORY; i++) {
        muster_rtt_add(&rtt, i % 2 == 0 ? 1 : 10 * SECOND - 1);
    }
    assert_float_equal(muster_rtt_summarize(&rtt).jitter, 1e10 - 2, 16384);
    assert_float_equal(muster_rtt_summarize(&rtt).average, 5e9, 16384);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_refused_samples_leave_no_trace),
        cmocka_unit_test(test_one_sample),
        cmocka_unit_test(test_summary_by_hand),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_jitter_across_the_ring),
        cmocka_unit_test(test_largest_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
