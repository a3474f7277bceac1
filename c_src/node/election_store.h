/* Where a durable member of an election keeps its term, vote and voters: one file for each group.
 */
#ifndef MUSTER_NODE_ELECTION_STORE_H
#define MUSTER_NODE_ELECTION_STORE_H

#include <uv.h>

#include "core/bytes.h"
#include "core/election_codec.h"
#include "node/args.h"

/*
 * A store outlives the group that used it until its last write has ended, and a group that starts
 * meanwhile takes it over: otherwise the old group's write could land on the new one's.
 *
 * The file is written anew each time, on the thread pool: a temporary file, synced, renamed over
 * the old one, the directory synced. Format: "MUSTERE1", the length of the rest without the hash
 * (32 bits), the member's and the group's name (each with its length in front), the record as
 * election_codec has it, and the BLAKE2b hash (16 bytes) of all before. It is locked while in use.
 */
struct muster_election_store;

struct muster_election_stores {
    uv_loop_t *loop;
    struct muster_election_store *first;
};

struct muster_election_store_user {
    void *context;
    /* What a predecessor wanted written is on the disk now; see muster_election_store_is_ready. */
    void (*on_ready)(void *context);
    /* All records up to this one are on the disk. */
    void (*on_saved)(void *context, uint64_t sequence);
    /* A write failed (it is tried again), or went well again after that: NULL. */
    void (*on_problem)(void *context, const char *text);
};

void muster_election_stores_init(struct muster_election_stores *stores, uv_loop_t *loop);

/*
 * Opens the file of a group in `directory`, which is made if need be, and reads what is in it: the
 * record goes to *bytes, *len (0: a first start), which holds MUSTER_ELECTION_BYTES_MAX. Returns 0,
 * or MUSTER_E_INVALID with the reason in `*problem`: what cannot be read is not overwritten, as a
 * member that forgets its vote may vote twice.
 */
int muster_election_store_open(struct muster_election_stores *stores, struct muster_slice directory,
                               struct muster_slice group, const struct muster_node_name *self,
                               const struct muster_election_store_user *user,
                               struct muster_election_store **slot, uint8_t *bytes, size_t *len,
                               struct muster_problem *problem);

/* Whether the record that was handed out is on the disk: if not, nobody may be told of it yet. */
bool muster_election_store_is_ready(const struct muster_election_store *store);

/* Copies the record and has it written; a later one may take its place before it is. */
void muster_election_store_save(struct muster_election_store *store, uint64_t sequence,
                                const uint8_t *record, size_t len);

/* The user is told nothing more; what was given is still written. */
void muster_election_store_close(struct muster_election_store *store);

#endif
