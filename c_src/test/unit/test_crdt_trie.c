/* The trie against plain arrays; every allocation failing in turn, and every budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/trie.h"
#include "core/trie_build.h"
#include "core/trie_merge.h"
#include "crdt_heap.h"

#define KEYS 64

/* A fixed pseudo-random sequence: failures repeat. */
static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Many keys share all bits, or all but the last. */
static uint32_t hash_of(unsigned key) {
    static const uint32_t hashes[] = {0x7ffffff, 0x7ffffff, 0x7ffffff, 0x7fffffe,
                                      0,         0,         1,         0x4000000};
    return key % 3 == 0 ? hashes[key / 3 % 8] : key * UINT32_C(0x9e3779b) & 0x7ffffff;
}

static muster_term key_term(struct crdt_heap *h, unsigned key) {
    return crdt_key(h, 2 * key, hash_of(key)); /* even: cheap to hash */
}

static int put(struct crdt_heap *h, muster_term root, unsigned key, struct muster_dot dot,
               muster_term *out) {
    struct muster_leaf leaf = {.key = key_term(h, key)};
    int error = muster_leaf_set_dot(&h->heap, dot, &leaf);
    return error ? error : muster_trie_put(&h->heap, root, &leaf, hash_of(key), out);
}

static int take_out(struct crdt_heap *h, muster_term root, unsigned key, muster_term *out) {
    return muster_trie_remove(&h->heap, root, key_term(h, key), hash_of(key), out);
}

/* A set as plain arrays: which dot each key has (n = 0: none), and what was seen of each lineage.
 */
struct model {
    struct muster_dot dots[KEYS];
    uint64_t seen[3];
};

static void check_model(struct crdt_heap *h, muster_term root, const struct model *model) {
    struct muster_node node;
    uint64_t count = 0, sum = 0;
    for (unsigned key = 0; key < KEYS; key++) {
        struct muster_leaf leaf;
        bool found;
        uint64_t n;
        assert_int_equal(
            muster_trie_find(&h->heap, root, key_term(h, key), hash_of(key), &leaf, &found), 0);
        assert_int_equal(found, model->dots[key].n != 0);
        if (!found)
            continue;
        assert_int_equal(muster_heap_integer(&h->heap, leaf.tail, &n), 0);
        assert_int_equal(n, model->dots[key].n);
        count++;
        sum += muster_dot_hash(model->dots[key]);
    }
    assert_int_equal(muster_node_read(&h->heap, root, 0, &node), 0);
    assert_int_equal(node.tally.count, count);
    assert_int_equal(node.tally.sum, sum & MUSTER_INTEGER_MASK);
}

static void change(struct crdt_heap *h, muster_term *root, struct model *model, unsigned lineage,
                   uint32_t random) {
    unsigned key = random % KEYS;
    if (random >> 16 & 1) {
        struct muster_dot dot = {lineage, ++model->seen[lineage]};
        assert_int_equal(put(h, *root, key, dot, root), 0);
        model->dots[key] = dot;
    } else {
        assert_int_equal(take_out(h, *root, key, root), 0);
        model->dots[key].n = 0;
    }
}

static void puts_and_removals_follow_the_model(void **state) {
    struct crdt_heap h;
    struct model model = {0};
    uint32_t seed = 1;
    muster_term root;
    (void)state;
    crdt_heap_init(&h);
    root = muster_trie_empty(&h.heap);
    for (unsigned i = 0; i < 2000; i++) {
        change(&h, &root, &model, 1, next_random(&seed));
        if (i % 50 == 0)
            check_model(&h, root, &model);
    }
    crdt_heap_close(&h);
}

/* The groups of a context, as a list. */
static muster_term groups(struct crdt_heap *h, const struct model *model) {
    muster_term list = heap_make_nil(h);
    for (unsigned lineage = 1; lineage <= 2; lineage++) {
        muster_term words[] = {heap_make_integer(h, lineage),
                               heap_make_integer(h, model->seen[lineage])};
        list = heap_make_cons(h, heap_make_tuple(h, words, 2), list);
    }
    return list;
}

static int merge(struct crdt_heap *h, muster_term a, muster_term a_groups, muster_term b,
                 muster_term b_groups, muster_term *out) {
    struct muster_context a_seen = {0}, b_seen = {0};
    int error = muster_context_read(&h->heap, a_groups, &a_seen);
    if (!error)
        error = muster_context_read(&h->heap, b_groups, &b_seen);
    if (!error)
        error = muster_trie_merge(&h->heap, a, &a_seen, b, &b_seen, out);
    muster_context_close(&h->heap, &b_seen);
    muster_context_close(&h->heap, &a_seen);
    return error;
}

