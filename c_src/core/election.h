/* The election: one member's state, what happens to it, and what it wants done about that. */
#ifndef MUSTER_CORE_ELECTION_H
#define MUSTER_CORE_ELECTION_H

#include "core/election_config.h"
#include "core/election_message.h"
#include "core/election_options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The core is a function: muster_election_step(state, event, moment) changes the state and fills in
 * the effects. It has no clock, no dice, no memory of its own and does no I/O. docs/election.md
 * describes the protocol and what it promises.
 *
 * The caller's duties, on which the promises rest:
 *  - It steps with TICK when muster_election_deadline() says; being late is safe, only not quick.
 *  - Of one peer it reports LINK_OPENED, then messages, then LINK_CLOSED, in this order, before the
 *    next LINK_OPENED. by_peer is true only if the other side ended the connection (its process
 *    ended, or it closed the socket); a connection this side gave up on is not.
 *  - It reports LINK_CLOSED before it closes a socket itself.
 *  - It carries out PERSIST effects in their order, and reports each once it is on the disk.
 */

enum muster_election_role {
    MUSTER_FOLLOWER, /* observers, too */
    MUSTER_PRE_CANDIDATE,
    MUSTER_CANDIDATE,
    MUSTER_LEADER,
};

/* What must survive a restart of a durable member; all integers, no padding that matters. */
struct muster_election_saved {
    uint64_t term;
    muster_member voted_for;
    uint64_t voted_election;
    struct muster_config config;
};

/* The fencing token: larger terms win, and no two leaderships share both numbers. */
struct muster_token {
    uint64_t term;
    uint64_t election;
};

#define MUSTER_EVENTS(X)                                                                           \
    X(TICK)                                                                                        \
    X(MESSAGE)      /* member, message */                                                          \
    X(LINK_OPENED)  /* member */                                                                   \
    X(LINK_CLOSED)  /* member, by_peer */                                                          \
    X(PERSISTED)    /* sequence */                                                                 \
    X(TRANSFER)     /* member: the voter that shall lead */                                        \
    X(RESIGN)       /* give up leading; this member may be elected again */                        \
    X(EXIT)         /* hand over and never lead again */                                           \
    X(BEAM_SILENT)  /* what this member leads for does not answer: hand over, do not stand */      \
    X(BEAM_ANSWERS) /* it does again */                                                            \
    X(ADD_VOTER)    /* member */                                                                   \
    X(REMOVE_VOTER) /* member */

enum muster_event_kind {
#define X(name) MUSTER_EVENT_##name,
    MUSTER_EVENTS(X)
#undef X
};

struct muster_event {
    enum muster_event_kind kind;
    muster_member member;
    const struct muster_message *message; /* the caller's; read only during the step */
    uint64_t sequence;
    bool by_peer;
};

/* When a step happens, and its share of chance. */
struct muster_moment {
    uint64_t now;     /* this member's monotonic clock; not 0 */
    uint64_t wall_ms; /* unix time: a floor for new terms where nothing is saved */
    uint64_t random;  /* 64 unpredictable bits, fresh for each step */
};

enum muster_effect_kind {
    MUSTER_EFFECT_SEND,             /* member, message */
    MUSTER_EFFECT_PERSIST,          /* sequence, saved */
    MUSTER_EFFECT_LEADER,           /* member (or nobody), token: the known leader changed */
    MUSTER_EFFECT_TERM,             /* old_term, token.term */
    MUSTER_EFFECT_CONFIG,           /* config: the voters changed as this member knows them */
    MUSTER_EFFECT_COMMITTED,        /* stamp: a majority holds this document (leader only) */
    MUSTER_EFFECT_TRANSFER_REFUSED, /* member: it found no majority in time; this one still leads */
};

struct muster_effect {
    enum muster_effect_kind kind;
    muster_member member;
    uint64_t sequence;
    uint64_t old_term;
    struct muster_token token;
    struct muster_stamp stamp;
    struct muster_message message;
    /* Both point into the state and live until its next step. */
    const struct muster_election_saved *saved;
    const struct muster_config *config;
};

/* At most a resignation, a round of requests and two of heartbeats, to everyone; and the rest. */
#define MUSTER_EFFECTS_MAX (4 * MUSTER_MEMBERS_MAX + 8)

struct muster_effects {
    size_t count;
    struct muster_effect list[MUSTER_EFFECTS_MAX];
};

/* What is known of another member: every voter, and everyone with an open link. */
struct muster_election_peer {
    muster_member id;
    bool link_open;
    bool granted; /* its answer to the candidacy under way */
    bool refused;
    bool eligible;         /* the rest: as of its last acknowledgement of this leadership */
    uint64_t acked;        /* when we sent the newest heartbeat it acknowledged; 0: none counts */
    uint64_t prompt_since; /* since then none of them was lost or later than the next heartbeat */
    struct muster_stamp held;
};

/* Private to election*.c; the caller provides the memory and looks through the functions below. */
struct muster_election {
    struct muster_election_options options;
    struct muster_election_timing timing;
    uint64_t started_at;
    uint64_t now; /* of the latest step: time never goes back */

    enum muster_election_role role;
    bool eligible; /* the BEAM answers */
    bool exiting;
    bool barred; /* by its role */
    uint64_t term;
    muster_member voted_for;
    uint64_t voted_election;
    struct muster_config config;

    uint64_t abstain_until;
    uint64_t timer; /* follower: stand then; candidate, leader not yet acknowledged: give up then */

