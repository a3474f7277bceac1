/*
 * libcluster's gossip packet: the bytes `heartbeat::`, then the map `#{node => Name}` in the
 * external term format, Name an atom. No I/O; nothing becomes an atom here.
 */
#ifndef MUSTER_CORE_GOSSIP_H
#define MUSTER_CORE_GOSSIP_H

#include "core/node_name.h"

/* The longest packet that is built. */
#define MUSTER_GOSSIP_BUILT_MAX (11 + 1 + 5 + 3 + 4 + 3 + MUSTER_NODE_NAME_MAX)

/*
 * Writes the packet to `out`, which holds MUSTER_GOSSIP_BUILT_MAX bytes, and returns its length.
 * The bytes are those of libcluster on OTP 25; its atom tag (100) is read by every other OTP too.
 */
size_t muster_gossip_build(uint8_t *out, const struct muster_node_name *name);

/*
 * Reads the name out of a packet, from any OTP (atom tags 100, 115, 118, 119); other keys of the
 * map are skipped. Returns 0, or MUSTER_E_MALFORMED for anything that is not such a packet to its
 * last byte or whose name is none.
 */
int muster_gossip_parse(struct muster_slice packet, struct muster_node_name *name);

#endif