static muster_term key_list(struct crdt_heap *h, unsigned length) {
    muster_term list = heap_make_nil(h);
    for (unsigned key = 0; key < length; key++)
        list = heap_make_cons(h, key_term(h, key), list);
    return list;
}

/* Two branches of one base, each of which mints dots of its own lineage. */
struct branches {
    muster_term root[2], groups[2];
    muster_term keys; /* a list of all keys */
    struct model model[2];
};

static void grow_branches(struct crdt_heap *h, struct branches *branches, uint32_t seed,
                          unsigned changes) {
    struct model base = {0};
    muster_term root = muster_trie_empty(&h->heap);
    branches->keys = key_list(h, KEYS);
    for (unsigned i = 0; i < changes; i++)
        change(h, &root, &base, 1, next_random(&seed));
    for (unsigned side = 0; side < 2; side++) {
        branches->root[side] = root;
        branches->model[side] = base;
        for (unsigned i = 0; i < changes / 4; i++)
            change(h, &branches->root[side], &branches->model[side], 1 + side, next_random(&seed));
        branches->groups[side] = groups(h, &branches->model[side]);
    }
}

static bool survives(struct muster_dot dot, struct muster_dot other, const struct model *model) {
    return dot.n != 0 && (muster_dot_compare(dot, other) == 0 || dot.n > model->seen[dot.lineage]);
}

static void merges_follow_the_model(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct crdt_heap h;
        struct branches b;
        muster_term ab, ba;
        crdt_heap_init(&h);
        grow_branches(&h, &b, seed, 4 + seed % 120);
        assert_int_equal(merge(&h, b.root[0], b.groups[0], b.root[1], b.groups[1], &ab), 0);
        assert_int_equal(merge(&h, b.root[1], b.groups[1], b.root[0], b.groups[0], &ba), 0);
        for (unsigned key = 0; key < KEYS; key++) {
            struct muster_dot a_dot = b.model[0].dots[key], b_dot = b.model[1].dots[key];
            bool kept = survives(a_dot, b_dot, &b.model[1]) || survives(b_dot, a_dot, &b.model[0]);
            struct muster_leaf leaf;
            bool found, mirrored;
            muster_trie_find(&h.heap, ab, key_term(&h, key), hash_of(key), &leaf, &found);
            muster_trie_find(&h.heap, ba, key_term(&h, key), hash_of(key), &leaf, &mirrored);
            assert_int_equal(found, kept);
            assert_int_equal(mirrored, kept);
        }
        crdt_heap_close(&h);
    }
}

static void building_keeps_the_last_of_equal_keys(void **state) {
    struct crdt_heap h;
    struct model model = {0};
    muster_term root, list;
    uint64_t length;
    (void)state;
    crdt_heap_init(&h);
    list = heap_make_cons(&h, key_term(&h, 5), key_list(&h, KEYS));
    assert_int_equal(muster_trie_build(&h.heap, list, 9, &root, &length), 0);
    assert_int_equal(length, KEYS + 1);
    for (unsigned key = 0; key < KEYS; key++)
        model.dots[key] = (struct muster_dot){9, KEYS - key + 1};
    check_model(&h, root, &model);
    crdt_heap_close(&h);
}

/* One operation on prepared values, which must leave them unharmed. */
typedef int operation(struct crdt_heap *h, const struct branches *branches);

static int operate_put(struct crdt_heap *h, const struct branches *b) {
    muster_term out;
    return put(h, b->root[0], 3, (struct muster_dot){2, 9999}, &out);
}

static int operate_remove(struct crdt_heap *h, const struct branches *b) {
    muster_term out;
    return take_out(h, b->root[0], 9, &out);
}

static int operate_merge(struct crdt_heap *h, const struct branches *b) {
    muster_term out;
    return merge(h, b->root[0], b->groups[0], b->root[1], b->groups[1], &out);
}

static int operate_build(struct crdt_heap *h, const struct branches *b) {
    uint64_t length;
    muster_term out;
    return muster_trie_build(&h->heap, b->keys, 9, &out, &length);
}

static uint64_t fresh(void) {
    return 77;
}

