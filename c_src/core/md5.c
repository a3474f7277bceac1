#include "core/md5.h"

#include <string.h>

/* floor(2^32 * abs(sin(i + 1))), as the RFC defines its table. */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static const uint8_t rotations[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t rotate_left(uint32_t x, unsigned n) {
    return x << n | x >> (32 - n);
}

static uint32_t get32_little(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32_little(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

/* The round's mixing function and the index of the word it takes, for step i of 64. */
static uint32_t mix(unsigned i, uint32_t b, uint32_t c, uint32_t d, unsigned *word) {
    switch (i / 16) {
    case 0:
        *word = i;
        return (b & c) | (~b & d);
    case 1:
        *word = (5 * i + 1) % 16;
        return (d & b) | (~d & c);
    case 2:
        *word = (3 * i + 5) % 16;
        return b ^ c ^ d;
    default:
        *word = (7 * i) % 16;
        return c ^ (b | ~d);
    }
}

static void compress(uint32_t state[4], const uint8_t block[64]) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (unsigned i = 0; i < 64; i++) {
        unsigned word;
        uint32_t f = mix(i, b, c, d, &word);
        uint32_t sum = a + f + sines[i] + get32_little(block + 4 * word);
        a = d;
        d = c;
        c = b;
        b += rotate_left(sum, rotations[i / 16][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void muster_md5_init(struct muster_md5 *md5) {
    memset(md5, 0, sizeof *md5);
    md5->state[0] = 0x67452301;
    md5->state[1] = 0xefcdab89;
    md5->state[2] = 0x98badcfe;
    md5->state[3] = 0x10325476;
}

void muster_md5_update(struct muster_md5 *md5, const void *data, size_t len) {
    const uint8_t *in = data;
    while (len > 0) {
        size_t used = md5->length % 64;
        size_t n = 64 - used < len ? 64 - used : len;
        memcpy(md5->block + used, in, n);
        md5->length += n;
        in += n;
        len -= n;
        if (used + n == 64) {
            compress(md5->state, md5->block);
        }
    }
}

void muster_md5_final(struct muster_md5 *md5, uint8_t digest[MUSTER_MD5_SIZE]) {
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = md5->length * 8;
    size_t used = md5->length % 64;
    uint8_t length[8];

    put32_little(length, (uint32_t)bits);
    put32_little(length + 4, (uint32_t)(bits >> 32));
    muster_md5_update(md5, padding, used < 56 ? 56 - used : 120 - used);
    muster_md5_update(md5, length, sizeof length);
    for (int i = 0; i < 4; i++) {
        put32_little(digest + 4 * i, md5->state[i]);
    }
}
