/* Metadata: maps of binaries and nothing else, at every length. */
#include "unit.h"

#include "core/errors.h"
#include "core/metadata.h"

static void is(const char *hex, int expected) {
    struct muster_slice term = unit_unhex(hex);
    assert_int_equal(muster_metadata_check(term), expected);
    unit_free(term);
}

/* #{<<"a">> => <<"b">>} */
#define MAP                                                                                        \
    "7400000001"                                                                                   \
    "6d0000000161"                                                                                 \
    "6d0000000162"

static void test_checked(void **state) {
    (void)state;
    is("7400000000", 0);
    is(MAP, 0);
    is(MAP "00", MUSTER_E_MALFORMED);
    is("", MUSTER_E_MALFORMED);
    is("6a", MUSTER_E_MALFORMED);
    is("7400000001"
       "770161"
       "6d0000000162",
       MUSTER_E_MALFORMED);
    is("7400000001"
       "6d0000000161"
       "6162",
       MUSTER_E_MALFORMED);
    is("74ffffffff"
       "6d0000000161",
       MUSTER_E_MALFORMED);
    is("7400000001"
       "6d0000000161"
       "6dffffffff62",
       MUSTER_E_MALFORMED);
}

static void test_every_truncation(void **state) {
    struct muster_slice whole = unit_unhex(MAP);
    (void)state;
    for (size_t n = 0; n < whole.len; n++) {
        struct muster_slice part = unit_exact(whole.data, n);
        assert_int_equal(muster_metadata_check(part), MUSTER_E_MALFORMED);
        unit_free(part);
    }
    unit_free(whole);
}

static void test_too_long(void **state) {
    uint8_t term[MUSTER_METADATA_MAX + 1] = {116, 0, 0, 0, 1, 109, 0, 0, 0, 0, 109};
    (void)state;
    muster_put32(term + 11, MUSTER_METADATA_MAX - 15);
    assert_int_equal(muster_metadata_check(muster_slice(term, MUSTER_METADATA_MAX)), 0);
    muster_put32(term + 11, MUSTER_METADATA_MAX - 14);
    assert_int_equal(muster_metadata_check(muster_slice(term, sizeof term)), MUSTER_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checked),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
