/* What the parts of the commander's core share. */
#ifndef MUSTER_CORE_COMMANDER_INTERNAL_H
#define MUSTER_CORE_COMMANDER_INTERNAL_H

#include "core/commander.h"

/* The cluster's clock now, ms. */
int64_t muster_commander_clock(const struct muster_commander *c);

/* commander_roster.c: what the leader writes into the table */

/* Remembers what a message says about its sender. */
void muster_commander_hear(struct muster_commander *c, muster_member from, uint64_t age,
                           const struct muster_note *note);
/* Who has been seen votes; as leader, only who has acknowledged. */
void muster_commander_count(struct muster_commander *c);
/* Brings the rows of all who take part up to date; true if one changed. */
bool muster_commander_enrol(struct muster_commander *c);
/* Precondition: leading. Gives the table its next version. */
void muster_commander_publish(struct muster_commander *c);
int muster_commander_join(struct muster_commander *c, muster_member member);
void muster_commander_leave(struct muster_commander *c, muster_member member);
int muster_commander_promote(struct muster_commander *c, muster_member member,
                             enum muster_cluster_role role);

/* commander_succession.c: who should lead */

/* On winning: whose loss made that possible, and everybody's hold-down. */
void muster_commander_take_over(struct muster_commander *c);
/* The member that should lead instead of this one now, or MUSTER_NOBODY. */
muster_member muster_commander_successor(const struct muster_commander *c);
/* When a hand-over that waits for time alone is due, or MUSTER_NEVER. */
uint64_t muster_commander_patience(const struct muster_commander *c);
/* The member found no majority; true if the table notes it. */
bool muster_commander_refused(struct muster_commander *c, muster_member member);
/* The member lost the command, or the chance of it. */
void muster_commander_hold(struct muster_commander *c, muster_member member);
/* Forgets the leader's own losses once it has led for long enough; true if so. */
bool muster_commander_pardon(struct muster_commander *c);

/* commander_lone.c: a commander of nobody but itself meets others */

/* After a link has opened: a lone commander does not speak before it has had time to hear who
 * commands there. */
void muster_commander_listen(struct muster_commander *c);
/* Whether the message is a junior's that is as lone, and will give way itself. */
bool muster_commander_stands_fast(const struct muster_commander *c,
                                  const struct muster_message *message,
                                  const struct muster_note *note);
/* Whether it gives way to the sender, for others command there already, or would. */
bool muster_commander_gives_way(const struct muster_commander *c,
                                const struct muster_message *message,
                                const struct muster_note *note);
/* Nobody else holds it, and theirs is to be taken for the newer one. Precondition: not leading. */
void muster_commander_forget_table(struct muster_commander *c);

#endif
