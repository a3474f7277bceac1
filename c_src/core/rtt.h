/* The last round-trip times to one peer, and what they say. */
#ifndef MUSTER_CORE_RTT_H
#define MUSTER_CORE_RTT_H

#include <stdint.h>

#define MUSTER_RTT_HISTORY 60
/* Anything outside (0, 10 s) is a fault of the clock or of the bookkeeping, not a round-trip time.
 */
#define MUSTER_RTT_MAX_NS UINT64_C(10000000000)

struct muster_rtt {
    uint64_t samples_ns[MUSTER_RTT_HISTORY]; /* a ring */
    unsigned next;
    unsigned count;
    uint64_t total; /* samples ever accepted */
};

/* All in nanoseconds, over the history; zero while it is empty. */
struct muster_rtt_summary {
    double average, min, max;
    double jitter; /* mean absolute difference of successive samples */
};

void muster_rtt_init(struct muster_rtt *rtt);

/* Returns 0, or MUSTER_E_INVALID for a time outside (0, 10 s), which is not kept. */
int muster_rtt_add(struct muster_rtt *rtt, uint64_t ns);

/* The i-th newest sample, 0 <= i < count. */
uint64_t muster_rtt_sample(const struct muster_rtt *rtt, unsigned i);

struct muster_rtt_summary muster_rtt_summarize(const struct muster_rtt *rtt);

#endif
