/* Health: thresholds, recovery, the observer's own lateness, links that are refused. */
#include "unit.h"

#include "core/health.h"

static const struct muster_health_thresholds thresholds = {.suspect_after_ms = 5000,
                                                           .down_after_ms = 30000};

static void test_names(void **state) {
    (void)state;
    assert_string_equal(muster_health_status_name(MUSTER_HEALTHY), "healthy");
    assert_string_equal(muster_health_status_name(MUSTER_SUSPECT), "suspect");
    assert_string_equal(muster_health_status_name(MUSTER_DOWN), "down");
}

/* One node's life, told in events; each line is judged at its time. */
struct line {
    uint64_t now;
    int answered;
    uint64_t late_ms;
    int silent;
    enum muster_health_status status;
};

static void play(const struct line *lines, size_t count) {
    struct muster_health health;
    muster_health_init(&health, 100000, MUSTER_HEALTHY, 0);
    enum muster_health_status before = MUSTER_HEALTHY;
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &lines[i];
        uint64_t now = 100000 + line->now;
        if (line->answered) {
            muster_health_answered(&health, now);
        }
        if (line->late_ms > 0) {
            muster_health_observer_late(&health, now, line->late_ms);
        }
        int changed = muster_health_judge(&health, &thresholds, now, line->silent);
        if (health.status != line->status || changed != (before != line->status)) {
            fail_msg("line %zu, at %lu: %s, changed %d", i, (unsigned long)line->now,
                     muster_health_status_name(health.status), changed);
        }
        before = line->status;
    }
}

static void test_thresholds(void **state) {
    static const struct line lines[] = {
        {0, 0, 0, 1, MUSTER_HEALTHY},     {4999, 0, 0, 1, MUSTER_HEALTHY},
        {5000, 0, 0, 1, MUSTER_SUSPECT},  {5001, 0, 0, 1, MUSTER_SUSPECT},
        {29999, 0, 0, 1, MUSTER_SUSPECT}, {30000, 0, 0, 1, MUSTER_DOWN},
        {90000, 0, 0, 1, MUSTER_DOWN},
    };
    (void)state;
    play(lines, UNIT_COUNT(lines));
}

static void test_straight_to_down(void **state) {
    static const struct line lines[] = {{0, 0, 0, 1, MUSTER_HEALTHY},
                                        {31000, 0, 0, 1, MUSTER_DOWN}};
    (void)state;
    play(lines, UNIT_COUNT(lines));
}

static void test_recovery(void **state) {
    static const struct line lines[] = {
        {5000, 0, 0, 1, MUSTER_SUSPECT},  {5500, 1, 0, 1, MUSTER_HEALTHY},
        {10499, 0, 0, 1, MUSTER_HEALTHY}, {10500, 0, 0, 1, MUSTER_SUSPECT},
        {35500, 0, 0, 1, MUSTER_DOWN},    {40000, 1, 0, 1, MUSTER_HEALTHY},
        {44999, 0, 0, 1, MUSTER_HEALTHY}, {45000, 0, 0, 1, MUSTER_SUSPECT},
    };
    (void)state;
    play(lines, UNIT_COUNT(lines));
}

/* A refusal proves that something lives there: suspect, never down. */
static void test_refused_links(void **state) {
    static const struct line lines[] = {
        {5000, 0, 0, 0, MUSTER_SUSPECT},
        {30000, 0, 0, 0, MUSTER_SUSPECT},
        {99999, 0, 0, 0, MUSTER_SUSPECT},
        /* Then the host dies as well: silence counts from the last answer. */
        {100000, 0, 0, 1, MUSTER_DOWN},
        /* A refusal is no answer to a ping: it does not bring the node back. */
        {100001, 0, 0, 0, MUSTER_DOWN},
        {100002, 1, 0, 0, MUSTER_HEALTHY},
    };
    (void)state;
    play(lines, UNIT_COUNT(lines));
}

/* The observer was stopped for 60 s: nobody is blamed, the silence goes on from where it was. */
static void test_observer_late(void **state) {
    static const struct line lines[] = {
        {4000, 0, 0, 1, MUSTER_HEALTHY},   {64000, 0, 60000, 1, MUSTER_HEALTHY},
        {64999, 0, 0, 1, MUSTER_HEALTHY},  {65000, 0, 0, 1, MUSTER_SUSPECT},
        {95000, 0, 5000, 1, MUSTER_DOWN},  {195000, 0, 100000, 1, MUSTER_DOWN},
        {200000, 1, 0, 1, MUSTER_HEALTHY},
    };
    (void)state;
    play(lines, UNIT_COUNT(lines));
}

