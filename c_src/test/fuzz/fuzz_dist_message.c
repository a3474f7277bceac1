/*
 * Frames of an established connection, and the gen_server calls in them: what is found are whole
 * terms within the frame, and nothing beyond the frame is read, by ei neither.
 */
#include <stdlib.h>

#include "core/term.h"
#include "node/dist_message.h"
#include "node/mailbox.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

/* Empty, or exactly one term that lies within `whole`. */
static void check_term(struct muster_slice whole, struct muster_slice term) {
    size_t used;
    if (term.len == 0) {
        return;
    }
    check(term.data >= whole.data && term.data + term.len <= whole.data + whole.len);
    check(muster_term_check(term, &muster_term_default_limits, &used) == 0 && used == term.len);
}

static void check_call(struct muster_slice payload) {
    struct muster_gen_call call;
    if (muster_gen_call_parse(&call, payload) != 0) {
        return;
    }
    check(call.pid.len > 0 && call.tag.len > 0 && call.request.len > 0);
    check_term(payload, call.pid);
    check_term(payload, call.tag);
    check_term(payload, call.request);
    check_term(call.tag, call.alias);
}

/* As an answer to a call of ours: only what the validator has passed comes so far. */
static void check_answer(struct muster_slice payload) {
    uint32_t ref_words[3];
    struct muster_slice reply;
    if (payload.len > 0 && muster_mailbox_parse_answer(payload, ref_words, &reply) == 0) {
        check(reply.len > 0);
        check_term(payload, reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    struct muster_dist_message message;
    if (size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    struct muster_slice frame = muster_slice(guard_put(&guard, data, size), size);
    if (muster_dist_message_parse(&message, frame) != 0) {
        return 0;
    }
    check(message.operation >= 0 && message.operation <= 255);
    check(memchr(message.to_name, 0, sizeof message.to_name) != NULL);
    check(message.to_name[0] == '\0' || message.to.len > 0);
    check_term(frame, message.from);
    check_term(frame, message.to);
    check_term(frame, message.id);
    check_term(frame, message.payload);
    check_call(message.payload);
    check_answer(message.payload);
    return 0;
}
