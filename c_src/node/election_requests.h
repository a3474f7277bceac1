/* The operations of the control port's service `election`. */
#ifndef MUSTER_NODE_ELECTION_REQUESTS_H
#define MUSTER_NODE_ELECTION_REQUESTS_H

#include "node/request.h"

int muster_election_request_start(struct muster_request *q);
int muster_election_request_stop(struct muster_request *q);
int muster_election_request_status(struct muster_request *q);
int muster_election_request_join(struct muster_request *q);
int muster_election_request_leave(struct muster_request *q);
int muster_election_request_transfer(struct muster_request *q);
int muster_election_request_resign(struct muster_request *q);
int muster_election_request_promote(struct muster_request *q);
int muster_election_request_node_joined(struct muster_request *q);
int muster_election_request_node_left(struct muster_request *q);

#endif
