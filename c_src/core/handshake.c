#include "core/handshake.h"

#include <assert.h>
#include <stdio.h>

#include "core/md5.h"

#define NAME_FIXED 15      /* 'N', flags:64, creation:32, name length:16 */
#define CHALLENGE_FIXED 19 /* 'N', flags:64, challenge:32, creation:32, name length:16 */
#define REPLY_SIZE 21      /* 'r', challenge:32, digest */
#define ACK_SIZE 17        /* 'a', digest */

/* The first two bytes of TLS records, read as a frame length: an alert and a ClientHello. */
#define TLS_ALERT_AS_LENGTH 0x1503
#define TLS_HELLO_AS_LENGTH 0x1603

static enum muster_handshake_step fail(struct muster_handshake *hs, enum muster_peer_state failure,
                                       const char *detail) {
    hs->stage = MUSTER_STAGE_FAILED;
    hs->failure = failure;
    hs->detail = detail;
    return MUSTER_HANDSHAKE_FAILED;
}

/* Reserves a frame of `len` bytes in the output and writes its header. */
static uint8_t *emit(struct muster_handshake *hs, size_t len) {
    assert(hs->out_len + 2 + len <= sizeof hs->out);
    uint8_t *p = hs->out + hs->out_len;
    muster_put16(p, (uint16_t)len);
    hs->out_len += 2 + len;
    return p + 2;
}

static void emit_status(struct muster_handshake *hs, const char *status) {
    size_t len = strlen(status);
    uint8_t *p = emit(hs, 1 + len);
    p[0] = 's';
    memcpy(p + 1, status, len);
}

static void emit_name(struct muster_handshake *hs) {
    const struct muster_node_name *self = hs->config.self;
    uint8_t *p = emit(hs, NAME_FIXED + self->len);
    p[0] = 'N';
    muster_put64(p + 1, MUSTER_DFLAGS_OURS);
    muster_put32(p + 9, hs->config.creation);
    muster_put16(p + 13, self->len);
    memcpy(p + NAME_FIXED, self->text, self->len);
}

static void emit_challenge(struct muster_handshake *hs) {
    const struct muster_node_name *self = hs->config.self;
    uint8_t *p = emit(hs, CHALLENGE_FIXED + self->len);
    p[0] = 'N';
    muster_put64(p + 1, MUSTER_DFLAGS_OURS);
    muster_put32(p + 9, hs->config.challenge);
    muster_put32(p + 13, hs->config.creation);
    muster_put16(p + 17, self->len);
    memcpy(p + CHALLENGE_FIXED, self->text, self->len);
}

/* MD5 of the cookie followed by the challenge in decimal. */
static void digest(const char *cookie, uint32_t challenge, uint8_t out[MUSTER_MD5_SIZE]) {
    char decimal[11];
    int n = snprintf(decimal, sizeof decimal, "%u", (unsigned)challenge);
    struct muster_md5 md5;
    muster_md5_init(&md5);
    muster_md5_update(&md5, cookie, strlen(cookie));
    muster_md5_update(&md5, decimal, (size_t)n);
    muster_md5_final(&md5, out);
}

/* Compares in constant time, as one should with anything made from a secret. */
static int digest_matches(const struct muster_handshake *hs, const uint8_t *theirs) {
    uint8_t ours[MUSTER_MD5_SIZE];
    uint8_t difference = 0;
    digest(hs->config.cookie, hs->config.challenge, ours);
    for (int i = 0; i < MUSTER_MD5_SIZE; i++) {
        difference |= ours[i] ^ theirs[i];
    }
    return difference == 0;
}

static uint64_t expand_flags(uint64_t flags) {
    return flags & MUSTER_DFLAG_MANDATORY_25_DIGEST ? flags | MUSTER_DFLAGS_MANDATORY : flags;
}

static int lacks_mandatory(uint64_t flags) {
    return (flags & MUSTER_DFLAGS_MANDATORY) != MUSTER_DFLAGS_MANDATORY;
}

/* The name at the end of a frame whose fixed part is `fixed` bytes long. */
static int parse_name(struct muster_slice frame, size_t fixed, struct muster_node_name *name) {
    size_t len = muster_get16(frame.data + fixed - 2);
    if (len > frame.len - fixed) {
        return -1;
    }
    return muster_node_name_parse(name, (const char *)frame.data + fixed, len);
}

static enum muster_handshake_step old_version(struct muster_handshake *hs) {
    return fail(hs, MUSTER_PEER_UNSUPPORTED_DISTRIBUTION,
                "the peer speaks the handshake of OTP 22 and earlier");
}

