/*
 * The term validator: every tag and all its truncations, what Erlang really sends, the limits, lies
 * of every kind, and that ei agrees with it on whatever it accepts.
 */
#include "unit.h"

#include <ei.h>

#include "core/errors.h"
#include "core/term.h"
#include "test/unit/guard.h"

static const struct muster_term_limits *const defaults = &muster_term_default_limits;

/* ei must walk over an accepted term and stop where the validator stopped. */
static void check_ei_agrees(const char *name, struct muster_slice term, size_t used) {
    struct guard guard;
    int index = 0;
    guard_open(&guard, used);
    const char *copy = (const char *)guard_put(&guard, term.data, used);
    int result = ei_skip_term(copy, &index);
    if (result != 0 || (size_t)index != used) {
        fail_msg("%s: ei says %d after %d of %zu bytes", name, result, index, used);
    }
    guard_close(&guard);
}

/* The first `n` bytes in a block of their own. */
static int check_prefix(struct muster_slice whole, size_t n, size_t *used) {
    struct muster_slice in = unit_exact(whole.data, n);
    int error = muster_term_check(in, defaults, used);
    assert_true(*used <= n);
    unit_free(in);
    return error;
}

static void check_valid(const char *name, struct muster_slice term) {
    size_t used;
    for (size_t n = 0; n < term.len; n++) {
        int error = check_prefix(term, n, &used);
        if (error != MUSTER_E_TRUNCATED) {
            fail_msg("%s: %d after %zu of %zu bytes", name, error, n, term.len);
        }
    }
    int error = check_prefix(term, term.len, &used);
    if (error != 0 || used != term.len) {
        fail_msg("%s: %d after %zu of %zu bytes", name, error, used, term.len);
    }
    /* Whatever follows belongs to somebody else. */
    uint8_t *longer = malloc(term.len + 3);
    assert_non_null(longer);
    memcpy(longer, term.data, term.len);
    memset(longer + term.len, 104, 3);
    assert_int_equal(muster_term_check(muster_slice(longer, term.len + 3), defaults, &used), 0);
    assert_int_equal(used, term.len);
    free(longer);
    check_ei_agrees(name, term, term.len);
}

static const struct {
    const char *name, *hex;
} valid[] = {
    {"NEW_FLOAT", "463ff8000000000000"},
    {"NEW_FLOAT, not a number", "467ff8000000000000"},
    {"BIT_BINARY, empty", "4d0000000000"},
    {"BIT_BINARY, 1 bit", "4d000000010180"},
    {"BIT_BINARY, 8 bits", "4d0000000108ff"},
    {"BIT_BINARY, 3 bytes", "4d0000000307010206"},
    {"NEW_PID", "58770361406200000001 0000000200000003"},
    {"NEW_PID, Latin-1 node", "586400036140620000000100000002 00000003"},
    {"NEW_PID, small Latin-1 node", "5873036140620000000100000002 00000003"},
    {"NEW_PID, UTF-8 node", "587600036140620000000100000002 00000003"},
    {"NEW_PORT", "597703614062 0000000100000002"},
    {"V4_PORT", "787703614062000000000000000100000002"},
    {"NEWER_REFERENCE, 1 word", "5a0001770361406200000001 00000002"},
    {"NEWER_REFERENCE, 3 words", "5a0003770361406200000001000000020000000300000004"},
    {"NEWER_REFERENCE, 5 words",
     "5a00057703614062000000010000000200000003000000040000000500000006"},
    {"SMALL_INTEGER", "61ff"},
    {"INTEGER", "62ffffffff"},
    {"ATOM", "6400026f6b"},
    {"ATOM, empty", "640000"},
    {"REFERENCE", "65770361406200000001 02"},
    {"PORT", "6677036140620000000102"},
    {"PID", "677703614062000000010000000203"},
    {"SMALL_TUPLE, empty", "6800"},
    {"SMALL_TUPLE", "680361016a61ff"},
    {"LARGE_TUPLE, empty", "6900000000"},
    {"LARGE_TUPLE", "690000000261016a"},
    {"NIL", "6a"},
    {"STRING, empty", "6b0000"},
    {"STRING", "6b0003616263"},
    {"LIST", "6c0000000261016102 6a"},
    {"LIST, improper", "6c0000000161016102"},
    {"LIST, its tail a list", "6c0000000161016c0000000161026a"},
    {"LIST, of none but a tail", "6c000000006101"},
    {"BINARY, empty", "6d00000000"},
    {"BINARY", "6d00000003010203"},
    {"SMALL_BIG, empty", "6e0000"},
    {"SMALL_BIG", "6e0400ffffffff"},
    {"LARGE_BIG", "6f000000040100000080"},
    {"NEW_FUN", "7000000039 02 000102030405060708090a0b0c0d0e0f 00000000 00000000"
                "77016d 6100 6200000000 5877036140620000000100000002 00000003"},
    {"NEW_FUN, two free variables",
     "700000003e02000102030405060708090a0b0c0d0e0f00000000 00000002"
     "77016d 6100 6200000000 58770361406200000001 0000000200000003 6101 68016a"},
    {"EXPORT", "7177016d7701666102"},
    {"EXPORT, integer arity", "7177016d77016662000000ff"},
    {"NEW_REFERENCE", "720003770361406201 000000020000000300000004"},
    {"SMALL_ATOM", "73026f6b"},
    {"SMALL_ATOM, empty", "7300"},
    {"MAP, empty", "7400000000"},
    {"MAP", "740000000261016a6102680161ff"},
    {"ATOM_UTF8", "760002c3a5"},
    {"SMALL_ATOM_UTF8", "7702c3a5"},
    {"nested", "68026c00000001680174000000016a6d000000016a6a6801 6801 6a"},
};

