#include "node/election_image.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "MUSTERE1"
#define MAGIC_LEN 8
#define HEAD_LEN (MAGIC_LEN + 4)
#define HASH_LEN 16
/* As much of the group's name as its file's name shows. */
#define SHOWN_MAX 60

static size_t put_name(uint8_t *to, const void *name, uint8_t len) {
    to[0] = len;
    memcpy(to + 1, name, len);
    return 1 + (size_t)len;
}

void muster_election_image_build(struct muster_election_image *image,
                                 const struct muster_election_whose *whose,
                                 struct muster_slice record) {
    uint8_t *data = image->data;
    size_t at = HEAD_LEN;
    memcpy(data, MAGIC, MAGIC_LEN);
    at += put_name(data + at, whose->self.text, whose->self.len);
    at += put_name(data + at, whose->group, whose->group_len);
    memcpy(data + at, record.data, record.len);
    at += record.len;
    muster_put32(data + MAGIC_LEN, (uint32_t)(at - HEAD_LEN));
    crypto_generichash(data + at, HASH_LEN, data, at, NULL, 0);
    image->len = at + HASH_LEN;
}

static bool has_name(struct muster_slice *in, const void *name, uint8_t len) {
    if (in->len < 1 + (size_t)len || in->data[0] != len || memcmp(in->data + 1, name, len) != 0) {
        return false;
    }
    *in = muster_slice(in->data + 1 + len, in->len - 1 - len);
    return true;
}

const char *muster_election_image_parse(const struct muster_election_image *image,
                                        const struct muster_election_whose *whose,
                                        struct muster_slice *record) {
    uint8_t hash[HASH_LEN];
    if (image->len < HEAD_LEN + HASH_LEN || memcmp(image->data, MAGIC, MAGIC_LEN) != 0) {
        return "it is no file of this version's election";
    }
    size_t hashed = image->len - HASH_LEN;
    crypto_generichash(hash, HASH_LEN, image->data, hashed, NULL, 0);
    if (muster_get32(image->data + MAGIC_LEN) != hashed - HEAD_LEN ||
        sodium_memcmp(hash, image->data + hashed, HASH_LEN) != 0) {
        return "it is damaged (its checksum is wrong)";
    }
    *record = muster_slice(image->data + HEAD_LEN, hashed - HEAD_LEN);
    if (!has_name(record, whose->self.text, whose->self.len) ||
        !has_name(record, whose->group, whose->group_len)) {
        return "it belongs to another member or group";
    }
    return record->len <= MUSTER_ELECTION_BYTES_MAX ? NULL : "it is too long";
}

void muster_election_image_name(const struct muster_election_whose *whose,
                                char name[MUSTER_ELECTION_IMAGE_NAME_SIZE]) {
    uint64_t words[2] = {0};
    uint8_t both[512];
    char shown[SHOWN_MAX + 1];
    size_t len = put_name(both, whose->self.text, whose->self.len);
    len += put_name(both + len, whose->group, whose->group_len);
    crypto_generichash((uint8_t *)words, sizeof words, both, len, NULL, 0);
    size_t n = whose->group_len < SHOWN_MAX ? whose->group_len : SHOWN_MAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = whose->group[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        shown[i] = plain || c == '-' || c == '_' ? (char)c : '_';
    }
    shown[n] = '\0';
    snprintf(name, MUSTER_ELECTION_IMAGE_NAME_SIZE, "%s-%016llx.election", shown,
             (unsigned long long)muster_get64((const uint8_t *)words));
}
