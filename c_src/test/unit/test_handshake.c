/*
 * The handshake: transcripts recorded from OTP 25, both sides against each other, and every way in
 * which a peer can refuse, differ, break off or talk nonsense.
 */
#include "unit.h"

#include "core/errors.h"
#include "core/frame.h"
#include "core/handshake.h"

#define COOKIE "secretcookie"
#define OUR_CHALLENGE 0x12345678
#define THEIR_CHALLENGE 0xdeadbeef
/* erlang:md5("secretcookie" ++ integer_to_list(Challenge)), by OTP 25. */
#define DIGEST_OF_OURS "9d44bb00b7a1de6b99cb12306f22bc9b"
#define DIGEST_OF_THEIRS "4d9757cd7ae773aaf1a08d00ff981318"

/* What dist.hrl of OTP says, bit by bit; the sum of what a hidden node of ours offers. */
#define OURS UINT64_C(0x407074fbc)
#define MANDATORY UINT64_C(0x1070f94)
/* What a BEAM of OTP 25 offers: recorded. */
#define OF_OTP_25 UINT64_C(0xd07df7fbd)

static struct muster_node_name self_name, peer_name;
static struct muster_handshake_config config;

static int setup(void **state) {
    (void)state;
    assert_int_equal(muster_node_name_parse_cstr(&self_name, "muster@127.0.0.1"), 0);
    assert_int_equal(muster_node_name_parse_cstr(&peer_name, "rec@127.0.0.1"), 0);
    config = (struct muster_handshake_config){
        .self = &self_name, .creation = 0x01020304, .challenge = OUR_CHALLENGE, .cookie = COOKIE};
    return 0;
}

/* -- Frames as a peer would write them ------------------------------------------------------- */

struct bytes {
    uint8_t data[1024];
    size_t len;
};

static void add(struct bytes *b, const void *data, size_t len) {
    assert_true(b->len + len <= sizeof b->data);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void add_int(struct bytes *b, uint64_t value, unsigned size) {
    for (unsigned i = size; i > 0; i--) {
        uint8_t byte = (uint8_t)(value >> 8 * (i - 1));
        add(b, &byte, 1);
    }
}

static void add_hex(struct bytes *b, const char *hex) {
    struct muster_slice raw = unit_unhex(hex);
    add(b, raw.data, raw.len);
    unit_free(raw);
}

static struct bytes text_frame(const char *text) {
    struct bytes b = {.len = 0};
    add(&b, text, strlen(text));
    return b;
}

static struct bytes name_frame(uint64_t flags, const char *name) {
    struct bytes b = text_frame("N");
    add_int(&b, flags, 8);
    add_int(&b, 0x0a0b0c0d, 4);
    add_int(&b, strlen(name), 2);
    add(&b, name, strlen(name));
    return b;
}

static struct bytes challenge_frame(uint64_t flags, const char *name) {
    struct bytes b = text_frame("N");
    add_int(&b, flags, 8);
    add_int(&b, THEIR_CHALLENGE, 4);
    add_int(&b, 0x0a0b0c0d, 4);
    add_int(&b, strlen(name), 2);
    add(&b, name, strlen(name));
    return b;
}

static struct bytes reply_frame(const char *digest) {
    struct bytes b = text_frame("r");
    add_int(&b, THEIR_CHALLENGE, 4);
    add_hex(&b, digest);
    return b;
}

static struct bytes ack_frame(const char *digest) {
    struct bytes b = text_frame("a");
    add_hex(&b, digest);
    return b;
}

static enum muster_handshake_step input(struct muster_handshake *hs, struct bytes frame) {
    struct muster_slice exact = unit_exact(frame.data, frame.len);
    enum muster_handshake_step step = muster_handshake_input(hs, exact);
    unit_free(exact);
    assert_true(hs->out_len <= sizeof hs->out);
    return step;
}

static void check_output(struct muster_handshake *hs, const char *hex) {
    struct muster_slice expected = unit_unhex(hex), out = muster_handshake_take_output(hs);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.data, expected.len);
    assert_int_equal(muster_handshake_take_output(hs).len, 0);
    unit_free(expected);
}

static void check_failed(const char *name, const struct muster_handshake *hs,
                         enum muster_handshake_step step, enum muster_peer_state failure) {
    if (step != MUSTER_HANDSHAKE_FAILED || hs->stage != MUSTER_STAGE_FAILED ||
        hs->failure != failure || hs->detail == NULL || hs->detail[0] == '\0') {
        fail_msg("%s: step %d, failure %s", name, (int)step, muster_peer_state_name(hs->failure));
    }
}

