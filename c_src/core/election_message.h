/* What the members of an election say to each other. */
#ifndef MUSTER_CORE_ELECTION_MESSAGE_H
#define MUSTER_CORE_ELECTION_MESSAGE_H

#include "core/election_config.h"

#include <stdbool.h>
#include <stdint.h>

/* The version of the messages' meaning; the encoder puts it on the wire. */
#define MUSTER_ELECTION_PROTOCOL 1

/* No term is ever this large: a peer that sends one is not believed. */
#define MUSTER_TERM_MAX (UINT64_C(1) << 62)

#define MUSTER_MESSAGES(X)                                                                         \
    /* Would you vote for me in `term`? Changes nothing at either side. */                         \
    X(PRE_VOTE, 1)                                                                                 \
    X(PRE_VOTE_REPLY, 2)                                                                           \
    /* Vote for me in `term`. */                                                                   \
    X(VOTE, 3)                                                                                     \
    X(VOTE_REPLY, 4)                                                                               \
    /* I am the leader of `term`; carries the document to those who hold an older one. */          \
    X(HEARTBEAT, 5)                                                                                \
    X(HEARTBEAT_REPLY, 6)                                                                          \
    /* I lead no longer, and never again as `election`; `successor` may stand at once. */          \
    X(RESIGN, 7)                                                                                   \
    /* Find out whether a majority would have you; I still lead. */                                \
    X(TRANSFER, 8)                                                                                 \
    /* A majority would. */                                                                        \
    X(TRANSFER_READY, 9)

enum muster_message_kind {
#define X(name, number) MUSTER_MESSAGE_##name = (number),
    MUSTER_MESSAGES(X)
#undef X
};

struct muster_message {
    enum muster_message_kind kind;
    /* The sender's term; in a request and in a granting reply the term asked for. */
    uint64_t term;
    /* The random id of the candidacy or leadership that the message belongs to. Never 0. */
    uint64_t election;
    /* PRE_VOTE: the leader of this election asked the sender to try, or has resigned.
     * VOTE: the leader of this election has resigned. 0: neither. */
    uint64_t consent;
    /* HEARTBEAT: when it was sent, on the leader's clock; its reply returns it. */
    uint64_t sent_at;
    /* How long the sender has been running, ms. */
    uint64_t age;
    /* RESIGN: who should stand at once, or MUSTER_NOBODY. */
    muster_member successor;
    /* The stamp of the configuration (of the commander: of the role table) the sender holds. */
    struct muster_stamp stamp;
    /* Of the voters the sender holds under that stamp (leader groups), or 0. */
    uint64_t fingerprint;
    /* Replies: yes. */
    bool granted;
    /* RESIGN: by choice; nothing was wrong with the leader. */
    bool willing;
    /* HEARTBEAT: a majority has acknowledged this leader, it may act. */
    bool leads;
    /* HEARTBEAT_REPLY: this voter may hold up a lease (it has not just forgotten its vote). */
    bool supports;
    /* HEARTBEAT_REPLY: this voter could lead. */
    bool eligible;
    /* HEARTBEAT, refusing reply: the receiver holds an older document and gets this one along. */
    bool carries;
    /* The document of a leader group if `carries`, else NULL. Lives until the sender's next step.
     */
    const struct muster_config *config;
};

/* The kind's name, or "?" ; static. */
const char *muster_message_name(enum muster_message_kind kind);

/* 0, or MUSTER_E_MALFORMED if a decoded message cannot come from a correct peer. */
int muster_message_check(const struct muster_message *message);

#endif
