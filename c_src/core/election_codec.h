/* The election's messages, documents and saved records as bytes. */
#ifndef MUSTER_CORE_ELECTION_CODEC_H
#define MUSTER_CORE_ELECTION_CODEC_H

#include "core/bytes.h"
#include "core/commander.h"
#include "core/election.h"
#include "core/node_name.h"

#include <stdbool.h>

/*
 * Members are numbers in the core, and names where others read: whoever hears of a voter for the
 * first time must be able to dial it. So voters and the role table's rows travel by name, and the
 * number is found again at the receiver. docs/election.md has the layout.
 */
struct muster_member_names {
    void *context;
    /* The name of a member, or NULL; lives until the next call of either. */
    const struct muster_node_name *(*name)(void *context, muster_member member);
    /* The number of a name, which is remembered from now on, or MUSTER_NOBODY if there is no room
     * for it or another name has the same number. */
    muster_member (*learn)(void *context, const struct muster_node_name *name);
};

/* The most that anything here takes as bytes. */
#define MUSTER_ELECTION_ROW_MAX (1 + MUSTER_NODE_NAME_MAX + 8 + 8 + 1 + 4 + 1)
#define MUSTER_ELECTION_BYTES_MAX (256 + MUSTER_MEMBERS_MAX * MUSTER_ELECTION_ROW_MAX)

/* A message taken apart, with room for the documents that it may point to. */
struct muster_decoded_message {
    struct muster_message message;
    bool has_note;
    struct muster_note note;
    struct muster_config config;
    struct muster_role_table table;
};

/*
 * Each encoder returns the number of bytes written to `out`, which holds
 * MUSTER_ELECTION_BYTES_MAX, or 0 if a voter or row has no name here. `note` may be NULL; its table
 * goes along only if the message carries the document.
 */
size_t muster_election_encode(uint8_t *out, const struct muster_message *message,
                              const struct muster_note *note,
                              const struct muster_member_names *names);
size_t muster_election_encode_saved(uint8_t *out, const struct muster_election_saved *saved,
                                    const struct muster_member_names *names);

/*
 * Each decoder takes all of `in` and returns 0, MUSTER_E_TRUNCATED, MUSTER_E_MALFORMED or
 * MUSTER_E_LIMIT (a name that cannot be remembered). What the values mean is not checked: that is
 * muster_message_check's, muster_config_check's and muster_table_check's part.
 */
int muster_election_decode(struct muster_decoded_message *decoded, struct muster_slice in,
                           const struct muster_member_names *names);
int muster_election_decode_saved(struct muster_election_saved *saved, struct muster_slice in,
                                 const struct muster_member_names *names);

#endif