static enum muster_handshake_step recv_name(struct muster_handshake *hs,
                                            struct muster_slice frame) {
    if (frame.len > 0 && frame.data[0] == 'n') {
        return old_version(hs);
    }
    if (frame.len < NAME_FIXED || frame.data[0] != 'N') {
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "the first message is not a name");
    }
    hs->peer_flags = expand_flags(muster_get64(frame.data + 1));
    hs->peer_creation = muster_get32(frame.data + 9);
    if (hs->peer_flags & MUSTER_DFLAG_NAME_ME) {
        emit_status(hs, "not_allowed");
        return fail(hs, MUSTER_PEER_NOT_ALLOWED,
                    "the peer asks for a dynamic name, a C node gives none");
    }
    if (parse_name(frame, NAME_FIXED, &hs->peer) != 0) {
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "the peer's name is not a node name");
    }
    if (lacks_mandatory(hs->peer_flags)) {
        emit_status(hs, "not_allowed");
        return fail(hs, MUSTER_PEER_FLAGS_REJECTED,
                    "the peer lacks a capability that OTP 25 made mandatory");
    }
    hs->stage = MUSTER_STAGE_DECIDE;
    return MUSTER_HANDSHAKE_DECIDE;
}

static enum muster_handshake_step send_challenge(struct muster_handshake *hs) {
    emit_challenge(hs);
    hs->stage = MUSTER_STAGE_RECV_CHALLENGE_REPLY;
    return MUSTER_HANDSHAKE_MORE;
}

enum muster_handshake_step muster_handshake_decide(struct muster_handshake *hs,
                                                   enum muster_handshake_verdict verdict,
                                                   const char *cookie) {
    assert(hs->stage == MUSTER_STAGE_DECIDE);
    hs->config.cookie = cookie;
    switch (verdict) {
    case MUSTER_VERDICT_OK:
        emit_status(hs, "ok");
        return send_challenge(hs);
    case MUSTER_VERDICT_OK_SIMULTANEOUS:
        emit_status(hs, "ok_simultaneous");
        return send_challenge(hs);
    case MUSTER_VERDICT_ALIVE:
        emit_status(hs, "alive");
        hs->stage = MUSTER_STAGE_RECV_ALIVE_ANSWER;
        return MUSTER_HANDSHAKE_MORE;
    case MUSTER_VERDICT_NOK:
        emit_status(hs, "nok");
        return fail(hs, MUSTER_PEER_SIMULTANEOUS, "both sides dial, this side's attempt goes on");
    default:
        emit_status(hs, "not_allowed");
        return fail(hs, MUSTER_PEER_NOT_ALLOWED, "this side does not allow the peer to connect");
    }
}

static enum muster_handshake_step recv_alive_answer(struct muster_handshake *hs,
                                                    struct muster_slice frame) {
    if (muster_slice_is(frame, "strue")) {
        return send_challenge(hs);
    }
    return fail(hs, MUSTER_PEER_SIMULTANEOUS, "the peer keeps the connection it has");
}

static enum muster_handshake_step recv_challenge_reply(struct muster_handshake *hs,
                                                       struct muster_slice frame) {
    if (frame.len != REPLY_SIZE || frame.data[0] != 'r') {
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "the challenge was not answered");
    }
    if (!digest_matches(hs, frame.data + 5)) {
        return fail(hs, MUSTER_PEER_COOKIE_MISMATCH, "the peer connected with another cookie");
    }
    uint8_t *p = emit(hs, ACK_SIZE);
    p[0] = 'a';
    digest(hs->config.cookie, muster_get32(frame.data + 1), p + 1);
    hs->stage = MUSTER_STAGE_DONE;
    return MUSTER_HANDSHAKE_DONE;
}

static enum muster_handshake_step recv_status(struct muster_handshake *hs,
                                              struct muster_slice frame) {
    if (muster_slice_is(frame, "sok") || muster_slice_is(frame, "sok_simultaneous")) {
        hs->stage = MUSTER_STAGE_RECV_CHALLENGE;
        return MUSTER_HANDSHAKE_MORE;
    }
    if (muster_slice_is(frame, "salive")) {
        /* The peer has not noticed yet that the old connection is gone: this one replaces it. */
        emit_status(hs, "true");
        hs->stage = MUSTER_STAGE_RECV_CHALLENGE;
        return MUSTER_HANDSHAKE_MORE;
    }
    if (muster_slice_is(frame, "snok")) {
        return fail(hs, MUSTER_PEER_SIMULTANEOUS, "both sides dial, the peer's attempt goes on");
    }
    if (muster_slice_is(frame, "snot_allowed")) {
        return fail(hs, MUSTER_PEER_NOT_ALLOWED,
                    "the peer answered not_allowed (see net_kernel:allow/1 there)");
    }
    return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "the peer's status is not one of the protocol's");
}

