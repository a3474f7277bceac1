/* Terms as the CRDT core sees them: opaque words behind a table of operations.
 *
 * The NIF supplies the BEAM's terms (c_src/nif/nif_terms.c), the unit tests a small heap of
 * their own that can refuse any allocation. The core never looks inside a word. */
#ifndef MUSTER_CORE_CRDT_TERM_H
#define MUSTER_CORE_CRDT_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/errors.h"

typedef uintptr_t muster_term;

/* Integers inside values stay below this, so that they are immediate words on a 64-bit BEAM. */
#define MUSTER_INTEGER_BITS 59
#define MUSTER_INTEGER_MASK ((UINT64_C(1) << MUSTER_INTEGER_BITS) - 1)

/* On every BEAM so far, the word of an integer n that is not negative and small enough is
 * n * 16 + 15; the NIF does not load where that is not so. The core reads and writes these words
 * itself: that is most of what it does with terms. On 64 bits they are all there are. */
#define MUSTER_SMALL_BITS 4
#define MUSTER_SMALL_TAG 15
#define MUSTER_SMALL_MAX ((uint64_t)INTPTR_MAX >> MUSTER_SMALL_BITS)

/* Every operation gets the `env` of its heap. Those that return int give 0 or a negative error. */
struct muster_term_ops {
    /* A tuple's elements, which stay valid as long as the heap; MALFORMED if it is none. */
    int (*tuple)(void *env, muster_term term, size_t *arity, const muster_term **elements);
    /* An integer in [0, 2^59); MALFORMED for anything else. */
    int (*integer)(void *env, muster_term term, uint64_t *value);
    /* Splits a non-empty list; MALFORMED for anything else. */
    int (*cons)(void *env, muster_term list, muster_term *head, muster_term *tail);
    bool (*is_nil)(void *env, muster_term term);
    /* Erlang's =:=. */
    bool (*identical)(void *env, muster_term a, muster_term b);
    /* How much work it is to look at all of a term, below 2^32; LIMIT where it is more, or would
     * take long to say. */
    int (*weigh)(void *env, muster_term term, uint64_t *work);
    /* erlang:phash2/1. */
    uint32_t (*hash)(void *env, muster_term term);
    /* These return 0, which is no term, when memory is short. */
    muster_term (*make_tuple)(void *env, const muster_term *elements, size_t arity);
    /* A tuple with these elements, at `words`: they may be changed until the heap's next use. */
    muster_term (*copy_tuple)(void *env, const muster_term *elements, size_t arity,
                              muster_term **words);
    muster_term (*make_integer)(void *env, uint64_t value);
    muster_term (*make_cons)(void *env, muster_term head, muster_term tail);
    muster_term (*make_nil)(void *env);
    /* Scratch memory of one call; NULL when memory is short. */
    void *(*alloc)(void *env, size_t size);
    void (*free)(void *env, void *memory);
};

#define MUSTER_BUDGET_UNLIMITED UINT64_MAX

/* Where terms live, and how much work may still be done there. A unit of work is about one slot
 * of a node looked at or copied: some nanoseconds. */
struct muster_heap {
    const struct muster_term_ops *ops;
    void *env;
    uint64_t budget;
};

/* Takes `work` units from the budget; LIMIT when it is used up. */
static inline int muster_heap_charge(struct muster_heap *heap, uint64_t work) {
    if (heap->budget == MUSTER_BUDGET_UNLIMITED)
        return 0;
    if (heap->budget < work)
        return MUSTER_E_LIMIT;
    heap->budget -= work;
    return 0;
}

/* Takes from the budget what looking `times` times at all of a term costs. Terms may be of any
 * size, and neither hashing nor comparing one can be interrupted. */
static inline int muster_heap_charge_term(struct muster_heap *heap, muster_term term,
                                          uint64_t times) {
    uint64_t work;
    int error;
    if (heap->budget == MUSTER_BUDGET_UNLIMITED)
        return 0;
    error = heap->ops->weigh(heap->env, term, &work);
    return error ? error : muster_heap_charge(heap, work * times);
}

static inline int muster_heap_hash(struct muster_heap *heap, muster_term term, uint32_t *hash) {
    int error = muster_heap_charge_term(heap, term, 1);
    if (!error)
        *hash = heap->ops->hash(heap->env, term);
    return error;
}

static inline bool muster_is_small(muster_term term) {
    return (term & MUSTER_SMALL_TAG) == MUSTER_SMALL_TAG && term <= INTPTR_MAX;
}

static inline int muster_heap_integer(struct muster_heap *heap, muster_term term, uint64_t *value) {
    if (!muster_is_small(term))
        return heap->ops->integer(heap->env, term, value);
    *value = term >> MUSTER_SMALL_BITS;
    return 0;
}

/* `value` is below 2^59. 0 when memory is short. */
static inline muster_term muster_heap_make_integer(struct muster_heap *heap, uint64_t value) {
    if (value > MUSTER_SMALL_MAX)
        return heap->ops->make_integer(heap->env, value);
    return (muster_term)(value << MUSTER_SMALL_BITS | MUSTER_SMALL_TAG);
}

/* Scratch memory for `count` items of `size` bytes; NULL also where the product overflows. */
static inline void *muster_heap_alloc(struct muster_heap *heap, size_t count, size_t size) {
    if (count > SIZE_MAX / size)
        return NULL;
    return heap->ops->alloc(heap->env, count * size);
}

static inline void muster_heap_free(struct muster_heap *heap, void *memory) {
    if (memory != NULL)
        heap->ops->free(heap->env, memory);
}

#endif
