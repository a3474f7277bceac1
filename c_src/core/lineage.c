#include "core/lineage.h"

__extension__ typedef unsigned __int128 wide;

static wide widen(const uint64_t number[2]) {
    return (wide)number[1] << 64 | number[0];
}

/* offset + lineage * a + n * b mod 2^128, of which the high half is the fingerprint. With offset, a
 * and b random and secret that is strongly universal (multilinear hashing: Dietzfelbinger 1996;
 * Lemire and Kaser 2014): any two pairs below 2^65 have the same with a probability of 2^-64, and
 * nothing but whether two were the same is ever seen outside. */
static wide mix(const struct muster_lineage_key *key, uint64_t lineage, uint64_t n) {
    return widen(key->offset) + widen(key->lineage) * lineage + widen(key->n) * n;
}

/* Zero marks a slot that was never used, so no tip may have it. */
static uint64_t fingerprint(wide mixed) {
    uint64_t high = (uint64_t)(mixed >> 64);
    return high == 0 ? 1 : high;
}

/* Lineages are random, so their low bits spread them evenly. */
static _Atomic uint64_t *slot_of(struct muster_lineage_table *table, uint64_t lineage) {
    return &table->slots[lineage % MUSTER_LINEAGE_SLOTS];
}

void muster_lineage_init(struct muster_lineage_table *table, const struct muster_lineage_key *key) {
    table->key = *key;
    for (size_t i = 0; i < MUSTER_LINEAGE_SLOTS; i++)
        atomic_init(&table->slots[i], 0);
}

void muster_lineage_begin(struct muster_lineage_table *table, uint64_t lineage, uint64_t n) {
    atomic_store(slot_of(table, lineage), fingerprint(mix(&table->key, lineage, n)));
}

bool muster_lineage_advance(struct muster_lineage_table *table, uint64_t lineage, uint64_t n) {
    wide mixed = mix(&table->key, lineage, n);
    uint64_t tip = fingerprint(mixed);
    return atomic_compare_exchange_strong(slot_of(table, lineage), &tip,
                                          fingerprint(mixed + widen(table->key.n)));
}
