/* What only the leader can do, for those who ask elsewhere: repeated until done, or answered. */
#ifndef MUSTER_NODE_ELECTION_CHORES_H
#define MUSTER_NODE_ELECTION_CHORES_H

#include "node/election_group.h"

/* Something is to be done; the chores' timer takes it from here. */
void muster_election_chores_begin(struct muster_election_group *group);
void muster_election_chores_stop(struct muster_election_group *group);

/*
 * Promotes a member; `request` is answered through the owner, later. Returns 0, or an atom as the
 * refusal.
 */
const char *muster_election_promote(struct muster_election_group *group, muster_member member,
                                    const struct muster_node_name *name,
                                    enum muster_cluster_role role, int64_t request);

/* A member has left for good: here, and at all others. */
void muster_election_member_left(struct muster_election_group *group,
                                 const struct muster_node_name *name);

/* A majority holds the table up to group->committed. */
void muster_election_chores_committed(struct muster_election_group *group);

/* A frame of the kinds REQUEST and ANSWER. */
void muster_election_chores_receive(struct muster_election_member *from,
                                    const struct muster_election_frame *frame);

#endif
