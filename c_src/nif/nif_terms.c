#include "nif/nif_terms.h"

_Static_assert(sizeof(muster_term) == sizeof(ERL_NIF_TERM), "a term is one machine word");

/* What looking at a term costs, measured with enif_hash, which does not yield; comparing costs
 * less. */
#define PART_WORK 2
#define BYTES_PER_WORK 16

/* Beyond these a term is not weighed but left to a dirty scheduler. The count of parts bounds the
 * depth, too. */
#define MAX_PARTS 256
#define MAX_BYTES (1 << 20)

/* A term being weighed. */
struct scale {
    ErlNifEnv *env;
    unsigned parts;
    uint64_t bytes;
};

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

static bool add_part(struct scale *scale, ERL_NIF_TERM term);

static bool add_integer(struct scale *scale, ERL_NIF_TERM term) {
    ErlNifSInt64 value;
    ErlNifUInt64 natural;
    return enif_get_int64(scale->env, term, &value) || enif_get_uint64(scale->env, term, &natural);
}

static bool add_binary(struct scale *scale, ERL_NIF_TERM term) {
    ErlNifBinary binary;
    if (!enif_inspect_binary(scale->env, term, &binary) || binary.size > MAX_BYTES)
        return false;
    scale->bytes += binary.size;
    return true;
}

static bool add_tuple(struct scale *scale, ERL_NIF_TERM term) {
    const ERL_NIF_TERM *elements;
    int arity;
    if (!enif_get_tuple(scale->env, term, &arity, &elements))
        return false;
    for (int i = 0; i < arity; i++)
        if (!add_part(scale, elements[i]))
            return false;
    return true;
}

static bool add_list(struct scale *scale, ERL_NIF_TERM term) {
    ERL_NIF_TERM head;
    while (enif_get_list_cell(scale->env, term, &head, &term))
        if (!add_part(scale, head))
            return false;
    return enif_is_empty_list(scale->env, term) || add_part(scale, term);
}

static bool add_map(struct scale *scale, ERL_NIF_TERM term) {
    ErlNifMapIterator iterator;
    ERL_NIF_TERM key, value;
    bool added = true;
    if (!enif_map_iterator_create(scale->env, term, &iterator, ERL_NIF_MAP_ITERATOR_FIRST))
        return false;
    while (added && enif_map_iterator_get_pair(scale->env, &iterator, &key, &value)) {
        added = add_part(scale, key) && add_part(scale, value);
        enif_map_iterator_next(scale->env, &iterator);
    }
    enif_map_iterator_destroy(scale->env, &iterator);
    return added;
}

/* Adds a term and all of its parts; false where they are too many, or cannot be weighed: a fun's
 * environment cannot be looked into. */
static bool add_part(struct scale *scale, ERL_NIF_TERM term) {
    if (++scale->parts > MAX_PARTS)
        return false;
    switch (enif_term_type(scale->env, term)) {
    case ERL_NIF_TERM_TYPE_INTEGER:
        return add_integer(scale, term);
    case ERL_NIF_TERM_TYPE_BITSTRING:
        return add_binary(scale, term);
    case ERL_NIF_TERM_TYPE_TUPLE:
        return add_tuple(scale, term);
    case ERL_NIF_TERM_TYPE_LIST:
        return add_list(scale, term);
    case ERL_NIF_TERM_TYPE_MAP:
        return add_map(scale, term);
    case ERL_NIF_TERM_TYPE_FUN:
        return false;
    default:
        return true;
    }
}

static int weigh(void *env, muster_term term, uint64_t *work) {
    struct scale scale = {.env = env};
    if (!add_part(&scale, term))
        return MUSTER_E_LIMIT;
    *work = scale.parts * PART_WORK + scale.bytes / BYTES_PER_WORK;
    return 0;
}

static uint32_t hash(void *env, muster_term term) {
    (void)env;
    return (uint32_t)enif_hash(ERL_NIF_PHASH2, term, 0);
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
    .weigh = weigh,
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
