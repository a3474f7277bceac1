/* The BEAM's terms behind the CRDT core's table of operations. */
#ifndef MUSTER_NIF_TERMS_H
#define MUSTER_NIF_TERMS_H

#include <erl_nif.h>

#include "core/crdt_term.h"

/* A heap over `env`, with work for `budget` units. */
struct muster_heap muster_nif_heap(ErlNifEnv *env, uint64_t budget);

#endif
