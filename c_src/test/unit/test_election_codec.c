/* Election messages and records as bytes: round trips, every truncation, every byte changed. */
#include "unit.h"

#include <stdio.h>

#include "core/election_codec.h"
#include "core/errors.h"

/* --- Names: member n is n@h --- */

static struct muster_node_name name_of;
static unsigned known_max;

static const struct muster_node_name *name(void *context, muster_member member) {
    char text[32];
    (void)context;
    if (member == 0 || member > known_max) {
        return NULL;
    }
    int n = snprintf(text, sizeof text, "%u@h", (unsigned)member);
    assert_int_equal(muster_node_name_parse(&name_of, text, (size_t)n), 0);
    return &name_of;
}

static muster_member learn(void *context, const struct muster_node_name *known) {
    unsigned long member = strtoul(known->text, NULL, 10);
    (void)context;
    return member <= known_max ? member : MUSTER_NOBODY;
}

static const struct muster_member_names names = {.name = name, .learn = learn};

static int set_up(void **state) {
    (void)state;
    known_max = MUSTER_MEMBERS_MAX;
    return 0;
}

/* --- Samples --- */

static uint8_t bytes[MUSTER_ELECTION_BYTES_MAX];
static struct muster_decoded_message decoded;
static struct muster_config config;
static struct muster_role_table table;

static struct muster_message a_message(void) {
    return (struct muster_message){.kind = MUSTER_MESSAGE_HEARTBEAT,
                                   .term = UINT64_C(1) << 61,
                                   .election = UINT64_MAX,
                                   .consent = 3,
                                   .sent_at = 4,
                                   .age = 5,
                                   .successor = 6,
                                   .stamp = {.term = 7, .version = 8},
                                   .fingerprint = 9,
                                   .granted = true,
                                   .leads = true};
}

static void fill_config(uint32_t count) {
    config = (struct muster_config){.stamp = {.term = 7, .version = 8}, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        config.voters[i] = i + 1;
    }
}

static void fill_table(uint32_t count) {
    table = (struct muster_role_table){.stamp = {.term = 7, .version = 8},
                                       .writer = 1,
                                       .writer_election = 2,
                                       .epoch = 3,
                                       .pin = 2,
                                       .count = count};
    for (uint32_t i = 0; i < count; i++) {
        table.rows[i] = (struct muster_role_row){.id = i + 1,
                                                 .incarnation = i * 77,
                                                 .started = -5 - (int64_t)i,
                                                 .role = MUSTER_ROLE_WINGMATE + i % 3,
                                                 .losses = i,
                                                 .alive = i % 2};
    }
}

static void assert_same_message(const struct muster_message *a, const struct muster_message *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->election, b->election);
    assert_int_equal(a->consent, b->consent);
    assert_int_equal(a->sent_at, b->sent_at);
    assert_int_equal(a->age, b->age);
    assert_int_equal(a->successor, b->successor);
    assert_int_equal(muster_stamp_compare(a->stamp, b->stamp), 0);
    assert_int_equal(a->fingerprint, b->fingerprint);
    assert_int_equal(a->granted, b->granted);
    assert_int_equal(a->willing, b->willing);
    assert_int_equal(a->leads, b->leads);
    assert_int_equal(a->supports, b->supports);
    assert_int_equal(a->eligible, b->eligible);
    assert_int_equal(a->carries, b->carries);
}

static int decode(size_t len) {
    struct muster_slice exact = unit_exact(bytes, len);
    int result = muster_election_decode(&decoded, exact, &names);
    unit_free(exact);
    return result;
}

static void assert_every_truncation_fails(size_t len) {
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(decode(n), MUSTER_E_TRUNCATED);
    }
}

/* --- Tests --- */

static void test_every_kind_and_flag(void **state) {
    (void)state;
    for (int kind = MUSTER_MESSAGE_PRE_VOTE; kind <= MUSTER_MESSAGE_TRANSFER_READY; kind++) {
        for (unsigned flags = 0; flags < 32; flags++) {
            struct muster_message m = a_message();
            m.kind = (enum muster_message_kind)kind;
            m.granted = flags & 1;
            m.willing = flags & 2;
            m.leads = flags & 4;
            m.supports = flags & 8;
            m.eligible = flags & 16;
            size_t len = muster_election_encode(bytes, &m, NULL, &names);
            assert_int_equal(decode(len), 0);
            assert_same_message(&m, &decoded.message);
            assert_null(decoded.message.config);
            assert_false(decoded.has_note);
        }
    }
}

