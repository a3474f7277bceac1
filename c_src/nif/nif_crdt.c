#include "nif/nif_crdt.h"

#include "core/trie.h"
#include "core/trie_build.h"
#include "core/trie_merge.h"
#include "nif/nif_state.h"
#include "nif/nif_terms.h"

/* Units of work a call may do on a normal scheduler, measured to stay well below 1 ms. What
 * needs more starts again, from scratch, on a dirty one: the functions are pure, and what the
 * first attempt wasted is bounded by the same number. */
#define BUDGET 40000
#define WORK_PER_PERCENT (BUDGET / 50) /* of a timeslice, which is about 1 ms */

typedef ERL_NIF_TERM nif_function(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]);

static bool on_normal_scheduler(void) {
    return enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER;
}

static struct muster_heap open_heap(ErlNifEnv *env) {
    return muster_nif_heap(env, on_normal_scheduler() ? BUDGET : MUSTER_BUDGET_UNLIMITED);
}

static ERL_NIF_TERM raise_error(ErlNifEnv *env, int error) {
    return error == MUSTER_E_NOMEM ? enif_raise_exception(env, enif_make_atom(env, "system_limit"))
                                   : enif_make_badarg(env);
}

/* The result of a call, or the same call again on a dirty scheduler, or an exception. */
static ERL_NIF_TERM finish(struct muster_heap *heap, int error, ERL_NIF_TERM result,
                           const char *name, nif_function *function, int argc,
                           const ERL_NIF_TERM argv[]) {
    ErlNifEnv *env = heap->env;
    if (error == MUSTER_E_LIMIT)
        return enif_schedule_nif(env, name, ERL_NIF_DIRTY_JOB_CPU_BOUND, function, argc, argv);
    if (error)
        return raise_error(env, error);
    if (heap->budget != MUSTER_BUDGET_UNLIMITED && BUDGET - heap->budget > WORK_PER_PERCENT)
        enif_consume_timeslice(env, (int)((BUDGET - heap->budget) / WORK_PER_PERCENT));
    return result;
}

static int get_hash(struct muster_heap *heap, ERL_NIF_TERM term, uint32_t *hash) {
    uint64_t value;
    int error = muster_heap_integer(heap, term, &value);
    if (error)
        return error;
    *hash = (uint32_t)value;
    return value >> 27 != 0 ? MUSTER_E_MALFORMED : 0;
}

/* argv: Root, Key, Hash. */
ERL_NIF_TERM muster_nif_trie_find(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = open_heap(env);
    struct muster_leaf leaf;
    bool found = false;
    uint32_t hash;
    int error = get_hash(&heap, argv[2], &hash);
    if (!error)
        error = muster_trie_find(&heap, argv[0], argv[1], hash, &leaf, &found);
    ERL_NIF_TERM result =
        !error && found ? enif_make_list_cell(env, leaf.head, leaf.tail) : heap.ops->make_nil(env);
    return finish(&heap, error, result, "trie_find", muster_nif_trie_find, argc, argv);
}

/* `argv` is that of trie_put, which is also where an add goes on that cannot finish on its normal
 * scheduler: its dot is minted by then and must not be minted again. */
static ERL_NIF_TERM put(struct muster_heap *heap, const ERL_NIF_TERM argv[]) {
    struct muster_leaf leaf = {.key = argv[2], .head = argv[4], .tail = argv[5]};
    muster_term root = 0;
    uint32_t hash;
    int error = get_hash(heap, argv[3], &hash);
    if (!error)
        error = muster_trie_put(heap, argv[0], &leaf, hash, &root);
    return finish(heap, error, error ? 0 : enif_make_list_cell(heap->env, root, argv[1]),
                  "trie_put", muster_nif_trie_put, 6, argv);
}

/* argv: Root, Group, Key, Hash, Head, Tail. */
ERL_NIF_TERM muster_nif_trie_put(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = open_heap(env);
    (void)argc;
    return put(&heap, argv);
}

