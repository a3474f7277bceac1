/* A mixing function: several random numbers out of the one that a step is given, fingerprints. */
#ifndef MUSTER_CORE_ELECTION_RANDOM_H
#define MUSTER_CORE_ELECTION_RANDOM_H

#include <stdint.h>

/* The n-th number of the seed's sequence: a counter passed through SplitMix64's finalizer. */
static inline uint64_t muster_random_nth(uint64_t seed, uint64_t n) {
    uint64_t z = seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