static void test_config(void **state) {
    (void)state;
    struct muster_message m = a_message();
    fill_config(MUSTER_MEMBERS_MAX);
    m.config = &config;
    assert_true(muster_election_encode(bytes, &m, NULL, &names) > 0);
    m.carries = true;
    size_t len = muster_election_encode(bytes, &m, NULL, &names);
    assert_int_equal(decode(len), 0);
    assert_same_message(&m, &decoded.message);
    assert_non_null(decoded.message.config);
    assert_memory_equal(decoded.message.config, &config, sizeof config);
    assert_every_truncation_fails(len);
    bytes[len] = 0;
    assert_int_equal(decode(len + 1), MUSTER_E_MALFORMED);
}

static void test_note_and_table(void **state) {
    (void)state;
    struct muster_message m = a_message();
    struct muster_note note = {.incarnation = 11, .clock = -12, .table = &table};
    fill_table(MUSTER_MEMBERS_MAX);
    size_t len = muster_election_encode(bytes, &m, &note, &names);
    assert_int_equal(decode(len), 0);
    assert_true(decoded.has_note);
    assert_null(decoded.note.table);
    m.carries = true;
    len = muster_election_encode(bytes, &m, &note, &names);
    assert_true(len <= sizeof bytes);
    assert_int_equal(decode(len), 0);
    assert_int_equal(decoded.note.incarnation, 11);
    assert_int_equal(decoded.note.clock, -12);
    assert_non_null(decoded.note.table);
    assert_int_equal(decoded.table.count, table.count);
    for (uint32_t i = 0; i < table.count; i++) {
        assert_memory_equal(&decoded.table.rows[i].id, &table.rows[i].id, sizeof(muster_member));
        assert_int_equal(decoded.table.rows[i].incarnation, table.rows[i].incarnation);
        assert_int_equal(decoded.table.rows[i].started, table.rows[i].started);
        assert_int_equal(decoded.table.rows[i].role, table.rows[i].role);
        assert_int_equal(decoded.table.rows[i].losses, table.rows[i].losses);
        assert_int_equal(decoded.table.rows[i].alive, table.rows[i].alive);
    }
    assert_int_equal(decoded.table.pin, 2);
    assert_every_truncation_fails(len);
}

static void test_saved(void **state) {
    (void)state;
    static struct muster_election_saved saved, back;
    fill_config(5);
    saved = (struct muster_election_saved){
        .term = 42, .voted_for = 3, .voted_election = 99, .config = config};
    size_t len = muster_election_encode_saved(bytes, &saved, &names);
    for (size_t n = 0; n <= len; n++) {
        struct muster_slice exact = unit_exact(bytes, n);
        int result = muster_election_decode_saved(&back, exact, &names);
        assert_int_equal(result, n < len ? MUSTER_E_TRUNCATED : 0);
        unit_free(exact);
    }
    assert_memory_equal(&back, &saved, sizeof saved);
}

static void test_names(void **state) {
    (void)state;
    struct muster_message m = a_message();
    fill_config(5);
    m.carries = true;
    m.config = &config;
    size_t len = muster_election_encode(bytes, &m, NULL, &names);
    known_max = 4; /* one is not known here, and cannot be remembered */
    assert_int_equal(decode(len), MUSTER_E_LIMIT);
    assert_int_equal(muster_election_encode(bytes, &m, NULL, &names), 0);
}

/* Whatever a byte is changed to, there is an answer; what is accepted says what it says. */
static void test_every_byte_changed(void **state) {
    (void)state;
    struct muster_message m = a_message();
    struct muster_note note = {.incarnation = 11, .clock = 12, .table = &table};
    fill_table(3);
    m.carries = true;
    size_t len = muster_election_encode(bytes, &m, &note, &names);
    for (size_t i = 0; i < len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t was = bytes[i];
            bytes[i] = (uint8_t)value;
            int result = decode(len);
            assert_true(result == 0 || result == MUSTER_E_MALFORMED ||
                        result == MUSTER_E_TRUNCATED || result == MUSTER_E_LIMIT);
            bytes[i] = was;
        }
    }
}

static void test_unknown_bits(void **state) {
    (void)state;
    struct muster_message m = a_message();
    size_t len = muster_election_encode(bytes, &m, NULL, &names);
    bytes[1] |= 64;
    assert_int_equal(decode(len), MUSTER_E_MALFORMED);
    bytes[1] &= 63;
    bytes[0] = 0;
    assert_int_equal(decode(len), MUSTER_E_MALFORMED);
    bytes[0] = MUSTER_MESSAGE_TRANSFER_READY + 1;
    assert_int_equal(decode(len), MUSTER_E_MALFORMED);
    bytes[0] = MUSTER_MESSAGE_VOTE;
    bytes[len - 1] = 1; /* a configuration where none is announced */
    assert_int_equal(decode(len), MUSTER_E_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup(test, set_up)
        TEST(test_every_kind_and_flag),
        TEST(test_config),
        TEST(test_note_and_table),
        TEST(test_saved),
        TEST(test_names),
        TEST(test_every_byte_changed),
        TEST(test_unknown_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
