/* The cluster's one commander: the election among whoever has been seen, and the role table. */
#ifndef MUSTER_CORE_COMMANDER_H
#define MUSTER_CORE_COMMANDER_H

#include "core/commander_table.h"
#include "core/election.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A layer over the election core, as pure as that and stepped in the same way. Any member may win;
 * the winner lets the longest-running healthy member take over, by a transfer: it goes on leading
 * until that member has found a majority. A member that loses the command against its will is not
 * handed it again for a while, which doubles each time.
 *
 * What is promised and what not (there are no declared voters) is in docs/election.md.
 */

struct muster_commander_options {
    /* membership, durable and quorum_min are set by this core. */
    struct muster_election_options election;
    /* No commander with fewer live members; at least 1. Above half of the cluster it excludes two
     * commanders at a time. */
    uint32_t quorum_size;
    /* How long a senior must have acknowledged every heartbeat of this commander's in time before
     * it is handed the command, ms; default 3000. A link that loses 3 % of the packets shows within
     * that time, and such a member would lose the command again. */
    uint32_t settle;
    /* The first hold-down after a loss, ms; default 10,000; doubles up to hold_down_max. */
    uint32_t hold_down;
    uint32_t hold_down_max; /* ms; default 600,000 */
    /* Random and fresh for each start of the member; not 0. */
    uint64_t incarnation;
};

/* Goes with every message of this election, beside the election's own. */
struct muster_note {
    uint64_t incarnation;
    int64_t clock; /* the cluster's clock at sending, ms */
    /* The role table if the message `carries` the document, else NULL. Lives until the next step.
     */
    const struct muster_role_table *table;
};

#define MUSTER_COMMANDER_EVENTS(X)                                                                 \
    X(ELECTION) /* election: any event but ADD_VOTER, REMOVE_VOTER; a MESSAGE comes with a note */ \
    X(PROMOTE)  /* member, role */                                                                 \
    X(JOINED)   /* member: seen, without a C node */                                               \
    X(LEFT)     /* member: has left for good */

enum muster_commander_event_kind {
#define X(name) MUSTER_COMMANDER_##name,
    MUSTER_COMMANDER_EVENTS(X)
#undef X
};

struct muster_commander_event {
    enum muster_commander_event_kind kind;
    struct muster_event election;
    const struct muster_note *note;
    muster_member member;
    enum muster_cluster_role role;
};

struct muster_commander_effects {
    /* SEND: each message goes out with `note`, without the table unless it carries the document.
     * LEADER: the elected leader, see muster_commander_get. COMMITTED: a majority holds the table
     * of this stamp, so promotions up to it are acknowledged. */
    struct muster_effects election;
    struct muster_note note;
    bool commander_changed; /* as muster_commander_get has it */
    bool table_changed;     /* members or roles */
};

/* Private to commander*.c. */
struct muster_commander {
    struct muster_commander_options options;
    struct muster_election election;
    struct muster_role_table table;
    int64_t clock_offset; /* the cluster's clock minus ours, ms */
    uint64_t clock_epoch;
    bool leading; /* after the last step */
    uint64_t leading_since;
    muster_member shown;
    uint64_t shown_election;
    /* As leader: when the row of the same index may be handed the command. */
    uint64_t held_until[MUSTER_MEMBERS_MAX];
    /* What the members' messages say about them. */
    struct muster_about {
        muster_member id;
        uint64_t incarnation;
        int64_t started; /* on this member's clock, ms */
        uint64_t first_heard;
        bool left;
    } about[MUSTER_MEMBERS_MAX];
    uint32_t about_count;
};

void muster_commander_options_default(struct muster_commander_options *options);

/* As muster_election_init; MUSTER_E_INVALID for options out of range. */
int muster_commander_init(struct muster_commander *commander,
                          const struct muster_commander_options *options,
                          struct muster_moment moment);

/*
 * As muster_election_step, and:
 *   MUSTER_E_NOT_LEADER  PROMOTE, JOINED: send it to the leader's node
 *   MUSTER_E_INVALID     PROMOTE: no such member
 *   MUSTER_E_LIMIT       JOINED: the table is full
 */
int muster_commander_step(struct muster_commander *commander,
                          const struct muster_commander_event *event, struct muster_moment moment,
                          struct muster_commander_effects *effects);

uint64_t muster_commander_deadline(const struct muster_commander *commander);

/* The commander, or MUSTER_NOBODY; its fencing token if token is not NULL. It is the elected
 * leader, or a member without a C node that was promoted by hand, on whose behalf the leader keeps
 * order. */
muster_member muster_commander_get(const struct muster_commander *commander, uint64_t now,
                                   struct muster_token *token);

/* The member's role, or MUSTER_E_INVALID if there is no such member. */
int muster_commander_role(const struct muster_commander *commander, muster_member member,
                          uint64_t now);

const struct muster_role_table *muster_commander_table(const struct muster_commander *commander);

#endif
