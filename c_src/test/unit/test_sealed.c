/* Sealed packets: what is sealed is read, and nothing else is; each refusal for its reason. */
#include <sodium.h>

#include "unit.h"

#include "core/errors.h"
#include "core/sealed.h"

#define NOW UINT64_C(1760000000000)
#define WINDOW 30000

/* #{<<"a">> => <<"b">>} */
static const uint8_t metadata[] = {116, 0, 0, 0, 1, 109, 0, 0, 0, 1, 'a', 109, 0, 0, 0, 1, 'b'};

struct fixture {
    struct muster_unsealer unsealer;
    uint8_t packet[MUSTER_SEALED_BUILT_MAX];
    size_t len;
    uint8_t nonces;
};

static struct muster_seal_key key_of(const char *secret) {
    struct muster_seal_key key;
    muster_seal_key_derive(&key, muster_slice(secret, strlen(secret)));
    return key;
}

static void seal_with(struct fixture *f, const char *secret, uint64_t sent_ms) {
    struct muster_seal_key key = key_of(secret);
    uint8_t nonce[MUSTER_SEAL_NONCE_SIZE] = {0};
    struct muster_sealed content = {.sent_ms = sent_ms,
                                    .metadata_version = 7,
                                    .metadata = muster_slice(metadata, sizeof metadata)};
    assert_int_equal(muster_node_name_parse_cstr(&content.name, "app@host"), 0);
    nonce[7] = ++f->nonces;
    f->len = muster_seal(f->packet, &key, nonce, &content);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->unsealer.keys[0] = key_of("secret");
    f->unsealer.key_count = 1;
    f->unsealer.window_ms = WINDOW;
    seal_with(f, "secret", NOW);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static enum muster_unseal_verdict open_at(struct fixture *f, const uint8_t *packet, size_t len,
                                          uint64_t now) {
    struct muster_slice exact = unit_exact(packet, len);
    struct muster_sealed content;
    enum muster_unseal_verdict verdict = muster_unseal(&f->unsealer, exact, now, &content);
    unit_free(exact);
    return verdict;
}

static void test_what_is_sealed_is_read(void **state) {
    struct fixture *f = *state;
    struct muster_sealed content;
    assert_int_equal(
        muster_unseal(&f->unsealer, muster_slice(f->packet, f->len), NOW + 5, &content),
        MUSTER_UNSEAL_ACCEPTED);
    assert_int_equal(content.sent_ms, NOW);
    assert_string_equal(content.name.text, "app@host");
    assert_int_equal(content.metadata_version, 7);
    assert_int_equal(content.metadata.len, sizeof metadata);
    assert_memory_equal(content.metadata.data, metadata, sizeof metadata);
}

static void test_nothing_is_in_clear(void **state) {
    struct fixture *f = *state;
    assert_null(memmem(f->packet, f->len, "app", 3));
    assert_null(memmem(f->packet, f->len, "secret", 6));
    assert_int_equal(f->len, MUSTER_SEALED_OVERHEAD + 8 + 8 + 1 + 8 + 2 + sizeof metadata);
}

static void test_no_metadata(void **state) {
    struct fixture *f = *state;
    struct muster_seal_key key = key_of("secret");
    uint8_t nonce[MUSTER_SEAL_NONCE_SIZE] = {9};
    struct muster_sealed content = {.sent_ms = NOW};
    assert_int_equal(muster_node_name_parse_cstr(&content.name, "a@b"), 0);
    f->len = muster_seal(f->packet, &key, nonce, &content);
    assert_int_equal(muster_unseal(&f->unsealer, muster_slice(f->packet, f->len), NOW, &content),
                     MUSTER_UNSEAL_ACCEPTED);
    assert_int_equal(content.metadata.len, 0);
}

static void test_the_longest(void **state) {
    struct fixture *f = *state;
    struct muster_seal_key key = key_of("secret");
    uint8_t nonce[MUSTER_SEAL_NONCE_SIZE] = {8};
    uint8_t long_metadata[MUSTER_METADATA_MAX] = {116, 0, 0, 0, 1, 109, 0, 0, 0, 0, 109};
    char text[256];
    struct muster_sealed content = {.sent_ms = NOW};
    muster_put32(long_metadata + 11, MUSTER_METADATA_MAX - 15);
    memset(text, 'x', 255);
    text[9] = '@';
    text[255] = '\0';
    assert_int_equal(muster_node_name_parse_cstr(&content.name, text), 0);
    content.metadata = muster_slice(long_metadata, sizeof long_metadata);
    f->len = muster_seal(f->packet, &key, nonce, &content);
    assert_int_equal(f->len, MUSTER_SEALED_BUILT_MAX);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_ACCEPTED);
}

static void test_replayed(void **state) {
    struct fixture *f = *state;
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_ACCEPTED);
    for (int i = 0; i <= 2 * WINDOW; i += WINDOW / 4) {
        enum muster_unseal_verdict expected =
            i <= WINDOW ? MUSTER_UNSEAL_REPLAYED : MUSTER_UNSEAL_STALE;
        assert_int_equal(open_at(f, f->packet, f->len, NOW + (uint64_t)i), expected);
    }
    seal_with(f, "secret", NOW);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_ACCEPTED);
}

