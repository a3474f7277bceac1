/* The operations of the control port's service `node`. */
#ifndef MUSTER_NODE_NODE_REQUESTS_H
#define MUSTER_NODE_NODE_REQUESTS_H

#include "node/request.h"

int muster_node_request_distribute(struct muster_request *q);
int muster_node_request_set_cookie(struct muster_request *q);
int muster_node_request_info(struct muster_request *q);
int muster_node_request_peers(struct muster_request *q);
int muster_node_request_peer(struct muster_request *q);

/*
 * Joins a cluster as the distribution map says (the operation `distribute`). Returns 0, or a
 * negative code with `*error` the atom and `*problem` the text of the refusal.
 */
int muster_node_distribute_as_told(struct muster_node *node, struct muster_slice map,
                                   const char **error, struct muster_problem *problem);

#endif
