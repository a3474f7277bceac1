/* The NIF library: the table of its functions. */
#include <erl_nif.h>

#include "nif/nif_crdt.h"
#include "nif/nif_state.h"

static ERL_NIF_TERM version(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    (void)argc;
    (void)argv;
    return enif_make_string(env, MUSTER_VERSION, ERL_NIF_LATIN1);
}

static ErlNifFunc functions[] = {{"version", 0, version, 0}, MUSTER_NIF_CRDT_FUNCTIONS};

ERL_NIF_INIT(muster_nif, functions, muster_nif_load, NULL, muster_nif_upgrade, muster_nif_unload)
