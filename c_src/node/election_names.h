/* The names of an election's members, and the numbers that the core knows them by. */
#ifndef MUSTER_NODE_ELECTION_NAMES_H
#define MUSTER_NODE_ELECTION_NAMES_H

#include "core/election_codec.h"

/* More than can be members at once: those who left are known for a while. */
#define MUSTER_ELECTION_NAMES_MAX (4 * MUSTER_MEMBERS_MAX)

struct muster_election_names {
    unsigned count;
    struct muster_election_name {
        muster_member id;
        struct muster_node_name name;
    } list[MUSTER_ELECTION_NAMES_MAX];
    /* Whether a member is still spoken of. */
    bool (*in_use)(void *context, muster_member member);
    void *context;
};

/* The 64-bit SipHash of the name under a fixed key, the same on every node; never MUSTER_NOBODY. */
muster_member muster_member_of(const struct muster_node_name *name);

const struct muster_node_name *muster_election_names_get(const struct muster_election_names *names,
                                                         muster_member member);

/* The member's number, or MUSTER_NOBODY: no room, or another name has the same number. */
muster_member muster_election_names_learn(struct muster_election_names *names,
                                          const struct muster_node_name *name);

/* Room for the names of one document: whoever is not spoken of any more gives way. Not to be called
 * while a document is being read, whose names nobody speaks of yet. */
void muster_election_names_make_room(struct muster_election_names *names);

/* For the codec; refers to `names`. */
struct muster_member_names muster_election_names_for_codec(struct muster_election_names *names);

/* The C node beside a BEAM, `<alive>-muster@<host>`, and the reverse. Return 0, or a negative code
 * if there can be none. */
int muster_election_c_node_of(struct muster_node_name *c_node, const struct muster_node_name *beam);
int muster_election_beam_of(struct muster_node_name *beam, const struct muster_node_name *c_node);

#endif
