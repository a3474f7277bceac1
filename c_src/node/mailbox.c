#include "node/mailbox.h"

#include <stdio.h>

#include "core/errors.h"
#include "core/term.h"
#include "node/dist_message.h"
#include "node/log.h"

#define REF_WORDS 3
#define ELECTION "muster_election"

void muster_mailbox_init(struct muster_mailbox *mailbox, const struct muster_node_name *self,
                         uint32_t creation, const struct muster_mailbox_owner *owner) {
    memset(mailbox, 0, sizeof *mailbox);
    snprintf(mailbox->pid.node, sizeof mailbox->pid.node, "%s", self->text);
    mailbox->pid.num = 1;
    mailbox->pid.creation = creation;
    mailbox->owner = *owner;
}

/* --- Sending --- */

static void begin(struct muster_writer *w, int arity, int operation) {
    muster_writer_init(w);
    muster_write_byte(w, MUSTER_DIST_PASS_THROUGH);
    muster_write_version(w);
    muster_write_tuple(w, arity);
    muster_write_integer(w, operation);
}

static void send_and_free(struct muster_peer *peer, struct muster_writer *w) {
    struct muster_slice frame;
    if (muster_writer_finish(w, &frame) == 0 && peer->link != NULL) {
        muster_link_send(peer->link, frame);
    }
    muster_writer_free(w);
}

void muster_mailbox_begin_send(struct muster_mailbox *mailbox, const char *name,
                               struct muster_writer *w) {
    begin(w, 4, MUSTER_DIST_REG_SEND);
    muster_write_pid(w, &mailbox->pid);
    muster_write_atom(w, "");
    muster_write_atom(w, name);
    muster_write_version(w);
}

void muster_mailbox_end_send(struct muster_peer *peer, struct muster_writer *w) {
    send_and_free(peer, w);
}

void muster_mailbox_call(struct muster_mailbox *mailbox, struct muster_peer *peer, const char *name,
                         const uint32_t ref_words[3],
                         void (*request)(void *context, struct muster_writer *w), void *context) {
    struct muster_writer w;
    erlang_ref ref = {.len = REF_WORDS, .creation = mailbox->pid.creation};
    memcpy(ref.node, mailbox->pid.node, sizeof ref.node);
    memcpy(ref.n, ref_words, REF_WORDS * sizeof ref.n[0]);
    muster_mailbox_begin_send(mailbox, name, &w);
    muster_write_tuple(&w, 3);
    muster_write_atom(&w, "$gen_call");
    muster_write_tuple(&w, 2);
    muster_write_pid(&w, &mailbox->pid);
    muster_write_ref(&w, &ref);
    request(context, &w);
    send_and_free(peer, &w);
}

int muster_mailbox_parse_answer(struct muster_slice message, uint32_t ref_words[3],
                                struct muster_slice *reply) {
    struct muster_reader r = muster_reader(message);
    erlang_ref ref;
    int arity;
    if (muster_read_tuple(&r, &arity) != 0 || arity != 2 ||
        ei_decode_ref(r.data, &r.at, &ref) != 0 || ref.len != REF_WORDS) {
        return MUSTER_E_MALFORMED;
    }
    memcpy(ref_words, ref.n, REF_WORDS * sizeof ref.n[0]);
    return muster_read_raw(&r, reply);
}

/* {Tag, Reply} to the alias in the tag where the peer knows aliases: a late reply to a pid would
 * stray. */
static void begin_reply(struct muster_writer *w, const struct muster_mailbox *mailbox,
                        const struct muster_peer *peer, const struct muster_gen_call *call) {
    if (call->alias.len > 0 && (muster_link_peer_flags(peer->link) & MUSTER_DFLAG_ALIAS)) {
        begin(w, 3, MUSTER_DIST_ALIAS_SEND);
        muster_write_pid(w, &mailbox->pid);
        muster_write_raw(w, call->alias);
    } else {
        begin(w, 3, MUSTER_DIST_SEND);
        muster_write_atom(w, "");
        muster_write_raw(w, call->pid);
    }
    muster_write_version(w);
    muster_write_tuple(w, 2);
    muster_write_raw(w, call->tag);
}

/* --- Receiving --- */

static int is_own_pid(const struct muster_mailbox *mailbox, struct muster_slice term) {
    erlang_pid pid;
    int at = 0;
    return term.len > 0 && ei_decode_pid((const char *)term.data, &at, &pid) == 0 &&
           strcmp(pid.node, mailbox->pid.node) == 0 && pid.num == mailbox->pid.num &&
           pid.serial == mailbox->pid.serial && pid.creation == mailbox->pid.creation;
}

