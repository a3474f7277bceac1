/* DNS answers: recorded and hand-made messages at every length, pointers that go astray, waits. */
#include "unit.h"

#include "core/dns_answer.h"
#include "core/errors.h"

/* Question app.test; answers: CNAME to real.test (300 s), A 10.1.2.3 (60 s), A 10.1.2.4 (30 s). */
static const char addresses[] = "123481800001000300000000"
                                "0361707004746573740000010001"
                                "c00c000500010000012c0007047265616cc010"
                                "c026000100010000003c00040a010203"
                                "c026000100010000001e00040a010204";

/* Question _a._tcp.test; SRV 1 2 4000 db-0.test (pointer), then SRV with the target ".". */
static const char services[] = "000084000001000200000000"
                               "025f61045f7463700474657374000021"
                               "0001"
                               "c00c002100010000000a000d000100020fa00464622d30c014"
                               "c00c0021000100000014000700000000000000";

static const char six[] = "000081800001000100000000"
                          "0161000"
                          "01c0001"
                          "c00c001c00010000000500102001"
                          "0db8000000000000000000000001";

static struct muster_dns_answer opened(struct muster_slice message) {
    struct muster_dns_answer answer;
    assert_int_equal(muster_dns_answer_open(&answer, message), 0);
    return answer;
}

static void test_addresses(void **state) {
    struct muster_slice message = unit_unhex(addresses);
    struct muster_dns_answer answer = opened(message);
    struct muster_dns_record record;
    (void)state;
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_A, &record), 1);
    assert_memory_equal(record.address, "\x0a\x01\x02\x03", 4);
    assert_int_equal(record.ttl, 60);
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_A, &record), 1);
    assert_memory_equal(record.address, "\x0a\x01\x02\x04", 4);
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_A, &record), 0);
    assert_int_equal(answer.ttl, 30);
    unit_free(message);
}

static void test_other_types_are_passed(void **state) {
    struct muster_slice message = unit_unhex(addresses);
    struct muster_dns_answer answer = opened(message);
    struct muster_dns_record record;
    (void)state;
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_AAAA, &record), 0);
    unit_free(message);
}

static void test_six(void **state) {
    struct muster_slice message = unit_unhex(six);
    struct muster_dns_answer answer = opened(message);
    struct muster_dns_record record;
    (void)state;
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_AAAA, &record), 1);
    assert_memory_equal(record.address, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
    unit_free(message);
}

static void test_services(void **state) {
    struct muster_slice message = unit_unhex(services);
    struct muster_dns_answer answer = opened(message);
    struct muster_dns_record record;
    (void)state;
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_SRV, &record), 1);
    assert_string_equal(record.target, "db-0.test");
    assert_int_equal(record.target_len, 9);
    assert_int_equal(record.priority, 1);
    assert_int_equal(record.weight, 2);
    assert_int_equal(record.port, 4000);
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_SRV, &record), 1);
    assert_string_equal(record.target, "");
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_SRV, &record), 0);
    unit_free(message);
}

static int read_all(struct muster_slice message, uint16_t type) {
    struct muster_dns_answer answer;
    struct muster_dns_record record;
    int found = muster_dns_answer_open(&answer, message);
    while (found == 0 && (found = muster_dns_answer_next(&answer, type, &record)) == 1) {
        found = 0;
    }
    return found;
}

static void check_truncations(const char *hex, uint16_t type) {
    struct muster_slice whole = unit_unhex(hex);
    for (size_t n = 0; n < whole.len; n++) {
        struct muster_slice cut = unit_exact(whole.data, n);
        assert_int_equal(read_all(cut, type), MUSTER_E_MALFORMED);
        unit_free(cut);
    }
    assert_int_equal(read_all(whole, type), 0);
    unit_free(whole);
}

static void test_truncations(void **state) {
    (void)state;
    check_truncations(addresses, MUSTER_DNS_A);
    check_truncations(services, MUSTER_DNS_SRV);
    check_truncations(six, MUSTER_DNS_AAAA);
}