/* More lateness than silence: the last answer is now, never in the future. */
static void test_observer_late_is_bounded(void **state) {
    struct muster_health health;
    (void)state;
    muster_health_init(&health, 1000, MUSTER_HEALTHY, 0);
    muster_health_observer_late(&health, 3000, UINT64_MAX);
    assert_int_equal(health.last_answer, 3000);
    muster_health_observer_late(&health, 2000, 500);
    assert_int_equal(health.last_answer, 3000);
    assert_int_equal(muster_health_silent_ms(&health, 3000), 0);
    assert_int_equal(muster_health_silent_ms(&health, 3700), 700);
}

static void test_silent_ms(void **state) {
    struct muster_health health;
    (void)state;
    muster_health_init(&health, 1000, MUSTER_HEALTHY, 0);
    assert_int_equal(muster_health_silent_ms(&health, 1000), 0);
    assert_int_equal(muster_health_silent_ms(&health, 999), 0);
    assert_int_equal(muster_health_silent_ms(&health, 1234), 234);
    muster_health_answered(&health, 1200);
    assert_int_equal(muster_health_silent_ms(&health, 1234), 34);
}

/* After a restart of the C node the BEAM tells how things stood. */
static void test_init_takes_over(void **state) {
    static const struct {
        uint64_t now, silent_ms;
        enum muster_health_status status;
        uint64_t last_answer;
    } cases[] = {
        {50000, 0, MUSTER_HEALTHY, 50000},   {50000, 7000, MUSTER_SUSPECT, 43000},
        {50000, 40000, MUSTER_DOWN, 10000},  {50000, 50000, MUSTER_DOWN, 0},
        {50000, 50001, MUSTER_DOWN, 0}, /* longer than this clock has run */
        {50000, UINT64_MAX, MUSTER_DOWN, 0},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_health health;
        muster_health_init(&health, cases[i].now, cases[i].status, cases[i].silent_ms);
        assert_int_equal(health.status, cases[i].status);
        assert_int_equal(health.last_answer, cases[i].last_answer);
        assert_int_equal(muster_health_judge(&health, &thresholds, cases[i].now, 1), 0);
    }
}

static void test_next_threshold(void **state) {
    static const struct {
        uint64_t now, wait;
    } cases[] = {
        {1000, 5000},  {999, 5000}, {1001, 4999},        {5999, 1},
        {6000, 25000}, {30999, 1},  {31000, UINT64_MAX}, {99999, UINT64_MAX},
    };
    struct muster_health health;
    (void)state;
    muster_health_init(&health, 1000, MUSTER_HEALTHY, 0);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_true(muster_health_next_threshold(&health, &thresholds, cases[i].now) ==
                    cases[i].wait);
    }
}

/* Who sleeps until the next threshold misses no change and wakes for nothing but one. */
static void test_sleeping_until_the_threshold(void **state) {
    struct muster_health health;
    uint64_t now = 1000, wait;
    unsigned changes = 0;
    (void)state;
    muster_health_init(&health, now, MUSTER_HEALTHY, 0);
    while ((wait = muster_health_next_threshold(&health, &thresholds, now)) != UINT64_MAX) {
        assert_int_equal(muster_health_judge(&health, &thresholds, now + wait - 1, 1), 0);
        assert_int_equal(muster_health_judge(&health, &thresholds, now + wait, 1), 1);
        now += wait;
        changes++;
    }
    assert_int_equal(changes, 2);
    assert_int_equal(health.status, MUSTER_DOWN);
}

/* A thousand lives of random events: better only after an answer, worse only with time. */
static void test_better_only_after_an_answer(void **state) {
    uint64_t random = 11;
    unsigned improved = 0;
    (void)state;
    for (int life = 0; life < 1000; life++) {
        struct muster_health health;
        uint64_t now = 1000;
        int answered = 0;
        muster_health_init(&health, now, MUSTER_HEALTHY, 0);
        for (int i = 0; i < 100; i++) {
            uint64_t passed = unit_random(&random) % 8000;
            now += passed;
            if (unit_random(&random) % 4 == 0) {
                muster_health_observer_late(&health, now, unit_random(&random) % (passed + 1));
            }
            if (unit_random(&random) % 10 == 0) {
                muster_health_answered(&health, now);
                answered = 1;
            }
            enum muster_health_status before = health.status;
            muster_health_judge(&health, &thresholds, now, unit_random(&random) % 2 == 0);
            if (health.status < before) {
                assert_true(answered);
                assert_int_equal(health.status, MUSTER_HEALTHY);
                improved++;
            }
            answered = 0;
        }
    }
    assert_true(improved > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_straight_to_down),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_refused_links),
        cmocka_unit_test(test_observer_late),
        cmocka_unit_test(test_observer_late_is_bounded),
        cmocka_unit_test(test_silent_ms),
        cmocka_unit_test(test_init_takes_over),
        cmocka_unit_test(test_next_threshold),
        cmocka_unit_test(test_sleeping_until_the_threshold),
        cmocka_unit_test(test_better_only_after_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
