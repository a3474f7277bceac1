/* The NIF library: loading, and the table of functions. */
#include <erl_nif.h>

static ERL_NIF_TERM version(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    (void)argc;
    (void)argv;
    return enif_make_string(env, MUSTER_VERSION, ERL_NIF_LATIN1);
}

static ErlNifFunc functions[] = {{"version", 0, version, 0}};

ERL_NIF_INIT(muster_nif, functions, NULL, NULL, NULL, NULL)