/* The leaf of a set, or with a stamp and a value that of a map. */
static int make_leaf(struct muster_heap *heap, struct muster_dot dot, int argc,
                     const ERL_NIF_TERM argv[], struct muster_leaf *leaf) {
    int error = muster_leaf_set_dot(heap, dot, leaf);
    if (error || argc == 4)
        return error;
    ERL_NIF_TERM sibling = enif_make_tuple4(heap->env, leaf->head, leaf->tail, argv[4], argv[5]);
    leaf->head = enif_make_list1(heap->env, sibling);
    leaf->tail = heap->ops->make_nil(heap->env);
    return 0;
}

/* argv: Root, Group, Key, Hash; then Stamp, Value for a map. Where this goes over the budget, it
 * does so before a dot is minted; from there on trie_put carries on. */
ERL_NIF_TERM muster_nif_trie_add(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = open_heap(env);
    struct muster_leaf leaf = {.key = argv[2]};
    struct muster_dot dot;
    muster_term group;
    int error = muster_group_mint(&heap, muster_nif_lineages(env), argv[1],
                                  muster_nif_fresh_lineage, &dot, &group);
    if (!error)
        error = make_leaf(&heap, dot, argc, argv, &leaf);
    if (error)
        return finish(&heap, error, 0, "trie_add", muster_nif_trie_add, argc, argv);
    return put(&heap, (ERL_NIF_TERM[]){argv[0], group, argv[2], argv[3], leaf.head, leaf.tail});
}

/* argv: Root, Key, Hash. */
ERL_NIF_TERM muster_nif_trie_remove(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = open_heap(env);
    muster_term root = 0;
    uint32_t hash;
    int error = get_hash(&heap, argv[2], &hash);
    if (!error)
        error = muster_trie_remove(&heap, argv[0], argv[1], hash, &root);
    if (!error && root == argv[0])
        root = enif_make_atom(env, "unchanged");
    return finish(&heap, error, root, "trie_remove", muster_nif_trie_remove, argc, argv);
}

/* argv: RootA, GroupsA, RootB, GroupsB. */
ERL_NIF_TERM muster_nif_trie_merge(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = open_heap(env);
    struct muster_context a = {0}, b = {0};
    muster_term root = 0;
    int error = muster_context_read(&heap, argv[1], &a);
    if (!error)
        error = muster_context_read(&heap, argv[3], &b);
    if (!error)
        error = muster_trie_merge(&heap, argv[0], &a, argv[2], &b, &root);
    muster_context_close(&heap, &b);
    muster_context_close(&heap, &a);
    return finish(&heap, error, root, "trie_merge", muster_nif_trie_merge, argc, argv);
}

static int make_group(struct muster_heap *heap, uint64_t lineage, uint64_t length,
                      muster_term *group) {
    struct muster_leaf last;
    int error = muster_leaf_set_dot(heap, (struct muster_dot){lineage, length}, &last);
    if (!error)
        *group = heap->ops->make_tuple(heap->env, (muster_term[]){last.head, last.tail}, 2);
    return error;
}

/* argv: Keys. The lineage begins only once the trie is there, so that a restart begins none. */
ERL_NIF_TERM muster_nif_trie_build(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = open_heap(env);
    uint64_t length, lineage = muster_nif_fresh_lineage();
    muster_term root = 0, group = 0;
    int error =
        lineage == 0 ? MUSTER_E_NOMEM : muster_trie_build(&heap, argv[0], lineage, &root, &length);
    if (!error)
        error = make_group(&heap, lineage, length, &group);
    if (!error)
        muster_lineage_begin(muster_nif_lineages(env), lineage, length);
    return finish(&heap, error, error ? 0 : enif_make_list_cell(env, root, group), "trie_build",
                  muster_nif_trie_build, argc, argv);
}

/* argv: Lineage, N. */
ERL_NIF_TERM muster_nif_dot_hash(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[]) {
    struct muster_heap heap = muster_nif_heap(env, MUSTER_BUDGET_UNLIMITED);
    struct muster_dot dot;
    (void)argc;
    if (muster_heap_integer(&heap, argv[0], &dot.lineage) != 0 ||
        muster_heap_integer(&heap, argv[1], &dot.n) != 0)
        return enif_make_badarg(env);
    return enif_make_uint64(env, muster_dot_hash(dot));
}
