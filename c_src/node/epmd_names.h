/* The names that the epmd of a host knows, as names of nodes. */
#ifndef MUSTER_NODE_EPMD_NAMES_H
#define MUSTER_NODE_EPMD_NAMES_H

#include "core/name_list.h"
#include "node/epmd_ask.h"

struct muster_epmd_names;

/*
 * The outcome, once. `names` is NULL, and `detail` (which stays valid) says why, unless epmd gave a
 * whole answer; the list is the caller's for the time of the call.
 */
typedef void (*muster_names_known)(void *context, const struct muster_name_list *names,
                                   const char *detail);

/*
 * Asks the epmd at `at`, an address or a host name; the names get `host` behind their '@'. C nodes
 * of BEAMs and what cannot be a node's name are left out. May call back from within this call;
 * `*slot` names the asking while it is under way and is NULL by the time of the call back. Returns
 * 0 or MUSTER_E_NOMEM.
 */
int muster_epmd_names_start(const struct muster_lookup_options *options, const char *at,
                            const char *host, muster_names_known done, void *context,
                            struct muster_epmd_names **slot);

/* Ends it without a call back and clears its slot. */
void muster_epmd_names_cancel(struct muster_epmd_names *names);

#endif
