/*
 * The C node's one process, as the other nodes see it: a pid, the registered names `muster` and
 * `net_kernel`, gen_server calls answered, monitors and links treated as a real node would.
 */
#ifndef MUSTER_NODE_MAILBOX_H
#define MUSTER_NODE_MAILBOX_H

#include "core/bytes.h"
#include "node/codec.h"
#include "node/peers.h"

struct muster_mailbox_owner {
    void *context;
    /* Answers a call to `muster`: writes exactly one term. */
    void (*on_call)(void *context, struct muster_slice request, struct muster_writer *reply);
    /* A message to the pid; that is where answers to our own calls come in. */
    void (*on_message)(void *context, struct muster_peer *peer, struct muster_slice message,
                       uint64_t read_at);
    /* A message to `muster_election`, of the C nodes among themselves. */
    void (*on_election)(void *context, struct muster_peer *peer, struct muster_slice message);
};

struct muster_mailbox {
    erlang_pid pid;
    struct muster_mailbox_owner owner;
};

void muster_mailbox_init(struct muster_mailbox *mailbox, const struct muster_node_name *self,
                         uint32_t creation, const struct muster_mailbox_owner *owner);

/* Takes one frame from a connected peer. A malformed one is logged; nothing else comes of it. */
void muster_mailbox_receive(struct muster_mailbox *mailbox, struct muster_peer *peer,
                            struct muster_slice frame, uint64_t read_at);

/* Sends {'$gen_call', {Pid, Ref}, Request} to a registered name, where `request` writes the one
 * term Request. */
void muster_mailbox_call(struct muster_mailbox *mailbox, struct muster_peer *peer, const char *name,
                         const uint32_t ref_words[3],
                         void (*request)(void *context, struct muster_writer *w), void *context);

/* A message to a registered name: begin, write the one term that is the message, then send, which
 * ends the writer. Without a link it goes nowhere. */
void muster_mailbox_begin_send(struct muster_mailbox *mailbox, const char *name,
                               struct muster_writer *w);
void muster_mailbox_end_send(struct muster_peer *peer, struct muster_writer *w);

/* Takes an answer to such a call apart: {Ref, Reply}. Returns 0 or MUSTER_E_MALFORMED. */
int muster_mailbox_parse_answer(struct muster_slice message, uint32_t ref_words[3],
                                struct muster_slice *reply);

#endif