/* Blanks set the fields apart in the tables above. */
static struct muster_slice bytes_of(const char *hex) {
    char packed[4096];
    size_t n = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex != ' ') {
            assert_true(n < sizeof packed - 1);
            packed[n++] = *hex;
        }
    }
    packed[n] = '\0';
    return unit_unhex(packed);
}

static void test_every_tag(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(valid); i++) {
        struct muster_slice term = bytes_of(valid[i].hex);
        check_valid(valid[i].name, term);
        unit_free(term);
    }
}

/* Written by term_to_binary/1,2 of OTP 25; the node's name is gen@127.0.0.1. */
static const struct {
    const char *name, *hex;
} of_erlang[] = {
    {"0", "836100"},
    {"255", "8361ff"},
    {"256", "836200000100"},
    {"-1", "8362ffffffff"},
    {"2^31-1", "83627fffffff"},
    {"-2^31", "836280000000"},
    {"2^31", "836e040000000080"},
    {"-2^63", "836e08010000000000000080"},
    {"2^64", "836e0900000000000000000001"},
    {"2^2047", "836eff00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
               "ffffffffffffffffffffffffffffffffffffffffffffffffff"},
    {"2^2041", "836f00000100000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "0000000000000000000000000000000000000000000000000000000002"},
    {"1.5", "83463ff8000000000000"},
    {"-0.0", "83468000000000000000"},
    {"ok", "836400026f6b"},
    {"''", "83640000"},
    {"ok, minor version 1", "836400026f6b"},
    {"Latin-1 atom", "83640003e5e4f6"},
    {"atom beyond Latin-1", "837706e697a5e69cac"},
    {"256 bytes of UTF-8 atom",
     "83640080e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"
     "e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"
     "e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"
     "e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"},
    {"[]", "836a"},
    {"\"abc\"", "836b0003616263"},
    {"[1,2,300]", "836c0000000361016102620000012c6a"},
    {"[a|b]", "836c000000016400016164000162"},
    {"[[],[[]]]", "836c000000026a6c000000016a6a6a"},
    {"{}", "836800"},
    {"{ok,1}", "8368026400026f6b6101"},
    {"256-tuple", "8369000001006a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"
                  "6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"
                  "6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"
                  "6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"
                  "6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"
                  "6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"
                  "6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"},
    {"<<>>", "836d00000000"},
    {"binary", "836d00000003010203"},
    {"<<5:3>>", "834d0000000103a0"},
    {"<<1,2,3:7>>", "834d0000000307010206"},
    {"#{}", "837400000000"},
    {"map", "83740000000364000161610168016400016374000000006d00000001626c000000014640000000"
            "000000006a"},
    {"pid", "835864000d67656e403132372e302e302e3100000009000000006b00103c"},
    {"reference", "835a000364000d67656e403132372e302e302e316b00103c00013f769da8000165a08311"},
    {"alias reference", "835a000364000d67656e403132372e302e302e316b00103c00013f799da9000165a08311"},
    {"port", "835964000d67656e403132372e302e302e31000000006b00103c"},
    {"fun lists:map/2", "83716400056c697374736400036d61706102"},
    {"fun with two free variables",
     "83700000005f019fd9884a9daf891efc9e735e37f55d6e00000000000000026400046d66756e61"
     "006204fecc425864000d67656e403132372e302e302e3100000009000000006b00103d61016c00"
     "00000168026b0001784640040000000000006a"},
    {"fun without any",
     "8370000000480089a3e2ff66bb8801528f454acf98ecc100000001000000006400046d67656e61"
     "0162044d1f175864000d67656e403132372e302e302e3100000009000000006b00103c"},
    {"monitor_p", "83680461135864000d67656e403132372e302e302e3100000009000000006b00103c6400066d75"
                  "737465725a000364000d67656e403132372e302e302e316b00103c00013f859da8000165a08311"},
    {"reg_send", "83680461065864000d67656e403132372e302e302e3100000009000000006b00103c6400006400"
                 "066d7573746572"},
    {"is_auth call",
     "8368036400092467656e5f63616c6c68025864000d67656e403132372e302e302e310000000900"
     "0000006b00103c6c00000001640005616c6961735a000364000d67656e403132372e302e302e31"
     "6b00103c00013f8a9da8000165a08311680264000769735f6175746864000d67656e403132372e"
     "302e302e31"},
    {"exit reason", "8368026400044558495468026400066261646172676c00000001680464000665726c616e676400"
                    "01666b0001016c00000002680264000466696c656b0005782e65726c68026400046c696e656103"
                    "6a6a"},
};

static void test_what_erlang_sends(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(of_erlang); i++) {
        struct muster_slice term = unit_unhex(of_erlang[i].hex);
        size_t used;
        for (size_t n = 0; n < term.len; n++) {
            struct muster_slice in = unit_exact(term.data, n);
            assert_int_equal(muster_term_check_versioned(in, defaults, &used), MUSTER_E_TRUNCATED);
            assert_true(used <= n);
            unit_free(in);
        }
        int error = muster_term_check_versioned(term, defaults, &used);
        if (error != 0 || used != term.len) {
            fail_msg("%s: %d after %zu of %zu bytes", of_erlang[i].name, error, used, term.len);
        }
        check_valid(of_erlang[i].name, muster_slice(term.data + 1, term.len - 1));
        unit_free(term);
    }
}

