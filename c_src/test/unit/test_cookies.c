/* Cookies: one for all, exceptions, what is refused, nothing kept. */
#include "core/errors.h"
#include "node/cookies.h"
#include "test/unit/unit.h"

static struct muster_node_name name(const char *text) {
    struct muster_node_name n;
    assert_int_equal(muster_node_name_parse_cstr(&n, text), 0);
    return n;
}

static int set(struct muster_cookies *cookies, const struct muster_node_name *node,
               const char *text) {
    return muster_cookies_set(cookies, node, muster_slice(text, strlen(text)));
}

static void exceptions_go_before_the_one_for_all(void **state) {
    (void)state;
    struct muster_cookies cookies = {0};
    struct muster_node_name a = name("a@h"), b = name("b@h");
    assert_string_equal(muster_cookies_get(&cookies, &a), "");
    assert_int_equal(set(&cookies, NULL, "all"), 0);
    assert_string_equal(muster_cookies_get(&cookies, &a), "all");
    assert_int_equal(set(&cookies, &a, "longer for a"), 0);
    assert_int_equal(set(&cookies, &a, "for a"), 0);
    assert_string_equal(muster_cookies_get(&cookies, &a), "for a");
    assert_string_equal(muster_cookies_get(&cookies, &b), "all");
    assert_int_equal(set(&cookies, NULL, "new"), 0);
    assert_string_equal(muster_cookies_get(&cookies, &a), "for a");
    assert_string_equal(muster_cookies_get(&cookies, &b), "new");
    muster_cookies_close(&cookies);
    assert_null(cookies.exceptions);
    assert_string_equal(cookies.all, "");
}

static void what_is_no_cookie_is_refused(void **state) {
    (void)state;
    struct muster_cookies cookies = {0};
    struct muster_node_name a = name("a@h");
    char longest[MUSTER_COOKIE_SIZE];
    memset(longest, 'c', sizeof longest);
    assert_int_equal(set(&cookies, NULL, "kept"), 0);
    assert_int_equal(muster_cookies_set(&cookies, NULL, muster_slice(NULL, 0)), MUSTER_E_INVALID);
    assert_int_equal(muster_cookies_set(&cookies, NULL, muster_slice("a\0b", 3)), MUSTER_E_INVALID);
    assert_int_equal(muster_cookies_set(&cookies, &a, muster_slice(longest, sizeof longest)),
                     MUSTER_E_INVALID);
    assert_string_equal(muster_cookies_get(&cookies, &a), "kept");
    assert_int_equal(muster_cookies_set(&cookies, &a, muster_slice(longest, sizeof longest - 1)),
                     0);
    assert_int_equal(strlen(muster_cookies_get(&cookies, &a)), MUSTER_COOKIE_SIZE - 1);
    /* A shorter one leaves nothing of it behind. */
    assert_int_equal(set(&cookies, &a, "s"), 0);
    const char *text = muster_cookies_get(&cookies, &a);
    for (size_t i = 1; i < MUSTER_COOKIE_SIZE; i++) {
        assert_int_equal(text[i], 0);
    }
    muster_cookies_close(&cookies);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exceptions_go_before_the_one_for_all),
        cmocka_unit_test(what_is_no_cookie_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