static void test_stale(void **state) {
    struct fixture *f = *state;
    assert_int_equal(open_at(f, f->packet, f->len, NOW + WINDOW + 1), MUSTER_UNSEAL_STALE);
    assert_int_equal(open_at(f, f->packet, f->len, NOW - WINDOW - 1), MUSTER_UNSEAL_STALE);
    assert_int_equal(open_at(f, f->packet, f->len, NOW - WINDOW), MUSTER_UNSEAL_ACCEPTED);
    /* From a clock that is ahead: remembered until the time is over on this one. */
    assert_int_equal(open_at(f, f->packet, f->len, NOW + WINDOW), MUSTER_UNSEAL_REPLAYED);
    seal_with(f, "secret", UINT64_MAX);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_STALE);
    seal_with(f, "secret", 0);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_STALE);
}

static void test_wrong_key(void **state) {
    struct fixture *f = *state;
    seal_with(f, "another", NOW);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_WRONG_KEY);
}

static void test_old_keys(void **state) {
    struct fixture *f = *state;
    f->unsealer.keys[0] = key_of("new");
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_WRONG_KEY);
    f->unsealer.keys[1] = key_of("secret");
    f->unsealer.key_count = 2;
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_ACCEPTED);
    seal_with(f, "new", NOW);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_ACCEPTED);
}

static void test_every_truncation(void **state) {
    struct fixture *f = *state;
    for (size_t n = 0; n < f->len; n++) {
        assert_int_equal(open_at(f, f->packet, n, NOW),
                         n < 4 ? MUSTER_UNSEAL_MALFORMED : MUSTER_UNSEAL_TRUNCATED);
    }
    f->packet[f->len] = 0;
    assert_int_equal(open_at(f, f->packet, f->len + 1, NOW), MUSTER_UNSEAL_MALFORMED);
}

/* Each refusal where the bit stands; none is accepted, and the packet itself still is. */
static void test_every_flipped_bit(void **state) {
    struct fixture *f = *state;
    for (size_t bit = 0; bit < 8 * f->len; bit++) {
        size_t at = bit / 8;
        f->packet[at] ^= (uint8_t)(1 << bit % 8);
        enum muster_unseal_verdict verdict = open_at(f, f->packet, f->len, NOW);
        if (at < 4) {
            assert_int_equal(verdict, MUSTER_UNSEAL_MALFORMED);
        } else if (at < 6) {
            assert_true(verdict == MUSTER_UNSEAL_TRUNCATED || verdict == MUSTER_UNSEAL_MALFORMED);
        } else {
            assert_int_equal(verdict, at < 14 ? MUSTER_UNSEAL_WRONG_KEY : MUSTER_UNSEAL_FORGED);
        }
        f->packet[at] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_ACCEPTED);
}

/* Whoever knows the secret may still send nonsense. */
static void test_authentic_nonsense(void **state) {
    struct fixture *f = *state;
    struct muster_seal_key key = key_of("secret");
    static const uint8_t bad_metadata[] = {116, 0, 0, 0, 1, 109, 0, 0, 0, 1, 'a', 97, 1};
    uint8_t nonce[MUSTER_SEAL_NONCE_SIZE] = {1};
    struct muster_sealed content = {.sent_ms = NOW, .name = {.text = "no name", .len = 7}};
    f->len = muster_seal(f->packet, &key, nonce, &content);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_MALFORMED);
    assert_int_equal(muster_node_name_parse_cstr(&content.name, "a@b"), 0);
    content.metadata = muster_slice(bad_metadata, sizeof bad_metadata);
    f->len = muster_seal(f->packet, &key, nonce, &content);
    assert_int_equal(open_at(f, f->packet, f->len, NOW), MUSTER_UNSEAL_MALFORMED);
}

/* Whatever a version derives, the next must derive too; the id was worked out by Python's hashlib.
 */
static void test_keys_are_stable(void **state) {
    struct muster_seal_key a = key_of("secret"), b = key_of("secret"), c = key_of("Secret");
    static const char known[] = "dfa4c4d878367b1c";
    struct muster_slice id = unit_unhex(known);
    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(a.key, c.key, sizeof a.key);
    assert_memory_not_equal(a.id, c.id, sizeof a.id);
    assert_memory_not_equal(a.id, a.key, sizeof a.id);
    assert_memory_equal(a.id, id.data, id.len);
    unit_free(id);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        TEST(test_what_is_sealed_is_read),
        TEST(test_nothing_is_in_clear),
        TEST(test_no_metadata),
        TEST(test_the_longest),
        TEST(test_replayed),
        TEST(test_stale),
        TEST(test_wrong_key),
        TEST(test_old_keys),
        TEST(test_every_truncation),
        TEST(test_every_flipped_bit),
        TEST(test_authentic_nonsense),
        TEST(test_keys_are_stable),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
