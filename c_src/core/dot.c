#include "core/dot.h"

#include <string.h>

#include "core/siphash.h"

/* Reading a sibling, looking it up in a context, hashing its dot. */
#define SIBLING_WORK 10

/* The first 128 bits of the fractional part of pi: fixed for ever, nothing up the sleeve. */
static const struct muster_siphash_key dot_key = {UINT64_C(0x243f6a8885a308d3),
                                                  UINT64_C(0x13198a2e03707344)};

uint64_t muster_dot_hash(struct muster_dot dot) {
    return muster_siphash_pair(&dot_key, dot.lineage, dot.n) & MUSTER_INTEGER_MASK;
}

int muster_dot_compare(struct muster_dot a, struct muster_dot b) {
    if (a.lineage != b.lineage)
        return a.lineage < b.lineage ? -1 : 1;
    return (a.n > b.n) - (a.n < b.n);
}

void muster_siblings_init(struct muster_siblings *siblings) {
    siblings->length = 0;
    siblings->capacity = MUSTER_SIBLINGS_INLINE;
    siblings->at = siblings->room;
}

void muster_siblings_close(struct muster_heap *heap, struct muster_siblings *siblings) {
    if (siblings->at != siblings->room)
        muster_heap_free(heap, siblings->at);
}

static int grow(struct muster_heap *heap, struct muster_siblings *siblings) {
    struct muster_sibling *at;
    if (siblings->capacity > SIZE_MAX / 2)
        return MUSTER_E_NOMEM;
    at = muster_heap_alloc(heap, siblings->capacity * 2, sizeof *at);
    if (at == NULL)
        return MUSTER_E_NOMEM;
    memcpy(at, siblings->at, siblings->length * sizeof *at);
    muster_siblings_close(heap, siblings);
    siblings->at = at;
    siblings->capacity *= 2;
    return 0;
}

int muster_siblings_append(struct muster_heap *heap, struct muster_siblings *siblings,
                           const struct muster_sibling *sibling) {
    if (siblings->length == siblings->capacity) {
        int error = grow(heap, siblings);
        if (error)
            return error;
    }
    siblings->at[siblings->length++] = *sibling;
    return 0;
}

/* The bare dot of a leaf in its short form; MALFORMED where it has the long one. */
static int read_bare(struct muster_heap *heap, const struct muster_leaf *leaf,
                     struct muster_dot *dot) {
    int error = muster_heap_integer(heap, leaf->head, &dot->lineage);
    return error ? error : muster_heap_integer(heap, leaf->tail, &dot->n);
}

static int read_sibling(struct muster_heap *heap, muster_term term,
                        struct muster_sibling *sibling) {
    const muster_term *elements;
    size_t arity;
    int error = heap->ops->tuple(heap->env, term, &arity, &elements);
    if (error)
        return error;
    if (arity != 2 && arity != 4)
        return MUSTER_E_MALFORMED;
    sibling->term = term;
    error = muster_heap_integer(heap, elements[0], &sibling->dot.lineage);
    return error ? error : muster_heap_integer(heap, elements[1], &sibling->dot.n);
}

static int read_list(struct muster_heap *heap, muster_term list, struct muster_siblings *siblings) {
    while (!heap->ops->is_nil(heap->env, list)) {
        struct muster_sibling sibling;
        muster_term head;
        int error = heap->ops->cons(heap->env, list, &head, &list);
        if (!error)
            error = muster_heap_charge(heap, SIBLING_WORK);
        if (!error)
            error = read_sibling(heap, head, &sibling);
        if (error)
            return error;
        if (siblings->length > 0 &&
            muster_dot_compare(siblings->at[siblings->length - 1].dot, sibling.dot) >= 0)
            return MUSTER_E_MALFORMED;
        error = muster_siblings_append(heap, siblings, &sibling);
        if (error)
            return error;
    }
    return siblings->length == 0 ? MUSTER_E_MALFORMED : 0;
}

int muster_siblings_read(struct muster_heap *heap, const struct muster_leaf *leaf,
                         struct muster_siblings *siblings) {
    struct muster_sibling *bare = &siblings->room[0];
    if (read_bare(heap, leaf, &bare->dot) == 0) {
        bare->term = 0;
        siblings->length = 1;
        return 0;
    }
    return heap->ops->is_nil(heap->env, leaf->tail) ? read_list(heap, leaf->head, siblings)
                                                    : MUSTER_E_MALFORMED;
}

static bool is_bare(struct muster_heap *heap, const struct muster_sibling *sibling) {
    const muster_term *elements;
    size_t arity;
    return sibling->term == 0 ||
           (heap->ops->tuple(heap->env, sibling->term, &arity, &elements) == 0 && arity == 2);
}

int muster_leaf_set_dot(struct muster_heap *heap, struct muster_dot dot, struct muster_leaf *leaf) {
    leaf->head = muster_heap_make_integer(heap, dot.lineage);
    leaf->tail = muster_heap_make_integer(heap, dot.n);
    return leaf->head == 0 || leaf->tail == 0 ? MUSTER_E_NOMEM : 0;
}

static muster_term sibling_term(struct muster_heap *heap, const struct muster_sibling *sibling) {
    struct muster_leaf bare;
    if (sibling->term != 0)
        return sibling->term;
    if (muster_leaf_set_dot(heap, sibling->dot, &bare) != 0)
        return 0;
    return heap->ops->make_tuple(heap->env, (muster_term[]){bare.head, bare.tail}, 2);
}

int muster_siblings_write(struct muster_heap *heap, const struct muster_siblings *siblings,
                          struct muster_leaf *leaf) {
    muster_term list;
    if (siblings->length == 1 && is_bare(heap, &siblings->at[0]))
        return muster_leaf_set_dot(heap, siblings->at[0].dot, leaf);
    list = leaf->tail = heap->ops->make_nil(heap->env);
    for (size_t i = siblings->length; i > 0; i--) {
        muster_term head = sibling_term(heap, &siblings->at[i - 1]);
        if (head == 0)
            return MUSTER_E_NOMEM;
        list = heap->ops->make_cons(heap->env, head, list);
        if (list == 0)
            return MUSTER_E_NOMEM;
    }
    leaf->head = list;
    return 0;
}

int muster_leaf_first_dot(struct muster_heap *heap, const struct muster_leaf *leaf,
                          struct muster_dot *dot) {
    struct muster_sibling sibling;
    muster_term head, tail;
    int error;
    if (read_bare(heap, leaf, dot) == 0)
        return 0;
    error = heap->ops->cons(heap->env, leaf->head, &head, &tail);
    if (!error)
        error = read_sibling(heap, head, &sibling);
    if (!error)
        *dot = sibling.dot;
    return error;
}

static int sum_siblings(struct muster_heap *heap, const struct muster_leaf *leaf, uint64_t *sum) {
    struct muster_siblings siblings;
    int error;
    muster_siblings_init(&siblings);
    error = muster_siblings_read(heap, leaf, &siblings);
    *sum = 0;
    for (size_t i = 0; !error && i < siblings.length; i++)
        *sum = (*sum + muster_dot_hash(siblings.at[i].dot)) & MUSTER_INTEGER_MASK;
    muster_siblings_close(heap, &siblings);
    return error;
}

int muster_leaf_sum(struct muster_heap *heap, const struct muster_leaf *leaf, uint64_t *sum) {
    struct muster_dot dot;
    if (read_bare(heap, leaf, &dot) != 0)
        return sum_siblings(heap, leaf, sum);
    *sum = muster_dot_hash(dot);
    return 0;
}
