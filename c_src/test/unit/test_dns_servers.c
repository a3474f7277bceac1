/* Option nameservers: addresses of both families, with ports and without; names are none. */
#include "unit.h"

#include "core/errors.h"
#include "node/dns.h"

static int read_servers(const char *const texts[], struct muster_dns_servers *servers) {
    struct muster_arg_binaries slices = {.count = 0};
    struct muster_problem problem = {.text = ""};
    for (; texts[slices.count] != NULL; slices.count++) {
        const char *text = texts[slices.count];
        slices.items[slices.count] = unit_exact(text, strlen(text));
    }
    int error = muster_dns_servers_read(servers, &slices, &problem);
    assert_int_equal(problem.text[0] != '\0', error != 0);
    for (unsigned i = 0; i < slices.count; i++) {
        unit_free(slices.items[i]);
    }
    return error;
}

static void test_accepted(void **state) {
    static const char *const texts[] = {"10.0.0.2",  "10.0.0.2:5353",   "fd00::2",
                                        "[fd00::2]", "[fd00::2]:65535", NULL};
    static const char *const none[] = {NULL};
    struct muster_dns_servers servers;
    (void)state;
    assert_int_equal(read_servers(texts, &servers), 0);
    assert_string_equal(servers.csv, "10.0.0.2:53,10.0.0.2:5353,[fd00::2]:53,[fd00::2]:53,"
                                     "[fd00::2]:65535");
    assert_int_equal(read_servers(none, &servers), 0);
    assert_string_equal(servers.csv, "");
}

static void test_refused(void **state) {
    static const char *const wrong[] = {
        "dns.test", "10.0.0.2:",      "10.0.0.2:0",       "10.0.0.2:x", "10.0.0.2:65536",
        "10.0.0",   "[fd00::2",       "[fd00::2]x",       "[]:53",      "[10.0.0.2]y",
        ":53",      "10.0.0.2:53:54", "10.0.0.2,10.0.0.3"};
    struct muster_dns_servers servers;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(wrong); i++) {
        const char *const texts[] = {wrong[i], NULL};
        assert_int_equal(read_servers(texts, &servers), MUSTER_E_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
