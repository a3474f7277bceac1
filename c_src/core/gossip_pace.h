/*
 * When heartbeats go out: quickly at first, then at a steady interval that grows with the number of
 * nodes, so that a node hears a bounded number a second however large the cluster is. Nodes heard
 * for the first time are answered soon, by about ten of those who are there, and not too often. The
 * clock and random numbers are the caller's.
 */
#ifndef MUSTER_CORE_GOSSIP_PACE_H
#define MUSTER_CORE_GOSSIP_PACE_H

#include <stdint.h>

/* Heartbeats a second that all nodes together send, from this many on. */
#define MUSTER_GOSSIP_HEARD_PER_S 25
#define MUSTER_GOSSIP_ANSWERERS 10
#define MUSTER_GOSSIP_ANSWER_WITHIN_MS 100
#define MUSTER_GOSSIP_ANSWER_GAP_MS 500

struct muster_gossip_pace {
    uint64_t interval_ms; /* steady, of a small cluster */
    unsigned quick;       /* quick heartbeats sent */
    uint64_t due_ms;
    uint64_t answered_ms; /* when an answer was last planned; 0: never */
};

/* The first heartbeat is due at once. */
void muster_gossip_pace_start(struct muster_gossip_pace *pace, uint64_t interval_ms,
                              uint64_t now_ms);

/* The steady interval with so many nodes, without jitter. */
uint64_t muster_gossip_pace_interval(const struct muster_gossip_pace *pace, unsigned nodes);

/* A heartbeat was sent (or tried): plans the next. */
void muster_gossip_pace_sent(struct muster_gossip_pace *pace, unsigned nodes, uint64_t now_ms,
                             uint32_t random);

/* A node was heard for the first time: perhaps plans a heartbeat sooner. */
void muster_gossip_pace_answer(struct muster_gossip_pace *pace, unsigned nodes, uint64_t now_ms,
                               uint32_t random);

#endif
