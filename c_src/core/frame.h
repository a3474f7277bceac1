/* Length-prefixed frames out of a byte stream, however the stream is cut. */
#ifndef MUSTER_CORE_FRAME_H
#define MUSTER_CORE_FRAME_H

#include "core/bytes.h"

enum muster_frame_result {
    MUSTER_FRAME_MORE = 0,  /* the input is used up */
    MUSTER_FRAME_READY = 1, /* a whole frame, possibly empty */
    MUSTER_FRAME_OVERSIZED =
        2, /* a frame over the limit begins; it will be drained, not buffered */
};

struct muster_frame_reader {
    uint8_t header[4];
    uint8_t header_len;  /* 2 in the handshake, 4 after it */
    uint8_t header_have; /* bytes of the header seen so far */
    uint32_t limit;      /* largest payload accepted, bytes */
    uint32_t want;       /* payload length of the frame under way */
    uint32_t have;       /* bytes of it in `payload` */
    uint32_t drain;      /* bytes of an oversized frame still to be skipped */
    uint8_t *payload;    /* owned; holds a frame that came in pieces */
    uint32_t capacity;
};

/* `header_len` is 2 or 4. Nothing is allocated until a frame comes in pieces. */
void muster_frame_reader_init(struct muster_frame_reader *reader, unsigned header_len,
                              uint32_t limit);
void muster_frame_reader_close(struct muster_frame_reader *reader);

/* Switches the header size, between frames only (after the handshake's last frame). */
void muster_frame_reader_set_header(struct muster_frame_reader *reader, unsigned header_len,
                                    uint32_t limit);

/*
 * Takes bytes from the front of `*in`, moving it on, until a frame is complete.
 * On MUSTER_FRAME_READY `*frame` is valid until the next call and while the input's memory is.
 * On MUSTER_FRAME_OVERSIZED `frame->len` is the announced length and `frame->data` is NULL.
 * Returns an enum muster_frame_result, or MUSTER_E_NOMEM; then the reader can only be closed.
 */
int muster_frame_next(struct muster_frame_reader *reader, struct muster_slice *in,
                      struct muster_slice *frame);

#endif
