#include "core/sealed.h"

#include <assert.h>
#include <sodium/crypto_generichash.h>

#include "core/errors.h"

static const uint8_t magic[4] = {'M', 'S', 'T', 1};
/* BLAKE2b keys: what is derived here is of no use anywhere else. */
static const char key_context[] = "muster gossip: key, version 1";
static const char id_context[] = "muster gossip: key id, version 1";

enum {
    LENGTH_AT = 4,
    ID_AT = 6,
    NONCE_AT = ID_AT + MUSTER_SEAL_ID_SIZE,
    SEALED_AT = NONCE_AT + MUSTER_SEAL_NONCE_SIZE,
    TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES,
};

void muster_seal_key_derive(struct muster_seal_key *key, struct muster_slice secret) {
    uint8_t id[crypto_generichash_BYTES];
    crypto_generichash(key->key, sizeof key->key, secret.data, secret.len,
                       (const uint8_t *)key_context, sizeof key_context - 1);
    crypto_generichash(id, sizeof id, key->key, sizeof key->key, (const uint8_t *)id_context,
                       sizeof id_context - 1);
    memcpy(key->id, id, sizeof key->id);
}

static size_t put_plain(uint8_t *out, const struct muster_sealed *content) {
    uint8_t *p = out;
    muster_put64(p, content->sent_ms);
    muster_put64(p + 8, (uint64_t)content->metadata_version);
    p[16] = content->name.len;
    p += 17;
    memcpy(p, content->name.text, content->name.len);
    p += content->name.len;
    muster_put16(p, (uint16_t)content->metadata.len);
    p += 2;
    if (content->metadata.len > 0) {
        memcpy(p, content->metadata.data, content->metadata.len);
    }
    return (size_t)(p - out) + content->metadata.len;
}

size_t muster_seal(uint8_t *out, const struct muster_seal_key *key, const uint8_t *nonce,
                   const struct muster_sealed *content) {
    uint8_t plain[MUSTER_SEALED_PLAIN_MAX];
    assert(content->metadata.len <= MUSTER_METADATA_MAX);
    size_t plain_len = put_plain(plain, content);
    size_t len = SEALED_AT + plain_len + TAG_SIZE;
    memcpy(out, magic, sizeof magic);
    muster_put16(out + LENGTH_AT, (uint16_t)len);
    memcpy(out + ID_AT, key->id, sizeof key->id);
    memcpy(out + NONCE_AT, nonce, MUSTER_SEAL_NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEALED_AT, NULL, plain, plain_len, out,
                                               NONCE_AT, NULL, nonce, key->key);
    return len;
}

int muster_sealed_recognize(struct muster_slice packet) {
    return packet.len >= sizeof magic && memcmp(packet.data, magic, sizeof magic) == 0;
}

static enum muster_unseal_verdict check_header(struct muster_slice packet) {
    if (!muster_sealed_recognize(packet)) {
        return MUSTER_UNSEAL_MALFORMED;
    }
    if (packet.len < SEALED_AT + TAG_SIZE || packet.len < muster_get16(packet.data + LENGTH_AT)) {
        return MUSTER_UNSEAL_TRUNCATED;
    }
    if (packet.len > muster_get16(packet.data + LENGTH_AT) || packet.len > MUSTER_SEALED_READ_MAX) {
        return MUSTER_UNSEAL_MALFORMED;
    }
    return MUSTER_UNSEAL_ACCEPTED;
}

/* Found by its id, so that strangers' packets cost no decryption. */
static const struct muster_seal_key *find_key(const struct muster_unsealer *unsealer,
                                              const uint8_t *id) {
    for (unsigned i = 0; i < unsealer->key_count; i++) {
        if (memcmp(unsealer->keys[i].id, id, MUSTER_SEAL_ID_SIZE) == 0) {
            return &unsealer->keys[i];
        }
    }
    return NULL;
}

static int parse_plain(struct muster_slice plain, struct muster_sealed *content) {
    if (plain.len < 17) {
        return MUSTER_E_MALFORMED;
    }
    content->sent_ms = muster_get64(plain.data);
    content->metadata_version = (int64_t)muster_get64(plain.data + 8);
    size_t name_len = plain.data[16];
    if (plain.len - 17 < name_len + 2 ||
        muster_node_name_parse(&content->name, (const char *)plain.data + 17, name_len) != 0) {
        return MUSTER_E_MALFORMED;
    }
    const uint8_t *p = plain.data + 17 + name_len;
    size_t metadata_len = muster_get16(p);
    if (plain.len - 17 - name_len - 2 < metadata_len) {
        return MUSTER_E_MALFORMED;
    }
    content->metadata = muster_slice(p + 2, metadata_len);
    return metadata_len > 0 ? muster_metadata_check(content->metadata) : 0;
}

static int is_stale(const struct muster_unsealer *unsealer, uint64_t sent_ms, uint64_t now_ms) {
    uint64_t difference = sent_ms > now_ms ? sent_ms - now_ms : now_ms - sent_ms;
    return difference > unsealer->window_ms;
}

enum muster_unseal_verdict muster_unseal(struct muster_unsealer *unsealer,
                                         struct muster_slice packet, uint64_t now_ms,
                                         struct muster_sealed *content) {
    struct muster_sealed read;
    unsigned long long plain_len;
    enum muster_unseal_verdict verdict = check_header(packet);
    if (verdict != MUSTER_UNSEAL_ACCEPTED) {
        return verdict;
    }
    const struct muster_seal_key *key = find_key(unsealer, packet.data + ID_AT);
    if (key == NULL) {
        return MUSTER_UNSEAL_WRONG_KEY;
    }
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            unsealer->plain, &plain_len, NULL, packet.data + SEALED_AT, packet.len - SEALED_AT,
            packet.data, NONCE_AT, packet.data + NONCE_AT, key->key) != 0) {
        return MUSTER_UNSEAL_FORGED;
    }
    if (parse_plain(muster_slice(unsealer->plain, (size_t)plain_len), &read) != 0) {
        return MUSTER_UNSEAL_MALFORMED;
    }
    if (is_stale(unsealer, read.sent_ms, now_ms)) {
        return MUSTER_UNSEAL_STALE;
    }
    uint64_t oldest_ms = now_ms > unsealer->window_ms ? now_ms - unsealer->window_ms : 0;
    if (!muster_replay_is_new(&unsealer->replay, muster_get64(packet.data + NONCE_AT), read.sent_ms,
                              oldest_ms, now_ms + unsealer->window_ms)) {
        return MUSTER_UNSEAL_REPLAYED;
    }
    *content = read;
    return MUSTER_UNSEAL_ACCEPTED;
}