/* Brings a handshake to the stage where it waits for the peer's next frame. */
static void reach(struct muster_handshake *hs, enum muster_handshake_stage stage) {
    switch (stage) {
    case MUSTER_STAGE_RECV_NAME:
        muster_handshake_accept(hs, &config);
        break;
    case MUSTER_STAGE_DECIDE:
        reach(hs, MUSTER_STAGE_RECV_NAME);
        assert_int_equal(input(hs, name_frame(OF_OTP_25, "rec@127.0.0.1")),
                         MUSTER_HANDSHAKE_DECIDE);
        break;
    case MUSTER_STAGE_RECV_ALIVE_ANSWER:
        reach(hs, MUSTER_STAGE_DECIDE);
        muster_handshake_decide(hs, MUSTER_VERDICT_ALIVE, COOKIE);
        break;
    case MUSTER_STAGE_RECV_CHALLENGE_REPLY:
        reach(hs, MUSTER_STAGE_DECIDE);
        muster_handshake_decide(hs, MUSTER_VERDICT_OK, COOKIE);
        break;
    case MUSTER_STAGE_RECV_STATUS:
        muster_handshake_connect(hs, &config, &peer_name);
        break;
    case MUSTER_STAGE_RECV_CHALLENGE:
        reach(hs, MUSTER_STAGE_RECV_STATUS);
        assert_int_equal(input(hs, text_frame("sok")), MUSTER_HANDSHAKE_MORE);
        break;
    case MUSTER_STAGE_RECV_CHALLENGE_ACK:
        reach(hs, MUSTER_STAGE_RECV_CHALLENGE);
        assert_int_equal(input(hs, challenge_frame(OF_OTP_25, "rec@127.0.0.1")),
                         MUSTER_HANDSHAKE_MORE);
        break;
    default:
        fail();
    }
    assert_int_equal(hs->stage, stage);
}

static const enum muster_handshake_stage waiting_stages[] = {
    MUSTER_STAGE_RECV_NAME,   MUSTER_STAGE_RECV_ALIVE_ANSWER, MUSTER_STAGE_RECV_CHALLENGE_REPLY,
    MUSTER_STAGE_RECV_STATUS, MUSTER_STAGE_RECV_CHALLENGE,    MUSTER_STAGE_RECV_CHALLENGE_ACK,
};

/* -- Transcripts ------------------------------------------------------------------------------ */

static void test_flags(void **state) {
    (void)state;
    assert_true(MUSTER_DFLAGS_OURS == OURS);
    assert_true(MUSTER_DFLAGS_MANDATORY == MANDATORY);
    assert_true((OURS & MUSTER_DFLAG_PUBLISHED) == 0);
}

/* This side dials a BEAM of OTP 25: its frames as recorded, ours byte for byte. */
static void test_transcript_initiator(void **state) {
    struct muster_handshake hs;
    struct bytes frame = {.len = 0};
    (void)state;
    muster_handshake_connect(&hs, &config, &peer_name);
    check_output(&hs, "001f"
                      "4e0000000407074fbc010203040010"
                      "6d7573746572403132372e302e302e31");
    assert_int_equal(input(&hs, text_frame("sok")), MUSTER_HANDSHAKE_MORE);
    check_output(&hs, "");
    add_hex(&frame, "4e0000000d07df7fbd2e63b2666b00103b000d726563403132372e302e302e31");
    assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_MORE);
    assert_true(hs.peer_flags == OF_OTP_25);
    assert_int_equal(hs.peer_creation, 0x6b00103b);
    check_output(&hs, "0015"
                      "7212345678450fdedfd0a9b6fad270b653e29c4938");
    frame.len = 0;
    add_hex(&frame, "619d44bb00b7a1de6b99cb12306f22bc9b");
    assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_DONE);
    assert_int_equal(hs.stage, MUSTER_STAGE_DONE);
    check_output(&hs, "");
}

