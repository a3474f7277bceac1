/* Error codes and their texts. */
#include "unit.h"

#include "core/errors.h"

static void test_every_code_has_its_own_text(void **state) {
    static const struct {
        int code;
        const char *text;
    } all[] = {
#define X(name, number, string) {MUSTER_E_##name, string},
        MUSTER_ERRORS(X)
#undef X
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(all); i++) {
        assert_true(all[i].code < 0);
        assert_string_equal(muster_strerror(all[i].code), all[i].text);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(all[i].code, all[j].code);
            assert_string_not_equal(all[i].text, all[j].text);
        }
    }
}

/* The numbers travel in logs: they may not change. */
static void test_codes_are_fixed(void **state) {
    (void)state;
    assert_int_equal(MUSTER_E_NOMEM, -1);
    assert_int_equal(MUSTER_E_LIMIT, -2);
    assert_int_equal(MUSTER_E_TRUNCATED, -3);
    assert_int_equal(MUSTER_E_MALFORMED, -4);
    assert_int_equal(MUSTER_E_TOO_DEEP, -5);
    assert_int_equal(MUSTER_E_UNSUPPORTED, -6);
    assert_int_equal(MUSTER_E_INVALID, -7);
}

static void test_other_numbers(void **state) {
    (void)state;
    assert_string_equal(muster_strerror(0), "no error");
    assert_string_equal(muster_strerror(1), "unknown error");
    assert_string_equal(muster_strerror(-10000), "unknown error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_own_text),
        cmocka_unit_test(test_codes_are_fixed),
        cmocka_unit_test(test_other_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
