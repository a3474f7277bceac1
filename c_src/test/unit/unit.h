/* What the unit tests share: cmocka with what it needs before it, and inputs for over-reads. */
#ifndef MUSTER_TEST_UNIT_H
#define MUSTER_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"

#define UNIT_COUNT(array) (sizeof(array) / sizeof *(array))

/*
 * A copy of `len` bytes that ends where its heap block ends, so that a sanitizer or valgrind sees
 * the first byte read beyond it, also for an empty input.
 */
static inline struct muster_slice unit_exact(const void *data, size_t len) {
    uint8_t *block = malloc(len + 1);
    assert_non_null(block);
    if (len > 0) {
        memcpy(block + 1, data, len);
    }
    return muster_slice(block + 1, len);
}

static inline void unit_free(struct muster_slice copy) {
    free((uint8_t *)(uintptr_t)copy.data - 1);
}

static inline unsigned unit_hex_digit(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* Bytes written in lower-case hexadecimal, as a copy of exact size. */
static inline struct muster_slice unit_unhex(const char *hex) {
    size_t len = strlen(hex) / 2;
    uint8_t *block = malloc(len + 1);
    assert_non_null(block);
    for (size_t i = 0; i < len; i++) {
        block[1 + i] = (uint8_t)(unit_hex_digit(hex[2 * i]) << 4 | unit_hex_digit(hex[2 * i + 1]));
    }
    return muster_slice(block + 1, len);
}

/* A small generator for tests that want many different inputs, the same in every run. */
static inline uint32_t unit_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

#endif
