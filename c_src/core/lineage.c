#include "core/lineage.h"

/* Zero marks a slot that was never used, so no tip may hash to it. */
static uint64_t fingerprint(const struct muster_lineage_table *table, uint64_t lineage,
                            uint64_t n) {
    uint64_t hash = muster_siphash_pair(&table->key, lineage, n);
    return hash == 0 ? 1 : hash;
}

/* Lineages are random, so their low bits spread them evenly. */
static _Atomic uint64_t *slot_of(struct muster_lineage_table *table, uint64_t lineage) {
    return &table->slots[lineage % MUSTER_LINEAGE_SLOTS];
}

void muster_lineage_init(struct muster_lineage_table *table, const struct muster_siphash_key *key) {
    table->key = *key;
    for (size_t i = 0; i < MUSTER_LINEAGE_SLOTS; i++)
        atomic_init(&table->slots[i], 0);
}

void muster_lineage_begin(struct muster_lineage_table *table, uint64_t lineage, uint64_t n) {
    atomic_store(slot_of(table, lineage), fingerprint(table, lineage, n));
}

bool muster_lineage_advance(struct muster_lineage_table *table, uint64_t lineage, uint64_t n) {
    _Atomic uint64_t *slot = slot_of(table, lineage);
    uint64_t tip = fingerprint(table, lineage, n);
    if (atomic_load_explicit(slot, memory_order_relaxed) != tip)
        return false; /* spares the second hash; the swap below decides */
    return atomic_compare_exchange_strong(slot, &tip, fingerprint(table, lineage, n + 1));
}
