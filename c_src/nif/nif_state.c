#include "nif/nif_state.h"

#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#include "core/crdt_term.h"
#include "nif/nif_terms.h"

/* Changes with the layout of the state, so that a release never takes over what it misreads. */
#define LAYOUT UINT64_C(0x6d75737465720002)

struct state {
    uint64_t layout;
    _Atomic unsigned users; /* loaded instances of the library */
    struct muster_lineage_table lineages;
};

/* Whether integers are the words that crdt_term.h says. */
static bool knows_integers(ErlNifEnv *env) {
    struct muster_heap heap = muster_nif_heap(env, MUSTER_BUDGET_UNLIMITED);
    for (uint64_t n = MUSTER_SMALL_MAX; n > 0; n /= 2)
        if (enif_make_uint64(env, n) != muster_heap_make_integer(&heap, n))
            return false;
    return enif_make_uint64(env, 0) == muster_heap_make_integer(&heap, 0);
}

int muster_nif_load(ErlNifEnv *env, void **priv, ERL_NIF_TERM info) {
    struct muster_lineage_key key;
    struct state *state;
    (void)info;
    if (!knows_integers(env))
        return -1;
    if (getentropy(&key, sizeof key) != 0)
        return -1;
    state = enif_alloc(sizeof *state);
    if (state == NULL)
        return -1;
    state->layout = LAYOUT;
    atomic_init(&state->users, 1);
    muster_lineage_init(&state->lineages, &key);
    *priv = state;
    return 0;
}

int muster_nif_upgrade(ErlNifEnv *env, void **priv, void **old_priv, ERL_NIF_TERM info) {
    struct state *state = *old_priv;
    if (state == NULL || state->layout != LAYOUT)
        return muster_nif_load(env, priv, info);
    atomic_fetch_add(&state->users, 1);
    *priv = state;
    return 0;
}

void muster_nif_unload(ErlNifEnv *env, void *priv) {
    struct state *state = priv;
    (void)env;
    if (atomic_fetch_sub(&state->users, 1) == 1)
        enif_free(state);
}

struct muster_lineage_table *muster_nif_lineages(ErlNifEnv *env) {
    struct state *state = enif_priv_data(env);
    return &state->lineages;
}

uint64_t muster_nif_fresh_lineage(void) {
    uint64_t lineage;
    do {
        if (getentropy(&lineage, sizeof lineage) != 0)
            return 0;
        lineage &= MUSTER_INTEGER_MASK;
    } while (lineage == 0);
    return lineage;
}