static void test_version(void **state) {
    size_t used = 99;
    struct muster_slice empty = unit_exact(NULL, 0);
    (void)state;
    assert_int_equal(muster_term_check_versioned(empty, defaults, &used), MUSTER_E_TRUNCATED);
    assert_int_equal(used, 0);
    unit_free(empty);
    for (int c = 0; c < 256; c++) {
        uint8_t bytes[] = {(uint8_t)c, 106};
        int error = muster_term_check_versioned(muster_slice(bytes, 2), defaults, &used);
        assert_int_equal(error, c == 131 ? 0 : MUSTER_E_MALFORMED);
        assert_int_equal(used, c == 131 ? 2 : 0);
    }
    assert_int_equal(muster_term_check(muster_slice(NULL, 0), defaults, &used), MUSTER_E_TRUNCATED);
}

static void check_error(const char *name, const char *hex, int error) {
    struct muster_slice in = bytes_of(hex);
    size_t used;
    int result = muster_term_check(in, defaults, &used);
    if (result != error || used > in.len) {
        fail_msg("%s: %d after %zu of %zu bytes", name, result, used, in.len);
    }
    unit_free(in);
}

/* All 256 tags, each before enough zeros: those not in the table above are refused. */
static void test_other_tags(void **state) {
    static const uint8_t known[] = {70,  77,  88,  89,  90,  97,  98,  100, 101,
                                    102, 103, 104, 105, 106, 107, 108, 109, 110,
                                    111, 112, 113, 114, 115, 116, 118, 119, 120};
    (void)state;
    for (int tag = 0; tag < 256; tag++) {
        uint8_t bytes[64] = {(uint8_t)tag};
        size_t used;
        int error = muster_term_check(muster_slice(bytes, sizeof bytes), defaults, &used);
        int is_known = memchr(known, tag, sizeof known) != NULL;
        int refused = error == MUSTER_E_UNSUPPORTED && used == 1;
        if (is_known == refused) {
            fail_msg("tag %d: %d", tag, error);
        }
    }
}