    muster_member leader; /* whom a follower follows */
    uint64_t leader_election;
    uint64_t leader_sent_at; /* of its newest heartbeat, on its clock */
    bool leader_leads;       /* it has told us that a majority acknowledged it */
    uint64_t loyal_until;    /* until then we vote for nobody else */
    uint64_t owed_until;     /* the same for those followed before */
    uint64_t owed_election;  /* the only one that can give it back, resigning; 0: owed to several */
    uint64_t hurry_until;    /* a leader has just ended: a refused pre-vote is soon tried again */
    uint64_t released;       /* the last election whose leader told us that it resigned */
    bool released_willingly;

    uint64_t election;      /* the id of our candidacy or leadership */
    uint64_t campaign_term; /* the term a pre-vote asks for */
    uint64_t permit;        /* the living leader's election on whose behalf we ask, or 0 */

    uint64_t lease_until; /* 0: no majority has acknowledged us yet */
    uint64_t heartbeat_at;
    struct muster_stamp committed;
    muster_member transfer_to;
    uint64_t transfer_until;

    uint64_t persist_sequence; /* the newest record wanted, and the newest on the disk */
    uint64_t persisted_sequence;
    uint64_t term_sequence; /* which record first held the term, the vote, the configuration */
    uint64_t vote_sequence;
    uint64_t config_sequence;
    bool persist_wanted;
    bool grant_pending;        /* a vote waits for the disk */
    bool owes_acknowledgement; /* so does the answer to a heartbeat */
    struct muster_election_saved saved;

    muster_member shown_leader; /* what the caller was told last */
    struct muster_token shown_token;
    uint64_t shown_term;

    uint32_t peer_count;
    struct muster_election_peer peers[MUSTER_MEMBERS_MAX];
};

/*
 * Starts a member. `voters` are the bootstrap voters, the same on every node; a member not among
 * them observes. `saved` is the record of the last completed PERSIST of a durable member, or NULL
 * at its very first start; it outweighs `voters`. MUSTER_E_INVALID or MUSTER_E_LIMIT for options or
 * voters that cannot be, MUSTER_E_MALFORMED for such a record.
 */
int muster_election_init(struct muster_election *election,
                         const struct muster_election_options *options, const muster_member *voters,
                         size_t count, const struct muster_election_saved *saved,
                         struct muster_moment moment);

/*
 * Takes one event in and replaces *effects by what is to be done, in order. Returns 0, or negative
 * when the event was turned down; the state is as consistent as before and the effects still count
 * (the clock may have run out on something).
 *   MUSTER_E_MALFORMED   a peer's message that no correct peer sends
 *   MUSTER_E_LIMIT       a link or message of a member beyond MUSTER_MEMBERS_MAX
 *   MUSTER_E_MISMATCH    a message of a member started with other bootstrap voters: tell the user
 *   MUSTER_E_NOT_LEADER  TRANSFER, ADD_VOTER, REMOVE_VOTER: ask the leader
 *   MUSTER_E_BUSY        the same: the previous change is not finished, or the member is not ready
 *   MUSTER_E_INVALID     the same: no such voter, already one, or the leader itself
 *   MUSTER_E_UNSUPPORTED ADD_VOTER, REMOVE_VOTER: nothing on disk, so the voters never change
 */
int muster_election_step(struct muster_election *election, const struct muster_event *event,
                         struct muster_moment moment, struct muster_effects *effects);

/* When the next TICK is due, on the clock of `now`; MUSTER_NEVER if nothing is waited for. */
uint64_t muster_election_deadline(const struct muster_election *election);

/* Whether this member leads at `now`, by its own lease: right even if no step came in time. */
bool muster_election_is_leader(const struct muster_election *election, uint64_t now);

/* The leader as known here (this member itself only while its lease lasts), or MUSTER_NOBODY;
 * its fencing token in *token if token is not NULL. */
muster_member muster_election_leader(const struct muster_election *election, uint64_t now,
                                     struct muster_token *token);

/* What a person who asks should see. */
struct muster_election_status {
    enum muster_election_role role;
    bool voter;
    bool abstaining;
    uint64_t term;
    uint32_t voters;
    uint32_t needed; /* votes, one's own included */
    uint32_t linked; /* voters with an open link, oneself included */
    uint64_t lease_left;
    struct muster_stamp stamp;
};
void muster_election_status(const struct muster_election *election, uint64_t now,
                            struct muster_election_status *status);

/* The peer at `index` (0 until NULL), in no particular order; lives until the next step. */
const struct muster_election_peer *muster_election_peer(const struct muster_election *election,
                                                        uint32_t index);

/* How long this member has been running, ms. */
uint64_t muster_election_age(const struct muster_election *election);

/* Whether a step with this message would make the member follow its sender. */
bool muster_election_would_follow(const struct muster_election *election, muster_member from,
                                  const struct muster_message *message);

/* Whether the message answers the candidacy under way. */
bool muster_election_asked(const struct muster_election *election,
                           const struct muster_message *message);

/* A step with TRANSFER right after another one: adds to the effects instead of replacing them. */
int muster_election_start_transfer(struct muster_election *election, muster_member to,
                                   struct muster_moment moment, struct muster_effects *effects);

/* The member that a TRANSFER asked is not handed the leadership any more. */
void muster_election_cancel_transfer(struct muster_election *election);

/*
 * For MUSTER_MEMBERSHIP_SEEN only, where the commander's core keeps the voters and the document.
 * None has effects; what follows from them comes with the next step, which is due at once for a
 * leader whose document got a new stamp. Whoever is no voter and has no link is forgotten.
 * count_voter: MUSTER_E_LIMIT if there are too many. bar: the member stands no more until it is
 * lifted; if it leads it goes on.
 */
int muster_election_count_voter(struct muster_election *election, muster_member member);
void muster_election_forget_voter(struct muster_election *election, muster_member member);
void muster_election_set_stamp(struct muster_election *election, struct muster_stamp stamp);
void muster_election_bar(struct muster_election *election, bool barred);

#endif
