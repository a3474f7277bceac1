/* What the C nodes of a group send each other: {muster_election, 1, Group, Sender, Bytes}. */
#ifndef MUSTER_NODE_ELECTION_WIRE_H
#define MUSTER_NODE_ELECTION_WIRE_H

#include "core/election_codec.h"
#include "node/codec.h"

#define MUSTER_ELECTION_NAME "muster_election"
#define MUSTER_ELECTION_KEY_MAX 255

#define MUSTER_ELECTION_FRAMES(X)                                                                  \
    X(HELLO, 1)   /* kind, answers, observer, incarnation: I have this group */                    \
    X(BYE, 2)     /* I have it no more */                                                          \
    X(LEFT, 3)    /* name: that member has left for good */                                        \
    X(MESSAGE, 4) /* bytes: of election_codec */                                                   \
    X(REQUEST, 5) /* id, op, role, name: to the leader */                                          \
    X(ANSWER, 6)  /* id, result */

enum muster_election_frame_kind {
#define X(name, number) MUSTER_FRAME_##name = (number),
    MUSTER_ELECTION_FRAMES(X)
#undef X
};

enum muster_election_request_op {
    MUSTER_REQUEST_ADD_VOTER = 1,
    MUSTER_REQUEST_REMOVE_VOTER = 2,
    MUSTER_REQUEST_PROMOTE = 3, /* the only one that is answered */
    MUSTER_REQUEST_JOINED = 4,
};

struct muster_election_frame {
    enum muster_election_frame_kind kind;
    uint8_t group_kind; /* HELLO; an enum muster_election_kind */
    bool answers;       /* HELLO: the answer to another */
    bool observer;      /* HELLO */
    uint64_t incarnation;
    struct muster_node_name name;
    struct muster_slice bytes; /* refers to what was decoded */
    uint64_t id;
    uint8_t op;
    uint8_t role;
    uint8_t result; /* ANSWER: 0, or a negative code's absolute value */
};

/* The longest frame apart from a message. */
#define MUSTER_ELECTION_FRAME_HEAD_MAX (16 + MUSTER_NODE_NAME_MAX)

/* Writes the whole term. */
void muster_election_frame_write(struct muster_writer *w, struct muster_slice group,
                                 const struct muster_node_name *sender,
                                 const struct muster_election_frame *frame);

/* The outer term taken apart. Returns 0, MUSTER_E_MALFORMED, or MUSTER_E_UNSUPPORTED for another
 * version of the protocol. */
struct muster_election_envelope {
    struct muster_slice group;
    struct muster_slice sender;
    struct muster_slice bytes;
};
int muster_election_envelope_parse(struct muster_election_envelope *envelope,
                                   struct muster_slice term);

/* Returns 0, MUSTER_E_TRUNCATED, MUSTER_E_MALFORMED, or MUSTER_E_UNSUPPORTED for an unknown kind.
 */
int muster_election_frame_parse(struct muster_election_frame *frame, struct muster_slice bytes);

#endif