static enum muster_handshake_step recv_challenge(struct muster_handshake *hs,
                                                 struct muster_slice frame) {
    struct muster_node_name name;
    if (frame.len > 0 && frame.data[0] == 'n') {
        return old_version(hs);
    }
    if (frame.len < CHALLENGE_FIXED || frame.data[0] != 'N' ||
        parse_name(frame, CHALLENGE_FIXED, &name) != 0) {
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "the peer's challenge is malformed");
    }
    if (!muster_node_name_equal(&name, &hs->peer)) {
        return fail(hs, MUSTER_PEER_NAME_MISMATCH, "the node at that port has another name");
    }
    hs->peer_flags = expand_flags(muster_get64(frame.data + 1));
    hs->peer_creation = muster_get32(frame.data + 13);
    if (lacks_mandatory(hs->peer_flags)) {
        return fail(hs, MUSTER_PEER_FLAGS_REJECTED,
                    "the peer lacks a capability that OTP 25 made mandatory");
    }
    uint8_t *p = emit(hs, REPLY_SIZE);
    p[0] = 'r';
    muster_put32(p + 1, hs->config.challenge);
    digest(hs->config.cookie, muster_get32(frame.data + 9), p + 5);
    hs->stage = MUSTER_STAGE_RECV_CHALLENGE_ACK;
    return MUSTER_HANDSHAKE_MORE;
}

static enum muster_handshake_step recv_challenge_ack(struct muster_handshake *hs,
                                                     struct muster_slice frame) {
    if (frame.len != ACK_SIZE || frame.data[0] != 'a') {
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "the peer did not acknowledge the challenge");
    }
    if (!digest_matches(hs, frame.data + 1)) {
        return fail(hs, MUSTER_PEER_COOKIE_MISMATCH, "the peer proved another cookie");
    }
    hs->stage = MUSTER_STAGE_DONE;
    return MUSTER_HANDSHAKE_DONE;
}

void muster_handshake_connect(struct muster_handshake *hs,
                              const struct muster_handshake_config *config,
                              const struct muster_node_name *peer) {
    memset(hs, 0, sizeof *hs);
    hs->config = *config;
    hs->peer = *peer;
    hs->stage = MUSTER_STAGE_RECV_STATUS;
    emit_name(hs);
}

void muster_handshake_accept(struct muster_handshake *hs,
                             const struct muster_handshake_config *config) {
    memset(hs, 0, sizeof *hs);
    hs->config = *config;
    hs->stage = MUSTER_STAGE_RECV_NAME;
}

enum muster_handshake_step muster_handshake_input(struct muster_handshake *hs,
                                                  struct muster_slice frame) {
    switch (hs->stage) {
    case MUSTER_STAGE_RECV_NAME:
        return recv_name(hs, frame);
    case MUSTER_STAGE_RECV_ALIVE_ANSWER:
        return recv_alive_answer(hs, frame);
    case MUSTER_STAGE_RECV_CHALLENGE_REPLY:
        return recv_challenge_reply(hs, frame);
    case MUSTER_STAGE_RECV_STATUS:
        return recv_status(hs, frame);
    case MUSTER_STAGE_RECV_CHALLENGE:
        return recv_challenge(hs, frame);
    case MUSTER_STAGE_RECV_CHALLENGE_ACK:
        return recv_challenge_ack(hs, frame);
    default:
        assert(!"input in a stage that takes none");
        return MUSTER_HANDSHAKE_FAILED;
    }
}

enum muster_handshake_step muster_handshake_oversized(struct muster_handshake *hs, size_t len) {
    if (len == TLS_ALERT_AS_LENGTH || len == TLS_HELLO_AS_LENGTH) {
        return fail(hs, MUSTER_PEER_TLS_REQUIRED, "the peer answered with a TLS record");
    }
    return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED, "what the peer sent is no handshake message");
}

enum muster_handshake_step muster_handshake_closed(struct muster_handshake *hs) {
    switch (hs->stage) {
    case MUSTER_STAGE_RECV_CHALLENGE_ACK:
        /* A BEAM closes without a word when the digest it got is wrong. */
        return fail(hs, MUSTER_PEER_COOKIE_MISMATCH,
                    "the peer closed the connection on seeing our cookie's digest");
    case MUSTER_STAGE_RECV_CHALLENGE_REPLY:
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED,
                    "the peer closed the connection instead of answering the challenge");
    default:
        return fail(hs, MUSTER_PEER_HANDSHAKE_FAILED,
                    "the peer closed the connection during the handshake");
    }
}

struct muster_slice muster_handshake_take_output(struct muster_handshake *hs) {
    struct muster_slice out = muster_slice(hs->out, hs->out_len);
    hs->out_len = 0;
    return out;
}