static int is_own_name(const char *name) {
    return strcmp(name, "muster") == 0 || strcmp(name, ELECTION) == 0 ||
           strcmp(name, "net_kernel") == 0;
}

/* net_adm:ping/1 asks {is_auth, Node}; that the question came through is the answer. */
static int is_auth_request(struct muster_slice request) {
    struct muster_reader r = muster_reader(request);
    char atom[MUSTER_ATOM_SIZE];
    int arity;
    return muster_read_tuple(&r, &arity) == 0 && arity == 2 && muster_read_atom(&r, atom) == 0 &&
           strcmp(atom, "is_auth") == 0;
}

static void answer_call(struct muster_mailbox *mailbox, struct muster_peer *peer, const char *name,
                        const struct muster_gen_call *call) {
    struct muster_writer w;
    begin_reply(&w, mailbox, peer, call);
    if (strcmp(name, "net_kernel") == 0 && is_auth_request(call->request)) {
        muster_write_atom(&w, "yes");
    } else {
        mailbox->owner.on_call(mailbox->owner.context, call->request, &w);
    }
    send_and_free(peer, &w);
}

static void receive_send(struct muster_mailbox *mailbox, struct muster_peer *peer,
                         const struct muster_dist_message *message, uint64_t read_at) {
    struct muster_gen_call call;
    if (message->to_name[0] == '\0') {
        if (is_own_pid(mailbox, message->to)) {
            mailbox->owner.on_message(mailbox->owner.context, peer, message->payload, read_at);
        }
    } else if (strcmp(message->to_name, ELECTION) == 0) {
        mailbox->owner.on_election(mailbox->owner.context, peer, message->payload);
    } else if (is_own_name(message->to_name) &&
               muster_gen_call_parse(&call, message->payload) == 0) {
        answer_call(mailbox, peer, message->to_name, &call);
    }
}

/* A monitor on what is here stays quiet until the connection ends; on anything else it fires at
 * once. */
static void receive_monitor(struct muster_mailbox *mailbox, struct muster_peer *peer,
                            const struct muster_dist_message *message) {
    struct muster_writer w;
    if (is_own_name(message->to_name) || is_own_pid(mailbox, message->to)) {
        return;
    }
    begin(&w, 5, MUSTER_DIST_MONITOR_P_EXIT);
    muster_write_raw(&w, message->to);
    muster_write_raw(&w, message->from);
    muster_write_raw(&w, message->id);
    muster_write_atom(&w, "noproc");
    send_and_free(peer, &w);
}

/* Nothing here takes links: whoever links learns at once that there is no such process. */
static void receive_link(struct muster_peer *peer, const struct muster_dist_message *message) {
    struct muster_writer w;
    begin(&w, 4, MUSTER_DIST_EXIT);
    muster_write_raw(&w, message->to);
    muster_write_raw(&w, message->from);
    muster_write_atom(&w, "noproc");
    send_and_free(peer, &w);
}

static void receive_unlink(struct muster_peer *peer, const struct muster_dist_message *message) {
    struct muster_writer w;
    begin(&w, 4, MUSTER_DIST_UNLINK_ID_ACK);
    muster_write_raw(&w, message->id);
    muster_write_raw(&w, message->to);
    muster_write_raw(&w, message->from);
    send_and_free(peer, &w);
}

void muster_mailbox_receive(struct muster_mailbox *mailbox, struct muster_peer *peer,
                            struct muster_slice frame, uint64_t read_at) {
    struct muster_dist_message message;
    int error = muster_dist_message_parse(&message, frame);
    if (error != 0) {
        muster_log(MUSTER_WARNING, "%s sent a message that cannot be read: %s", peer->name.text,
                   muster_strerror(error));
        return;
    }
    switch (message.operation) {
    case MUSTER_DIST_SEND:
    case MUSTER_DIST_SEND_TT:
    case MUSTER_DIST_SEND_SENDER:
    case MUSTER_DIST_SEND_SENDER_TT:
    case MUSTER_DIST_REG_SEND:
    case MUSTER_DIST_REG_SEND_TT:
        receive_send(mailbox, peer, &message, read_at);
        break;
    case MUSTER_DIST_MONITOR_P:
        receive_monitor(mailbox, peer, &message);
        break;
    case MUSTER_DIST_LINK:
        receive_link(peer, &message);
        break;
    case MUSTER_DIST_UNLINK_ID:
        receive_unlink(peer, &message);
        break;
    default:
        /* Demonitors, exits and group leaders concern processes that are not here. */
        break;
    }
}
