/* Node names: what is accepted and what is refused, and the parts and order of those accepted. */
#include "unit.h"

#include "core/errors.h"
#include "core/node_name.h"

static void test_accepted(void **state) {
    static const struct {
        const char *text, *alive, *host;
    } cases[] = {
        {"a@b", "a", "b"},
        {"app@127.0.0.1", "app", "127.0.0.1"},
        {"app-muster@db1.example.com", "app-muster", "db1.example.com"},
        {"App_1.2+x~y=z%25@Host_A-b", "App_1.2+x~y=z%25", "Host_A-b"},
        {"a@::1", "a", "::1"},
        {"a@fe80::1%eth0", "a", "fe80::1%eth0"},
        {"-@-", "-", "-"},
        {"0@0", "0", "0"},
        {"azAZ09@azAZ09", "azAZ09", "azAZ09"},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_node_name name;
        char alive[MUSTER_NODE_NAME_MAX + 1];
        memset(&name, 0xff, sizeof name);
        assert_int_equal(muster_node_name_parse_cstr(&name, cases[i].text), 0);
        assert_string_equal(name.text, cases[i].text);
        assert_int_equal(name.len, strlen(cases[i].text));
        assert_int_equal(name.alive_len, strlen(cases[i].alive));
        assert_string_equal(muster_node_name_host(&name), cases[i].host);
        muster_node_name_alive(&name, alive);
        assert_string_equal(alive, cases[i].alive);
    }
}

static void check_refused(const char *text, size_t len, int error) {
    struct muster_node_name name, before;
    struct muster_slice exact = unit_exact(text, len);
    memset(&name, 0x5a, sizeof name);
    before = name;
    int result = muster_node_name_parse(&name, (const char *)exact.data, exact.len);
    if (result != error) {
        fail_msg("\"%.*s\": %d", (int)len, text, result);
    }
    assert_memory_equal(&name, &before, sizeof name);
    unit_free(exact);
}

static void test_refused(void **state) {
    static const char *const cases[] = {
        "",       "@",       "a",       "a@",         "@b",     "a@@b",   "a@b@c", "a@b@",
        "@a@b",   "a b@c",   "a@b c",   " a@b",       "a@b ",   "a@b\n",  "a/b@c", "a@b/c",
        "a:b@c",  "a'@b",    "a@b'",    "a@b+c",      "a@b~c",  "a@b=c",  "a,@b",  "a@[::1]",
        "../x@b", "a\x7f@b", "a\x1f@b", "\xc3\xa5@b", "a@\xe5", "a@\xff", "a\\@b", "a\"@b",
        "a;b@c",  "a@b;c",   "$(x)@b",  "a@`b`",      "a*@b",   "a?@b",
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        check_refused(cases[i], strlen(cases[i]), MUSTER_E_INVALID);
    }
}

static void test_nul_is_refused(void **state) {
    (void)state;
    check_refused("a\0b@c", 5, MUSTER_E_INVALID);
    check_refused("a@b\0c", 5, MUSTER_E_INVALID);
    check_refused("\0@b", 3, MUSTER_E_INVALID);
    check_refused("a@\0", 3, MUSTER_E_INVALID);
    check_refused("a@b\0", 4, MUSTER_E_INVALID);
    check_refused("\0", 1, MUSTER_E_INVALID);
}

static void test_null_of_no_length(void **state) {
    struct muster_node_name name;
    (void)state;
    assert_int_equal(muster_node_name_parse(&name, NULL, 0), MUSTER_E_INVALID);
}

/* Every byte, on both sides, against the two sets written out. */
static void test_every_byte(void **state) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    (void)state;
    for (int c = 0; c < 256; c++) {
        struct muster_node_name name;
        char text[] = {'a', (char)c, '@', 'b'};
        int letter = c != 0 && strchr(letters, c) != NULL;
        int accepted = letter || (c != 0 && strchr("_-.+~=%", c) != NULL);
        assert_int_equal(muster_node_name_parse(&name, text, 4) == 0, accepted);
        char host[] = {'a', '@', (char)c, 'b'};
        accepted = letter || (c != 0 && strchr("_-.:%", c) != NULL);
        assert_int_equal(muster_node_name_parse(&name, host, 4) == 0, accepted);
    }
}

static void test_length(void **state) {
    char text[300];
    struct muster_node_name name;
    char alive[MUSTER_NODE_NAME_MAX + 1];
    (void)state;
    memset(text, 'x', sizeof text);
    text[253] = '@';
    assert_int_equal(muster_node_name_parse(&name, text, 255), 0);
    assert_int_equal(name.len, 255);
    assert_int_equal(name.alive_len, 253);
    assert_int_equal(strlen(name.text), 255);
    muster_node_name_alive(&name, alive);
    assert_int_equal(strlen(alive), 253);
    check_refused(text, 256, MUSTER_E_LIMIT);
    check_refused(text, 300, MUSTER_E_LIMIT);
}

static void test_equal_and_order(void **state) {
    static const char *const sorted[] = {"A@b", "a-muster@h", "a@a", "a@aa", "a@b", "aa@a", "b@a"};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(sorted); i++) {
        for (size_t j = 0; j < UNIT_COUNT(sorted); j++) {
            struct muster_node_name a, b;
            assert_int_equal(muster_node_name_parse_cstr(&a, sorted[i]), 0);
            assert_int_equal(muster_node_name_parse_cstr(&b, sorted[j]), 0);
            int order = muster_node_name_compare(&a, &b);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(muster_node_name_equal(&a, &b), i == j);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_is_refused),  cmocka_unit_test(test_null_of_no_length),
        cmocka_unit_test(test_every_byte),      cmocka_unit_test(test_length),
        cmocka_unit_test(test_equal_and_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