/* A BEAM of OTP 25 dials this side, whose challenge was 0xdeadbeef then. */
static void test_transcript_acceptor(void **state) {
    struct muster_node_name self;
    struct muster_handshake hs;
    struct bytes frame = {.len = 0};
    (void)state;
    assert_int_equal(muster_node_name_parse_cstr(&self, "fake@127.0.0.1"), 0);
    config.self = &self;
    config.creation = 7;
    config.challenge = 0xdeadbeef;
    config.cookie = NULL; /* known with the peer's name only */
    muster_handshake_accept(&hs, &config);
    check_output(&hs, "");
    add_hex(&frame, "4e0000000d07df7fbd6b00103b00106469616c6572403132372e302e302e31");
    assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_DECIDE);
    assert_string_equal(hs.peer.text, "dialer@127.0.0.1");
    assert_true(hs.peer_flags == OF_OTP_25);
    assert_int_equal(hs.peer_creation, 0x6b00103b);
    check_output(&hs, "");
    assert_int_equal(muster_handshake_decide(&hs, MUSTER_VERDICT_OK, COOKIE),
                     MUSTER_HANDSHAKE_MORE);
    check_output(&hs, "0003"
                      "736f6b"
                      "0021"
                      "4e0000000407074fbcdeadbeef00000007000e"
                      "66616b65403132372e302e302e31");
    frame.len = 0;
    add_hex(&frame, "72fad78e184d9757cd7ae773aaf1a08d00ff981318");
    assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_DONE);
    check_output(&hs, "0011"
                      "61b1d9cfa49db9da4acdbe983ad5994fbe");
}

/* -- Both sides against each other ------------------------------------------------------------- */

struct side {
    struct muster_handshake hs;
    struct muster_frame_reader reader;
    enum muster_handshake_step step;
    enum muster_handshake_verdict verdict;
};

/* Carries out of `from` what it wants to send, in pieces of `piece` bytes (0: in one). */
static int carry(struct side *from, struct side *to, size_t piece, const char *cookie) {
    struct muster_slice out = muster_handshake_take_output(&from->hs), frame;
    int carried = out.len > 0;
    while (out.len > 0) {
        size_t n = piece == 0 || piece > out.len ? out.len : piece;
        struct muster_slice exact = unit_exact(out.data, n), in = exact;
        while (muster_frame_next(&to->reader, &in, &frame) == MUSTER_FRAME_READY) {
            assert_true(to->step == MUSTER_HANDSHAKE_MORE);
            to->step = muster_handshake_input(&to->hs, frame);
            if (to->step == MUSTER_HANDSHAKE_DECIDE) {
                to->step = muster_handshake_decide(&to->hs, to->verdict, cookie);
            }
        }
        unit_free(exact);
        out = muster_slice(out.data + n, out.len - n);
    }
    return carried;
}

static void meet(struct side *initiator, struct side *acceptor,
                 enum muster_handshake_verdict verdict, const char *initiators_cookie,
                 const char *acceptors_cookie, size_t piece) {
    struct muster_handshake_config theirs = {
        .self = &peer_name, .creation = 5, .challenge = THEIR_CHALLENGE};
    config.cookie = initiators_cookie;
    acceptor->verdict = verdict;
    acceptor->step = initiator->step = MUSTER_HANDSHAKE_MORE;
    muster_frame_reader_init(&initiator->reader, 2, MUSTER_HANDSHAKE_FRAME_MAX);
    muster_frame_reader_init(&acceptor->reader, 2, MUSTER_HANDSHAKE_FRAME_MAX);
    muster_handshake_connect(&initiator->hs, &config, &peer_name);
    muster_handshake_accept(&acceptor->hs, &theirs);
    while (carry(initiator, acceptor, piece, acceptors_cookie) ||
           carry(acceptor, initiator, piece, acceptors_cookie)) {
    }
    if (acceptor->step == MUSTER_HANDSHAKE_FAILED && initiator->step == MUSTER_HANDSHAKE_MORE) {
        initiator->step = muster_handshake_closed(&initiator->hs);
    }
    muster_frame_reader_close(&initiator->reader);
    muster_frame_reader_close(&acceptor->reader);
}

static void test_verdicts_and_cuts(void **state) {
    static const struct {
        enum muster_handshake_verdict verdict;
        int done;
        enum muster_peer_state failure;
    } cases[] = {
        {MUSTER_VERDICT_OK, 1, MUSTER_PEER_IDLE},
        {MUSTER_VERDICT_OK_SIMULTANEOUS, 1, MUSTER_PEER_IDLE},
        {MUSTER_VERDICT_ALIVE, 1, MUSTER_PEER_IDLE},
        {MUSTER_VERDICT_NOK, 0, MUSTER_PEER_SIMULTANEOUS},
        {MUSTER_VERDICT_NOT_ALLOWED, 0, MUSTER_PEER_NOT_ALLOWED},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        for (size_t piece = 0; piece < 64; piece++) {
            struct side initiator, acceptor;
            meet(&initiator, &acceptor, cases[i].verdict, COOKIE, COOKIE, piece);
            if (cases[i].done) {
                assert_int_equal(initiator.step, MUSTER_HANDSHAKE_DONE);
                assert_int_equal(acceptor.step, MUSTER_HANDSHAKE_DONE);
                assert_string_equal(acceptor.hs.peer.text, self_name.text);
                assert_true(acceptor.hs.peer_flags == OURS && initiator.hs.peer_flags == OURS);
                assert_int_equal(acceptor.hs.peer_creation, 0x01020304);
                assert_int_equal(initiator.hs.peer_creation, 5);
            } else {
                check_failed("initiator", &initiator.hs, initiator.step, cases[i].failure);
                check_failed("acceptor", &acceptor.hs, acceptor.step, cases[i].failure);
            }
        }
    }
}

