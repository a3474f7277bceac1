/* Hosts files: what Erlang reads is read, the rest is refused with the line it stands on. */
#include <stdio.h>

#include "unit.h"

#include "core/errors.h"
#include "core/hosts_file.h"

/* The hosts with blanks between them, then "!LINE" if there was an error. */
static void reads(const char *text, const char *expected) {
    struct muster_slice in = unit_exact(text, strlen(text)), host;
    struct muster_hosts_reader reader;
    char got[512] = "";
    int result;
    muster_hosts_reader_init(&reader, in);
    while ((result = muster_hosts_reader_next(&reader, &host)) == 1) {
        strncat(got, (const char *)host.data, host.len);
        strcat(got, " ");
    }
    if (result < 0) {
        snprintf(got + strlen(got), 16, "!%u", reader.line);
        assert_int_equal(muster_hosts_reader_next(&reader, &host), 0);
    }
    assert_string_equal(got, expected);
    unit_free(in);
}

static void test_hosts(void **state) {
    (void)state;
    reads("", "");
    reads("'db1.example.com'.\n'db2.example.com'.\n", "db1.example.com db2.example.com ");
    reads("'10.0.0.1'.", "10.0.0.1 ");
    reads("'fe80::1%eth0'.\n", "fe80::1%eth0 ");
    reads("localhost.\r\nhost_2 .", "localhost host_2 ");
    reads("  'a'\t.\n\n  'b'\n.\n'c'. 'd'.", "a b c d ");
    reads("% all hosts\n'a'. % the first\n%'b'.\n'c'.% end", "a c ");
    reads("%", "");
}

static void test_refused(void **state) {
    (void)state;
    reads("'a'", "!1");
    reads("'a'.\n'b'\n'c'.", "a !3");
    reads("'a'.\n\n'b", "a !3");
    reads("'a'.'b'.", "!1");
    reads("a.b.", "!1");
    reads("\"a\".", "!1");
    reads("Host.", "!1");
    reads("['a'].", "!1");
    reads("''.", "!1");
    reads("'a b'.", "!1");
    reads("'a\\'b'.", "!1");
    reads("'a@b'.", "!1");
    reads(".", "!1");
}

static void test_lengths(void **state) {
    char text[300];
    (void)state;
    memset(text, 'x', sizeof text);
    text[0] = '\'';
    memcpy(text + 254, "'.", 3);
    struct muster_hosts_reader reader;
    struct muster_slice host;
    muster_hosts_reader_init(&reader, muster_slice(text, 256));
    assert_int_equal(muster_hosts_reader_next(&reader, &host), 1);
    assert_int_equal(host.len, 253);
    memset(text, 'x', sizeof text);
    text[0] = '\'';
    memcpy(text + 255, "'.", 3);
    muster_hosts_reader_init(&reader, muster_slice(text, 257));
    assert_int_equal(muster_hosts_reader_next(&reader, &host), MUSTER_E_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
