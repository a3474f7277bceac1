#include "core/causal_context.h"

#include <stdlib.h>
#include <string.h>

/* Past this a lineage is continued no more: no forged n may carry us past 2^59. */
#define N_LIMIT (UINT64_C(1) << 58)

static int reserve(struct muster_heap *heap, struct muster_context *context, size_t more) {
    size_t capacity = (context->length + more) * 2;
    struct muster_dot *entries;
    if (context->length + more <= context->capacity)
        return 0;
    entries = muster_heap_alloc(heap, capacity, sizeof *entries);
    if (entries == NULL)
        return MUSTER_E_NOMEM;
    if (context->length > 0)
        memcpy(entries, context->entries, context->length * sizeof *entries);
    muster_heap_free(heap, context->entries);
    context->entries = entries;
    context->capacity = capacity;
    return 0;
}

static int read_entry(struct muster_heap *heap, const muster_term *words,
                      struct muster_dot *entry) {
    int error = muster_heap_integer(heap, words[0], &entry->lineage);
    return error ? error : muster_heap_integer(heap, words[1], &entry->n);
}

/* The group's words; MALFORMED unless they come in pairs. */
static int open_group(struct muster_heap *heap, muster_term group, size_t *length,
                      const muster_term **words) {
    size_t arity;
    int error = heap->ops->tuple(heap->env, group, &arity, words);
    if (error)
        return error;
    *length = arity / 2;
    return arity % 2 != 0 ? MUSTER_E_MALFORMED : muster_heap_charge(heap, arity);
}

static int read_group(struct muster_heap *heap, muster_term group, struct muster_context *context) {
    const muster_term *words;
    size_t length;
    int error = open_group(heap, group, &length, &words);
    if (!error)
        error = muster_heap_charge(heap, length * 8); /* they will be sorted */
    if (!error)
        error = reserve(heap, context, length);
    for (size_t i = 0; !error && i < length; i++)
        error = read_entry(heap, words + 2 * i, &context->entries[context->length++]);
    return error;
}

static int compare(const void *a, const void *b) {
    return muster_dot_compare(*(const struct muster_dot *)a, *(const struct muster_dot *)b);
}

static int sort(struct muster_context *context) {
    if (context->length < 2)
        return 0;
    qsort(context->entries, context->length, sizeof *context->entries, compare);
    for (size_t i = 1; i < context->length; i++)
        if (context->entries[i - 1].lineage == context->entries[i].lineage)
            return MUSTER_E_MALFORMED;
    return 0;
}

int muster_context_read(struct muster_heap *heap, muster_term groups,
                        struct muster_context *context) {
    memset(context, 0, sizeof *context);
    while (!heap->ops->is_nil(heap->env, groups)) {
        muster_term group;
        int error = heap->ops->cons(heap->env, groups, &group, &groups);
        if (!error)
            error = muster_heap_charge(heap, 4);
        if (!error)
            error = read_group(heap, group, context);
        if (error)
            return error;
    }
    return sort(context);
}

void muster_context_close(struct muster_heap *heap, struct muster_context *context) {
    muster_heap_free(heap, context->entries);
}

bool muster_context_has(const struct muster_context *context, struct muster_dot dot) {
    size_t low = 0, high = context->length;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct muster_dot *entry = &context->entries[middle];
        if (entry->lineage == dot.lineage)
            return dot.n <= entry->n;
        if (entry->lineage < dot.lineage)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool muster_context_disjoint(const struct muster_context *a, const struct muster_context *b) {
    size_t i = 0, j = 0;
    while (i < a->length && j < b->length) {
        if (a->entries[i].lineage == b->entries[j].lineage)
            return false;
        if (a->entries[i].lineage < b->entries[j].lineage)
            i++;
        else
            j++;
    }
    return true;
}

bool muster_context_covers(const struct muster_context *a, const struct muster_context *b) {
    for (size_t i = 0; i < b->length; i++)
        if (!muster_context_has(a, b->entries[i]))
            return false;
    return true;
}

/* The order of a group: the highest n first, then the lowest lineage. */
static bool precedes(struct muster_dot a, struct muster_dot b) {
    return a.n != b.n ? a.n > b.n : a.lineage < b.lineage;
}

/* Sets `position` to the entry that was continued, with its new n in `dot`; to `length`, with the
 * first dot of a fresh lineage, where none could be. */
static int mint(struct muster_heap *heap, struct muster_lineage_table *table,
                const muster_term *words, size_t length, uint64_t (*fresh)(void),
                struct muster_dot *dot, size_t *position) {
    uint64_t highest = 0;
    for (*position = 0; *position < length; ++*position) {
        int error = read_entry(heap, words + 2 * *position, dot);
        if (error)
            return error;
        if (dot->n >= N_LIMIT)
            continue;
        if (muster_lineage_advance(table, dot->lineage, dot->n)) {
            dot->n++;
            return 0;
        }
        if (dot->n > highest)
            highest = dot->n;
    }
    *dot = (struct muster_dot){.lineage = fresh(), .n = highest + 1};
    if (dot->lineage == 0)
        return MUSTER_E_NOMEM;
    muster_lineage_begin(table, dot->lineage, dot->n);
    return 0;
}

/* Copies the group to `to` with `dot` at its place and the entry at `skip` left out. */
static int place(struct muster_heap *heap, const muster_term *words, size_t length, size_t skip,
                 struct muster_dot dot, const muster_term *dot_words, muster_term *to) {
    bool placed = false;
    for (size_t i = 0; i < length; i++) {
        struct muster_dot entry;
        int error;
        if (i == skip)
            continue;
        error = read_entry(heap, words + 2 * i, &entry);
        if (error)
            return error;
        if (!placed && precedes(dot, entry)) {
            *to++ = dot_words[0];
            *to++ = dot_words[1];
            placed = true;
        }
        *to++ = words[2 * i];
        *to++ = words[2 * i + 1];
    }
    if (!placed) {
        to[0] = dot_words[0];
        to[1] = dot_words[1];
    }
    return 0;
}

static int write_group(struct muster_heap *heap, const muster_term *words, size_t length,
                       size_t skip, struct muster_dot dot, muster_term *out) {
    size_t arity = 2 * (skip == length ? length + 1 : length);
    muster_term dot_words[] = {muster_heap_make_integer(heap, dot.lineage),
                               muster_heap_make_integer(heap, dot.n)};
    muster_term room[16], *to = room;
    int error;
    if (dot_words[0] == 0 || dot_words[1] == 0)
        return MUSTER_E_NOMEM;
    if (arity > sizeof room / sizeof *room)
        to = muster_heap_alloc(heap, arity, sizeof *to);
    if (to == NULL)
        return MUSTER_E_NOMEM;
    error = place(heap, words, length, skip, dot, dot_words, to);
    if (!error) {
        *out = heap->ops->make_tuple(heap->env, to, arity);
        error = *out == 0 ? MUSTER_E_NOMEM : 0;
    }
    if (to != room)
        muster_heap_free(heap, to);
    return error;
}

int muster_group_mint(struct muster_heap *heap, struct muster_lineage_table *table,
                      muster_term group, uint64_t (*fresh)(void), struct muster_dot *dot,
                      muster_term *out) {
    const muster_term *words;
    size_t length, position;
    int error = open_group(heap, group, &length, &words);
    if (!error)
        error = mint(heap, table, words, length, fresh, dot, &position);
    return error ? error : write_group(heap, words, length, position, *dot, out);
}
