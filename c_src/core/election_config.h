/* The declared voters of a group: a versioned configuration that needs no log to change safely. */
#ifndef MUSTER_CORE_ELECTION_CONFIG_H
#define MUSTER_CORE_ELECTION_CONFIG_H

#include "core/election_options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * As in MongoDB's logless reconfiguration (arXiv 2102.11960): configurations are ordered by (term,
 * version); only a leader makes a new one, one voter away from the current one, after a majority of
 * the current one's voters said in the leader's own term that they hold it; a voter refuses
 * candidates with an older one; a new leader puts its own term on it.
 */
struct muster_stamp {
    uint64_t term;
    uint64_t version;
};

struct muster_config {
    struct muster_stamp stamp;
    uint32_t count;
    muster_member voters[MUSTER_MEMBERS_MAX]; /* ascending */
};

/* Below, at or above zero as a is older than, the same as or newer than b. */
int muster_stamp_compare(struct muster_stamp a, struct muster_stamp b);

/* The first configuration, stamp (0, 0): voters in any order, repeats are dropped.
 * MUSTER_E_INVALID if one is MUSTER_NOBODY, MUSTER_E_LIMIT if they are too many. */
int muster_config_init(struct muster_config *config, const muster_member *voters, size_t count);

/* 0, or MUSTER_E_MALFORMED if what a peer sent is no configuration (order, count, nobody). */
int muster_config_check(const struct muster_config *config);

bool muster_config_has(const struct muster_config *config, muster_member member);

/* Equal voters have equal fingerprints, others hardly ever; never 0. */
uint64_t muster_config_fingerprint(const struct muster_config *config);

/* The smallest number of voters that is more than half of them. */
uint32_t muster_config_majority(const struct muster_config *config);

/* Both keep the order and leave the stamp alone. Precondition of add: the member is no voter and
 * count < MUSTER_MEMBERS_MAX; of remove: the member is a voter. */
void muster_config_add(struct muster_config *config, muster_member member);
void muster_config_remove(struct muster_config *config, muster_member member);

#endif
