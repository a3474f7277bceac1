/* Terms for unit tests of the CRDT core: a small heap on which any allocation can be made to
 * fail. Terms are pointers to cells, all freed with the heap; scratch memory is malloc's, so that
 * the sanitizers see what is not freed. */
#ifndef MUSTER_TEST_CRDT_HEAP_H
#define MUSTER_TEST_CRDT_HEAP_H

#include <stdlib.h>
#include <string.h>

#include "core/crdt_term.h"

enum cell_kind { CELL_INTEGER, CELL_TUPLE, CELL_CONS, CELL_NIL, CELL_KEY };

struct cell {
    struct cell *next;
    enum cell_kind kind;
    uint64_t number; /* an integer's value, a key's identity, a tuple's arity */
    uint32_t hash;   /* a key's */
    muster_term elements[];
};

struct crdt_heap {
    struct muster_heap heap;
    struct cell *cells;
    long allocations;
    long fail_at;      /* the allocation with this number fails; 0: none does */
    uint64_t key_work; /* what looking at a key costs */
};

static bool refuses(struct crdt_heap *h) {
    return ++h->allocations == h->fail_at;
}

static struct cell *cell_of(muster_term term) {
    return (struct cell *)term;
}

/* Small integers are no cells: see crdt_term.h. */
static bool is_cell(muster_term term, enum cell_kind kind) {
    return !muster_is_small(term) && cell_of(term)->kind == kind;
}

static struct cell *new_cell(struct crdt_heap *h, enum cell_kind kind, uint64_t number,
                             size_t elements) {
    struct cell *cell = malloc(sizeof *cell + elements * sizeof(muster_term));
    cell->next = h->cells;
    cell->kind = kind;
    cell->number = number;
    cell->hash = 0;
    h->cells = cell;
    return cell;
}

static int heap_tuple(void *env, muster_term term, size_t *arity, const muster_term **elements) {
    (void)env;
    if (!is_cell(term, CELL_TUPLE))
        return MUSTER_E_MALFORMED;
    *arity = cell_of(term)->number;
    *elements = cell_of(term)->elements;
    return 0;
}

static int heap_integer(void *env, muster_term term, uint64_t *value) {
    (void)env;
    if (!is_cell(term, CELL_INTEGER) || cell_of(term)->number > MUSTER_INTEGER_MASK)
        return MUSTER_E_MALFORMED;
    *value = cell_of(term)->number;
    return 0;
}

static int heap_cons(void *env, muster_term list, muster_term *head, muster_term *tail) {
    (void)env;
    if (!is_cell(list, CELL_CONS))
        return MUSTER_E_MALFORMED;
    *head = cell_of(list)->elements[0];
    *tail = cell_of(list)->elements[1];
    return 0;
}

static bool heap_is_nil(void *env, muster_term term) {
    (void)env;
    return is_cell(term, CELL_NIL);
}

static bool heap_identical(void *env, muster_term a, muster_term b) {
    (void)env;
    return a == b || (is_cell(a, CELL_KEY) && is_cell(b, CELL_KEY) &&
                      cell_of(a)->number == cell_of(b)->number);
}

/* Odd keys count as too big to be weighed; the others weigh what the heap says. */
static int heap_weigh(void *env, muster_term term, uint64_t *work) {
    if (!muster_is_small(term) && cell_of(term)->number % 2 == 1)
        return MUSTER_E_LIMIT;
    *work = ((struct crdt_heap *)env)->key_work;
    return 0;
}

static uint32_t heap_hash(void *env, muster_term term) {
    (void)env;
    return muster_is_small(term) ? (uint32_t)(term & 0x7ffffff) : cell_of(term)->hash;
}

static muster_term heap_make_tuple(void *env, const muster_term *elements, size_t arity) {
    struct cell *cell;
    if (refuses(env))
        return 0;
    cell = new_cell(env, CELL_TUPLE, arity, arity);
    if (arity > 0)
        memcpy(cell->elements, elements, arity * sizeof *elements);
    return (muster_term)cell;
}

static muster_term heap_copy_tuple(void *env, const muster_term *elements, size_t arity,
                                   muster_term **words) {
    muster_term copy = heap_make_tuple(env, elements, arity);
    if (copy != 0)
        *words = cell_of(copy)->elements;
    return copy;
}

static muster_term heap_make_integer(void *env, uint64_t value) {
    return refuses(env) ? 0 : (muster_term)new_cell(env, CELL_INTEGER, value, 0);
}

static muster_term heap_make_cons(void *env, muster_term head, muster_term tail) {
    struct cell *cell;
    if (refuses(env))
        return 0;
    cell = new_cell(env, CELL_CONS, 0, 2);
    cell->elements[0] = head;
    cell->elements[1] = tail;
    return (muster_term)cell;
}

/* On the BEAM the empty list is an immediate word, which cannot fail. */
static muster_term heap_make_nil(void *env) {
    return (muster_term)new_cell(env, CELL_NIL, 0, 0);
}

static void *heap_alloc(void *env, size_t size) {
    return refuses(env) ? NULL : malloc(size > 0 ? size : 1);
}

static void heap_free(void *env, void *memory) {
    (void)env;
    free(memory);
}

static const struct muster_term_ops heap_ops = {
    .tuple = heap_tuple,
    .integer = heap_integer,
    .cons = heap_cons,
    .is_nil = heap_is_nil,
    .identical = heap_identical,
    .weigh = heap_weigh,
    .hash = heap_hash,
    .make_tuple = heap_make_tuple,
    .copy_tuple = heap_copy_tuple,
    .make_integer = heap_make_integer,
    .make_cons = heap_make_cons,
    .make_nil = heap_make_nil,
    .alloc = heap_alloc,
    .free = heap_free,
};

static void crdt_heap_init(struct crdt_heap *h) {
    memset(h, 0, sizeof *h);
    h->heap = (struct muster_heap){&heap_ops, h, MUSTER_BUDGET_UNLIMITED};
}

static void crdt_heap_close(struct crdt_heap *h) {
    while (h->cells != NULL) {
        struct cell *next = h->cells->next;
        free(h->cells);
        h->cells = next;
    }
}

/* A key with an identity and any hash one likes. */
static inline muster_term crdt_key(struct crdt_heap *h, uint64_t identity, uint32_t hash) {
    struct cell *cell = new_cell(h, CELL_KEY, identity, 0);
    cell->hash = hash;
    return (muster_term)cell;
}

#endif
