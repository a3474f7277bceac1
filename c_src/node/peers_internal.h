/* What the files of the peers share: the table, dialling, and what becomes of links. */
#ifndef MUSTER_NODE_PEERS_INTERNAL_H
#define MUSTER_NODE_PEERS_INTERNAL_H

#include "node/peers.h"

/* Between two dials of a peer, the first time and at most. */
#define MUSTER_PEERS_RETRY_FIRST_MS 250
#define MUSTER_PEERS_RETRY_CAP_MS 10000

static inline uint64_t muster_peers_now(const struct muster_peers *peers) {
    return uv_now(peers->link_settings.loop);
}

/* --- peers_table.c: by name, and bounded --- */

/* The peer of this name, made if need be; NULL when memory is short. */
struct muster_peer *muster_peers_find_or_add(struct muster_peers *peers,
                                             const struct muster_node_name *name);

/* Nobody wants it, no link stands, none is on its way. */
int muster_peer_is_idle(const struct muster_peer *peer);

/* Out of the table; it must be idle. */
void muster_peers_forget(struct muster_peer *peer);

/* Keeps the table bounded whatever names arrive: the idle peer whose state is oldest goes first. */
void muster_peers_forget_surplus(struct muster_peers *peers);

/* Tells the owner, if it is another. */
void muster_peer_set_state(struct muster_peer *peer, enum muster_peer_state state,
                           const char *detail);

/* --- peers_dial.c: when a peer is dialled, and how long it may take --- */

/* Dials a peer that is wanted and neither connected nor being dialled, when its turn has come. */
void muster_peer_dial(struct muster_peer *peer);

/* The same without the wait that its failures have earned it. */
void muster_peer_dial_afresh(struct muster_peer *peer);

/* An attempt or a link ended so: the next one is planned. */
void muster_peer_dial_failed(struct muster_peer *peer, enum muster_peer_state state,
                             const char *detail);

/* Ends an attempt under way, and plans none. */
void muster_peer_stop_dialling(struct muster_peer *peer);

/* No wait between two dials is long at present. */
int muster_peer_is_hurried(const struct muster_peer *peer);

/* This node, or the BEAM beside it: never dialled. */
int muster_peers_are_own_side(const struct muster_peers *peers,
                              const struct muster_node_name *name);

/* --- peers.c --- */

/* What a new link tells of itself, and to whom. */
struct muster_link_owner muster_peers_link_owner(struct muster_peers *peers);

#endif
