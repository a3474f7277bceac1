#include "core/lineage.h"

/* Multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): with
 * random words m, any two different pairs have the same with a probability of 2^-32. */
static uint64_t half(const uint64_t m[5], uint64_t lineage, uint64_t n) {
    uint64_t sum = m[0] + m[1] * (uint32_t)lineage + m[2] * (lineage >> 32) + m[3] * (uint32_t)n +
                   m[4] * (n >> 32);
    return sum >> 32;
}

/* The same, so far as anybody can tell who does not know the key, with a probability of 2^-64: all
 * that is ever seen of fingerprints is whether two were the same. Zero marks a slot that was never
 * used, so no tip may have it. */
static uint64_t fingerprint(const struct muster_lineage_table *table, uint64_t lineage,
                            uint64_t n) {
    uint64_t high = half(table->key.words[0], lineage, n);
    uint64_t print = high << 32 | half(table->key.words[1], lineage, n);
    return print == 0 ? 1 : print;
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
    atomic_store(slot_of(table, lineage), fingerprint(table, lineage, n));
}

bool muster_lineage_advance(struct muster_lineage_table *table, uint64_t lineage, uint64_t n) {
    uint64_t tip = fingerprint(table, lineage, n);
    return atomic_compare_exchange_strong(slot_of(table, lineage), &tip,
                                          fingerprint(table, lineage, n + 1));
}
