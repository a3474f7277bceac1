/* A node's metadata: a map of binaries to binaries in the external term format, checked here. */
#ifndef MUSTER_CORE_METADATA_H
#define MUSTER_CORE_METADATA_H

#include "core/bytes.h"

/* As a term, so that a sealed packet with it still fits into one Ethernet frame. */
#define MUSTER_METADATA_MAX 1024

/*
 * `term` is without a version byte before it. Returns 0, MUSTER_E_LIMIT (too long) or
 * MUSTER_E_MALFORMED (not such a map, to its last byte).
 */
int muster_metadata_check(struct muster_slice term);

#endif