static void test_cookies_differ(void **state) {
    static const struct {
        const char *initiators, *acceptors;
    } cases[] = {{"one", "two"}, {"", "x"}, {"x", ""}, {"secret", "secret "}, {"SECRET", "secret"}};
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct side initiator, acceptor;
        meet(&initiator, &acceptor, MUSTER_VERDICT_OK, cases[i].initiators, cases[i].acceptors, 0);
        check_failed("acceptor", &acceptor.hs, acceptor.step, MUSTER_PEER_COOKIE_MISMATCH);
        check_failed("initiator", &initiator.hs, initiator.step, MUSTER_PEER_COOKIE_MISMATCH);
    }
}

/* Cookies are compared whole, however long they are. */
static void test_long_and_empty_cookies(void **state) {
    char cookie[256], other[256];
    struct side initiator, acceptor;
    (void)state;
    memset(cookie, 'c', sizeof cookie);
    cookie[255] = '\0';
    memcpy(other, cookie, sizeof cookie);
    other[254] = 'd';
    meet(&initiator, &acceptor, MUSTER_VERDICT_OK, cookie, cookie, 0);
    assert_int_equal(initiator.step, MUSTER_HANDSHAKE_DONE);
    meet(&initiator, &acceptor, MUSTER_VERDICT_OK, cookie, other, 0);
    assert_int_equal(acceptor.step, MUSTER_HANDSHAKE_FAILED);
    meet(&initiator, &acceptor, MUSTER_VERDICT_OK, "", "", 0);
    assert_int_equal(initiator.step, MUSTER_HANDSHAKE_DONE);
}

/* Extreme challenges: the decimal has one digit or ten, and no sign. */
static void test_challenge_in_decimal(void **state) {
    static const struct {
        uint32_t challenge;
        const char *digest;
    } cases[] = {
        {0, "b84e52efd9d2ef526db2fccc23e877e8"},
        {UINT32_MAX, "fbf4996d1d673d18152a8d6477996cb1"},
        {0xdeadbeef, DIGEST_OF_THEIRS},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_handshake hs;
        config.challenge = cases[i].challenge;
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_ACK);
        assert_int_equal(input(&hs, ack_frame(cases[i].digest)), MUSTER_HANDSHAKE_DONE);
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_REPLY);
        assert_int_equal(input(&hs, reply_frame(cases[i].digest)), MUSTER_HANDSHAKE_DONE);
    }
}

/* Names of 255 bytes on both sides: the output has room even when nobody takes it in between. */
static void test_longest_names(void **state) {
    char text[256];
    struct muster_handshake hs;
    (void)state;
    memset(text, 'n', sizeof text);
    text[200] = '@';
    text[255] = '\0';
    assert_int_equal(muster_node_name_parse_cstr(&self_name, text), 0);
    text[0] = 'm';
    assert_int_equal(muster_node_name_parse_cstr(&peer_name, text), 0);
    muster_handshake_accept(&hs, &config);
    assert_int_equal(input(&hs, name_frame(OF_OTP_25, text)), MUSTER_HANDSHAKE_DECIDE);
    muster_handshake_decide(&hs, MUSTER_VERDICT_ALIVE, COOKIE);
    assert_int_equal(input(&hs, text_frame("strue")), MUSTER_HANDSHAKE_MORE);
    assert_int_equal(input(&hs, reply_frame(DIGEST_OF_OURS)), MUSTER_HANDSHAKE_DONE);
    assert_int_equal(hs.out_len, (2 + 6) + (2 + 19 + 255) + (2 + 17));
    muster_handshake_connect(&hs, &config, &peer_name);
    assert_int_equal(input(&hs, text_frame("salive")), MUSTER_HANDSHAKE_MORE);
    assert_int_equal(input(&hs, challenge_frame(OF_OTP_25, text)), MUSTER_HANDSHAKE_MORE);
    assert_int_equal(hs.out_len, (2 + 15 + 255) + (2 + 5) + (2 + 21));
}

/* -- Each stage, and what a peer may say in it ------------------------------------------------- */

