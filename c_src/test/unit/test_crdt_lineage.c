/* No dot is issued twice: the lineage table under contention; and the hash it rests on. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/lineage.h"
#include "core/siphash.h"

#define THREADS 4
#define ROUNDS 20000
#define LINEAGES 8

static const struct muster_lineage_key lineage_key = {
    {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
      0x452821e638d01377},
     {0xbe5466cf34e90c6c, 0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917, 0x9216d5d98979fb1b,
      0xd1310ba698dfb5ac}}};

/* From the paper's reference implementation: key 00..0f, input 00..0f. */
static void siphash_reference_vector(void **state) {
    static const struct muster_siphash_key key = {UINT64_C(0x0706050403020100),
                                                  UINT64_C(0x0f0e0d0c0b0a0908)};
    (void)state;
    assert_int_equal(
        muster_siphash_pair(&key, UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)),
        UINT64_C(0x3f2acc7f57c29bdb));
}

static struct muster_lineage_table *new_table(void) {
    struct muster_lineage_table *table = malloc(sizeof *table);
    assert_non_null(table);
    muster_lineage_init(table, &lineage_key);
    return table;
}

static void only_the_tip_advances(void **state) {
    struct muster_lineage_table *table = new_table();
    (void)state;
    assert_false(muster_lineage_advance(table, 7, 0));
    muster_lineage_begin(table, 7, 1);
    assert_false(muster_lineage_advance(table, 7, 2));
    assert_true(muster_lineage_advance(table, 7, 1));
    assert_false(muster_lineage_advance(table, 7, 1));
    assert_true(muster_lineage_advance(table, 7, 2));
    free(table);
}

static void an_evicted_lineage_is_forgotten(void **state) {
    struct muster_lineage_table *table = new_table();
    (void)state;
    muster_lineage_begin(table, 7, 1);
    muster_lineage_begin(table, 7 + MUSTER_LINEAGE_SLOTS, 1);
    assert_false(muster_lineage_advance(table, 7, 1));
    assert_true(muster_lineage_advance(table, 7 + MUSTER_LINEAGE_SLOTS, 1));
    free(table);
}

/* What all threads share: the table, and how often each dot was issued. */
struct contest {
    struct muster_lineage_table *table;
    _Atomic unsigned issued[LINEAGES][ROUNDS + 2];
    _Atomic uint64_t tips[LINEAGES];
};

/* Advances whatever tip it last saw, as do the others; now and then evicts one for good. Half of
 * the lineages share slots with the other half, so beginning one forgets another. */
static void *contend(void *argument) {
    struct contest *contest = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned which = i % LINEAGES;
        uint64_t lineage =
            1 + which % (LINEAGES / 2) + which / (LINEAGES / 2) * MUSTER_LINEAGE_SLOTS;
        uint64_t tip = atomic_load(&contest->tips[which]);
        if (tip <= ROUNDS && muster_lineage_advance(contest->table, lineage, tip)) {
            atomic_fetch_add(&contest->issued[which][tip + 1], 1);
            atomic_store(&contest->tips[which], tip + 1);
        }
    }
    return NULL;
}

static void no_dot_is_issued_twice(void **state) {
    struct contest *contest = calloc(1, sizeof *contest);
    pthread_t threads[THREADS];
    unsigned issued = 0;
    (void)state;
    contest->table = new_table();
    for (unsigned which = 0; which < LINEAGES; which++)
        muster_lineage_begin(
            contest->table,
            1 + which % (LINEAGES / 2) + which / (LINEAGES / 2) * MUSTER_LINEAGE_SLOTS, 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, contend, contest), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned which = 0; which < LINEAGES; which++)
        for (unsigned n = 0; n < ROUNDS + 2; n++) {
            assert_in_range(contest->issued[which][n], 0, 1);
            issued += contest->issued[which][n];
        }
    assert_true(issued > 1000);
    free(contest->table);
    free(contest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_reference_vector),
        cmocka_unit_test(only_the_tip_advances),
        cmocka_unit_test(an_evicted_lineage_is_forgotten),
        cmocka_unit_test(no_dot_is_issued_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
