/* epmd: requests byte for byte as the protocol documents them, answers at every length. */
#include "unit.h"

#include "core/epmd.h"
#include "core/errors.h"

static struct muster_node_name name_of(const char *text) {
    struct muster_node_name name;
    assert_int_equal(muster_node_name_parse_cstr(&name, text), 0);
    return name;
}

static void test_alive_request(void **state) {
    static const uint8_t expected[] = {
        0x00, 0x17,                                         /* 23 bytes follow */
        120,                                                /* ALIVE2_REQ */
        0xab, 0xcd,                                         /* port */
        72,                                                 /* hidden node */
        0,                                                  /* TCP over IP */
        0x00, 0x06,                                         /* highest version */
        0x00, 0x06,                                         /* lowest version */
        0x00, 0x0a,                                         /* name length */
        'a',  'p',  'p', '-', 'm', 'u', 's', 't', 'e', 'r', /* the alive part only */
        0x00, 0x00,                                         /* no extra data */
    };
    struct muster_node_name name = name_of("app-muster@127.0.0.1");
    uint8_t out[MUSTER_EPMD_REQUEST_MAX];
    (void)state;
    assert_int_equal(muster_epmd_alive_request(out, &name, 0xabcd), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
}

static void test_port_request(void **state) {
    static const uint8_t expected[] = {0x00, 0x04, 122, 'a', 'p', 'p'};
    struct muster_node_name name = name_of("app@db1.example.com");
    uint8_t out[MUSTER_EPMD_REQUEST_MAX];
    (void)state;
    assert_int_equal(muster_epmd_port_request(out, &name), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
}

/* The longest name there is, into a block of the documented size. */
static void test_longest_name(void **state) {
    char text[256];
    uint8_t *out = malloc(MUSTER_EPMD_REQUEST_MAX);
    (void)state;
    assert_non_null(out);
    memset(text, 'x', 255);
    text[253] = '@';
    text[255] = '\0';
    struct muster_node_name name = name_of(text);
    assert_int_equal(muster_epmd_alive_request(out, &name, 1), 15 + 253);
    assert_int_equal(muster_get16(out), 13 + 253);
    assert_int_equal(muster_get16(out + 11), 253);
    assert_int_equal(muster_get16(out + 13 + 253), 0);
    assert_int_equal(muster_epmd_port_request(out, &name), 3 + 253);
    assert_int_equal(muster_get16(out), 1 + 253);
    free(out);
}

/* Feeds every truncation of the answer; it is complete from `complete` bytes on. */
static void check_alive(const uint8_t *answer, size_t len, size_t complete, int accepted,
                        uint32_t creation) {
    for (size_t n = 0; n <= len; n++) {
        struct muster_slice in = unit_exact(answer, n);
        struct muster_epmd_alive result = {.accepted = -1, .creation = 0xffffffff};
        assert_int_equal(muster_epmd_parse_alive(in, &result), n >= complete);
        if (n >= complete) {
            assert_int_equal(result.accepted, accepted);
            assert_int_equal(result.creation, creation);
        }
        unit_free(in);
    }
}

static void test_alive_answers(void **state) {
    static const uint8_t of_epmd_25[] = {118, 0, 0x6b, 0x00, 0x10, 0x3b}; /* recorded */
    static const uint8_t x_refused[] = {118, 1, 0, 0, 0, 0};
    static const uint8_t old_accepted[] = {121, 0, 0x00, 0x02, 0xff};
    static const uint8_t old_refused[] = {121, 1, 0x00, 0x63};
    (void)state;
    check_alive(of_epmd_25, sizeof of_epmd_25, 6, 1, 0x6b00103b);
    check_alive(x_refused, sizeof x_refused, 2, 0, 0);
    check_alive(old_accepted, sizeof old_accepted, 4, 1, 2);
    check_alive(old_refused, sizeof old_refused, 2, 0, 0);
}

/* No other first byte can become an answer: known from that byte on. */
static void test_not_answers(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        uint8_t bytes[10] = {(uint8_t)c, 0, 1, 2, 3, 4, 5, 6, 7, 8};
        for (size_t n = 1; n <= sizeof bytes; n++) {
            struct muster_slice in = unit_exact(bytes, n);
            struct muster_epmd_alive alive;
            struct muster_epmd_port port;
            if (c != 118 && c != 121) {
                assert_int_equal(muster_epmd_parse_alive(in, &alive), MUSTER_E_MALFORMED);
            }
            if (c != 119) {
                assert_int_equal(muster_epmd_parse_port(in, &port), MUSTER_E_MALFORMED);
            }
            unit_free(in);
        }
    }
}

static void test_port_answers(void **state) {
    /* Recorded from OTP 25's epmd for a node called "rec". */
    static const uint8_t known[] = {119,  0,    0x8c, 0x4d, 77,  0,   0x00, 0x06, 0x00,
                                    0x05, 0x00, 0x03, 'r',  'e', 'c', 0x00, 0x00};
    (void)state;
    for (size_t n = 0; n <= sizeof known; n++) {
        struct muster_slice in = unit_exact(known, n);
        struct muster_epmd_port port;
        assert_int_equal(muster_epmd_parse_port(in, &port), n >= 10);
        if (n >= 10) {
            assert_int_equal(port.known, 1);
            assert_int_equal(port.port, 0x8c4d);
            assert_int_equal(port.protocol, 0);
            assert_int_equal(port.highest_version, 6);
            assert_int_equal(port.lowest_version, 5);
        }
        unit_free(in);
    }
}

static void test_unknown_name(void **state) {
    static const uint8_t unknown[] = {119, 1, 0xff, 0xff};
    (void)state;
    for (size_t n = 0; n <= sizeof unknown; n++) {
        struct muster_slice in = unit_exact(unknown, n);
        struct muster_epmd_port port;
        memset(&port, 0xff, sizeof port);
        assert_int_equal(muster_epmd_parse_port(in, &port), n >= 2);
        if (n >= 2) {
            assert_int_equal(port.known, 0);
            assert_int_equal(port.port, 0);
            assert_int_equal(port.highest_version, 0);
        }
        unit_free(in);
    }
}

static void test_every_field_has_its_place(void **state) {
    static const uint8_t answer[] = {119, 0, 0x01, 0x02, 72, 0x03, 0x04, 0x05, 0x06, 0x07};
    struct muster_epmd_port port;
    (void)state;
    assert_int_equal(muster_epmd_parse_port(muster_slice(answer, sizeof answer), &port), 1);
    assert_int_equal(port.port, 0x0102);
    assert_int_equal(port.protocol, 3);
    assert_int_equal(port.highest_version, 0x0405);
    assert_int_equal(port.lowest_version, 0x0607);
}

static void test_port_zero(void **state) {
    static const uint8_t answer[] = {119, 0, 0, 0, 77, 0, 0, 6, 0, 5, 0, 0, 0, 0};
    struct muster_epmd_port port;
    (void)state;
    assert_int_equal(muster_epmd_parse_port(muster_slice(answer, sizeof answer), &port),
                     MUSTER_E_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alive_request), cmocka_unit_test(test_port_request),
        cmocka_unit_test(test_longest_name),  cmocka_unit_test(test_alive_answers),
        cmocka_unit_test(test_not_answers),   cmocka_unit_test(test_port_answers),
        cmocka_unit_test(test_unknown_name),  cmocka_unit_test(test_every_field_has_its_place),
        cmocka_unit_test(test_port_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
