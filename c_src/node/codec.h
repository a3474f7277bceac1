/*
 * Terms in and out: thin, typed wrappers over ei.
 *
 * A reader walks a term that muster_term_check has passed; a writer builds one whole frame, its
 * length in front, and remembers the first failure so that callers check once, at the end.
 */
#ifndef MUSTER_NODE_CODEC_H
#define MUSTER_NODE_CODEC_H

#include <ei.h>

#include "core/bytes.h"
#include "core/node_name.h"

#define MUSTER_ATOM_SIZE MAXATOMLEN_UTF8

struct muster_reader {
    const char *data;
    int at;
};

/* `term` starts at the term itself, after any version byte. */
struct muster_reader muster_reader(struct muster_slice term);

/* Each returns 0, or MUSTER_E_MALFORMED when the next term is of another type; then nothing moves.
 */
int muster_read_tuple(struct muster_reader *r, int *arity);
int muster_read_map(struct muster_reader *r, int *arity);
int muster_read_atom(struct muster_reader *r, char out[MUSTER_ATOM_SIZE]);
int muster_read_integer(struct muster_reader *r, int64_t *value);
int muster_read_binary(struct muster_reader *r, struct muster_slice *bytes);

/* Any term, as the bytes it is made of. */
int muster_read_raw(struct muster_reader *r, struct muster_slice *bytes);

struct muster_writer {
    ei_x_buff x;
    int failed;
};

/* Starts a frame: leaves room for the length. Pair with muster_writer_free. */
void muster_writer_init(struct muster_writer *w);
void muster_writer_free(struct muster_writer *w);

void muster_write_byte(struct muster_writer *w, uint8_t byte);
void muster_write_version(struct muster_writer *w);
void muster_write_tuple(struct muster_writer *w, int arity);
void muster_write_map(struct muster_writer *w, int pairs);
void muster_write_list(struct muster_writer *w, int elements); /* then the elements, then _nil */
void muster_write_nil(struct muster_writer *w);
void muster_write_atom(struct muster_writer *w, const char *text); /* UTF-8, as it is read */
void muster_write_integer(struct muster_writer *w, int64_t value);
void muster_write_unsigned(struct muster_writer *w, uint64_t value);
void muster_write_double(struct muster_writer *w, double value);
void muster_write_binary(struct muster_writer *w, struct muster_slice bytes);
void muster_write_text(struct muster_writer *w, const char *text); /* as a binary */
void muster_write_name(struct muster_writer *w,
                       const struct muster_node_name *name); /* as a binary */
void muster_write_pair(struct muster_writer *w, const char *key,
                       int64_t value); /* of a map: an atom and an integer */
void muster_write_pid(struct muster_writer *w, const erlang_pid *pid);
void muster_write_ref(struct muster_writer *w, const erlang_ref *ref);
void muster_write_raw(struct muster_writer *w, struct muster_slice term);

/* Writes the length and hands out the frame, valid until the writer is freed. Returns 0 or
 * MUSTER_E_NOMEM. */
int muster_writer_finish(struct muster_writer *w, struct muster_slice *frame);

#endif
