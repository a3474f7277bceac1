/*
 * The distribution handshake, version 6 (OTP 23 and later), for both sides, as a pure state
 * machine.
 *
 * The caller cuts the stream into frames with 2-byte headers, feeds them in and sends what comes
 * out:
 *
 *   initiator  start -> (output) -> input ... -> DONE
 *   acceptor           input(name) -> DECIDE -> decide(verdict) -> (output) -> input ... -> DONE
 *
 * Nothing here reads a clock, rolls dice or allocates.
 */
#ifndef MUSTER_CORE_HANDSHAKE_H
#define MUSTER_CORE_HANDSHAKE_H

#include "core/bytes.h"
#include "core/node_name.h"
#include "core/peer_state.h"

/* Larger frames than this do not occur in a handshake; use it as the frame reader's limit. */
#define MUSTER_HANDSHAKE_FRAME_MAX 1024

/* The capabilities that matter here (dist.hrl of OTP's kernel application has them all). */
#define MUSTER_DFLAG_PUBLISHED 0x1u
#define MUSTER_DFLAG_EXTENDED_REFERENCES 0x4u
#define MUSTER_DFLAG_DIST_MONITOR 0x8u
#define MUSTER_DFLAG_FUN_TAGS 0x10u
#define MUSTER_DFLAG_DIST_MONITOR_NAME 0x20u
#define MUSTER_DFLAG_NEW_FUN_TAGS 0x80u
#define MUSTER_DFLAG_EXTENDED_PIDS_PORTS 0x100u
#define MUSTER_DFLAG_EXPORT_PTR_TAG 0x200u
#define MUSTER_DFLAG_BIT_BINARIES 0x400u
#define MUSTER_DFLAG_NEW_FLOATS 0x800u
#define MUSTER_DFLAG_SMALL_ATOM_TAGS 0x4000u
#define MUSTER_DFLAG_UTF8_ATOMS 0x10000u
#define MUSTER_DFLAG_MAP_TAG 0x20000u
#define MUSTER_DFLAG_BIG_CREATION 0x40000u
#define MUSTER_DFLAG_HANDSHAKE_23 0x1000000u
#define MUSTER_DFLAG_UNLINK_ID 0x2000000u
#define MUSTER_DFLAG_MANDATORY_25_DIGEST 0x4000000u
#define MUSTER_DFLAG_NAME_ME (UINT64_C(2) << 32)
#define MUSTER_DFLAG_V4_NC (UINT64_C(4) << 32)
#define MUSTER_DFLAG_ALIAS (UINT64_C(8) << 32)

/* What the digest flag of OTP 25 stands for, and what a peer must be able to do to talk to us. */
#define MUSTER_DFLAGS_MANDATORY                                                                    \
    (MUSTER_DFLAG_EXTENDED_REFERENCES | MUSTER_DFLAG_FUN_TAGS | MUSTER_DFLAG_EXTENDED_PIDS_PORTS | \
     MUSTER_DFLAG_NEW_FUN_TAGS | MUSTER_DFLAG_EXPORT_PTR_TAG | MUSTER_DFLAG_BIT_BINARIES |         \
     MUSTER_DFLAG_NEW_FLOATS | MUSTER_DFLAG_UTF8_ATOMS | MUSTER_DFLAG_MAP_TAG |                    \
     MUSTER_DFLAG_BIG_CREATION | MUSTER_DFLAG_HANDSHAKE_23)

/* What this side offers: hidden, no atom cache, no fragments, no spawn; OTP 26 demands V4_NC and
 * UNLINK_ID. */
#define MUSTER_DFLAGS_OURS                                                                         \
    (MUSTER_DFLAGS_MANDATORY | MUSTER_DFLAG_MANDATORY_25_DIGEST | MUSTER_DFLAG_V4_NC |             \
     MUSTER_DFLAG_UNLINK_ID | MUSTER_DFLAG_DIST_MONITOR | MUSTER_DFLAG_DIST_MONITOR_NAME |         \
     MUSTER_DFLAG_SMALL_ATOM_TAGS)

struct muster_handshake_config {
    const struct muster_node_name *self;
    uint32_t creation;
    uint32_t challenge; /* random, new for each handshake */
    const char *cookie; /* NUL-terminated; must outlive the handshake */
};

enum muster_handshake_step {
    MUSTER_HANDSHAKE_MORE,   /* send the output, feed the next frame */
    MUSTER_HANDSHAKE_DECIDE, /* acceptor: `peer` is known, muster_handshake_decide is due */
    MUSTER_HANDSHAKE_DONE,   /* send the output; frames have 4-byte headers from here on */
    MUSTER_HANDSHAKE_FAILED, /* send the output, then close; `failure` and `detail` say why */
};

/* What the acceptor answers to a name. */
enum muster_handshake_verdict {
    MUSTER_VERDICT_OK,
    MUSTER_VERDICT_OK_SIMULTANEOUS, /* both dial, the peer's name is the greater: ours gives way */
    MUSTER_VERDICT_NOK,             /* both dial, our name is the greater: the peer gives way */
    MUSTER_VERDICT_ALIVE,           /* connected already: asks the peer whether to go on */
    MUSTER_VERDICT_NOT_ALLOWED,
};

struct muster_handshake {
    struct muster_handshake_config config;
    enum muster_handshake_stage {
        MUSTER_STAGE_RECV_NAME,
        MUSTER_STAGE_DECIDE,
        MUSTER_STAGE_RECV_ALIVE_ANSWER,
        MUSTER_STAGE_RECV_CHALLENGE_REPLY,
        MUSTER_STAGE_RECV_STATUS,
        MUSTER_STAGE_RECV_CHALLENGE,
        MUSTER_STAGE_RECV_CHALLENGE_ACK,
        MUSTER_STAGE_DONE,
        MUSTER_STAGE_FAILED,
    } stage;
    struct muster_node_name peer;
    uint64_t peer_flags;
    uint32_t peer_creation;
    uint8_t out[2 * (MUSTER_NODE_NAME_MAX + 32)];
    size_t out_len;
    enum muster_peer_state failure; /* set when the step is FAILED */
    const char *detail;             /* static text on it */
};

/* Starts as the side that dialled `peer`; the output holds the first frame. */
void muster_handshake_connect(struct muster_handshake *hs,
                              const struct muster_handshake_config *config,
                              const struct muster_node_name *peer);

/*
 * Starts as the side that accepted. The cookie may be set as late as the decision. A peer that
 * claims this node's own name gets as far as DECIDE: it is the caller's to refuse.
 */
void muster_handshake_accept(struct muster_handshake *hs,
                             const struct muster_handshake_config *config);

/* Takes in one frame (without its header). Not to be called when DECIDE, DONE or FAILED was
 * returned. */
enum muster_handshake_step muster_handshake_input(struct muster_handshake *hs,
                                                  struct muster_slice frame);

/* Answers DECIDE, with the cookie that goes with the peer. Returns MORE or FAILED. */
enum muster_handshake_step muster_handshake_decide(struct muster_handshake *hs,
                                                   enum muster_handshake_verdict verdict,
                                                   const char *cookie);

/* A frame over the limit came, of `len` bytes: no handshake has those, but TLS records look so. */
enum muster_handshake_step muster_handshake_oversized(struct muster_handshake *hs, size_t len);

/* The peer closed the connection before the end; `failure` and `detail` tell what that means here.
 */
enum muster_handshake_step muster_handshake_closed(struct muster_handshake *hs);

/* What is to be sent, with frame headers; valid until the next call. Taking it empties the output.
 */
struct muster_slice muster_handshake_take_output(struct muster_handshake *hs);

#endif
