/*
 * Both sides of the handshake, fed by a peer that says what it likes, in frames cut out of a
 * stream: the output stays small, and only who knows the cookie gets to the end.
 *
 * Input: which side, the verdict, then the stream. A frame whose payload starts with '!' is
 * replaced by one with the right digest, so that the last stages are reached.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/frame.h"
#include "core/handshake.h"
#include "core/md5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char cookie[] = "fuzzing";

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void digest_of(uint32_t challenge, uint8_t digest[MUSTER_MD5_SIZE]) {
    char text[32];
    struct muster_md5 md5;
    int len = snprintf(text, sizeof text, "%s%u", cookie, (unsigned)challenge);
    muster_md5_init(&md5);
    muster_md5_update(&md5, text, (size_t)len);
    muster_md5_final(&md5, digest);
}

/* The frame that an honest peer would send to prove the cookie, into `out` of 21 bytes. */
static struct muster_slice proof(const struct muster_handshake *hs, uint8_t *out) {
    int reply = hs->stage == MUSTER_STAGE_RECV_CHALLENGE_REPLY;
    uint8_t *digest = out + (reply ? 5 : 1);
    memset(out, 0, 21);
    out[0] = reply ? 'r' : 'a';
    digest_of(hs->config.challenge, digest);
    return muster_slice(out, reply ? 21 : 17);
}

static int proves(const struct muster_handshake *hs, enum muster_handshake_stage stage,
                  struct muster_slice frame) {
    uint8_t digest[MUSTER_MD5_SIZE];
    size_t at = stage == MUSTER_STAGE_RECV_CHALLENGE_REPLY ? 5 : 1;
    digest_of(hs->config.challenge, digest);
    return (stage == MUSTER_STAGE_RECV_CHALLENGE_REPLY ||
            stage == MUSTER_STAGE_RECV_CHALLENGE_ACK) &&
           frame.len == at + MUSTER_MD5_SIZE &&
           memcmp(frame.data + at, digest, MUSTER_MD5_SIZE) == 0;
}

static void check_step(const struct muster_handshake *hs, enum muster_handshake_step step) {
    check(hs->out_len <= sizeof hs->out);
    check((step == MUSTER_HANDSHAKE_FAILED) == (hs->stage == MUSTER_STAGE_FAILED));
    check((step == MUSTER_HANDSHAKE_DONE) == (hs->stage == MUSTER_STAGE_DONE));
    check((step == MUSTER_HANDSHAKE_DECIDE) == (hs->stage == MUSTER_STAGE_DECIDE));
    if (step == MUSTER_HANDSHAKE_FAILED) {
        check(hs->detail != NULL && hs->failure != MUSTER_PEER_IDLE &&
              hs->failure < MUSTER_PEER_STATE_COUNT);
    }
    if (step == MUSTER_HANDSHAKE_DONE) {
        check((hs->peer_flags & MUSTER_DFLAGS_MANDATORY) == MUSTER_DFLAGS_MANDATORY);
    }
    if (hs->peer.len > 0) {
        check(hs->peer.text[hs->peer.len] == '\0' && strlen(hs->peer.text) == hs->peer.len);
        check(hs->peer.text[hs->peer.alive_len] == '@');
    }
}

static enum muster_handshake_step feed(struct muster_handshake *hs, struct muster_slice frame) {
    uint8_t honest[21];
    enum muster_handshake_stage stage = hs->stage;
    if (frame.len > 0 && frame.data[0] == '!') {
        frame = proof(hs, honest);
    }
    uint8_t *exact = malloc(frame.len);
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, frame.data, frame.len);
    enum muster_handshake_step step = muster_handshake_input(hs, muster_slice(exact, frame.len));
    check(step != MUSTER_HANDSHAKE_DONE || proves(hs, stage, frame));
    free(exact);
    return step;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct muster_node_name self, peer;
    struct muster_handshake hs;
    struct muster_frame_reader reader;
    if (size < 2) {
        return 0;
    }
    check(muster_node_name_parse_cstr(&self, "us@127.0.0.1") == 0);
    check(muster_node_name_parse_cstr(&peer, "peer@127.0.0.1") == 0);
    struct muster_handshake_config config = {
        .self = &self, .creation = 1, .challenge = 0xdeadbeef, .cookie = cookie};
    if (data[0] % 2 == 0) {
        muster_handshake_connect(&hs, &config, &peer);
    } else {
        config.cookie = NULL;
        muster_handshake_accept(&hs, &config);
    }
    int takes_output = data[0] % 4 < 2;
    enum muster_handshake_verdict verdict = data[1] % (MUSTER_VERDICT_NOT_ALLOWED + 1);

    muster_frame_reader_init(&reader, 2, MUSTER_HANDSHAKE_FRAME_MAX);
    struct muster_slice in = muster_slice(data + 2, size - 2), frame;
    enum muster_handshake_step step = MUSTER_HANDSHAKE_MORE;
    while (step == MUSTER_HANDSHAKE_MORE) {
        int result = muster_frame_next(&reader, &in, &frame);
        if (result == MUSTER_FRAME_MORE) {
            step = muster_handshake_closed(&hs);
        } else if (result == MUSTER_FRAME_OVERSIZED) {
            step = muster_handshake_oversized(&hs, frame.len);
        } else {
            step = feed(&hs, frame);
        }
        check_step(&hs, step);
        if (step == MUSTER_HANDSHAKE_DECIDE) {
            step = muster_handshake_decide(&hs, verdict, cookie);
            check_step(&hs, step);
        }
        if (takes_output) {
            muster_handshake_take_output(&hs);
        }
    }
    muster_frame_reader_close(&reader);
    return 0;
}
