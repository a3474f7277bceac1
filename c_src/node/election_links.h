/* Who of a group is reachable: hellos over the links of C nodes, and what goes over them. */
#ifndef MUSTER_NODE_ELECTION_LINKS_H
#define MUSTER_NODE_ELECTION_LINKS_H

#include "node/election_group.h"

/* The member, or NULL. */
struct muster_election_member *muster_election_member_find(struct muster_election_group *group,
                                                           muster_member id);

/* The member of this name, made if need be; NULL if there is no room, or it is this one itself. */
struct muster_election_member *muster_election_member_add(struct muster_election_group *group,
                                                          const struct muster_node_name *beam);

/* Dials it, or lets it go, as its reasons are. */
void muster_election_member_review(struct muster_election_member *member);

/* All members are let go; their memory, too. Their links must be closed (muster_election_part). */
void muster_election_members_free(struct muster_election_group *group);

/* Says hello to everybody connected: a group starts. */
void muster_election_greet(struct muster_election_group *group);

/* Closes all members' links, here first, and says goodbye: the group ends. */
void muster_election_part(struct muster_election_group *group);

/* Over the member's link; nothing happens when it is closed. */
void muster_election_member_send(struct muster_election_member *member,
                                 const struct muster_election_frame *frame);

/* Of C nodes: to be told when a link stands and ends, and what comes over it. */
void muster_elections_link_up(struct muster_elections *elections, struct muster_peer *peer);
void muster_elections_link_down(struct muster_elections *elections, struct muster_peer *peer,
                                int by_peer);
void muster_elections_receive(struct muster_elections *elections, struct muster_peer *peer,
                              struct muster_slice message);

/* What links did while a step was carried out, one by one. */
void muster_elections_close_links(struct muster_elections *elections);

#endif
