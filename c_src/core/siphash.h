/* SipHash-2-4 of two 64-bit words (Aumasson and Bernstein, 2012). */
#ifndef MUSTER_CORE_SIPHASH_H
#define MUSTER_CORE_SIPHASH_H

#include <stdint.h>

struct muster_siphash_key {
    uint64_t k0, k1;
};

/* The hash of the 16 bytes that are `a` and `b` in little-endian order. */
uint64_t muster_siphash_pair(const struct muster_siphash_key *key, uint64_t a, uint64_t b);

#endif