static void test_alive(void **state) {
    struct muster_handshake hs;
    (void)state;
    reach(&hs, MUSTER_STAGE_RECV_STATUS);
    muster_handshake_take_output(&hs);
    assert_int_equal(input(&hs, text_frame("salive")), MUSTER_HANDSHAKE_MORE);
    check_output(&hs, "00057374727565"); /* strue */
    assert_int_equal(hs.stage, MUSTER_STAGE_RECV_CHALLENGE);

    reach(&hs, MUSTER_STAGE_RECV_ALIVE_ANSWER);
    check_output(&hs, "000673616c697665"); /* salive */
    assert_int_equal(input(&hs, text_frame("strue")), MUSTER_HANDSHAKE_MORE);
    assert_int_equal(hs.stage, MUSTER_STAGE_RECV_CHALLENGE_REPLY);
    struct muster_slice out = muster_handshake_take_output(&hs);
    assert_int_equal(out.len, 2 + 19 + self_name.len);

    static const char *const others[] = {"sfalse", "strue ", "stru", "", "true", "sok"};
    for (size_t i = 0; i < UNIT_COUNT(others); i++) {
        reach(&hs, MUSTER_STAGE_RECV_ALIVE_ANSWER);
        muster_handshake_take_output(&hs);
        check_failed(others[i], &hs, input(&hs, text_frame(others[i])), MUSTER_PEER_SIMULTANEOUS);
        check_output(&hs, "");
    }
}

static void test_verdicts_as_sent(void **state) {
    static const struct {
        enum muster_handshake_verdict verdict;
        const char *status;
    } cases[] = {
        {MUSTER_VERDICT_NOK, "0004736e6f6b"},
        {MUSTER_VERDICT_NOT_ALLOWED, "000c736e6f745f616c6c6f776564"},
    };
    struct muster_handshake hs;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        reach(&hs, MUSTER_STAGE_DECIDE);
        assert_int_equal(muster_handshake_decide(&hs, cases[i].verdict, COOKIE),
                         MUSTER_HANDSHAKE_FAILED);
        check_output(&hs, cases[i].status);
    }
    reach(&hs, MUSTER_STAGE_DECIDE);
    muster_handshake_decide(&hs, MUSTER_VERDICT_OK_SIMULTANEOUS, COOKIE);
    struct muster_slice out = muster_handshake_take_output(&hs);
    assert_memory_equal(out.data, "\0\x10sok_simultaneous", 18);
}

