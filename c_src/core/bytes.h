/* Big-endian integers in byte strings, and views of bytes owned by somebody else. */
#ifndef MUSTER_CORE_BYTES_H
#define MUSTER_CORE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct muster_slice {
    const uint8_t *data;
    size_t len;
};

static inline struct muster_slice muster_slice(const void *data, size_t len) {
    return (struct muster_slice){.data = data, .len = len};
}

static inline int muster_slice_is(struct muster_slice s, const char *text) {
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static inline uint16_t muster_get16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t muster_get32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t muster_get64(const uint8_t *p) {
    return (uint64_t)muster_get32(p) << 32 | muster_get32(p + 4);
}

static inline void muster_put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void muster_put32(uint8_t *p, uint32_t v) {
    muster_put16(p, (uint16_t)(v >> 16));
    muster_put16(p + 2, (uint16_t)v);
}

static inline void muster_put64(uint8_t *p, uint64_t v) {
    muster_put32(p, (uint32_t)(v >> 32));
    muster_put32(p + 4, (uint32_t)v);
}

#endif
