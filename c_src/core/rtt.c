#include "core/rtt.h"

#include <assert.h>
#include <string.h>

#include "core/errors.h"

void muster_rtt_init(struct muster_rtt *rtt) {
    memset(rtt, 0, sizeof *rtt);
}

int muster_rtt_add(struct muster_rtt *rtt, uint64_t ns) {
    if (ns == 0 || ns >= MUSTER_RTT_MAX_NS) {
        return MUSTER_E_INVALID;
    }
    rtt->samples_ns[rtt->next] = ns;
    rtt->next = (rtt->next + 1) % MUSTER_RTT_HISTORY;
    if (rtt->count < MUSTER_RTT_HISTORY) {
        rtt->count++;
    }
    rtt->total++;
    return 0;
}

uint64_t muster_rtt_sample(const struct muster_rtt *rtt, unsigned i) {
    assert(i < rtt->count);
    return rtt->samples_ns[(rtt->next + MUSTER_RTT_HISTORY - 1 - i) % MUSTER_RTT_HISTORY];
}

static double distance(uint64_t a, uint64_t b) {
    return a > b ? (double)(a - b) : (double)(b - a);
}

struct muster_rtt_summary muster_rtt_summarize(const struct muster_rtt *rtt) {
    struct muster_rtt_summary s = {0};
    if (rtt->count == 0) {
        return s;
    }
    s.min = s.max = (double)muster_rtt_sample(rtt, 0);
    for (unsigned i = 0; i < rtt->count; i++) {
        double sample = (double)muster_rtt_sample(rtt, i);
        s.average += sample / rtt->count;
        s.min = sample < s.min ? sample : s.min;
        s.max = sample > s.max ? sample : s.max;
        if (i > 0) {
            s.jitter += distance(muster_rtt_sample(rtt, i - 1), muster_rtt_sample(rtt, i)) /
                        (rtt->count - 1);
        }
    }
    return s;
}