static void test_status(void **state) {
    static const struct {
        const char *text;
        enum muster_handshake_step step;
        enum muster_peer_state failure;
    } cases[] = {
        {"sok", MUSTER_HANDSHAKE_MORE, MUSTER_PEER_IDLE},
        {"sok_simultaneous", MUSTER_HANDSHAKE_MORE, MUSTER_PEER_IDLE},
        {"salive", MUSTER_HANDSHAKE_MORE, MUSTER_PEER_IDLE},
        {"snok", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_SIMULTANEOUS},
        {"snot_allowed", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_NOT_ALLOWED},
        {"snamed:", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
        {"so", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
        {"sokk", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
        {"s", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
        {"", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
        {"nok", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
        {"sOK", MUSTER_HANDSHAKE_FAILED, MUSTER_PEER_HANDSHAKE_FAILED},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct muster_handshake hs;
        reach(&hs, MUSTER_STAGE_RECV_STATUS);
        enum muster_handshake_step step = input(&hs, text_frame(cases[i].text));
        if (cases[i].step == MUSTER_HANDSHAKE_FAILED) {
            check_failed(cases[i].text, &hs, step, cases[i].failure);
        } else {
            assert_int_equal(step, cases[i].step);
            assert_int_equal(hs.stage, MUSTER_STAGE_RECV_CHALLENGE);
        }
    }
}

/* The flags of both messages that carry some: all mandatory ones, or the digest for them. */
static void test_mandatory_flags(void **state) {
    struct muster_handshake hs;
    (void)state;
    for (int bit = -1; bit < 64; bit++) {
        uint64_t flags = bit < 0 ? MANDATORY : MANDATORY & ~(UINT64_C(1) << bit);
        int lacking = flags != MANDATORY;
        reach(&hs, MUSTER_STAGE_RECV_NAME);
        enum muster_handshake_step step = input(&hs, name_frame(flags, "rec@127.0.0.1"));
        if (lacking) {
            check_failed("name", &hs, step, MUSTER_PEER_FLAGS_REJECTED);
            check_output(&hs, "000c736e6f745f616c6c6f776564");
        } else {
            assert_int_equal(step, MUSTER_HANDSHAKE_DECIDE);
        }
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
        step = input(&hs, challenge_frame(flags, "rec@127.0.0.1"));
        if (lacking) {
            check_failed("challenge", &hs, step, MUSTER_PEER_FLAGS_REJECTED);
        } else {
            assert_int_equal(step, MUSTER_HANDSHAKE_MORE);
        }
    }
}

static void test_digest_flag_stands_for_all(void **state) {
    uint64_t flags = UINT64_C(1) << 26 | UINT64_C(8) << 32;
    struct muster_handshake hs;
    (void)state;
    reach(&hs, MUSTER_STAGE_RECV_NAME);
    assert_int_equal(input(&hs, name_frame(flags, "rec@127.0.0.1")), MUSTER_HANDSHAKE_DECIDE);
    assert_true(hs.peer_flags == (flags | MANDATORY));
    reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
    assert_int_equal(input(&hs, challenge_frame(flags, "rec@127.0.0.1")), MUSTER_HANDSHAKE_MORE);
    assert_true(hs.peer_flags == (flags | MANDATORY));
}

static void test_dynamic_names_are_not_given(void **state) {
    struct muster_handshake hs;
    (void)state;
    reach(&hs, MUSTER_STAGE_RECV_NAME);
    /* Such a peer sends its host only. */
    check_failed("dynamic", &hs, input(&hs, name_frame(OF_OTP_25 | UINT64_C(2) << 32, "127.0.0.1")),
                 MUSTER_PEER_NOT_ALLOWED);
    check_output(&hs, "000c736e6f745f616c6c6f776564");
}

static void test_old_version(void **state) {
    struct muster_handshake hs;
    struct bytes old = text_frame("n");
    (void)state;
    add_int(&old, 5, 2);
    add_int(&old, 0x7f, 4);
    add(&old, "rec@127.0.0.1", 13);
    reach(&hs, MUSTER_STAGE_RECV_NAME);
    check_failed("name", &hs, input(&hs, old), MUSTER_PEER_UNSUPPORTED_DISTRIBUTION);
    reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
    check_failed("challenge", &hs, input(&hs, old), MUSTER_PEER_UNSUPPORTED_DISTRIBUTION);
    reach(&hs, MUSTER_STAGE_RECV_NAME);
    check_failed("one byte", &hs, input(&hs, text_frame("n")),
                 MUSTER_PEER_UNSUPPORTED_DISTRIBUTION);
}

static void test_bad_names(void **state) {
    static const char *const names[] = {"", "rec", "@", "rec@", "@h", "a@b@c", "a b@c", "a/../b@c"};
    struct muster_handshake hs;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        reach(&hs, MUSTER_STAGE_RECV_NAME);
        check_failed(names[i], &hs, input(&hs, name_frame(OF_OTP_25, names[i])),
                     MUSTER_PEER_HANDSHAKE_FAILED);
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
        check_failed(names[i], &hs, input(&hs, challenge_frame(OF_OTP_25, names[i])),
                     MUSTER_PEER_HANDSHAKE_FAILED);
    }
}

static void test_another_name(void **state) {
    static const char *const names[] = {"rec@127.0.0.2", "rec2@127.0.0.1", "Rec@127.0.0.1",
                                        "rec@127.0.0.10", "rec@127.0.0."};
    struct muster_handshake hs;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
        muster_handshake_take_output(&hs);
        check_failed(names[i], &hs, input(&hs, challenge_frame(OF_OTP_25, names[i])),
                     MUSTER_PEER_NAME_MISMATCH);
        check_output(&hs, ""); /* whoever it is, it gets no digest made with the cookie */
    }
}

/* The name's length field may promise more than came, or less. */
static void test_name_lengths_lie(void **state) {
    struct muster_handshake hs;
    (void)state;
    for (unsigned len = 0; len < 0x10000; len += len < 300 ? 1 : 251) {
        struct bytes name = name_frame(OF_OTP_25, "rec@127.0.0.1");
        muster_put16(name.data + 13, (uint16_t)len);
        reach(&hs, MUSTER_STAGE_RECV_NAME);
        enum muster_handshake_step step = input(&hs, name);
        /* Shorter by some digits it is still a name. */
        assert_int_equal(step,
                         len >= 5 && len <= 13 ? MUSTER_HANDSHAKE_DECIDE : MUSTER_HANDSHAKE_FAILED);
        struct bytes challenge = challenge_frame(OF_OTP_25, "rec@127.0.0.1");
        muster_put16(challenge.data + 17, (uint16_t)len);
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
        step = input(&hs, challenge);
        assert_int_equal(step, len == 13 ? MUSTER_HANDSHAKE_MORE : MUSTER_HANDSHAKE_FAILED);
    }
}

/* OTP may one day add to the two messages with a name; the other two have a fixed size. */
static void test_longer_frames(void **state) {
    struct muster_handshake hs;
    struct bytes frame = name_frame(OF_OTP_25, "rec@127.0.0.1");
    (void)state;
    add(&frame, "more", 4);
    reach(&hs, MUSTER_STAGE_RECV_NAME);
    assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_DECIDE);
    assert_string_equal(hs.peer.text, "rec@127.0.0.1");
    frame = challenge_frame(OF_OTP_25, "rec@127.0.0.1");
    add(&frame, "more", 4);
    reach(&hs, MUSTER_STAGE_RECV_CHALLENGE);
    assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_MORE);
    frame = reply_frame(DIGEST_OF_OURS "00");
    reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_REPLY);
    check_failed("reply", &hs, input(&hs, frame), MUSTER_PEER_HANDSHAKE_FAILED);
    frame = ack_frame(DIGEST_OF_OURS "00");
    reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_ACK);
    check_failed("ack", &hs, input(&hs, frame), MUSTER_PEER_HANDSHAKE_FAILED);
}

