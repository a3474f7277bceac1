#include "core/election_options.h"

#include "core/errors.h"

#define MS 1000u
#define HOUR_MS 3600000u
#define DRIFT_MAX 200u

void muster_election_options_default(struct muster_election_options *options) {
    *options = (struct muster_election_options){
        .election_timeout_min = 150,
        .election_timeout_max = 300,
        .heartbeat_interval = 50,
        .clock_drift = 10,
    };
}

int muster_election_options_check(const struct muster_election_options *options) {
    bool valid = options->self != MUSTER_NOBODY && options->heartbeat_interval >= 1 &&
                 options->heartbeat_interval < options->election_timeout_min &&
                 options->election_timeout_min <= options->election_timeout_max &&
                 options->election_timeout_max <= HOUR_MS && options->clock_drift <= DRIFT_MAX &&
                 options->quorum_min <= MUSTER_MEMBERS_MAX;
    return valid ? 0 : MUSTER_E_INVALID;
}

struct muster_election_timing
muster_election_timing_of(const struct muster_election_options *options) {
    uint64_t slow = 1000 - options->clock_drift;
    uint64_t fast = 1000 + options->clock_drift;
    uint64_t min = (uint64_t)options->election_timeout_min * MS;
    uint64_t max = (uint64_t)options->election_timeout_max * MS;
    uint64_t forgotten = options->durable ? min : max;
    return (struct muster_election_timing){
        .timeout_min = min,
        .timeout_max = max,
        .heartbeat = (uint64_t)options->heartbeat_interval * MS,
        .lease = min * slow / fast,
        .abstention = (forgotten * fast + slow - 1) / slow,
        .jitter = min / 5,
    };
}
