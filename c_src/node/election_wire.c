#include "node/election_wire.h"

#include "core/errors.h"

#define HELLO_LEN 11
#define REQUEST_LEN 11
#define ANSWER_LEN 10

/* --- Writing --- */

static size_t head(uint8_t *out, const struct muster_election_frame *f) {
    out[0] = (uint8_t)f->kind;
    switch (f->kind) {
    case MUSTER_FRAME_HELLO:
        out[1] = f->group_kind;
        out[2] = (uint8_t)((f->answers ? 1 : 0) | (f->observer ? 2 : 0));
        muster_put64(out + 3, f->incarnation);
        return HELLO_LEN;
    case MUSTER_FRAME_LEFT:
        memcpy(out + 1, f->name.text, f->name.len);
        return 1 + (size_t)f->name.len;
    case MUSTER_FRAME_REQUEST:
        muster_put64(out + 1, f->id);
        out[9] = f->op;
        out[10] = f->role;
        memcpy(out + REQUEST_LEN, f->name.text, f->name.len);
        return REQUEST_LEN + (size_t)f->name.len;
    case MUSTER_FRAME_ANSWER:
        muster_put64(out + 1, f->id);
        out[9] = f->result;
        return ANSWER_LEN;
    case MUSTER_FRAME_BYE:
    case MUSTER_FRAME_MESSAGE:
        break;
    }
    return 1;
}

void muster_election_frame_write(struct muster_writer *w, struct muster_slice group,
                                 const struct muster_node_name *sender,
                                 const struct muster_election_frame *frame) {
    static uint8_t bytes[MUSTER_ELECTION_FRAME_HEAD_MAX + MUSTER_ELECTION_BYTES_MAX];
    size_t len = head(bytes, frame);
    if (frame->kind == MUSTER_FRAME_MESSAGE) {
        memcpy(bytes + len, frame->bytes.data, frame->bytes.len);
        len += frame->bytes.len;
    }
    muster_write_tuple(w, 5);
    muster_write_atom(w, MUSTER_ELECTION_NAME);
    muster_write_integer(w, MUSTER_ELECTION_PROTOCOL);
    muster_write_binary(w, group);
    muster_write_name(w, sender);
    muster_write_binary(w, muster_slice(bytes, len));
}

/* --- Reading --- */

int muster_election_envelope_parse(struct muster_election_envelope *envelope,
                                   struct muster_slice term) {
    struct muster_reader r = muster_reader(term);
    char atom[MUSTER_ATOM_SIZE];
    int64_t version;
    int arity;
    if (term.len == 0 || muster_read_tuple(&r, &arity) != 0 || arity < 2 ||
        muster_read_atom(&r, atom) != 0 || strcmp(atom, MUSTER_ELECTION_NAME) != 0 ||
        muster_read_integer(&r, &version) != 0) {
        return MUSTER_E_MALFORMED;
    }
    if (version != MUSTER_ELECTION_PROTOCOL) {
        return MUSTER_E_UNSUPPORTED;
    }
    if (arity != 5 || muster_read_binary(&r, &envelope->group) != 0 ||
        muster_read_binary(&r, &envelope->sender) != 0 ||
        muster_read_binary(&r, &envelope->bytes) != 0) {
        return MUSTER_E_MALFORMED;
    }
    return 0;
}

static int read_name(struct muster_election_frame *f, struct muster_slice rest) {
    return muster_node_name_parse(&f->name, (const char *)rest.data, rest.len) == 0
               ? 0
               : MUSTER_E_MALFORMED;
}

static int parse_hello(struct muster_election_frame *f, struct muster_slice in) {
    if (in.len < HELLO_LEN) {
        return MUSTER_E_TRUNCATED;
    }
    f->group_kind = in.data[1];
    f->answers = in.data[2] & 1;
    f->observer = (in.data[2] & 2) != 0;
    f->incarnation = muster_get64(in.data + 3);
    return 0; /* a later node may say more */
}

static int parse_request(struct muster_election_frame *f, struct muster_slice in) {
    if (in.len < REQUEST_LEN) {
        return MUSTER_E_TRUNCATED;
    }
    f->id = muster_get64(in.data + 1);
    f->op = in.data[9];
    f->role = in.data[10];
    return read_name(f, muster_slice(in.data + REQUEST_LEN, in.len - REQUEST_LEN));
}

static int parse_answer(struct muster_election_frame *f, struct muster_slice in) {
    if (in.len != ANSWER_LEN) {
        return in.len < ANSWER_LEN ? MUSTER_E_TRUNCATED : MUSTER_E_MALFORMED;
    }
    f->id = muster_get64(in.data + 1);
    f->result = in.data[9];
    return 0;
}

int muster_election_frame_parse(struct muster_election_frame *frame, struct muster_slice bytes) {
    memset(frame, 0, sizeof *frame);
    if (bytes.len == 0) {
        return MUSTER_E_TRUNCATED;
    }
    frame->kind = (enum muster_election_frame_kind)bytes.data[0];
    struct muster_slice rest = muster_slice(bytes.data + 1, bytes.len - 1);
    switch (frame->kind) {
    case MUSTER_FRAME_HELLO:
        return parse_hello(frame, bytes);
    case MUSTER_FRAME_BYE:
        return 0;
    case MUSTER_FRAME_LEFT:
        return read_name(frame, rest);
    case MUSTER_FRAME_MESSAGE:
        frame->bytes = rest;
        return 0;
    case MUSTER_FRAME_REQUEST:
        return parse_request(frame, bytes);
    case MUSTER_FRAME_ANSWER:
        return parse_answer(frame, bytes);
    }
    return MUSTER_E_UNSUPPORTED;
}