static void test_refused_tags(void **state) {
    (void)state;
    /* By term_to_binary(_, [compressed]), without its version byte. */
    check_error("compressed",
                "5000000fa6789cedc3c10900200c04b02b4e2af81207ef181dc34f0279c9ea93daaaaaaaeadf77007a"
                "34075f",
                MUSTER_E_UNSUPPORTED);
    check_error("distribution header", "44006a", MUSTER_E_UNSUPPORTED);
    check_error("first fragment", "45 0000000000000001 0000000000000001 00 6a",
                MUSTER_E_UNSUPPORTED);
    check_error("other fragment", "46 00",
                MUSTER_E_TRUNCATED); /* 70: a float outside of a header */
    check_error("atom cache reference", "5200", MUSTER_E_UNSUPPORTED);
    check_error("local", "79 00000000 00000000 6a", MUSTER_E_UNSUPPORTED);
    check_error("old fun", "75 00000000", MUSTER_E_UNSUPPORTED);
    check_error("version inside", "83 6a", MUSTER_E_UNSUPPORTED);
    /* ei hands the 31 bytes to sscanf, which looks for a terminator wherever it may be. */
    check_error("decimal float", "63312e3530303030303030303030303030303030303030652b30300000000000",
                MUSTER_E_UNSUPPORTED);
    check_error("decimal float without end",
                "6331313131313131313131313131313131313131313131313131313131313131",
                MUSTER_E_UNSUPPORTED);
    check_error("refused in a tuple", "6801 5200", MUSTER_E_UNSUPPORTED);
    check_error("refused in a tail", "6c000000016a 5200", MUSTER_E_UNSUPPORTED);
    check_error("refused as a key", "7400000001 5200 6a", MUSTER_E_UNSUPPORTED);
}

static void test_malformed(void **state) {
    static const struct {
        const char *name, *hex;
    } cases[] = {
        {"atom of 256 characters", "640100"},
        {"UTF-8 atom of 1021 bytes", "7603fd"},
        {"bit binary with 9 bits", "4d000000010980"},
        {"bit binary, bytes but no bits", "4d000000010080"},
        {"bit binary, bits but no bytes", "4d0000000001"},
        {"reference without words", "5a000077036140620000000100000002"},
        {"reference of 6 words", "5a0006770361406200000001 000000000000000000000000000000000000"
                                 "000000000000"},
        {"old reference without words", "72000077036140620100000002"},
        {"pid of an integer", "586101000000010000000200000003"},
        {"pid of a list", "586a000000010000000200000003"},
        {"port of a binary", "596d0000000161 0000000100000002"},
        {"reference of a tuple", "5a0001 6800 0000000000000000"},
        {"pid with a long atom", "58640100"},
        {"export without a module", "7161017701666102"},
        {"export without a function", "7177016d6a6102"},
        {"export without an arity", "7177016d7701666a"},
        {"export with a big arity", "7177016d7701666e0100ff"},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        check_error(cases[i].name, cases[i].hex, MUSTER_E_MALFORMED);
    }
}

