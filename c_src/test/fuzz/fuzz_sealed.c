/*
 * Sealed packets, in two ways by the first byte: as they come from strangers, of which none is
 * accepted but what was sealed; and as the plain text of one who knows the secret, sealed here, of
 * which what is accepted is checked and comes out only once.
 */
#include <sodium.h>
#include <stdlib.h>

#include "core/sealed.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW UINT64_C(1760000000000)
#define WINDOW 30000
#define HEADER_LEN (4 + 2 + MUSTER_SEAL_ID_SIZE)

static struct muster_unsealer unsealer;
static uint64_t nonces;

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void check_content(const struct muster_sealed *content) {
    struct muster_node_name name;
    check(muster_node_name_parse(&name, content->name.text, content->name.len) == 0);
    check(content->metadata.len == 0 || muster_metadata_check(content->metadata) == 0);
    check(content->sent_ms >= NOW - WINDOW && content->sent_ms <= NOW + WINDOW);
}

/* The packet that seals any bytes, which muster_seal would not. */
static size_t seal_raw(uint8_t *out, struct muster_slice plain) {
    const struct muster_seal_key *key = &unsealer.keys[0];
    uint8_t nonce[MUSTER_SEAL_NONCE_SIZE] = {0};
    size_t len = MUSTER_SEALED_OVERHEAD + plain.len;
    muster_put64(nonce, ++nonces);
    memcpy(out, "MST\1", 4);
    muster_put16(out + 4, (uint16_t)len);
    memcpy(out + 6, key->id, sizeof key->id);
    memcpy(out + HEADER_LEN, nonce, sizeof nonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + HEADER_LEN + sizeof nonce, NULL, plain.data,
                                               plain.len, out, HEADER_LEN, NULL, nonce, key->key);
    return len;
}

static void from_a_friend(struct muster_slice plain) {
    uint8_t packet[2 * MUSTER_SEALED_READ_MAX];
    struct muster_sealed content;
    if (plain.len > sizeof packet - MUSTER_SEALED_OVERHEAD) {
        return;
    }
    struct muster_slice sealed = muster_slice(packet, seal_raw(packet, plain));
    enum muster_unseal_verdict verdict = muster_unseal(&unsealer, sealed, NOW, &content);
    check(verdict == MUSTER_UNSEAL_ACCEPTED || verdict == MUSTER_UNSEAL_MALFORMED ||
          verdict == MUSTER_UNSEAL_STALE || verdict == MUSTER_UNSEAL_REPLAYED);
    if (verdict == MUSTER_UNSEAL_ACCEPTED) {
        check_content(&content);
        check(muster_unseal(&unsealer, sealed, NOW, &content) == MUSTER_UNSEAL_REPLAYED);
    }
}

/* Nobody without the secret makes one that is accepted, stale or replayed. */
static void from_a_stranger(struct muster_slice packet) {
    struct muster_sealed content;
    enum muster_unseal_verdict verdict = muster_unseal(&unsealer, packet, NOW, &content);
    check(verdict == MUSTER_UNSEAL_MALFORMED || verdict == MUSTER_UNSEAL_TRUNCATED ||
          verdict == MUSTER_UNSEAL_WRONG_KEY || verdict == MUSTER_UNSEAL_FORGED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    if (size == 0 || size > MUSTER_SEALED_READ_MAX + 64) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, MUSTER_SEALED_READ_MAX + 64);
        check(sodium_init() >= 0);
        muster_seal_key_derive(&unsealer.keys[0], muster_slice("fuzz", 4));
        unsealer.key_count = 1;
        unsealer.window_ms = WINDOW;
    }
    struct muster_slice rest = muster_slice(guard_put(&guard, data + 1, size - 1), size - 1);
    if (data[0] % 2 == 0) {
        from_a_stranger(rest);
    } else {
        from_a_friend(rest);
    }
    return 0;
}
