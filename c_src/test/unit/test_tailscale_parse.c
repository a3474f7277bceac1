/* What `tailscale status --json` prints: peers, tags, names, and fields that are not there. */
#include "unit.h"

#include "core/errors.h"
#include "core/tailscale_parse.h"

static const char status[] =
    "{\"Version\":\"1.50.1\",\"BackendState\":\"Running\",\"Self\":{\"DNSName\":\"me.ts.net.\","
    "\"Online\":true},\"Peer\":{"
    "\"nodekey:1\":{\"DNSName\":\"a.ts.net.\",\"TailscaleIPs\":[\"100.64.0.1\",\"fd7a::1\"],"
    "\"Online\":true,\"Tags\":[\"tag:web\",\"tag:raxol\"]},"
    "\"nodekey:2\":{\"DNSName\":\"b.ts.net\",\"TailscaleIPs\":[\"fd7a::2\"],\"Online\":true},"
    "\"nodekey:3\":{\"DNSName\":\"c.ts.net.\",\"TailscaleIPs\":[\"100.64.0.3\"],"
    "\"Online\":false,\"Tags\":[\"tag:raxol\"]},"
    "\"nodekey:4\":{\"DNSName\":\"d.ts.net.\"},"
    "\"nodekey:5\":{\"Online\":true,\"DNSName\":\"\",\"TailscaleIPs\":[7,\"100.64.0.5\"],"
    "\"Tags\":[\"tag:raxol2\",3]},"
    "\"nodekey:6\":{\"Online\":\"yes\"},\"nodekey:7\":{},\"nodekey:8\":null},"
    "\"User\":{\"1\":{\"Peer\":{}}}}";

static int parse(const struct muster_tailscale_naming *naming, const char *text, size_t len,
                 size_t step, struct muster_name_list *names, char *state) {
    struct muster_tailscale_parse p;
    int error = 0;
    muster_tailscale_parse_init(&p, naming, names);
    for (size_t at = 0; at < len && error == 0; at += step) {
        struct muster_slice piece = unit_exact(text + at, len - at < step ? len - at : step);
        error = muster_tailscale_parse_feed(&p, piece);
        unit_free(piece);
    }
    error = error != 0 ? error : muster_tailscale_parse_finish(&p, state, 32);
    muster_tailscale_parse_close(&p);
    return error;
}

static void check_names(const char *tag, int use_dns_names, int prefer_ipv6, const char *expected) {
    struct muster_tailscale_naming naming = {
        .basename = "x", .tag = tag, .use_dns_names = use_dns_names, .prefer_ipv6 = prefer_ipv6};
    for (size_t step = 1; step < sizeof status + 30; step += 29) {
        struct muster_name_list names = {.count = 0};
        char joined[256] = "", daemon[32];
        assert_int_equal(parse(&naming, status, sizeof status - 1, step, &names, daemon), 0);
        assert_string_equal(daemon, "Running");
        for (unsigned i = 0; i < names.count; i++) {
            strcat(joined, i > 0 ? " " : "");
            strcat(joined, names.names[i].text);
        }
        assert_string_equal(joined, expected);
        muster_name_list_close(&names);
    }
}

static void test_names(void **state) {
    (void)state;
    check_names(NULL, 1, 0, "x@a.ts.net x@b.ts.net");
    check_names(NULL, 0, 0, "x@100.64.0.1 x@fd7a::2 x@100.64.0.5");
    check_names(NULL, 0, 1, "x@fd7a::1 x@fd7a::2 x@100.64.0.5");
    check_names("tag:raxol", 1, 0, "x@a.ts.net");
    check_names("tag:other", 1, 0, "");
}

static int outcome(const char *text, size_t len, char *daemon) {
    struct muster_tailscale_naming naming = {.basename = "x", .use_dns_names = 1};
    struct muster_name_list names = {.count = 0};
    int error = parse(&naming, text, len, len + 1, &names, daemon);
    muster_name_list_close(&names);
    return error;
}

static void test_outcomes(void **state) {
    static const struct {
        const char *text;
        int error;
        const char *daemon;
    } cases[] = {
        {"", MUSTER_E_TRUNCATED, NULL},
        {"hello", MUSTER_E_TRUNCATED, NULL},
        {"{}", MUSTER_E_UNSUPPORTED, NULL},
        {"[]", MUSTER_E_MALFORMED, NULL},
        {"{\"Peer\":7,\"Self\":{}}", MUSTER_E_UNSUPPORTED, NULL},
        {"{\"Peer\":{\"a\":{,}}}", MUSTER_E_MALFORMED, NULL},
        {"{\"BackendState\":\"Stopped\"}", 0, "Stopped"},
        {"{\"BackendState\":7,\"Peer\":null}", 0, ""},
        {"{\"Self\":{},\"Peer\":null}", 0, ""},
        {"{\"Peer\":{}}", 0, ""},
    };
    char daemon[32];
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_int_equal(outcome(cases[i].text, strlen(cases[i].text), daemon), cases[i].error);
        if (cases[i].error == 0) {
            assert_string_equal(daemon, cases[i].daemon);
        }
    }
    for (size_t n = 0; n < sizeof status - 1; n++) {
        assert_int_equal(outcome(status, n, daemon), MUSTER_E_TRUNCATED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