/* A fun with `free` free variables, all [], that claims `size` bytes; zero is the truth. */
static size_t put_fun(uint8_t *out, uint32_t free_variables, uint32_t size) {
    static const uint8_t origin[] = {119, 1,   'm', 97, 0, 98, 0, 0, 0, 0, 88, 119, 3, 'a',
                                     '@', 'b', 0,   0,  0, 1,  0, 0, 0, 2, 0,  0,   0, 3};
    memset(out, 0, 30);
    out[0] = 112;
    muster_put32(out + 26, free_variables);
    memcpy(out + 30, origin, sizeof origin);
    size_t len = 30 + sizeof origin;
    memset(out + len, 106, free_variables);
    len += free_variables;
    muster_put32(out + 1, size == 0 ? (uint32_t)(len - 1) : size);
    return len;
}

static int check_fun(const uint8_t *bytes, size_t len) {
    struct muster_slice in = unit_exact(bytes, len);
    size_t used;
    int error = muster_term_check(in, defaults, &used);
    unit_free(in);
    return error;
}

/* ei skips a fun by the size that it claims. */
static void test_funs_lie(void **state) {
    uint8_t fun[256];
    (void)state;
    for (uint32_t free_variables = 0; free_variables < 4; free_variables++) {
        size_t len = put_fun(fun, free_variables, 0);
        uint32_t truth = (uint32_t)(len - 1);
        assert_int_equal(check_fun(fun, len), 0);
        for (uint32_t size = 1; size < 2 * truth; size++) {
            put_fun(fun, free_variables, size);
            assert_int_equal(check_fun(fun, len), size == truth ? 0 : MUSTER_E_MALFORMED);
        }
        static const uint32_t far[] = {0x7fffffff, 0x80000000, 0xffffffff};
        for (size_t i = 0; i < UNIT_COUNT(far); i++) {
            put_fun(fun, free_variables, far[i]);
            assert_int_equal(check_fun(fun, len), MUSTER_E_MALFORMED);
        }
        put_fun(fun, free_variables, 0);
        muster_put32(fun + 1, 0);
        assert_int_equal(check_fun(fun, len), MUSTER_E_MALFORMED);
    }
    size_t len = put_fun(fun, 0, 0);
    muster_put32(fun + 26, 0xffffffff);
    assert_int_equal(check_fun(fun, len), MUSTER_E_LIMIT);
}

/* Each part of a fun's origin must be what the format says: ei takes nothing else. */
static void test_funs_with_a_wrong_origin(void **state) {
    static const size_t parts[] = {30, 33, 35, 40}; /* module, index, uniq, creator */
    static const uint8_t others[] = {106, 104, 109, 110, 116, 107};
    uint8_t fun[256];
    (void)state;
    for (size_t p = 0; p < UNIT_COUNT(parts); p++) {
        for (size_t o = 0; o < UNIT_COUNT(others); o++) {
            size_t len = put_fun(fun, 1, 0);
            fun[parts[p]] = others[o];
            assert_int_equal(check_fun(fun, len), MUSTER_E_MALFORMED);
        }
    }
}

/* A few bytes that promise gigabytes: refused at once, and never by reading on. */
static void test_huge_counts(void **state) {
    static const struct {
        const char *name, *hex;
    } cases[] = {
        {"tuple", "69ffffffff6a"},
        {"tuple of 2^31", "69800000006a"},
        {"list", "6cffffffff6a"},
        {"map", "74ffffffff6a"},
        {"map of 2^31", "74800000006a"},
        {"binary", "6dffffffff00"},
        {"bit binary", "4dffffffff0800"},
        {"big", "6fffffffff0000"},
        {"string", "6bffff61"},
        {"small tuple", "68ff6a"},
        {"atom", "6400ff61"},
        {"small atom", "73ff61"},
        {"UTF-8 atom", "7603fc61"},
        {"small UTF-8 atom", "77ff61"},
        {"small big", "6eff0000"},
        {"binary in a tuple", "6801 6dfffffff000"},
    };
    static const struct muster_term_limits none = {.max_depth = 128, .max_elements = UINT32_MAX};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_slice in = bytes_of(cases[i].hex);
        size_t used;
        int error = muster_term_check(in, &none, &used);
        /* Beyond the budget of 32 bits it is the budget that ends it. */
        if (error != MUSTER_E_TRUNCATED && error != MUSTER_E_LIMIT) {
            fail_msg("%s: %d", cases[i].name, error);
        }
        assert_int_not_equal(muster_term_check(in, defaults, &used), 0);
        unit_free(in);
    }
}

