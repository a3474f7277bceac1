/*
 * muster's own gossip packets, sealed with a secret: encrypted and authenticated by
 * XChaCha20-Poly1305, with the time of sending against replay. No I/O, clock or random numbers.
 *
 *   offset  bytes
 *   0       4     "MST", version 1
 *   4       2     length of the whole packet, big-endian like all that follows
 *   6       8     which key: the first bytes of a hash of it
 *   14      24    nonce, random
 *   38      n+16  sealed; the 14 bytes at the front are authenticated with it
 *
 *   Inside: sent_ms:64 (Unix time), metadata_version:64, name_len:8, name, metadata_len:16,
 *   metadata (a map of binaries as a term; may be empty), then room for later fields, ignored.
 */
#ifndef MUSTER_CORE_SEALED_H
#define MUSTER_CORE_SEALED_H

/* Of libsodium only what computes: nothing random, no global state. */
#include <sodium/crypto_aead_xchacha20poly1305.h>

#include "core/metadata.h"
#include "core/node_name.h"
#include "core/replay.h"

#define MUSTER_SEAL_ID_SIZE 8
#define MUSTER_SEAL_NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define MUSTER_SEALED_OVERHEAD                                                                     \
    (4 + 2 + MUSTER_SEAL_ID_SIZE + MUSTER_SEAL_NONCE_SIZE +                                        \
     crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define MUSTER_SEALED_PLAIN_MAX (8 + 8 + 1 + MUSTER_NODE_NAME_MAX + 2 + MUSTER_METADATA_MAX)
/* The longest packet that is built; longer ones are read, as later versions may say more. */
#define MUSTER_SEALED_BUILT_MAX (MUSTER_SEALED_OVERHEAD + MUSTER_SEALED_PLAIN_MAX)
#define MUSTER_SEALED_READ_MAX 2048

/* The secret in use and old ones that are still accepted. */
#define MUSTER_SEAL_KEYS_MAX 17

struct muster_seal_key {
    uint8_t id[MUSTER_SEAL_ID_SIZE];
    uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
};

/*
 * Derives a key by BLAKE2b under a constant of this protocol. Not by a password hash: that would
 * take 64 MB and a tenth of a second of a loop that never blocks, and its salt would have to be a
 * constant too. So a secret must be hard to guess by itself, like a cookie.
 */
void muster_seal_key_derive(struct muster_seal_key *key, struct muster_slice secret);

/* What a packet says. */
struct muster_sealed {
    uint64_t sent_ms;
    struct muster_node_name name;
    int64_t metadata_version;
    struct muster_slice metadata; /* empty: none; else passed by muster_metadata_check */
};

/*
 * Builds a packet in `out`, which holds MUSTER_SEALED_BUILT_MAX bytes, and returns its length.
 * `nonce` is MUSTER_SEAL_NONCE_SIZE random bytes, never used before.
 */
size_t muster_seal(uint8_t *out, const struct muster_seal_key *key, const uint8_t *nonce,
                   const struct muster_sealed *content);

/* Whether it is one of ours by its first bytes, whatever the secret. */
int muster_sealed_recognize(struct muster_slice packet);

/* What became of a packet that came, as X(constant, counter's name). */
#define MUSTER_UNSEAL_VERDICTS(X)                                                                  \
    X(ACCEPTED, accepted)                                                                          \
    X(MALFORMED, malformed) /* not of this protocol and version, or nonsense inside */             \
    X(TRUNCATED, truncated) /* shorter than it says */                                             \
    X(WRONG_KEY, wrong_key) /* sealed with a secret that is not known here */                      \
    X(FORGED, forged)       /* names a key of ours but was not made with it: altered on its way */ \
    X(STALE, stale)         /* its time differs from ours by more than the window */               \
    X(REPLAYED, replayed)   /* was here before */

enum muster_unseal_verdict {
#define X(constant, name) MUSTER_UNSEAL_##constant,
    MUSTER_UNSEAL_VERDICTS(X)
#undef X
        MUSTER_UNSEAL_VERDICT_COUNT
};

struct muster_unsealer {
    struct muster_seal_key keys[MUSTER_SEAL_KEYS_MAX]; /* the first is the one to seal with */
    unsigned key_count;
    uint64_t window_ms; /* accepted difference of clocks, to both sides */
    struct muster_replay replay;
    uint8_t plain[MUSTER_SEALED_READ_MAX];
};

/*
 * Opens a packet at `now_ms` (Unix time) and remembers it against replay. Fills `*content` only
 * when the verdict is ACCEPTED; its metadata stays valid until the next call.
 */
enum muster_unseal_verdict muster_unseal(struct muster_unsealer *unsealer,
                                         struct muster_slice packet, uint64_t now_ms,
                                         struct muster_sealed *content);

#endif
