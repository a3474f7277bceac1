/* Documents taken apart: the same elements and rest however the bytes are cut. */
#include "unit.h"

#include "core/errors.h"
#include "core/json_split.h"

struct seen {
    char text[512];
    int stop_at, count;
};

static int on_element(void *context, struct muster_slice element) {
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    assert_true(used + element.len + 2 < sizeof seen->text);
    memcpy(seen->text + used, element.data, element.len);
    memcpy(seen->text + used + element.len, "|", 2);
    return ++seen->count == seen->stop_at ? MUSTER_E_INVALID : 0;
}

/* Feeds in pieces of `step` bytes, each a block of its own. */
static int feed(struct muster_json_split *split, const char *text, size_t step) {
    size_t len = strlen(text);
    int error = 0;
    for (size_t at = 0; at < len && error == 0; at += step) {
        size_t n = len - at < step ? len - at : step;
        struct muster_slice piece = unit_exact(text + at, n);
        error = muster_json_split_feed(split, piece);
        unit_free(piece);
    }
    return error;
}

static void check_split(const char *text, const char *elements, const char *rest) {
    for (size_t step = 1; step <= strlen(text); step++) {
        struct seen seen = {.count = 0};
        struct muster_json_split split;
        struct muster_slice left;
        muster_json_split_init(&split, "items", 256, 256, on_element, &seen);
        assert_int_equal(feed(&split, text, step), 0);
        assert_int_equal(muster_json_split_rest(&split, &left), 0);
        assert_string_equal(seen.text, elements);
        assert_int_equal(left.len, strlen(rest));
        assert_memory_equal(left.data, rest, left.len);
        muster_json_split_close(&split);
    }
}

static void test_arrays(void **state) {
    (void)state;
    check_split("{\"a\":[{\"b\":1}], \"items\": [{\"x\":{\"y\":[{}]}}, {}], \"c\":{}}\n",
                "{\"x\":{\"y\":[{}]}}|{}|",
                "{\"a\":[{\"b\":1}], \"items\": [null, null], \"c\":{}}\n");
    check_split("{\"items\":[]}", "", "{\"items\":[]}");
    check_split("{\"items\":null}", "", "{\"items\":null}");
    check_split("{}", "", "{}");
}

static void test_objects(void **state) {
    (void)state;
    check_split("{\"items\":{\"k1\":{\"a\":\"}\"},\"k2\":{}},\"z\":{\"items\":[{}]}}",
                "{\"a\":\"}\"}|{}|",
                "{\"items\":{\"k1\":null,\"k2\":null},\"z\":{\"items\":[{}]}}");
}

static void test_strings(void **state) {
    (void)state;
    check_split("{\"s\":\"{[\\\"]}\\\\\",\"items\":[{\"t\":\"\\\"}]\\\\\"}],\"n\":\"items\"}",
                "{\"t\":\"\\\"}]\\\\\"}|",
                "{\"s\":\"{[\\\"]}\\\\\",\"items\":[null],\"n\":\"items\"}");
    /* A key that only begins like it, and one nested deeper. */
    check_split("{\"items_of_something_else\":[{}],\"o\":{\"items\":[{\"a\":1}]}}", "",
                "{\"items_of_something_else\":[{}],\"o\":{\"items\":[{\"a\":1}]}}");
}

static void test_no_elements_of_other_kinds(void **state) {
    (void)state;
    check_split("{\"items\":[1,\"{\",[{}],null]}", "", "{\"items\":[1,\"{\",[{}],null]}");
}

static void check_error(const char *text, size_t element_limit, size_t rest_limit, int stop_at,
                        int expected) {
    for (size_t step = 1; step <= strlen(text); step++) {
        struct seen seen = {.stop_at = stop_at};
        struct muster_json_split split;
        muster_json_split_init(&split, "items", element_limit, rest_limit, on_element, &seen);
        assert_int_equal(feed(&split, text, step), expected);
        muster_json_split_close(&split);
    }
}

static void test_errors(void **state) {
    (void)state;
    check_error("[{}]", 99, 99, 0, MUSTER_E_MALFORMED);
    check_error("}", 99, 99, 0, MUSTER_E_MALFORMED);
    check_error("{}{}", 99, 99, 0, MUSTER_E_MALFORMED);
    check_error("{\"items\":[{\"a\":1},{\"a\":22}]}", 7, 99, 0, MUSTER_E_LIMIT);
    check_error("{\"items\":[{\"a\":1},{\"a\":2}]}", 7, 99, 0, 0);
    check_error("{\"items\":[{},{},{}]}", 8, 12, 0, MUSTER_E_LIMIT);
    check_error("{\"items\":[{},{},{}]}", 8, 99, 2, MUSTER_E_INVALID);
}

static void test_truncations(void **state) {
    static const char text[] = "{\"items\":[{\"a\":\"b\"}]}";
    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct seen seen = {.count = 0};
        struct muster_json_split split;
        struct muster_slice cut = unit_exact(text, n), rest;
        muster_json_split_init(&split, "items", 99, 99, on_element, &seen);
        assert_int_equal(muster_json_split_feed(&split, cut), 0);
        assert_int_equal(muster_json_split_rest(&split, &rest), MUSTER_E_TRUNCATED);
        muster_json_split_close(&split);
        unit_free(cut);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),  cmocka_unit_test(test_objects),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_no_elements_of_other_kinds),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
