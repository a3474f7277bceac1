/*
 * An election group: the core's state machine, with its clock, its members' links and its disk.
 */
#ifndef MUSTER_NODE_ELECTION_GROUP_H
#define MUSTER_NODE_ELECTION_GROUP_H

#include <uv.h>

#include "core/commander.h"
#include "core/name_list.h"
#include "node/args.h"
#include "node/election_names.h"
#include "node/election_store.h"
#include "node/election_wire.h"
#include "node/peers.h"

enum muster_election_kind { MUSTER_ELECTION_LEADER = 1, MUSTER_ELECTION_COMMANDER = 2 };

/* What `start` takes; see docs/control-port.md. */
struct muster_election_group_options {
    enum muster_election_kind kind;
    struct muster_name_list bootstrap; /* the caller's */
    bool observer;
    struct muster_slice data_dir; /* empty: nothing is kept */
    struct muster_commander_options commander;
};

enum muster_election_closing {
    MUSTER_CLOSING_NOT,
    MUSTER_CLOSING_BY_US,
    MUSTER_CLOSING_BY_PEER,
};

/* Another member, as far as it concerns this C node: it is wanted, or it said hello. */
struct muster_election_member {
    struct muster_election_member *next;
    struct muster_election_group *group;
    muster_member id;
    struct muster_node_name beam;
    struct muster_peer *want;             /* NULL: it comes by itself, or not at all */
    bool fades;                           /* the want: it may have gone for good */
    struct muster_peer *peer;             /* over which it is in the group at present, or NULL */
    uint64_t incarnation;                 /* of its group, there */
    enum muster_election_closing closing; /* its link ended while a step was being carried out */
    bool observes;
    bool bootstrap, joined; /* why it is wanted, apart from being a voter */
    bool to_add, to_remove; /* as a voter; until the configuration says so */
    bool to_enrol;          /* commander: a member without a C node, until the table has it */
};

struct muster_elections;

/* A promotion that somebody waits for. */
struct muster_election_wait;

struct muster_election_group {
    struct muster_election_group *next;
    struct muster_elections *elections;
    enum muster_election_kind kind;
    uint8_t key_len;
    char key[MUSTER_ELECTION_KEY_MAX];
    struct muster_node_name self;
    muster_member self_id;
    uint64_t incarnation;
    bool observer;
    bool ready; /* what it knew before it was started is on the disk: it may say hello */
    bool ending;
    struct muster_problem problem;       /* what a person should look at, or "" */
    uint64_t ignored;                    /* messages that meant nothing here */
    uint64_t mismatched;                 /* and those of members started with other voters */
    struct muster_election_store *store; /* NULL: not durable */
    struct muster_election_names names;
    struct muster_election_member *members;
    struct muster_election_wait *waits;
    struct muster_stamp committed;
    uint64_t told_voters; /* their fingerprint, when they were told last */
    uv_timer_t timer, chores;
    unsigned handles;
    struct muster_commander core; /* of a leader group only its election is used */
};

enum muster_election_event_kind {
    MUSTER_TOLD_LEADER, /* node or NULL, token */
    MUSTER_TOLD_TERM,   /* old_term, token.term */
    MUSTER_TOLD_MEMBER, /* node, up */
    MUSTER_TOLD_VOTERS,
    MUSTER_TOLD_ROLES,
    MUSTER_TOLD_LEFT,
};

struct muster_election_event {
    enum muster_election_event_kind kind;
    const struct muster_node_name *node;
    struct muster_token token;
    uint64_t old_term;
    bool up;
};

/* Starts a group; one of the same key ends first. Returns 0, or a negative code with the reason. */
int muster_election_group_start(struct muster_elections *elections, struct muster_slice key,
                                const struct muster_election_group_options *options,
                                struct muster_problem *problem);

/* Hands over, leaves and ends; the group is gone. `for_good`: a commander group's other members
 * count this one no longer. The end is told. */
void muster_election_group_stop(struct muster_election_group *group, bool for_good);

/* One event into the core, its effects carried out. Returns what the core says. */
int muster_election_group_step(struct muster_election_group *group,
                               const struct muster_commander_event *event);

/* The same for an event of the election itself that has at most a member. */
int muster_election_group_happen(struct muster_election_group *group, enum muster_event_kind kind,
                                 muster_member member);

const struct muster_election *muster_election_group_core(const struct muster_election_group *group);
bool muster_election_group_is_leader(const struct muster_election_group *group);

/* The elected leader, whose C node decides; of a commander group the one that elections are about.
 */
muster_member muster_election_group_leader(const struct muster_election_group *group);

void muster_election_group_tell(struct muster_election_group *group,
                                const struct muster_election_event *event);

#endif