static struct bytes right_frame(enum muster_handshake_stage stage) {
    switch (stage) {
    case MUSTER_STAGE_RECV_NAME:
        return name_frame(OF_OTP_25, "rec@127.0.0.1");
    case MUSTER_STAGE_RECV_ALIVE_ANSWER:
        return text_frame("strue");
    case MUSTER_STAGE_RECV_CHALLENGE_REPLY:
        return reply_frame(DIGEST_OF_OURS);
    case MUSTER_STAGE_RECV_STATUS:
        return text_frame("snot_allowed");
    case MUSTER_STAGE_RECV_CHALLENGE:
        return challenge_frame(OF_OTP_25, "rec@127.0.0.1");
    default:
        return ack_frame(DIGEST_OF_OURS);
    }
}

/* Every truncation of every right frame fails, cleanly. */
static void test_truncated_frames(void **state) {
    struct muster_handshake hs;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(waiting_stages); i++) {
        struct bytes frame = right_frame(waiting_stages[i]);
        for (size_t n = 0; n < frame.len; n++) {
            struct bytes piece = frame;
            piece.len = n;
            reach(&hs, waiting_stages[i]);
            enum muster_handshake_step step = input(&hs, piece);
            check_failed("truncated", &hs, step,
                         waiting_stages[i] == MUSTER_STAGE_RECV_ALIVE_ANSWER
                             ? MUSTER_PEER_SIMULTANEOUS
                             : MUSTER_PEER_HANDSHAKE_FAILED);
        }
    }
}

/* The right frame of one stage is wrong in every other. */
static void test_frames_out_of_order(void **state) {
    struct muster_handshake hs;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(waiting_stages); i++) {
        for (size_t j = 0; j < UNIT_COUNT(waiting_stages); j++) {
            if (i == j) {
                continue;
            }
            reach(&hs, waiting_stages[i]);
            enum muster_handshake_step step = input(&hs, right_frame(waiting_stages[j]));
            /* A challenge is a name as well, only that its fields do not fit. */
            assert_int_equal(step, MUSTER_HANDSHAKE_FAILED);
            assert_int_equal(hs.stage, MUSTER_STAGE_FAILED);
        }
    }
}

/* Random frames of every small length in every stage: nothing but FAILED comes of them. */
static void test_garbage(void **state) {
    uint64_t random = 5;
    struct muster_handshake hs;
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(waiting_stages); i++) {
        for (int round = 0; round < 3000; round++) {
            struct bytes frame = right_frame(waiting_stages[i]);
            uint8_t first = frame.data[0];
            frame.len = unit_random(&random) % 80;
            for (size_t n = 0; n < frame.len; n++) {
                frame.data[n] = (uint8_t)unit_random(&random);
            }
            if (round % 2 == 0) {
                frame.data[0] = first;
            }
            reach(&hs, waiting_stages[i]);
            assert_int_equal(input(&hs, frame), MUSTER_HANDSHAKE_FAILED);
            assert_true(hs.failure != MUSTER_PEER_IDLE && hs.detail != NULL);
        }
    }
}

/* A digest that is wrong in any one bit, on either side. */
static void test_every_bit_of_the_digest_counts(void **state) {
    struct muster_handshake hs;
    (void)state;
    for (size_t bit = 0; bit < 128; bit++) {
        struct bytes reply = reply_frame(DIGEST_OF_OURS), ack = ack_frame(DIGEST_OF_OURS);
        reply.data[5 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        ack.data[1 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_REPLY);
        muster_handshake_take_output(&hs);
        check_failed("reply", &hs, input(&hs, reply), MUSTER_PEER_COOKIE_MISMATCH);
        check_output(&hs, ""); /* no digest for whoever did not prove the cookie */
        reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_ACK);
        check_failed("ack", &hs, input(&hs, ack), MUSTER_PEER_COOKIE_MISMATCH);
    }
}

