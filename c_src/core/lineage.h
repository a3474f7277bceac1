/* The table that says which value is the tip of a lineage, so that no dot is issued twice.
 *
 * A lineage is a random number that names a line of successive updates; a dot is one update:
 * {lineage, n}. Values fork freely (two updates of one base, a value read back from disk), but
 * only one of the branches may continue the lineage. The table remembers, per lineage, the one n
 * that may be followed by n + 1; a branch that comes second, or whose lineage was forgotten,
 * begins a fresh one. Forgetting costs an entry in the context, never correctness.
 *
 * A slot is *one* 64-bit word, a keyed hash of (lineage, n), moved from n to n + 1 by
 * compare-and-swap. With the lineage and n in two words, a thread between them sees a mixture
 * and may issue a dot again. Any number of threads may use one table. */
#ifndef MUSTER_CORE_LINEAGE_H
#define MUSTER_CORE_LINEAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUSTER_LINEAGE_SLOTS 65536

struct muster_lineage_key {
    uint64_t words[2][5]; /* see lineage.c */
};

struct muster_lineage_table {
    struct muster_lineage_key key; /* secret: slots cannot be forged by choosing lineages */
    _Atomic uint64_t slots[MUSTER_LINEAGE_SLOTS];
};

/* Empties the table. `key` must come from a good random source. */
void muster_lineage_init(struct muster_lineage_table *table, const struct muster_lineage_key *key);

/* Makes n the tip of a fresh lineage; whatever shared its slot is forgotten. */
void muster_lineage_begin(struct muster_lineage_table *table, uint64_t lineage, uint64_t n);

/* Moves the tip from n to n + 1 and returns true, once only; false if n is not the tip (any
 * more), in which case nothing changes. */
bool muster_lineage_advance(struct muster_lineage_table *table, uint64_t lineage, uint64_t n);

#endif
