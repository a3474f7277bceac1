/* One frame of an established connection, taken apart: a control term and perhaps a message. */
#ifndef MUSTER_NODE_DIST_MESSAGE_H
#define MUSTER_NODE_DIST_MESSAGE_H

#include "core/bytes.h"
#include "node/codec.h"

/* What each frame begins with: no distribution header, that is no atom cache and no fragments. */
#define MUSTER_DIST_PASS_THROUGH 112

/* The operations that mean something to a C node; the numbers are the protocol's. */
enum muster_dist_operation {
    MUSTER_DIST_LINK = 1,
    MUSTER_DIST_SEND = 2,
    MUSTER_DIST_EXIT = 3,
    MUSTER_DIST_UNLINK = 4,
    MUSTER_DIST_REG_SEND = 6,
    MUSTER_DIST_GROUP_LEADER = 7,
    MUSTER_DIST_EXIT2 = 8,
    MUSTER_DIST_SEND_TT = 12,
    MUSTER_DIST_EXIT_TT = 13,
    MUSTER_DIST_REG_SEND_TT = 16,
    MUSTER_DIST_EXIT2_TT = 18,
    MUSTER_DIST_MONITOR_P = 19,
    MUSTER_DIST_DEMONITOR_P = 20,
    MUSTER_DIST_MONITOR_P_EXIT = 21,
    MUSTER_DIST_SEND_SENDER = 22,
    MUSTER_DIST_SEND_SENDER_TT = 23,
    MUSTER_DIST_ALIAS_SEND = 33,
    MUSTER_DIST_ALIAS_SEND_TT = 34,
    MUSTER_DIST_UNLINK_ID = 35,
    MUSTER_DIST_UNLINK_ID_ACK = 36,
};

/* Slices are whole terms within the frame, without version bytes. */
struct muster_dist_message {
    int operation;
    struct muster_slice
        from; /* the pid that sends, links, monitors; empty where the operation has none */
    struct muster_slice to;         /* a pid, an alias, or the atom of a registered name */
    char to_name[MUSTER_ATOM_SIZE]; /* that atom's text, or "" when `to` is none */
    struct muster_slice id;         /* the reference of a monitor, the id of an unlink */
    struct muster_slice payload;    /* the message of a send; empty for the others */
};

/*
 * Parses a frame. Returns 0, or a negative code for one that breaks the protocol. An operation that
 * is well-formed but not in the list above is returned with its number and nothing else.
 */
int muster_dist_message_parse(struct muster_dist_message *message, struct muster_slice frame);

/* A gen_server call in a message's payload: {'$gen_call', {Pid, Tag}, Request}. */
struct muster_gen_call {
    struct muster_slice pid;
    struct muster_slice tag;
    struct muster_slice
        alias; /* the reference in [alias | Ref] or [[alias | Ref] | _]; empty otherwise */
    struct muster_slice request;
};

/* Returns 0, or MUSTER_E_MALFORMED when the payload is no such call. */
int muster_gen_call_parse(struct muster_gen_call *call, struct muster_slice payload);

#endif
