/* What the core wants done after a step: sent, kept on the disk, told to the BEAM. */
#ifndef MUSTER_NODE_ELECTION_EFFECTS_H
#define MUSTER_NODE_ELECTION_EFFECTS_H

#include "node/election_group.h"

/* Carries them out in their order. A leader group uses only those of its election. */
void muster_election_effects_carry_out(struct muster_election_group *group,
                                       const struct muster_commander_effects *effects);

#endif
