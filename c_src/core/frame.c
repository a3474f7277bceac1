#include "core/frame.h"

#include <assert.h>
#include <stdlib.h>

#include "core/errors.h"

/* A buffer that grew for one big frame is given back, so that a quiet link stays small. */
#define KEEP_CAPACITY 4096

void muster_frame_reader_init(struct muster_frame_reader *reader, unsigned header_len,
                              uint32_t limit) {
    memset(reader, 0, sizeof *reader);
    muster_frame_reader_set_header(reader, header_len, limit);
}

void muster_frame_reader_close(struct muster_frame_reader *reader) {
    free(reader->payload);
    memset(reader, 0, sizeof *reader);
}

void muster_frame_reader_set_header(struct muster_frame_reader *reader, unsigned header_len,
                                    uint32_t limit) {
    assert(header_len == 2 || header_len == 4);
    assert(reader->header_have == 0 && reader->drain == 0);
    reader->header_len = (uint8_t)header_len;
    reader->limit = limit;
}

static void advance(struct muster_slice *in, size_t n) {
    in->data += n;
    in->len -= n;
}

static size_t take(uint8_t *to, size_t want, struct muster_slice *in) {
    size_t n = want < in->len ? want : in->len;
    if (n > 0) { /* memcpy from or to NULL is undefined even for nothing */
        memcpy(to, in->data, n);
        advance(in, n);
    }
    return n;
}

static int drain(struct muster_frame_reader *reader, struct muster_slice *in) {
    size_t n = reader->drain < in->len ? reader->drain : in->len;
    advance(in, n);
    reader->drain -= (uint32_t)n;
    return reader->drain > 0;
}

/* Completes the header if the input allows; true when the payload's length is known. */
static int read_header(struct muster_frame_reader *reader, struct muster_slice *in) {
    if (reader->header_have == reader->header_len) {
        return 1;
    }
    reader->header_have += (uint8_t)take(reader->header + reader->header_have,
                                         reader->header_len - reader->header_have, in);
    if (reader->header_have < reader->header_len) {
        return 0;
    }
    reader->want =
        reader->header_len == 2 ? muster_get16(reader->header) : muster_get32(reader->header);
    reader->have = 0;
    return 1;
}

/* Grows by what has come, not by what was announced: an announcement costs the peer nothing. */
static int reserve(struct muster_frame_reader *reader, uint32_t need) {
    if (need <= reader->capacity) {
        return 0;
    }
    uint32_t size = reader->capacity * 2 > need ? reader->capacity * 2 : need;
    size = size < KEEP_CAPACITY ? KEEP_CAPACITY : size;
    uint8_t *payload = realloc(reader->payload, size);
    if (payload == NULL) {
        return MUSTER_E_NOMEM;
    }
    reader->payload = payload;
    reader->capacity = size;
    return 0;
}

static void give_back(struct muster_frame_reader *reader) {
    if (reader->capacity > KEEP_CAPACITY) {
        free(reader->payload);
        reader->payload = NULL;
        reader->capacity = 0;
    }
}

static int append(struct muster_frame_reader *reader, struct muster_slice *in) {
    uint32_t missing = reader->want - reader->have;
    uint32_t n = missing < in->len ? missing : (uint32_t)in->len;
    int error = reserve(reader, reader->have + n);
    if (error == 0) {
        assert(reader->payload != NULL);
        reader->have += (uint32_t)take(reader->payload + reader->have, n, in);
    }
    return error;
}

static int finish(struct muster_frame_reader *reader, struct muster_slice *frame,
                  const uint8_t *data) {
    *frame = muster_slice(data, reader->want);
    reader->header_have = 0;
    return MUSTER_FRAME_READY;
}

static int start_draining(struct muster_frame_reader *reader, struct muster_slice *frame) {
    *frame = muster_slice(NULL, reader->want);
    reader->drain = reader->want;
    reader->header_have = 0;
    return MUSTER_FRAME_OVERSIZED;
}

int muster_frame_next(struct muster_frame_reader *reader, struct muster_slice *in,
                      struct muster_slice *frame) {
    if (reader->header_have == 0) {
        give_back(reader);
    }
    if (in->len == 0 || drain(reader, in) || !read_header(reader, in)) {
        return MUSTER_FRAME_MORE;
    }
    if (reader->want > reader->limit) {
        return start_draining(reader, frame);
    }
    if (reader->have == 0 && in->len >= reader->want) {
        const uint8_t *data = in->data;
        advance(in, reader->want);
        return finish(reader, frame, data);
    }
    if (in->len == 0) {
        return MUSTER_FRAME_MORE;
    }
    int error = append(reader, in);
    if (error != 0) {
        return error;
    }
    return reader->have == reader->want ? finish(reader, frame, reader->payload)
                                        : MUSTER_FRAME_MORE;
}
