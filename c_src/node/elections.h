/*
 * All election groups of this node, with what they share: the clock, the disk's thread, and their
 * user, the BEAM, whose silence ends every leadership here.
 */
#ifndef MUSTER_NODE_ELECTIONS_H
#define MUSTER_NODE_ELECTIONS_H

#include "core/beam_watch.h"
#include "node/election_group.h"
#include "node/mailbox.h"

struct muster_elections_owner {
    void *context;
    void (*on_event)(void *context, const struct muster_election_group *group,
                     const struct muster_election_event *event);
    /* The answer to a request that was left open: `error` is NULL or the atom. */
    void (*on_answer)(void *context, int64_t request, const char *error);
    /* How often the BEAM should be asked whether it answers, or 0: as often as it likes. */
    void (*on_pace)(void *context, uint64_t interval_ms);
};

struct muster_elections {
    uv_loop_t *loop;
    struct muster_peers *peers;
    struct muster_mailbox *mailbox;
    struct muster_elections_owner owner;
    struct muster_election_stores stores;
    struct muster_election_group *first;
    struct muster_beam_watch watch;
    uint64_t asked_due, pace_ms; /* when the BEAM is asked next, us, and how often, ms */
    uint64_t ignored;            /* messages for no group, or none at all */
    bool carrying_out;           /* effects of a step */
    bool closing_links;
    struct muster_commander_effects effects; /* of the step being carried out */
    struct muster_decoded_message incoming;
    uint8_t bytes[MUSTER_ELECTION_BYTES_MAX];
};

void muster_elections_init(struct muster_elections *elections, uv_loop_t *loop,
                           struct muster_peers *peers, struct muster_mailbox *mailbox,
                           const struct muster_elections_owner *owner);

/* Every group hands over and says goodbye: before the links are closed. */
void muster_elections_leave(struct muster_elections *elections);

struct muster_election_group *muster_elections_find(const struct muster_elections *elections,
                                                    struct muster_slice key);

/* The clock of the core, us: it runs on while the machine sleeps. */
uint64_t muster_elections_now(void);

/* A group came or went: how often the BEAM is asked follows from the longest timeout. */
void muster_elections_set_pace(struct muster_elections *elections);

/* The BEAM is being asked; it answered. */
void muster_elections_beam_asked(struct muster_elections *elections);
void muster_elections_beam_answered(struct muster_elections *elections);

#endif
