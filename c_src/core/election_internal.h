/* What the parts of the election share with each other and with nobody else. */
#ifndef MUSTER_CORE_ELECTION_INTERNAL_H
#define MUSTER_CORE_ELECTION_INTERNAL_H

#include "core/election.h"

/* One step under way. */
struct muster_turn {
    struct muster_election *e;
    struct muster_moment moment;
    uint32_t draws;
    struct muster_effects *effects;
};

/* election.c: what every part needs */

struct muster_election_peer *muster_election_find(struct muster_election *e, muster_member member);
bool muster_election_votes(const struct muster_election *e);
/* Voters that must agree, oneself included. */
uint32_t muster_election_quorum(const struct muster_election *e);
/* A fresh random number of this step. */
uint64_t muster_election_draw(struct muster_turn *t);
/* Random, from `low` to `high`. */
uint64_t muster_election_between(struct muster_turn *t, uint64_t low, uint64_t high);
/* Random, from the shortest to the longest election timeout. */
uint64_t muster_election_timeout(struct muster_turn *t);

/* election_effect.c: what a step wants done */

/* A message of this kind with the member's term, stamp and the given election. */
struct muster_message muster_election_message(const struct muster_election *e,
                                              enum muster_message_kind kind, uint64_t election);
/* Makes the message claim no document. */
void muster_election_disclaim(struct muster_message *message);
void muster_election_send(struct muster_turn *t, muster_member to,
                          const struct muster_message *message);
void muster_election_send_voters(struct muster_turn *t, const struct muster_message *message);
void muster_election_send_all(struct muster_turn *t, const struct muster_message *message);
/* An effect of this kind for the caller to fill in. */
struct muster_effect *muster_election_effect(struct muster_turn *t, enum muster_effect_kind kind);
/* Asks for the state to be saved at the end of the step; returns the record's sequence number.
 * Without a data directory everything counts as saved. */
uint64_t muster_election_persist(struct muster_turn *t);
bool muster_election_saved(const struct muster_election *e, uint64_t sequence);
/* At the end of a step: the record to save, and news of term and leader. */
void muster_election_settle(struct muster_turn *t);

/* election_vote.c: candidacies and votes */

/* The clock, before anything else: ends a candidacy that is past its deadline. */
void muster_election_expire_candidacy(struct muster_turn *t);
/* Follower from now on, standing again `wait` from now; whom it follows stays as it is. */
void muster_election_rest(struct muster_turn *t, uint64_t wait);
/* Precondition: higher than the current term. The member follows nobody in it yet. */
void muster_election_adopt_term(struct muster_turn *t, uint64_t term);
/* The leader has given up its lease, or cannot count on this member for it: no more loyalty. */
void muster_election_release(struct muster_election *e);
/* Nothing about the member itself keeps it from leading. */
bool muster_election_could_lead(const struct muster_election *e);
/* Nor anything else from standing now. */
bool muster_election_may_stand(const struct muster_election *e);
/* Until when it owes some leader not to stand; but on that leader's behalf it may ask. */
uint64_t muster_election_bound_until(const struct muster_election *e);
/* Asks who would vote for this member, if it may stand. */
void muster_election_campaign(struct muster_turn *t);
/* Stands at once, without asking first. */
void muster_election_stand(struct muster_turn *t);
void muster_election_on_request(struct muster_turn *t, muster_member from,
                                const struct muster_message *message);
void muster_election_on_answer(struct muster_turn *t, muster_member from,
                               const struct muster_message *message);
/* After something reached the disk: gives the vote that waited for it, counts one's own. */
void muster_election_pay_votes(struct muster_turn *t);

/* election_lease.c: leading and following */

/* The clock, before anything else: ends a leadership whose lease is over. */
void muster_election_expire_lease(struct muster_turn *t);
/* Won: leads as soon as a majority has acknowledged. */
void muster_election_lead(struct muster_turn *t);
void muster_election_beat(struct muster_turn *t);
/* Works out the lease, which may have ended by it. Precondition: leading. */
void muster_election_measure(struct muster_election *e);
/* The same with its consequences; after acknowledgements, closed links, new voters. */
void muster_election_renew(struct muster_turn *t);
/* Whether the peer could take over from this leader now. */
bool muster_election_healthy(const struct muster_election *e,
                             const struct muster_election_peer *peer);
/* Whether a majority said in this term that it holds the current document. */
bool muster_election_held(const struct muster_election *e);
void muster_election_on_heartbeat(struct muster_turn *t, muster_member from,
                                  const struct muster_message *message);
/* After something reached the disk: answers the heartbeat that waited for it. */
void muster_election_pay_acknowledgement(struct muster_turn *t);
void muster_election_on_acknowledgement(struct muster_turn *t, muster_member from,
                                        const struct muster_message *message);

/* election_transfer.c: ending a leadership on purpose */

/* Ends the leadership, tells everyone, and stands again `wait` from now at the earliest. */
void muster_election_step_down(struct muster_turn *t, muster_member successor, bool willing,
                               uint64_t wait);
/* Hands over to the best peer, or to nobody. */
void muster_election_hand_over(struct muster_turn *t, bool willing);
int muster_election_transfer(struct muster_turn *t, muster_member to);
/* The clock, before anything else: ends an attempt that took too long. */
void muster_election_expire_transfer(struct muster_turn *t);
void muster_election_on_resign(struct muster_turn *t, const struct muster_message *message);
void muster_election_on_transfer(struct muster_turn *t, muster_member from,
                                 const struct muster_message *message);
void muster_election_on_transfer_ready(struct muster_turn *t, muster_member from,
                                       const struct muster_message *message);

/* election_member.c: links, peers and voters */

int muster_election_link_opened(struct muster_turn *t, muster_member member);
void muster_election_link_closed(struct muster_turn *t, muster_member member, bool by_peer);
int muster_election_add_voter(struct muster_turn *t, muster_member member);
int muster_election_remove_voter(struct muster_turn *t, muster_member member);
/* Takes over a newer configuration. */
void muster_election_install(struct muster_turn *t, const struct muster_config *config);
/* Makes the peer table hold every voter, if need be instead of an observer. */
void muster_election_seat_voters(struct muster_election *e);
/* Precondition: leading. Puts the leader's term on the document. */
void muster_election_restamp(struct muster_turn *t);

#endif
