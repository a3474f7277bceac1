#include "nif/nif_terms.h"

_Static_assert(sizeof(muster_term) == sizeof(ERL_NIF_TERM), "a term is one machine word");

/* What may be hashed on a normal scheduler: enif_hash does not yield. */
#define CHEAP_BINARY 8192
#define CHEAP_PARTS 256

static int tuple(void *env, muster_term term, size_t *arity, const muster_term **elements) {
    const ERL_NIF_TERM *words;
    int size;
    if (!enif_get_tuple(env, term, &size, &words))
        return MUSTER_E_MALFORMED;
    *arity = (size_t)size;
    *elements = (const muster_term *)words;
    return 0;
}

static int integer(void *env, muster_term term, uint64_t *value) {
    ErlNifUInt64 number;
    if (!enif_get_uint64(env, term, &number) || number > MUSTER_INTEGER_MASK)
        return MUSTER_E_MALFORMED;
    *value = number;
    return 0;
}

static int cons(void *env, muster_term list, muster_term *head, muster_term *tail) {
    ERL_NIF_TERM first, rest;
    if (!enif_get_list_cell(env, list, &first, &rest))
        return MUSTER_E_MALFORMED;
    *head = first;
    *tail = rest;
    return 0;
}

static bool is_nil(void *env, muster_term term) {
    return enif_is_empty_list(env, term);
}

static bool identical(void *env, muster_term a, muster_term b) {
    (void)env;
    return enif_is_identical(a, b);
}

static bool is_cheap(ErlNifEnv *env, ERL_NIF_TERM term, int *parts);

static bool is_cheap_integer(ErlNifEnv *env, ERL_NIF_TERM term) {
    ErlNifSInt64 value;
    ErlNifUInt64 natural;
    return enif_get_int64(env, term, &value) || enif_get_uint64(env, term, &natural);
}

static bool is_cheap_binary(ErlNifEnv *env, ERL_NIF_TERM term) {
    ErlNifBinary binary;
    return enif_inspect_binary(env, term, &binary) && binary.size <= CHEAP_BINARY;
}

static bool is_cheap_tuple(ErlNifEnv *env, ERL_NIF_TERM term, int *parts) {
    const ERL_NIF_TERM *elements;
    int arity;
    if (!enif_get_tuple(env, term, &arity, &elements))
        return false;
    for (int i = 0; i < arity; i++)
        if (!is_cheap(env, elements[i], parts))
            return false;
    return true;
}

static bool is_cheap_list(ErlNifEnv *env, ERL_NIF_TERM term, int *parts) {
    ERL_NIF_TERM head;
    while (enif_get_list_cell(env, term, &head, &term))
        if (!is_cheap(env, head, parts))
            return false;
    return enif_is_empty_list(env, term) || is_cheap(env, term, parts);
}

static bool is_cheap_map(ErlNifEnv *env, ERL_NIF_TERM term, int *parts) {
    ErlNifMapIterator iterator;
    ERL_NIF_TERM key, value;
    bool cheap = true;
    if (!enif_map_iterator_create(env, term, &iterator, ERL_NIF_MAP_ITERATOR_FIRST))
        return false;
    while (cheap && enif_map_iterator_get_pair(env, &iterator, &key, &value)) {
        cheap = is_cheap(env, key, parts) && is_cheap(env, value, parts);
        enif_map_iterator_next(env, &iterator);
    }
    enif_map_iterator_destroy(env, &iterator);
    return cheap;
}

/* Whether hashing the term takes microseconds at most. The count of parts bounds the depth, too.
 * A fun's environment cannot be looked into, so no fun is cheap. */
static bool is_cheap(ErlNifEnv *env, ERL_NIF_TERM term, int *parts) {
    if (--*parts < 0)
        return false;
    switch (enif_term_type(env, term)) {
    case ERL_NIF_TERM_TYPE_INTEGER:
        return is_cheap_integer(env, term);
    case ERL_NIF_TERM_TYPE_BITSTRING:
        return is_cheap_binary(env, term);
    case ERL_NIF_TERM_TYPE_TUPLE:
        return is_cheap_tuple(env, term, parts);
    case ERL_NIF_TERM_TYPE_LIST:
        return is_cheap_list(env, term, parts);
    case ERL_NIF_TERM_TYPE_MAP:
        return is_cheap_map(env, term, parts);
    case ERL_NIF_TERM_TYPE_FUN:
        return false;
    default:
        return true;
    }
}

static int hash(void *env, muster_term term, bool bounded, uint32_t *value) {
    int parts = CHEAP_PARTS;
    if (bounded && !is_cheap(env, term, &parts))
        return MUSTER_E_LIMIT;
    *value = (uint32_t)enif_hash(ERL_NIF_PHASH2, term, 0);
    return 0;
}

/* The enif_make functions do not fail: where memory is short, the VM ends. */
static muster_term make_tuple(void *env, const muster_term *elements, size_t arity) {
    return enif_make_tuple_from_array(env, (const ERL_NIF_TERM *)elements, (unsigned)arity);
}

/* Fresh from the heap, the tuple is nobody else's: its words are ours to change. */
static muster_term copy_tuple(void *env, const muster_term *elements, size_t arity,
                              muster_term **words) {
    ERL_NIF_TERM copy = make_tuple(env, elements, arity);
    const ERL_NIF_TERM *in_copy;
    int size;
    if (!enif_get_tuple(env, copy, &size, &in_copy))
        return 0;
    *words = (muster_term *)in_copy;
    return copy;
}

static muster_term make_integer(void *env, uint64_t value) {
    return enif_make_uint64(env, value);
}

static muster_term make_cons(void *env, muster_term head, muster_term tail) {
    return enif_make_list_cell(env, head, tail);
}

static muster_term make_nil(void *env) {
    return enif_make_list(env, 0);
}

static void *alloc(void *env, size_t size) {
    (void)env;
    return enif_alloc(size);
}

static void release(void *env, void *memory) {
    (void)env;
    enif_free(memory);
}

static const struct muster_term_ops ops = {
    .tuple = tuple,
    .integer = integer,
    .cons = cons,
    .is_nil = is_nil,
    .identical = identical,
    .hash = hash,
    .make_tuple = make_tuple,
    .copy_tuple = copy_tuple,
    .make_integer = make_integer,
    .make_cons = make_cons,
    .make_nil = make_nil,
    .alloc = alloc,
    .free = release,
};

struct muster_heap muster_nif_heap(ErlNifEnv *env, uint64_t budget) {
    return (struct muster_heap){.ops = &ops, .env = env, .budget = budget};
}