/* One SRV record after a header without questions, its target being `name`. */
static int read_target(const char *name, size_t len, struct muster_dns_record *record) {
    uint8_t bytes[600] = {0, 0,  0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0 /* the root's name */,
                          0, 33, 0,    1, 0, 0, 0, 1};
    size_t at = 21;
    struct muster_dns_answer answer;
    muster_put16(bytes + at, (uint16_t)(6 + len));
    memcpy(bytes + at + 8, name, len);
    struct muster_slice message = unit_exact(bytes, at + 8 + len);
    int found = muster_dns_answer_open(&answer, message);
    found = found != 0 ? found : muster_dns_answer_next(&answer, MUSTER_DNS_SRV, record);
    unit_free(message);
    return found;
}

static void test_names(void **state) {
    struct muster_dns_record record;
    char longest[256], too_long[320];
    (void)state;
    assert_int_equal(read_target("\1a\1b\0", 5, &record), 1);
    assert_string_equal(record.target, "a.b");
    /* A pointer to itself (the target begins at 29), one forward, one outside. */
    assert_int_equal(read_target("\xc0\x1d", 2, &record), MUSTER_E_MALFORMED);
    assert_int_equal(read_target("\xc0\x1f\1a\0", 5, &record), MUSTER_E_MALFORMED);
    assert_int_equal(read_target("\xff\xff", 2, &record), MUSTER_E_MALFORMED);
    /* Two that point at each other: the second may only point further back. */
    assert_int_equal(read_target("\1a\xc0\x1d", 4, &record), MUSTER_E_MALFORMED);
    /* Bits that mean nothing, a dot and a zero within a label, no end. */
    assert_int_equal(read_target("\x41"
                                 "a\0",
                                 3, &record),
                     MUSTER_E_MALFORMED);
    assert_int_equal(read_target("\3a.b\0", 5, &record), MUSTER_E_MALFORMED);
    assert_int_equal(read_target("\3a\0b\0", 5, &record), MUSTER_E_MALFORMED);
    assert_int_equal(read_target("\3ab", 3, &record), MUSTER_E_MALFORMED);
    assert_int_equal(read_target("\1a", 2, &record), MUSTER_E_MALFORMED);
    memset(longest, 'x', sizeof longest);
    longest[0] = longest[64] = longest[128] = longest[192] = 63;
    assert_int_equal(read_target(longest, 256, &record), MUSTER_E_MALFORMED); /* no end */
    longest[192] = 62;
    longest[255] = 0;
    assert_int_equal(read_target(longest, 256, &record), 1);
    assert_int_equal(record.target_len, 254);
    memset(too_long, 'x', sizeof too_long);
    too_long[0] = too_long[64] = too_long[128] = too_long[192] = too_long[256] = 63;
    assert_int_equal(read_target(too_long, 320, &record), MUSTER_E_MALFORMED);
}

static void test_times_to_live(void **state) {
    /* The sign bit means 0, as RFC 2181 has it. */
    struct muster_slice message = unit_unhex("000081800000000100000000"
                                             "000001000180000001"
                                             "00040a010203");
    struct muster_dns_answer answer = opened(message);
    struct muster_dns_record record;
    (void)state;
    assert_int_equal(muster_dns_answer_next(&answer, MUSTER_DNS_A, &record), 1);
    assert_int_equal(record.ttl, 0);
    unit_free(message);
}

static void test_waits(void **state) {
    static const struct {
        uint32_t ttl;
        uint64_t interval, floor, max, wait;
    } cases[] = {
        {0, 5000, 1000, 60000, 5000},
        {UINT32_MAX, 5000, 1000, 60000, 5000},
        {30, 5000, 1000, 60000, 30000},
        {1, 5000, 1000, 60000, 1000},
        {1, 200, 200, 60000, 1000},
        {3600, 5000, 1000, 60000, 60000},
        {UINT32_MAX - 1, 5000, 1000, 60000, 60000},
        {3600, 5000, 1000, 500, 1000},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_int_equal(
            muster_dns_wait_ms(cases[i].ttl, cases[i].interval, cases[i].floor, cases[i].max),
            cases[i].wait);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),     cmocka_unit_test(test_other_types_are_passed),
        cmocka_unit_test(test_six),           cmocka_unit_test(test_services),
        cmocka_unit_test(test_truncations),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_times_to_live), cmocka_unit_test(test_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
