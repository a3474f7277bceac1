/* The operations of the control port's service `discovery`. */
#ifndef MUSTER_NODE_DISCOVERY_REQUESTS_H
#define MUSTER_NODE_DISCOVERY_REQUESTS_H

#include "node/request.h"

int muster_discovery_request_start(struct muster_request *q);
int muster_discovery_request_stop(struct muster_request *q);
int muster_discovery_request_sync(struct muster_request *q);
int muster_discovery_request_status(struct muster_request *q);
int muster_discovery_request_set_metadata(struct muster_request *q);

#endif
