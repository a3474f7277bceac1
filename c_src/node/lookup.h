/* Where a node listens: its host's address, then what epmd there says. */
#ifndef MUSTER_NODE_LOOKUP_H
#define MUSTER_NODE_LOOKUP_H

#include <uv.h>

#include "core/node_name.h"
#include "node/epmd_ask.h"

struct muster_lookup;

/*
 * The outcome, once: MUSTER_PEER_DIALING with the address to connect to, or the state that says why
 * not, with a text.
 */
typedef void (*muster_looked_up)(void *context, enum muster_peer_state outcome, const char *detail,
                                 const struct sockaddr_storage *address);

/*
 * Starts; may call back from within this call. Each of the host's addresses is tried in turn, 3 s
 * each.
 * `*slot` names the lookup while it is under way; it is NULL by the time of the call back.
 * Returns 0 or MUSTER_E_NOMEM.
 */
int muster_lookup_start(const struct muster_lookup_options *options,
                        const struct muster_node_name *name, muster_looked_up done, void *context,
                        struct muster_lookup **slot);

/* Ends it without a call back and clears its slot. */
void muster_lookup_cancel(struct muster_lookup *lookup);

#endif
