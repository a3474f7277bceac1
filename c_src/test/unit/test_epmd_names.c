/* epmd's list of names: recorded from OTP 25, at every length, and what is none. */
#include "unit.h"

#include "core/epmd.h"
#include "core/errors.h"

/* Recorded: epmd's port 4369, then two names. */
static const char recorded[] = "\0\0\x11\x11"
                               "name b at port 40123\n"
                               "name a-muster at port 39001\n";
#define RECORDED_LEN (sizeof recorded - 1)
#define FIRST_LINE_END 25

static void test_request(void **state) {
    static const uint8_t expected[] = {0, 1, 110};
    uint8_t out[MUSTER_EPMD_REQUEST_MAX];
    (void)state;
    assert_int_equal(muster_epmd_names_request(out), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
}

static void test_recorded(void **state) {
    struct muster_slice in = unit_exact(recorded, RECORDED_LEN), alive;
    size_t at = 0;
    (void)state;
    assert_int_equal(muster_epmd_next_name(in, &at, &alive), 1);
    assert_true(muster_slice_is(alive, "b"));
    assert_int_equal(muster_epmd_next_name(in, &at, &alive), 1);
    assert_true(muster_slice_is(alive, "a-muster"));
    assert_int_equal(muster_epmd_next_name(in, &at, &alive), 0);
    assert_int_equal(muster_epmd_next_name(in, &at, &alive), 0);
    unit_free(in);
}

static int read_all(struct muster_slice in) {
    struct muster_slice alive;
    size_t at = 0;
    int result;
    while ((result = muster_epmd_next_name(in, &at, &alive)) == 1) {
        assert_true(alive.len > 0 && alive.data + alive.len <= in.data + in.len);
    }
    return result;
}

/* Whole only where a line ends: what epmd could not finish is not taken for all. */
static void test_every_truncation(void **state) {
    (void)state;
    for (size_t n = 0; n <= RECORDED_LEN; n++) {
        struct muster_slice in = unit_exact(recorded, n);
        int whole = n == 4 || n == FIRST_LINE_END || n == RECORDED_LEN;
        assert_int_equal(read_all(in), whole ? 0 : MUSTER_E_MALFORMED);
        assert_true(muster_epmd_names_plausible(in));
        unit_free(in);
    }
}

static void test_malformed(void **state) {
    static const char *const lines[] = {"\n",
                                        "nam b at port 1\n",
                                        "name \n",
                                        "name  at port 1\n",
                                        "name b\n",
                                        "name b at port",
                                        "NAME b at port 1\n",
                                        " name b at port 1\n",
                                        "name b at\n",
                                        "name b at port 1\n\n"};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        char bytes[64] = {0, 0, 0x11, 0x11};
        memcpy(bytes + 4, lines[i], strlen(lines[i]));
        struct muster_slice in = unit_exact(bytes, 4 + strlen(lines[i]));
        assert_int_equal(read_all(in), MUSTER_E_MALFORMED);
        unit_free(in);
    }
}

static void test_plausible(void **state) {
    (void)state;
    assert_true(muster_epmd_names_plausible(muster_slice("\0\0\x11\x11nam", 7)));
    assert_false(muster_epmd_names_plausible(muster_slice("HTTP/1.1 400", 12)));
    assert_false(muster_epmd_names_plausible(muster_slice("\0\0\x11\x11x", 5)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),          cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
