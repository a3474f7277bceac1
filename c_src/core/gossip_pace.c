#include "core/gossip_pace.h"

#define MS_PER_S 1000
/* Waits vary by a quarter to both sides, so that nodes that start together do not send together. */
#define JITTER_PERCENT 25

/* Waits after the first heartbeats. */
static const uint16_t quick_ms[] = {50, 100, 200, 400, 800};
#define QUICK_COUNT (sizeof quick_ms / sizeof quick_ms[0])

void muster_gossip_pace_start(struct muster_gossip_pace *pace, uint64_t interval_ms,
                              uint64_t now_ms) {
    *pace = (struct muster_gossip_pace){.interval_ms = interval_ms, .due_ms = now_ms};
}

uint64_t muster_gossip_pace_interval(const struct muster_gossip_pace *pace, unsigned nodes) {
    uint64_t shared = (uint64_t)nodes * MS_PER_S / MUSTER_GOSSIP_HEARD_PER_S;
    return shared > pace->interval_ms ? shared : pace->interval_ms;
}

static uint64_t with_jitter(uint64_t ms, uint32_t random) {
    uint64_t spread = ms * JITTER_PERCENT / 100;
    return ms - spread + random % (2 * spread + 1);
}

void muster_gossip_pace_sent(struct muster_gossip_pace *pace, unsigned nodes, uint64_t now_ms,
                             uint32_t random) {
    uint64_t steady = muster_gossip_pace_interval(pace, nodes);
    uint64_t wait = steady;
    if (pace->quick < QUICK_COUNT) {
        wait = quick_ms[pace->quick++];
        wait = wait < steady ? wait : steady;
    }
    pace->due_ms = now_ms + with_jitter(wait, random);
}

void muster_gossip_pace_answer(struct muster_gossip_pace *pace, unsigned nodes, uint64_t now_ms,
                               uint32_t random) {
    uint64_t at = now_ms + random % MUSTER_GOSSIP_ANSWER_WITHIN_MS;
    uint32_t dice = random / MUSTER_GOSSIP_ANSWER_WITHIN_MS;
    int too_soon =
        pace->answered_ms != 0 && now_ms - pace->answered_ms < MUSTER_GOSSIP_ANSWER_GAP_MS;
    if (at >= pace->due_ms || too_soon ||
        (nodes > MUSTER_GOSSIP_ANSWERERS && dice % nodes >= MUSTER_GOSSIP_ANSWERERS)) {
        return;
    }
    pace->answered_ms = now_ms;
    pace->due_ms = at;
}