/* Sending our own digest back to us proves nothing: it was made for the other challenge. */
static void test_reflection(void **state) {
    struct muster_handshake hs;
    (void)state;
    reach(&hs, MUSTER_STAGE_RECV_CHALLENGE_ACK);
    check_failed("reflected", &hs, input(&hs, ack_frame(DIGEST_OF_THEIRS)),
                 MUSTER_PEER_COOKIE_MISMATCH);
}

static void test_closed(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(waiting_stages); i++) {
        struct muster_handshake hs;
        enum muster_handshake_stage stage = waiting_stages[i];
        reach(&hs, stage);
        check_failed("closed", &hs, muster_handshake_closed(&hs),
                     stage == MUSTER_STAGE_RECV_CHALLENGE_ACK ? MUSTER_PEER_COOKIE_MISMATCH
                                                              : MUSTER_PEER_HANDSHAKE_FAILED);
    }
}

/* A TLS record's first two bytes, read as a frame's length. */
static void test_tls(void **state) {
    static const struct {
        uint8_t bytes[7];
        enum muster_peer_state failure;
    } cases[] = {
        {{0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46}, MUSTER_PEER_TLS_REQUIRED}, /* alert */
        {{0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a}, MUSTER_PEER_TLS_REQUIRED},
        {{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}, MUSTER_PEER_TLS_REQUIRED}, /* ClientHello */
        {{0x14, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00}, MUSTER_PEER_HANDSHAKE_FAILED},
        {{0x15, 0x04, 0x01, 0x02, 0x00, 0x01, 0x00}, MUSTER_PEER_HANDSHAKE_FAILED},
        {{'H', 'T', 'T', 'P', '/', '1', '.'}, MUSTER_PEER_HANDSHAKE_FAILED},
        {{'S', 'S', 'H', '-', '2', '.', '0'}, MUSTER_PEER_HANDSHAKE_FAILED},
    };
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        for (size_t s = 0; s < UNIT_COUNT(waiting_stages); s++) {
            struct muster_handshake hs;
            struct muster_frame_reader reader;
            struct muster_slice in = muster_slice(cases[i].bytes, 7), frame;
            muster_frame_reader_init(&reader, 2, MUSTER_HANDSHAKE_FRAME_MAX);
            reach(&hs, waiting_stages[s]);
            assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_OVERSIZED);
            check_failed("oversized", &hs, muster_handshake_oversized(&hs, frame.len),
                         cases[i].failure);
            muster_frame_reader_close(&reader);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_flags, setup),
        cmocka_unit_test_setup(test_transcript_initiator, setup),
        cmocka_unit_test_setup(test_transcript_acceptor, setup),
        cmocka_unit_test_setup(test_verdicts_and_cuts, setup),
        cmocka_unit_test_setup(test_cookies_differ, setup),
        cmocka_unit_test_setup(test_long_and_empty_cookies, setup),
        cmocka_unit_test_setup(test_challenge_in_decimal, setup),
        cmocka_unit_test_setup(test_longest_names, setup),
        cmocka_unit_test_setup(test_alive, setup),
        cmocka_unit_test_setup(test_verdicts_as_sent, setup),
        cmocka_unit_test_setup(test_status, setup),
        cmocka_unit_test_setup(test_mandatory_flags, setup),
        cmocka_unit_test_setup(test_digest_flag_stands_for_all, setup),
        cmocka_unit_test_setup(test_dynamic_names_are_not_given, setup),
        cmocka_unit_test_setup(test_old_version, setup),
        cmocka_unit_test_setup(test_bad_names, setup),
        cmocka_unit_test_setup(test_another_name, setup),
        cmocka_unit_test_setup(test_name_lengths_lie, setup),
        cmocka_unit_test_setup(test_longer_frames, setup),
        cmocka_unit_test_setup(test_truncated_frames, setup),
        cmocka_unit_test_setup(test_frames_out_of_order, setup),
        cmocka_unit_test_setup(test_garbage, setup),
        cmocka_unit_test_setup(test_every_bit_of_the_digest_counts, setup),
        cmocka_unit_test_setup(test_reflection, setup),
        cmocka_unit_test_setup(test_closed, setup),
        cmocka_unit_test_setup(test_tls, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
