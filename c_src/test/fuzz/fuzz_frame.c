/*
 * The frame reader: what it finds must not depend on how the stream is cut, must be what a
 * straightforward reading of the whole stream finds, and must not cost more than what came.
 *
 * Input: header size and limit in two bytes, then the lengths of the pieces up to a zero, then the
 * stream. When the lengths are used up they start again.
 */
#include <stdlib.h>

#include "core/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

/* The stream read in one go, without any state: the oracle. */
struct oracle {
    struct muster_slice rest;
    unsigned header_len;
    uint32_t limit;
};

/* Takes the next frame off the front; 0 when no whole one is left (of an oversized one the header
 * is enough). */
static int oracle_next(struct oracle *oracle, struct muster_slice *frame, int *oversized) {
    if (oracle->rest.len < oracle->header_len) {
        return 0;
    }
    const uint8_t *payload = oracle->rest.data + oracle->header_len;
    size_t left = oracle->rest.len - oracle->header_len;
    size_t len =
        oracle->header_len == 2 ? muster_get16(oracle->rest.data) : muster_get32(oracle->rest.data);
    *oversized = len > oracle->limit;
    *frame = muster_slice(*oversized ? NULL : payload, len);
    if (len > left) {
        oracle->rest = muster_slice(payload + left, 0);
        return *oversized;
    }
    oracle->rest = muster_slice(payload + len, left - len);
    return 1;
}

static void check_frame(struct oracle *oracle, int result, struct muster_slice found) {
    struct muster_slice frame;
    int oversized;
    check(oracle_next(oracle, &frame, &oversized));
    check(result == (oversized ? MUSTER_FRAME_OVERSIZED : MUSTER_FRAME_READY));
    check(found.len == frame.len);
    check(oversized ? found.data == NULL
                    : frame.len == 0 || memcmp(found.data, frame.data, frame.len) == 0);
}

/* One piece in memory of its own, so that reading beyond it is seen. */
static void feed(struct muster_frame_reader *reader, struct oracle *oracle, const uint8_t *data,
                 size_t len) {
    uint8_t *piece = malloc(len);
    struct muster_slice in = muster_slice(piece, len), frame;
    int result;
    if (piece == NULL) {
        return;
    }
    memcpy(piece, data, len);
    while ((result = muster_frame_next(reader, &in, &frame)) != MUSTER_FRAME_MORE) {
        check_frame(oracle, result, frame);
    }
    check(in.len == 0 && in.data == piece + len);
    check(reader->capacity <= 4096 || reader->capacity <= 2 * reader->have);
    check((reader->payload == NULL) == (reader->capacity == 0));
    free(piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    unsigned header_len = data[0] % 2 == 0 ? 2 : 4;
    uint32_t limit = data[1] < 128 ? data[1] : (uint32_t)(data[1] - 127) * 512;
    const uint8_t *cuts = data + 2;
    size_t cut_count = 0;
    while (2 + cut_count < size && cuts[cut_count] != 0) {
        cut_count++;
    }
    size_t start = 2 + cut_count < size ? 3 + cut_count : size;
    struct muster_slice stream = muster_slice(data + start, size - start);

    struct oracle oracle = {.rest = stream, .header_len = header_len, .limit = limit};
    struct muster_frame_reader reader;
    muster_frame_reader_init(&reader, header_len, limit);
    for (size_t at = 0, i = 0; at < stream.len; i++) {
        size_t len = cut_count == 0 ? stream.len : cuts[i % cut_count];
        len = len < stream.len - at ? len : stream.len - at;
        feed(&reader, &oracle, stream.data + at, len);
        at += len;
    }
    struct muster_slice frame;
    int oversized;
    check(!oracle_next(&oracle, &frame, &oversized));
    muster_frame_reader_close(&reader);
    return 0;
}
