#include "node/codec.h"

#include "core/errors.h"

#define LENGTH_SIZE 4

struct muster_reader muster_reader(struct muster_slice term) {
    return (struct muster_reader){.data = (const char *)term.data, .at = 0};
}

static int checked(int ei_result) {
    return ei_result == 0 ? 0 : MUSTER_E_MALFORMED;
}

int muster_read_tuple(struct muster_reader *r, int *arity) {
    return checked(ei_decode_tuple_header(r->data, &r->at, arity));
}

int muster_read_map(struct muster_reader *r, int *arity) {
    return checked(ei_decode_map_header(r->data, &r->at, arity));
}

int muster_read_atom(struct muster_reader *r, char out[MUSTER_ATOM_SIZE]) {
    return checked(
        ei_decode_atom_as(r->data, &r->at, out, MUSTER_ATOM_SIZE, ERLANG_UTF8, NULL, NULL));
}

int muster_read_integer(struct muster_reader *r, int64_t *value) {
    long long v;
    int error = checked(ei_decode_longlong(r->data, &r->at, &v));
    if (error == 0) {
        *value = v;
    }
    return error;
}

int muster_read_binary(struct muster_reader *r, struct muster_slice *bytes) {
    long len;
    int error = checked(ei_decode_binary(r->data, &r->at, NULL, &len));
    if (error == 0) {
        *bytes = muster_slice(r->data + r->at - len, (size_t)len);
    }
    return error;
}

int muster_read_raw(struct muster_reader *r, struct muster_slice *bytes) {
    int start = r->at;
    int error = checked(ei_skip_term(r->data, &r->at));
    if (error == 0) {
        *bytes = muster_slice(r->data + start, (size_t)(r->at - start));
    }
    return error;
}

void muster_writer_init(struct muster_writer *w) {
    static const char room[LENGTH_SIZE];
    w->failed = ei_x_new(&w->x) != 0;
    if (w->failed) {
        w->x.buff = NULL;
        return;
    }
    w->failed = ei_x_append_buf(&w->x, room, LENGTH_SIZE) != 0;
}

void muster_writer_free(struct muster_writer *w) {
    if (w->x.buff != NULL) {
        ei_x_free(&w->x);
    }
}

/* After the first failure nothing more is written. */
#define WRITE(w, call)                                                                             \
    do {                                                                                           \
        if (!(w)->failed && (call) != 0) {                                                         \
            (w)->failed = 1;                                                                       \
        }                                                                                          \
    } while (0)

void muster_write_byte(struct muster_writer *w, uint8_t byte) {
    WRITE(w, ei_x_append_buf(&w->x, (const char *)&byte, 1));
}

void muster_write_version(struct muster_writer *w) {
    WRITE(w, ei_x_encode_version(&w->x));
}

void muster_write_tuple(struct muster_writer *w, int arity) {
    WRITE(w, ei_x_encode_tuple_header(&w->x, arity));
}

void muster_write_map(struct muster_writer *w, int pairs) {
    WRITE(w, ei_x_encode_map_header(&w->x, pairs));
}

void muster_write_list(struct muster_writer *w, int elements) {
    if (elements > 0) { /* a header of 0 would already be the empty list */
        WRITE(w, ei_x_encode_list_header(&w->x, elements));
    }
}

void muster_write_nil(struct muster_writer *w) {
    WRITE(w, ei_x_encode_empty_list(&w->x));
}

void muster_write_atom(struct muster_writer *w, const char *text) {
    WRITE(w, ei_x_encode_atom_as(&w->x, text, ERLANG_UTF8, ERLANG_UTF8));
}

void muster_write_integer(struct muster_writer *w, int64_t value) {
    WRITE(w, ei_x_encode_longlong(&w->x, value));
}

void muster_write_unsigned(struct muster_writer *w, uint64_t value) {
    WRITE(w, ei_x_encode_ulonglong(&w->x, value));
}

void muster_write_double(struct muster_writer *w, double value) {
    WRITE(w, ei_x_encode_double(&w->x, value));
}

void muster_write_binary(struct muster_writer *w, struct muster_slice bytes) {
    WRITE(w, ei_x_encode_binary(&w->x, bytes.data, (int)bytes.len));
}

void muster_write_text(struct muster_writer *w, const char *text) {
    muster_write_binary(w, muster_slice(text, strlen(text)));
}

void muster_write_name(struct muster_writer *w, const struct muster_node_name *name) {
    muster_write_binary(w, muster_slice(name->text, name->len));
}

void muster_write_pair(struct muster_writer *w, const char *key, int64_t value) {
    muster_write_atom(w, key);
    muster_write_integer(w, value);
}

void muster_write_pid(struct muster_writer *w, const erlang_pid *pid) {
    WRITE(w, ei_x_encode_pid(&w->x, pid));
}

void muster_write_ref(struct muster_writer *w, const erlang_ref *ref) {
    WRITE(w, ei_x_encode_ref(&w->x, ref));
}

void muster_write_raw(struct muster_writer *w, struct muster_slice term) {
    WRITE(w, ei_x_append_buf(&w->x, (const char *)term.data, (int)term.len));
}

int muster_writer_finish(struct muster_writer *w, struct muster_slice *frame) {
    if (w->failed) {
        return MUSTER_E_NOMEM;
    }
    muster_put32((uint8_t *)w->x.buff, (uint32_t)(w->x.index - LENGTH_SIZE));
    *frame = muster_slice(w->x.buff, (size_t)w->x.index);
    return 0;
}