static int operate_mint(struct crdt_heap *h, const struct branches *b) {
    static struct muster_lineage_table table;
    muster_term words[20], out;
    struct muster_dot dot;
    (void)b;
    for (unsigned i = 0; i < 20; i++)
        words[i] = (muster_term)new_cell(h, CELL_INTEGER, 100 - i, 0);
    muster_lineage_begin(&table, 92, 91);
    struct cell *group = new_cell(h, CELL_TUPLE, 20, 20);
    memcpy(group->elements, words, sizeof words);
    return muster_group_mint(&h->heap, &table, (muster_term)group, fresh, &dot, &out);
}

static int operate_siblings(struct crdt_heap *h, const struct branches *b) {
    struct muster_siblings siblings;
    struct muster_leaf leaf;
    int error = 0;
    (void)b;
    muster_siblings_init(&siblings);
    for (uint64_t n = 1; n <= 20 && !error; n++) {
        struct muster_sibling sibling = {.dot = {n, n}};
        error = muster_siblings_append(&h->heap, &siblings, &sibling);
    }
    if (!error)
        error = muster_siblings_write(&h->heap, &siblings, &leaf);
    muster_siblings_close(&h->heap, &siblings);
    return error;
}

static operation *const operations[] = {operate_put,   operate_remove, operate_merge,
                                        operate_build, operate_mint,   operate_siblings};

static void every_failing_allocation_is_reported(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        struct crdt_heap h;
        struct branches b;
        long failing = 0;
        int error;
        crdt_heap_init(&h);
        grow_branches(&h, &b, 7, 200);
        do {
            h.allocations = 0;
            h.fail_at = ++failing;
            error = operations[i](&h, &b);
            if (error && error != MUSTER_E_NOMEM)
                fail_msg("operation %zu, allocation %ld: %d", i, failing, error);
        } while (h.allocations >= h.fail_at);
        assert_int_equal(error, 0);
        assert_true(failing > 1);
        h.fail_at = 0;
        check_model(&h, b.root[0], &b.model[0]);
        check_model(&h, b.root[1], &b.model[1]);
        crdt_heap_close(&h);
    }
}

static void every_small_budget_is_kept(void **state) {
    (void)state;
    for (size_t i = 2; i < 4; i++) { /* merge and build: the ones without a bound of their own */
        struct crdt_heap h;
        struct branches b;
        uint64_t budget = 0;
        int error = MUSTER_E_LIMIT;
        crdt_heap_init(&h);
        grow_branches(&h, &b, 7, 200);
        for (; error == MUSTER_E_LIMIT; budget += 7) {
            h.heap.budget = budget;
            error = operations[i](&h, &b);
        }
        assert_int_equal(error, 0);
        assert_true(budget > 100);
        crdt_heap_close(&h);
    }
}

/* What an operation takes from a budget that is large enough, if looking at a key costs `key_work`.
 */
static uint64_t work_of(operation *operate, uint64_t key_work) {
    const uint64_t enough = 1000000;
    struct crdt_heap h;
    struct branches b;
    uint64_t left;
    crdt_heap_init(&h);
    grow_branches(&h, &b, 7, 200);
    h.key_work = key_work;
    h.heap.budget = enough;
    assert_int_equal(operate(&h, &b), 0);
    left = h.heap.budget;
    crdt_heap_close(&h);
    return enough - left;
}

static void big_keys_cost_more_work(void **state) {
    (void)state;
    assert_true(work_of(operate_build, 100) >= work_of(operate_build, 0) + 100 * KEYS);
    assert_true(work_of(operate_merge, 100) >= work_of(operate_merge, 0) + 100 * 10);
}

static int operate_build_of_one_hash(struct crdt_heap *h, const struct branches *b) {
    muster_term root, list = heap_make_nil(h);
    uint64_t length;
    (void)b;
    for (unsigned key = 0; key < KEYS; key++)
        list = heap_make_cons(h, crdt_key(h, 2 * key, 5), list);
    return muster_trie_build(&h->heap, list, 9, &root, &length);
}

static void keys_of_one_hash_cost_work_in_pairs(void **state) {
    (void)state;
    assert_true(work_of(operate_build_of_one_hash, 10) >= 10 * KEYS * (KEYS - 1) / 2);
}

