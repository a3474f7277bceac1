/* What the library keeps between calls: the table of lineages, shared by all schedulers. */
#ifndef MUSTER_NIF_STATE_H
#define MUSTER_NIF_STATE_H

#include <erl_nif.h>

#include "core/lineage.h"

/* The NIF callbacks. On an upgrade of the code the old and the new library share the one table:
 * were it copied, both could issue the same dot. A table of another layout is not taken over. */
int muster_nif_load(ErlNifEnv *env, void **priv, ERL_NIF_TERM info);
int muster_nif_upgrade(ErlNifEnv *env, void **priv, void **old_priv, ERL_NIF_TERM info);
void muster_nif_unload(ErlNifEnv *env, void *priv);

struct muster_lineage_table *muster_nif_lineages(ErlNifEnv *env);

/* A random lineage in [1, 2^59); 0 if the system has no randomness. */
uint64_t muster_nif_fresh_lineage(void);

#endif
