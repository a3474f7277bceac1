#include "core/election_config.h"

#include "core/election_random.h"
#include "core/errors.h"

#include <assert.h>
#include <string.h>

static int compare(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

int muster_stamp_compare(struct muster_stamp a, struct muster_stamp b) {
    int by_term = compare(a.term, b.term);
    return by_term != 0 ? by_term : compare(a.version, b.version);
}

/* Where the member is, or would be. */
static uint32_t position(const struct muster_config *config, muster_member member) {
    uint32_t low = 0;
    uint32_t high = config->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (config->voters[middle] < member)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int muster_config_init(struct muster_config *config, const muster_member *voters, size_t count) {
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < count; i++) {
        if (voters[i] == MUSTER_NOBODY)
            return MUSTER_E_INVALID;
        if (muster_config_has(config, voters[i]))
            continue;
        if (config->count == MUSTER_MEMBERS_MAX)
            return MUSTER_E_LIMIT;
        muster_config_add(config, voters[i]);
    }
    return 0;
}

int muster_config_check(const struct muster_config *config) {
    if (config->count > MUSTER_MEMBERS_MAX)
        return MUSTER_E_MALFORMED;
    muster_member previous = MUSTER_NOBODY;
    for (uint32_t i = 0; i < config->count; i++) {
        if (config->voters[i] <= previous)
            return MUSTER_E_MALFORMED;
        previous = config->voters[i];
    }
    return 0;
}

bool muster_config_has(const struct muster_config *config, muster_member member) {
    uint32_t at = position(config, member);
    return at < config->count && config->voters[at] == member;
}

uint64_t muster_config_fingerprint(const struct muster_config *config) {
    uint64_t mixed = config->count;
    for (uint32_t i = 0; i < config->count; i++)
        mixed = muster_random_nth(mixed, config->voters[i]);
    return mixed | 1;
}

uint32_t muster_config_majority(const struct muster_config *config) {
    return config->count / 2 + 1;
}

void muster_config_add(struct muster_config *config, muster_member member) {
    uint32_t at = position(config, member);
    assert(config->count < MUSTER_MEMBERS_MAX);
    memmove(&config->voters[at + 1], &config->voters[at],
            (config->count - at) * sizeof config->voters[0]);
    config->voters[at] = member;
    config->count++;
}

void muster_config_remove(struct muster_config *config, muster_member member) {
    uint32_t at = position(config, member);
    assert(at < config->count && config->voters[at] == member);
    config->count--;
    memmove(&config->voters[at], &config->voters[at + 1],
            (config->count - at) * sizeof config->voters[0]);
}