/* A context and a leaf with as many dots as there are keys. */
static int operate_read_context(struct crdt_heap *h, const struct branches *b) {
    muster_term list, words[2 * KEYS];
    struct muster_context context;
    int error;
    (void)b;
    for (uint64_t i = 0; i < 2 * KEYS; i++)
        words[i] = muster_heap_make_integer(&h->heap, i + 1);
    list = heap_make_cons(h, heap_make_tuple(h, words, 2 * KEYS), heap_make_nil(h));
    error = muster_context_read(&h->heap, list, &context);
    muster_context_close(&h->heap, &context);
    return error;
}

static int operate_sum_siblings(struct crdt_heap *h, const struct branches *b) {
    struct muster_leaf leaf = {.head = heap_make_nil(h), .tail = heap_make_nil(h)};
    uint64_t sum;
    (void)b;
    for (uint64_t n = KEYS; n > 0; n--) {
        muster_term words[] = {heap_make_integer(h, 1), heap_make_integer(h, n)};
        leaf.head = heap_make_cons(h, heap_make_tuple(h, words, 2), leaf.head);
    }
    return muster_leaf_sum(&h->heap, &leaf, &sum);
}

/* More than reading them, as they are sorted, looked up and hashed. */
static void lineages_and_siblings_cost_work(void **state) {
    (void)state;
    assert_true(work_of(operate_read_context, 0) >= 8 * KEYS);
    assert_true(work_of(operate_sum_siblings, 0) >= 8 * KEYS);
}

/* An odd key must be hashed to move down, and may not be within a budget. */
static void big_keys_are_left_to_the_unhurried(void **state) {
    struct crdt_heap h;
    struct muster_leaf leaf;
    muster_term root;
    (void)state;
    crdt_heap_init(&h);
    leaf.key = crdt_key(&h, 1, 0x7000000);
    assert_int_equal(muster_leaf_set_dot(&h.heap, (struct muster_dot){1, 1}, &leaf), 0);
    assert_int_equal(muster_trie_put(&h.heap, muster_trie_empty(&h.heap), &leaf, 0x7000000, &root),
                     0);
    leaf.key = crdt_key(&h, 2, 0x7000001);
    h.heap.budget = 1000;
    assert_int_equal(muster_trie_put(&h.heap, root, &leaf, 0x7000001, &root), MUSTER_E_LIMIT);
    h.heap.budget = MUSTER_BUDGET_UNLIMITED;
    assert_int_equal(muster_trie_put(&h.heap, root, &leaf, 0x7000001, &root), 0);
    crdt_heap_close(&h);
}

/* Each word of the root, and of what lies below, replaced by each of these. */
static void malformed_nodes_are_refused_or_harmless(void **state) {
    struct crdt_heap h;
    struct branches b;
    muster_term bad[4], out, *words;
    (void)state;
    crdt_heap_init(&h);
    grow_branches(&h, &b, 3, 40);
    bad[0] = heap_make_nil(&h);
    bad[1] = heap_make_integer(&h, UINT32_MAX);
    bad[2] = heap_make_integer(&h, MUSTER_INTEGER_MASK + 1);
    bad[3] = heap_make_tuple(&h, NULL, 0);
    for (struct cell *cell = h.cells; cell != NULL; cell = cell->next) {
        if (cell->kind != CELL_TUPLE)
            continue;
        words = cell->elements;
        for (uint64_t i = 0; i < cell->number; i++)
            for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
                muster_term good = words[i];
                words[i] = bad[j];
                (void)operate_put(&h, &b);
                (void)operate_remove(&h, &b);
                (void)operate_merge(&h, &b);
                words[i] = good;
            }
    }
    assert_int_equal(muster_trie_remove(&h.heap, bad[0], bad[0], 0, &out), MUSTER_E_MALFORMED);
    assert_int_equal(muster_trie_remove(&h.heap, bad[3], bad[0], 0, &out), MUSTER_E_MALFORMED);
    check_model(&h, b.root[0], &b.model[0]);
    crdt_heap_close(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_and_removals_follow_the_model),
        cmocka_unit_test(merges_follow_the_model),
        cmocka_unit_test(building_keeps_the_last_of_equal_keys),
        cmocka_unit_test(every_failing_allocation_is_reported),
        cmocka_unit_test(every_small_budget_is_kept),
        cmocka_unit_test(big_keys_cost_more_work),
        cmocka_unit_test(keys_of_one_hash_cost_work_in_pairs),
        cmocka_unit_test(lineages_and_siblings_cost_work),
        cmocka_unit_test(big_keys_are_left_to_the_unhurried),
        cmocka_unit_test(malformed_nodes_are_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
