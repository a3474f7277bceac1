/*
 * What other C nodes say in an election: envelope, frame, message, record. Nothing beyond the input
 * is read, and a message that is accepted is the same after it was written and read again.
 */
#include <stdlib.h>

#include "core/election_codec.h"
#include "core/errors.h"
#include "core/term.h"
#include "node/election_names.h"
#include "node/election_wire.h"
#include "test/unit/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static bool in_use(void *context, muster_member member) {
    (void)context, (void)member;
    return false;
}

static struct muster_election_names names = {.in_use = in_use};

static void try_message(struct muster_slice in) {
    static struct muster_decoded_message first, second;
    static uint8_t written[MUSTER_ELECTION_BYTES_MAX];
    names.count = 0;
    struct muster_member_names codec = muster_election_names_for_codec(&names);
    if (muster_election_decode(&first, in, &codec) != 0) {
        return;
    }
    const struct muster_note *note = first.has_note ? &first.note : NULL;
    size_t len = muster_election_encode(written, &first.message, note, &codec);
    check(len == in.len && memcmp(written, in.data, len) == 0);
    check(muster_election_decode(&second, muster_slice(written, len), &codec) == 0);
    check(second.message.term == first.message.term);
    (void)muster_message_check(&first.message);
    if (first.note.table != NULL) {
        (void)muster_table_check(first.note.table);
    }
}

static void try_record(struct muster_slice in) {
    static struct muster_election_saved saved;
    names.count = 0;
    struct muster_member_names codec = muster_election_names_for_codec(&names);
    (void)muster_election_decode_saved(&saved, in, &codec);
}

static void try_term(struct muster_slice in) {
    struct muster_election_envelope envelope;
    struct muster_election_frame frame;
    size_t used;
    if (muster_term_check(in, &muster_term_default_limits, &used) == 0 &&
        muster_election_envelope_parse(&envelope, in) == 0) {
        check(envelope.bytes.data >= in.data && envelope.bytes.len <= in.len);
        if (muster_election_frame_parse(&frame, envelope.bytes) == 0 &&
            frame.kind == MUSTER_FRAME_MESSAGE) {
            try_message(frame.bytes);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct guard guard;
    struct muster_election_frame frame;
    if (size < 1 || size > SIZE_MAX_HERE) {
        return 0;
    }
    if (guard.map == NULL) {
        guard_open(&guard, SIZE_MAX_HERE);
    }
    struct muster_slice in = muster_slice(guard_put(&guard, data + 1, size - 1), size - 1);
    switch (data[0] % 4) {
    case 0:
        try_message(in);
        break;
    case 1:
        try_record(in);
        break;
    case 2:
        try_term(in);
        break;
    default:
        (void)muster_election_frame_parse(&frame, in);
    }
    return 0;
}
