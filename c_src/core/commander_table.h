/* The commander's role table: who belongs to the cluster, how old, in which role. One for all
 * nodes. */
#ifndef MUSTER_CORE_COMMANDER_TABLE_H
#define MUSTER_CORE_COMMANDER_TABLE_H

#include "core/election_config.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Only the commander writes it; it travels with the heartbeat, and whoever wants to be the next
 * must hold the newest. Ages are fixed once, when a member is entered: as the instant of its start
 * on the cluster's clock, which the table's writers pass on to each other and which runs in
 * milliseconds.
 */

#define MUSTER_CLUSTER_ROLES(X)                                                                    \
    X(WINGMATE, 1, "wingmate")                                                                     \
    X(OBSERVER, 2, "observer")                                                                     \
    X(RELAY, 3, "relay")                                                                           \
    X(COMMANDER, 4, "commander") /* never in a row: whoever leads, or is pinned */

enum muster_cluster_role {
#define X(name, number, text) MUSTER_ROLE_##name = (number),
    MUSTER_CLUSTER_ROLES(X)
#undef X
};

struct muster_role_row {
    muster_member id;
    uint64_t incarnation; /* random for each start of the member; 0: it has no C node */
    int64_t started;      /* on the cluster's clock */
    enum muster_cluster_role role;
    uint32_t losses; /* how often it lost the command against its will; doubles its hold-down */
    bool alive;
};

struct muster_role_table {
    struct muster_stamp stamp;
    muster_member writer;     /* the commander that wrote this version, */
    uint64_t writer_election; /* and in which election */
    uint64_t epoch;           /* whose clock it runs on: the first writer's incarnation */
    muster_member pin;        /* promoted by hand: no seniority hand-over while it lives */
    uint32_t count;
    struct muster_role_row rows[MUSTER_MEMBERS_MAX]; /* ascending by id */
};

/* NULL if the member is not listed; lives until the table changes. */
struct muster_role_row *muster_table_find(struct muster_role_table *table, muster_member member);
const struct muster_role_row *muster_table_look(const struct muster_role_table *table,
                                                muster_member member);

/* A new row, zero but for its id and the role wingmate; NULL if the table is full.
 * Precondition: not listed. */
struct muster_role_row *muster_table_add(struct muster_role_table *table, muster_member member);

/* No effect if the member is not listed. A removed member is pinned no longer. */
void muster_table_remove(struct muster_role_table *table, muster_member member);

/* Whether a is the senior: started earlier, or at the same instant with the smaller id. */
bool muster_table_senior(const struct muster_role_row *a, const struct muster_role_row *b);

/* 0, or MUSTER_E_MALFORMED if what a peer sent is no table. */
int muster_table_check(const struct muster_role_table *table);

/* The documented name of a role, or "?"; static. */
const char *muster_role_name(enum muster_cluster_role role);

#endif
