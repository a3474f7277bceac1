/* Budgets: rates hold in total and per source, and real names get through a flood of others. */
#include <sodium.h>
#include <stdio.h>

#include "unit.h"

#include "core/admission.h"
#include "core/errors.h"

static const uint8_t key[crypto_shorthash_KEYBYTES] = {1, 2, 3};

static struct muster_node_name made_up(uint64_t i) {
    struct muster_node_name name;
    char text[64];
    snprintf(text, sizeof text, "n%llu@h", (unsigned long long)i);
    assert_int_equal(muster_node_name_parse_cstr(&name, text), 0);
    return name;
}

static int take(struct muster_admission *a, enum muster_admission_class class, uint32_t source,
                uint64_t now) {
    return muster_admission_take(a, class, muster_slice(&source, sizeof source), now);
}

static void test_bucket(void **state) {
    struct muster_token_bucket b;
    unsigned taken = 0;
    (void)state;
    muster_token_bucket_init(&b, 10, 20, 500);
    for (uint64_t now = 500; now < 10500; now++) {
        taken += (unsigned)muster_token_bucket_take(&b, now);
        taken += (unsigned)muster_token_bucket_take(&b, now);
    }
    assert_in_range(taken, 119, 120);
    muster_token_bucket_take(&b, UINT64_MAX); /* full again, no more */
    for (taken = 0; muster_token_bucket_take(&b, UINT64_MAX); taken++) {
    }
    assert_int_equal(taken, 19);
}

static void test_heard_before(void **state) {
    struct muster_admission a;
    struct muster_node_name x = made_up(1), y = made_up(2);
    (void)state;
    assert_int_equal(muster_admission_init(&a, 50, key, 0), 0);
    assert_int_equal(muster_admission_hear(&a, &x), MUSTER_ADMISSION_FRESH);
    assert_int_equal(muster_admission_hear(&a, &y), MUSTER_ADMISSION_FRESH);
    assert_int_equal(muster_admission_hear(&a, &x), MUSTER_ADMISSION_REPEATED);
    assert_int_equal(muster_admission_hear(&a, &y), MUSTER_ADMISSION_REPEATED);
    muster_admission_close(&a);
}

static unsigned admitted(struct muster_admission *a, enum muster_admission_class class,
                         uint32_t sources, uint64_t seconds) {
    unsigned count = 0;
    for (uint64_t now = 0; now < 1000 * seconds; now++) {
        for (uint32_t i = 0; i < 4; i++) {
            count += (unsigned)take(a, class, (uint32_t)(4 * now + i) % sources, now);
        }
    }
    return count;
}

static void test_rates(void **state) {
    static const struct {
        enum muster_admission_class class;
        uint32_t sources;
        unsigned at_most; /* in 10 s, with a burst of 4 s of the rate */
    } cases[] = {{MUSTER_ADMISSION_FRESH, 100, 10 * 14},
                 {MUSTER_ADMISSION_FRESH, 1, 5 * 14},
                 {MUSTER_ADMISSION_REPEATED, 100, 40 * 14},
                 {MUSTER_ADMISSION_REPEATED, 1, 20 * 14}};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_admission a;
        assert_int_equal(muster_admission_init(&a, 50, key, 0), 0);
        unsigned count = admitted(&a, cases[i].class, cases[i].sources, 10);
        assert_in_range(count, cases[i].at_most - 2, cases[i].at_most);
        muster_admission_close(&a);
    }
}

/* One source that uses up its own takes nothing from the total. */
static void test_sources_apart(void **state) {
    struct muster_admission a;
    (void)state;
    assert_int_equal(muster_admission_init(&a, 50, key, 0), 0);
    for (int i = 0; i < 100000; i++) {
        take(&a, MUSTER_ADMISSION_FRESH, 1, 0);
    }
    assert_int_equal(take(&a, MUSTER_ADMISSION_FRESH, 2, 0), 1);
    muster_admission_close(&a);
}

/* 100,000 names a second from everywhere; a real one speaks at the pace of the first heartbeats. */
static void test_flood(void **state) {
    struct muster_admission a;
    struct muster_node_name real = made_up(UINT64_MAX);
    static const uint64_t says_ms[] = {3000, 3050, 3150, 3350, 3750, 4550};
    size_t said = 0;
    int admitted_real = 0;
    (void)state;
    assert_int_equal(muster_admission_init(&a, 50, key, 0), 0);
    for (uint64_t i = 0; i < 500000; i++) {
        uint64_t now = i / 100;
        struct muster_node_name name = made_up(i);
        take(&a, muster_admission_hear(&a, &name), (uint32_t)i % 5000, now);
        if (said < UNIT_COUNT(says_ms) && now == says_ms[said]) {
            said++;
            admitted_real |= take(&a, muster_admission_hear(&a, &real), 77, now);
        }
    }
    assert_true(admitted_real);
    muster_admission_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket), cmocka_unit_test(test_heard_before),
        cmocka_unit_test(test_rates),  cmocka_unit_test(test_sources_apart),
        cmocka_unit_test(test_flood),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
