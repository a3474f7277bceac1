/* What the node tells about itself, its peers and their health, as terms. */
#ifndef MUSTER_NODE_REPORT_H
#define MUSTER_NODE_REPORT_H

#include "node/codec.h"
#include "node/node.h"

/* Each writes exactly one term; docs/control-port.md describes them. */
void muster_report_info(struct muster_writer *w, const struct muster_node *node);
void muster_report_peer(struct muster_writer *w, const struct muster_peer *peer);
void muster_report_peers(struct muster_writer *w, const struct muster_node *node);
void muster_report_health(struct muster_writer *w, const struct muster_watch *watch);
void muster_report_monitor(struct muster_writer *w, const struct muster_monitor *monitor);

void muster_report_topology(struct muster_writer *w, const struct muster_topology *topology);

/* All monitors' watches in one list, each with its monitor's key. */
void muster_report_all_health(struct muster_writer *w, const struct muster_node *node);

#endif
