/* The operations of the control port's service `monitor`. */
#ifndef MUSTER_NODE_MONITOR_REQUESTS_H
#define MUSTER_NODE_MONITOR_REQUESTS_H

#include "node/request.h"

int muster_monitor_request_start(struct muster_request *q);
int muster_monitor_request_stop(struct muster_request *q);
int muster_monitor_request_watch(struct muster_request *q);
int muster_monitor_request_pause(struct muster_request *q);
int muster_monitor_request_forget(struct muster_request *q);
int muster_monitor_request_health(struct muster_request *q);
int muster_monitor_request_list(struct muster_request *q);

#endif
