/* MD5 against the test suite of RFC 1321 and against Erlang's own erlang:md5/1. */
#include "unit.h"

#include <stdio.h>

#include "core/md5.h"

static void hex_of(const uint8_t digest[MUSTER_MD5_SIZE], char out[33]) {
    for (int i = 0; i < MUSTER_MD5_SIZE; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static const struct {
    const char *text;
    const char *digest;
} vectors[] = {
    {"", "d41d8cd98f00b204e9800998ecf8427e"},
    {"a", "0cc175b9c0f1b6a831c399e269772661"},
    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
     "d174ab98d277d9f5a5611c2c9f419d9f"},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
     "57edf4a22be3c955ac49da2e2107b67a"},
    {"secretcookie3735928559", "4d9757cd7ae773aaf1a08d00ff981318"}, /* erlang:md5/1 */
};

static void test_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(vectors); i++) {
        struct muster_md5 md5;
        uint8_t digest[MUSTER_MD5_SIZE];
        char hex[33];
        muster_md5_init(&md5);
        muster_md5_update(&md5, vectors[i].text, strlen(vectors[i].text));
        muster_md5_final(&md5, digest);
        hex_of(digest, hex);
        assert_string_equal(hex, vectors[i].digest);
    }
}

/* In two pieces, cut everywhere, and byte by byte. */
static void test_pieces(void **state) {
    (void)state;
    for (size_t v = 0; v < UNIT_COUNT(vectors); v++) {
        size_t len = strlen(vectors[v].text);
        for (size_t cut = 0; cut <= len + 1; cut++) {
            struct muster_md5 md5;
            uint8_t digest[MUSTER_MD5_SIZE];
            char hex[33];
            muster_md5_init(&md5);
            if (cut <= len) {
                muster_md5_update(&md5, vectors[v].text, cut);
                muster_md5_update(&md5, vectors[v].text + cut, len - cut);
            } else {
                for (size_t i = 0; i < len; i++) {
                    muster_md5_update(&md5, vectors[v].text + i, 1);
                }
            }
            muster_md5_update(&md5, NULL, 0);
            muster_md5_final(&md5, digest);
            hex_of(digest, hex);
            assert_string_equal(hex, vectors[v].digest);
        }
    }
}

/* The padding's corner cases: strings of n times 'x', digests by another implementation (hashlib).
 */
static void test_padding(void **state) {
    static const struct {
        size_t len;
        const char *digest;
    } cases[] = {
        {54, "61ea0974c662328da964d977a8253873"},  {55, "04364420e25c512fd958a70738aa8f72"},
        {56, "668a72d5ba17f08e62dabcafad6db14b"},  {57, "693037871c4a9d3d8685018905cb530a"},
        {63, "7dc2ca208106a2f703567bdff99d8981"},  {64, "c1bb4f81d892b2d57947682aeb252456"},
        {65, "1bc932052302d074bdec39795fe00cf6"},  {119, "ab347a5f68c8a443cfcddc633f12c24f"},
        {120, "fb98667f98096de92620b64f46e1c5b5"}, {121, "e8bb0ccd83750100b37f4831cd5d7ee2"},
        {127, "a0b28c1da68705c2ff883fe279b72753"}, {128, "d69cb61a6ee87200676eb0d4b90edbcb"},
        {129, "3926841d393c00c3f36260e5ace10dc1"}, {1000, "398533d48111e9f664b1f64cb10c4b63"},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        char text[1000];
        struct muster_md5 md5;
        uint8_t digest[MUSTER_MD5_SIZE];
        char hex[33];
        memset(text, 'x', sizeof text);
        muster_md5_init(&md5);
        muster_md5_update(&md5, text, cases[i].len);
        muster_md5_final(&md5, digest);
        hex_of(digest, hex);
        assert_string_equal(hex, cases[i].digest);
    }
}

/* 2^61 - 64 bytes would have been taken in: the length in bits needs all 64 bits of its field. */
static void test_long_length(void **state) {
    static const uint8_t last_block[64] = {
        0x80,        [56] = 0x00, [57] = 0xfe, [58] = 0xff, [59] = 0xff,
        [60] = 0xff, [61] = 0xff, [62] = 0xff, [63] = 0xff};
    struct muster_md5 md5, by_hand;
    uint8_t digest[MUSTER_MD5_SIZE];
    (void)state;
    muster_md5_init(&md5);
    md5.length = (UINT64_C(1) << 61) - 64;
    muster_md5_final(&md5, digest);
    muster_md5_init(&by_hand);
    muster_md5_update(&by_hand, last_block, sizeof last_block);
    for (int i = 0; i < MUSTER_MD5_SIZE; i++) {
        assert_int_equal(digest[i], by_hand.state[i / 4] >> (8 * (i % 4)) & 0xff);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_long_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