/* Counts that would pass if 2 * n or n + 1 were computed in 32 bits. */
static void test_counts_do_not_wrap(void **state) {
    static const struct muster_term_limits none = {.max_depth = 128, .max_elements = UINT32_MAX};
    size_t used;
    (void)state;
    struct muster_slice map = bytes_of("74 80000000 6a6a6a");
    assert_int_not_equal(muster_term_check(map, &none, &used), 0);
    unit_free(map);
    map = bytes_of("74 80000001 6a6a6a");
    assert_int_not_equal(muster_term_check(map, &none, &used), 0);
    unit_free(map);
    struct muster_slice list = bytes_of("6c ffffffff 6a6a6a");
    assert_int_not_equal(muster_term_check(list, &none, &used), 0);
    unit_free(list);
}

/* One opening of each kind of nesting, and what closes it. */
static const struct {
    const char *name, *open, *close;
} nestings[] = {
    {"tuple", "6801", ""},
    {"large tuple", "6900000001", ""},
    {"first of a tuple", "6802", "6a"},
    {"last of a tuple", "68026a", ""},
    {"list", "6c00000001", "6a"},
    {"tail", "6c000000016a", ""},
    {"value", "74000000016a", ""},
    {"key", "7400000001", "6a"},
};

static struct muster_slice nest(const char *open, const char *close, unsigned depth) {
    size_t size = depth * (strlen(open) + strlen(close)) + 3;
    char *hex = calloc(1, size);
    assert_non_null(hex);
    char *p = hex;
    for (unsigned i = 0; i < depth; i++) {
        p = stpcpy(p, open);
    }
    p = stpcpy(p, "6a");
    for (unsigned i = 0; i < depth; i++) {
        p = stpcpy(p, close);
    }
    struct muster_slice term = unit_unhex(hex);
    free(hex);
    return term;
}

static void test_depth_limit(void **state) {
    static const unsigned limits[] = {1, 2, 64, 127, MUSTER_TERM_DEPTH_MAX};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(nestings); i++) {
        for (size_t l = 0; l < UNIT_COUNT(limits); l++) {
            struct muster_term_limits limit = {.max_depth = limits[l], .max_elements = 100000};
            size_t used;
            struct muster_slice fits = nest(nestings[i].open, nestings[i].close, limits[l]);
            assert_int_equal(muster_term_check(fits, &limit, &used), 0);
            assert_int_equal(used, fits.len);
            check_ei_agrees(nestings[i].name, fits, used);
            unit_free(fits);
            struct muster_slice deeper = nest(nestings[i].open, nestings[i].close, limits[l] + 1);
            assert_int_equal(muster_term_check(deeper, &limit, &used), MUSTER_E_TOO_DEEP);
            unit_free(deeper);
        }
    }
}

/* A fun's free variables nest as well. */
static void test_depth_of_funs(void **state) {
    uint8_t fun[256], outer[256];
    struct muster_term_limits limit = {.max_depth = 2, .max_elements = 1000};
    size_t used, len = put_fun(fun, 1, 0);
    (void)state;
    outer[0] = 104;
    outer[1] = 1;
    memcpy(outer + 2, fun, len);
    assert_int_equal(muster_term_check(muster_slice(outer, len + 2), &limit, &used), 0);
    limit.max_depth = 1;
    assert_int_equal(muster_term_check(muster_slice(outer, len + 2), &limit, &used),
                     MUSTER_E_TOO_DEEP);
    assert_int_equal(muster_term_check(muster_slice(fun, len), &limit, &used), 0);
}

/* Siblings are not nesting: the depth goes down again when a container ends. */
static void test_depth_is_given_back(void **state) {
    struct muster_term_limits limit = {.max_depth = 2, .max_elements = 100000};
    uint8_t term[2 + 3 * 200];
    size_t used;
    (void)state;
    term[0] = 104;
    term[1] = 200;
    for (size_t i = 0; i < 200; i++) {
        memcpy(term + 2 + 3 * i, "\x68\x01\x6a", 3);
    }
    assert_int_equal(muster_term_check(muster_slice(term, sizeof term), &limit, &used), 0);
    limit.max_depth = 1;
    assert_int_equal(muster_term_check(muster_slice(term, sizeof term), &limit, &used),
                     MUSTER_E_TOO_DEEP);
}

