/* The simulator's chance: xoshiro256**, seeded by SplitMix64, so that a seed replays everywhere. */
#ifndef MUSTER_TEST_SIM_RANDOM_H
#define MUSTER_TEST_SIM_RANDOM_H

#include "core/election_random.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state[4];
};

static inline void sim_random_init(struct sim_random *r, uint64_t seed) {
    for (unsigned i = 0; i < 4; i++)
        r->state[i] = muster_random_nth(seed, i);
}

static inline uint64_t sim_rotate(uint64_t x, unsigned by) {
    return (x << by) | (x >> (64 - by));
}

static inline uint64_t sim_random_next(struct sim_random *r) {
    uint64_t *s = r->state;
    uint64_t result = sim_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = sim_rotate(s[3], 45);
    return result;
}

/* From low to high, both included. */
static inline uint64_t sim_random_between(struct sim_random *r, uint64_t low, uint64_t high) {
    return low + sim_random_next(r) % (high - low + 1);
}

/* True in `permille` of a thousand cases. */
static inline bool sim_random_chance(struct sim_random *r, uint64_t permille) {
    return sim_random_next(r) % 1000 < permille;
}

#endif
