/*
 * Which names out of unauthenticated packets are worth a dial. Strangers can make up names and
 * source addresses without end; a real node says the same name again and again. So names heard
 * before have a budget of their own that made-up ones do not use up, and each budget holds in total
 * and per source address. Bounded memory, and constant time for each name. No clock or randomness.
 */
#ifndef MUSTER_CORE_ADMISSION_H
#define MUSTER_CORE_ADMISSION_H

#include <sodium/crypto_shorthash.h>

#include "core/node_name.h"
#include "core/token_bucket.h"

/* Names remembered: a stranger must make up as many to have a real one forgotten, on average. 1 MB,
 * of which pages are touched as names are heard. */
#define MUSTER_ADMISSION_NAMES (1u << 19)
/* Budgets of sources; addresses that fall together share one. */
#define MUSTER_ADMISSION_SOURCES 256
/* A budget's burst, in seconds of its rate. */
#define MUSTER_ADMISSION_BURST_S 4

/* The total rate is divided: a fifth for names never heard before, the rest for the others. */
enum muster_admission_class { MUSTER_ADMISSION_FRESH, MUSTER_ADMISSION_REPEATED };
#define MUSTER_ADMISSION_CLASSES 2

struct muster_admission {
    uint8_t key[crypto_shorthash_KEYBYTES]; /* so that nobody can choose names that fall together */
    struct muster_token_bucket total[MUSTER_ADMISSION_CLASSES];
    struct muster_token_bucket sources[MUSTER_ADMISSION_SOURCES][MUSTER_ADMISSION_CLASSES];
    uint16_t
        *names; /* fingerprints by hash; 0: none. A made-up name seems heard 1 time in 65,536 */
};

/*
 * `per_s` names a second in total (5 at least), half of it from one source; `random` is
 * crypto_shorthash_KEYBYTES random bytes. Returns 0 or MUSTER_E_NOMEM.
 */
int muster_admission_init(struct muster_admission *admission, uint32_t per_s, const uint8_t *random,
                          uint64_t now_ms);
void muster_admission_close(struct muster_admission *admission);

/* Whether the name was heard before (as far as is remembered); it was from now on. */
enum muster_admission_class muster_admission_hear(struct muster_admission *admission,
                                                  const struct muster_node_name *name);

/* Whether there is budget for a name of this class from this source (any bytes); takes of it. */
int muster_admission_take(struct muster_admission *admission, enum muster_admission_class class,
                          struct muster_slice source, uint64_t now_ms);

#endif