/* Ten million levels, as tuples, lists, tails and keys: no stack, no time. */
static void test_ten_million_levels(void **state) {
    size_t levels = 10 * 1000 * 1000;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(nestings); i++) {
        struct muster_slice open = unit_unhex(nestings[i].open);
        uint8_t *bytes = malloc(levels * open.len);
        size_t used;
        assert_non_null(bytes);
        for (size_t n = 0; n < levels; n++) {
            memcpy(bytes + n * open.len, open.data, open.len);
        }
        struct muster_slice in = muster_slice(bytes, levels * open.len);
        assert_int_equal(muster_term_check(in, defaults, &used), MUSTER_E_TOO_DEEP);
        assert_true(used <= 66 * open.len);
        free(bytes);
        unit_free(open);
    }
}

static int check_with_budget(const char *hex, uint32_t elements) {
    struct muster_term_limits limit = {.max_depth = 8, .max_elements = elements};
    struct muster_slice in = bytes_of(hex);
    size_t used;
    int error = muster_term_check(in, &limit, &used);
    unit_free(in);
    return error;
}

/* Every term counts, the outermost and the end of a list too. */
static void test_element_budget(void **state) {
    static const struct {
        const char *hex;
        uint32_t elements;
    } cases[] = {
        {"6a", 1},
        {"6800", 1},
        {"68036a6a6a", 4},
        {"6c000000026a6a6a", 4},
        {"7400000002 6101 6a 6102 6a", 5},
        {"6802 68026a6a 68026a6a", 7},
        {"7177016d7701666102", 1},
        {"5877036140620000000100000002 00000003", 1},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_int_equal(check_with_budget(cases[i].hex, cases[i].elements), 0);
        assert_int_equal(check_with_budget(cases[i].hex, cases[i].elements - 1), MUSTER_E_LIMIT);
    }
}

/* A flat list of a million fits the default budget, two million do not. */
static void test_default_budget(void **state) {
    size_t used, count = 2 * 1000 * 1000;
    uint8_t *bytes = malloc(5 + count + 1);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, 106, 5 + count + 1);
    bytes[0] = 108;
    muster_put32(bytes + 1, 1000 * 1000);
    assert_int_equal(muster_term_check(muster_slice(bytes, 5 + count + 1), defaults, &used), 0);
    assert_int_equal(used, 5 + 1000 * 1000 + 1);
    muster_put32(bytes + 1, (uint32_t)count);
    assert_int_equal(muster_term_check(muster_slice(bytes, 5 + count + 1), defaults, &used),
                     MUSTER_E_LIMIT);
    free(bytes);
}

/* Each byte of each valid term set to each value: never beyond the end, and ei agrees. */
static void test_every_byte_changed(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(valid); i++) {
        struct muster_slice term = bytes_of(valid[i].hex);
        uint8_t *bytes = (uint8_t *)(uintptr_t)term.data;
        for (size_t at = 0; at < term.len; at++) {
            uint8_t before = bytes[at];
            for (int value = 0; value < 256; value++) {
                size_t used;
                bytes[at] = (uint8_t)value;
                if (muster_term_check(term, defaults, &used) == 0) {
                    check_ei_agrees(valid[i].name, term, used);
                }
                assert_true(used <= term.len);
            }
            bytes[at] = before;
        }
        unit_free(term);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_tag),
        cmocka_unit_test(test_what_erlang_sends),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_other_tags),
        cmocka_unit_test(test_refused_tags),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_funs_lie),
        cmocka_unit_test(test_funs_with_a_wrong_origin),
        cmocka_unit_test(test_huge_counts),
        cmocka_unit_test(test_counts_do_not_wrap),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_depth_of_funs),
        cmocka_unit_test(test_depth_is_given_back),
        cmocka_unit_test(test_ten_million_levels),
        cmocka_unit_test(test_element_budget),
        cmocka_unit_test(test_default_budget),
        cmocka_unit_test(test_every_byte_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
