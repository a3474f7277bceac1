/*
 * Which nonces were seen already, in bounded memory: a table of small buckets. A nonce is
 * remembered until its packet would be too old anyway. If a bucket overflows before that, the
 * oldest is forgotten and nothing as old is accepted there any more: what is forgotten is never
 * accepted twice.
 *
 * Unless this machine's clock is set back: then what was sent "later" than is accepted now would
 * keep everything else out until that time comes again, so it is forgotten without a trace.
 */
#ifndef MUSTER_CORE_REPLAY_H
#define MUSTER_CORE_REPLAY_H

#include <stdint.h>

#define MUSTER_REPLAY_BUCKETS 1024
#define MUSTER_REPLAY_WAYS 8

/* All zero is empty. 136 KB: 8,192 packets, 136 a second for a window of ±30 s. */
struct muster_replay {
    struct muster_replay_bucket {
        uint64_t floor_ms; /* nothing sent at or before this is accepted */
        struct {
            uint64_t nonce;
            uint64_t sent_ms; /* 0: free */
        } ways[MUSTER_REPLAY_WAYS];
    } buckets[MUSTER_REPLAY_BUCKETS];
};

/*
 * Whether this nonce (64 of its bits, chosen at random by an authentic sender) is new; it is
 * remembered then. What was sent before `oldest_ms` or after `newest_ms` is refused elsewhere and
 * needs no place here.
 */
int muster_replay_is_new(struct muster_replay *replay, uint64_t nonce, uint64_t sent_ms,
                         uint64_t oldest_ms, uint64_t newest_ms);

#endif
