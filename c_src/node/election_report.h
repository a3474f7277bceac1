/* What an election group tells, as terms. */
#ifndef MUSTER_NODE_ELECTION_REPORT_H
#define MUSTER_NODE_ELECTION_REPORT_H

#include "node/codec.h"
#include "node/election_group.h"

/* Each writes exactly one term; docs/control-port.md describes them. */
void muster_report_election(struct muster_writer *w, const struct muster_election_group *group);
void muster_report_election_event(struct muster_writer *w,
                                  const struct muster_election_group *group,
                                  const struct muster_election_event *event);

#endif
