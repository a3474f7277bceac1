/*
 * The frame reader: every cut, both header sizes, frames over the limit, and what it costs.
 *
 * The source is included, with its realloc replaced, to count and to refuse memory.
 */
#include "unit.h"

#include "core/errors.h"

static size_t largest_request;
static int refuse_after = -1; /* requests that may still succeed; -1: all */

static void *counting_realloc(void *old, size_t size) {
    if (refuse_after == 0) {
        return NULL;
    }
    refuse_after -= refuse_after > 0;
    largest_request = size > largest_request ? size : largest_request;
    return realloc(old, size);
}

#define realloc counting_realloc
#include "core/frame.c" /* NOLINT(bugprone-suspicious-include) */
#undef realloc

static int setup(void **state) {
    (void)state;
    largest_request = 0;
    refuse_after = -1;
    return 0;
}

/* What came out of a reader, written down so that runs can be compared. */
struct log {
    uint8_t bytes[1 << 16];
    size_t len;
    unsigned frames, oversized;
};

static void note(struct log *log, const void *data, size_t len) {
    assert_true(log->len + len <= sizeof log->bytes);
    if (len > 0) {
        memcpy(log->bytes + log->len, data, len);
    }
    log->len += len;
}

/* Feeds one piece, to the end. */
static void feed(struct muster_frame_reader *reader, const uint8_t *data, size_t len,
                 struct log *log) {
    struct muster_slice in = unit_exact(data, len), rest = in, frame;
    int result;
    while ((result = muster_frame_next(reader, &rest, &frame)) != MUSTER_FRAME_MORE) {
        assert_true(result == MUSTER_FRAME_READY || result == MUSTER_FRAME_OVERSIZED);
        note(log, &result, sizeof result);
        note(log, &frame.len, sizeof frame.len);
        if (result == MUSTER_FRAME_READY) {
            note(log, frame.data, frame.len);
            log->frames++;
        } else {
            assert_null(frame.data);
            log->oversized++;
        }
    }
    assert_int_equal(rest.len, 0);
    assert_ptr_equal(rest.data, in.data + in.len);
    unit_free(in);
}

static size_t put_frame(uint8_t *out, unsigned header_len, size_t len, uint8_t fill) {
    if (header_len == 2) {
        muster_put16(out, (uint16_t)len);
    } else {
        muster_put32(out, (uint32_t)len);
    }
    for (size_t i = 0; i < len; i++) {
        out[header_len + i] = (uint8_t)(fill + i);
    }
    return header_len + len;
}

#define LIMIT 20

/* Small, empty (a tick), at the limit, over it, just over it, empty, small. */
static const size_t sizes[] = {5, 0, LIMIT, 3 * LIMIT, LIMIT + 1, 0, 0, 7, 1};

static size_t stream_of(uint8_t *out, unsigned header_len) {
    size_t len = 0;
    for (size_t i = 0; i < UNIT_COUNT(sizes); i++) {
        len += put_frame(out + len, header_len, sizes[i], (uint8_t)(16 * i + 1));
    }
    return len;
}

/* What must come out, written down without the reader. */
static void expect_stream(struct log *log, const uint8_t *stream, unsigned header_len) {
    for (size_t i = 0; i < UNIT_COUNT(sizes); i++) {
        int result = sizes[i] > LIMIT ? MUSTER_FRAME_OVERSIZED : MUSTER_FRAME_READY;
        note(log, &result, sizeof result);
        note(log, &sizes[i], sizeof sizes[i]);
        if (result == MUSTER_FRAME_READY) {
            note(log, stream + header_len, sizes[i]);
            log->frames++;
        } else {
            log->oversized++;
        }
        stream += header_len + sizes[i];
    }
}

static struct log expected, found;

static void check_found(void) {
    assert_int_equal(found.frames, expected.frames);
    assert_int_equal(found.oversized, expected.oversized);
    assert_int_equal(found.len, expected.len);
    assert_memory_equal(found.bytes, expected.bytes, expected.len);
    memset(&found, 0, sizeof found);
}

/* The stream whole, byte by byte, and in three pieces with every pair of cuts. */
static void cut_everywhere(unsigned header_len) {
    uint8_t stream[512];
    size_t len = stream_of(stream, header_len);
    memset(&expected, 0, sizeof expected);
    memset(&found, 0, sizeof found);
    expect_stream(&expected, stream, header_len);
    assert_int_equal(expected.oversized, 2);

    struct muster_frame_reader reader;
    muster_frame_reader_init(&reader, header_len, LIMIT);
    for (size_t i = 0; i < len; i++) {
        feed(&reader, stream + i, 1, &found);
    }
    check_found();
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            feed(&reader, stream, a, &found);
            feed(&reader, stream + a, b - a, &found);
            feed(&reader, stream + b, len - b, &found);
            check_found();
        }
    }
    muster_frame_reader_close(&reader);
}

static void test_every_cut_2(void **state) {
    (void)state;
    cut_everywhere(2);
}

static void test_every_cut_4(void **state) {
    (void)state;
    cut_everywhere(4);
}

static void test_whole_frames_are_not_copied(void **state) {
    uint8_t stream[64];
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    (void)state;
    size_t first = put_frame(stream, 4, 9, 1);
    size_t len = first + put_frame(stream + first, 4, 3, 50);
    muster_frame_reader_init(&reader, 4, LIMIT);
    in = muster_slice(stream, len);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_READY);
    assert_ptr_equal(frame.data, stream + 4);
    assert_int_equal(frame.len, 9);
    assert_int_equal(in.len, len - first);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_READY);
    assert_ptr_equal(frame.data, stream + first + 4);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
    assert_null(reader.payload);
    assert_int_equal(largest_request, 0);
    muster_frame_reader_close(&reader);
}

static void test_no_input(void **state) {
    struct muster_frame_reader reader;
    struct muster_slice in = muster_slice(NULL, 0), frame;
    (void)state;
    muster_frame_reader_init(&reader, 4, LIMIT);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
    muster_frame_reader_close(&reader);
}

/* Whoever announces four gigabytes and sends ten bytes gets memory for ten bytes. */
static void test_announcements_cost_nothing(void **state) {
    static const uint8_t start[14] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct muster_frame_reader reader;
    struct log *log = calloc(1, sizeof *log);
    (void)state;
    assert_non_null(log);
    muster_frame_reader_init(&reader, 4, UINT32_MAX);
    feed(&reader, start, sizeof start, log);
    assert_int_equal(reader.have, 10);
    assert_true(reader.capacity <= 4096);
    assert_true(largest_request <= 4096);
    muster_frame_reader_close(&reader);
    free(log);
}

/* The buffer follows what has come: never more than the double of it, above one page. */
static void test_memory_follows_what_came(void **state) {
    static const uint8_t header[4] = {0x00, 0x10, 0x00, 0x00};
    uint8_t piece[1000] = {0};
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    (void)state;
    muster_frame_reader_init(&reader, 4, 1 << 20);
    in = muster_slice(header, sizeof header);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
    assert_null(reader.payload);
    for (unsigned sent = 0; sent + 1000 < 1 << 20; sent += 1000) {
        in = muster_slice(piece, sizeof piece);
        assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
        assert_int_equal(reader.have, sent + 1000);
        assert_true(reader.capacity >= reader.have);
        assert_true(reader.capacity <= 4096 || reader.capacity <= 2 * reader.have);
    }
    muster_frame_reader_close(&reader);
    assert_null(reader.payload);
}

static void read_big_frame_in_pieces(struct muster_frame_reader *reader, uint8_t *frame_bytes,
                                     size_t len) {
    struct muster_slice in = muster_slice(frame_bytes, len - 1), frame;
    assert_int_equal(muster_frame_next(reader, &in, &frame), MUSTER_FRAME_MORE);
    in = muster_slice(frame_bytes + len - 1, 1);
    assert_int_equal(muster_frame_next(reader, &in, &frame), MUSTER_FRAME_READY);
    assert_int_equal(frame.len, len - 4);
    assert_memory_equal(frame.data, frame_bytes + 4, frame.len);
}

/* After one big frame the buffer shrinks again: with the next call, whatever comes then. */
static void test_memory_is_given_back(void **state) {
    static const struct {
        const char *name;
        uint8_t bytes[8];
        size_t len;
    } then[] = {
        {"nothing", {0}, 0},
        {"a tick", {0, 0, 0, 0}, 4},
        {"a whole frame", {0, 0, 0, 2, 7, 8}, 6},
        {"a piece", {0, 0, 0, 9, 7, 8}, 6},
        {"an oversized frame", {0xff, 0xff, 0xff, 0xff, 1}, 5},
    };
    size_t len = 4 + 100000;
    uint8_t *big = malloc(len);
    (void)state;
    assert_non_null(big);
    put_frame(big, 4, len - 4, 0);
    for (size_t i = 0; i < UNIT_COUNT(then); i++) {
        struct muster_frame_reader reader;
        struct muster_slice in = muster_slice(then[i].bytes, then[i].len), frame;
        muster_frame_reader_init(&reader, 4, 1 << 20);
        read_big_frame_in_pieces(&reader, big, len);
        assert_true(reader.capacity >= len - 5);
        muster_frame_next(&reader, &in, &frame);
        if (reader.capacity > 4096) {
            fail_msg("%s: %u bytes are kept", then[i].name, (unsigned)reader.capacity);
        }
        muster_frame_reader_close(&reader);
    }
    free(big);
}

/* A small buffer is kept: frames in pieces do not allocate each time. */
static void test_a_small_buffer_is_kept(void **state) {
    uint8_t stream[16];
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    size_t len = put_frame(stream, 4, 9, 1);
    (void)state;
    muster_frame_reader_init(&reader, 4, LIMIT);
    refuse_after = 1;
    for (int i = 0; i < 10; i++) {
        in = muster_slice(stream, 7);
        assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
        in = muster_slice(stream + 7, len - 7);
        assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_READY);
    }
    muster_frame_reader_close(&reader);
}

static void test_no_memory_for_the_first_piece(void **state) {
    uint8_t stream[16];
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    (void)state;
    put_frame(stream, 4, 9, 1);
    muster_frame_reader_init(&reader, 4, LIMIT);
    refuse_after = 0;
    in = muster_slice(stream, 7);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_E_NOMEM);
    muster_frame_reader_close(&reader);
}

/* The old buffer must survive a refused enlargement, to be freed by close. */
static void test_no_memory_to_grow(void **state) {
    uint8_t piece[4 + 4096] = {0x00, 0x00, 0xff, 0xff};
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    (void)state;
    muster_frame_reader_init(&reader, 4, 1 << 20);
    refuse_after = 1;
    in = muster_slice(piece, sizeof piece);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
    in = muster_slice(piece, 1);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_E_NOMEM);
    muster_frame_reader_close(&reader);
    assert_null(reader.payload);
}

/* The largest frame there can be, over the limit: drained to the last byte, the next is intact. */
static void test_huge_drain(void **state) {
    static const uint8_t header[4] = {0xff, 0xff, 0xff, 0xff};
    struct muster_frame_reader reader;
    struct muster_slice in = muster_slice(header, sizeof header), frame;
    size_t chunk = 64u << 20;
    uint64_t left = UINT32_MAX;
    uint8_t *zeros = calloc(1, chunk), next[8];
    (void)state;
    assert_non_null(zeros);
    muster_frame_reader_init(&reader, 4, LIMIT);
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_OVERSIZED);
    assert_int_equal(frame.len, UINT32_MAX);
    while (left > 0) {
        size_t n = left < chunk ? (size_t)left : chunk;
        in = muster_slice(zeros, n);
        assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_MORE);
        left -= n;
    }
    in = muster_slice(next, put_frame(next, 4, 2, 3));
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_READY);
    assert_int_equal(frame.len, 2);
    assert_int_equal(frame.data[0], 3);
    assert_int_equal(largest_request, 0);
    muster_frame_reader_close(&reader);
    free(zeros);
}

/* The handshake's last frame and the first of the connection may come in one read. */
static void test_header_switch(void **state) {
    uint8_t stream[64];
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    (void)state;
    size_t len = put_frame(stream, 2, 17, 1);
    len += put_frame(stream + len, 4, 0, 0);
    len += put_frame(stream + len, 4, 12, 40);
    for (size_t cut = 0; cut <= len; cut++) {
        unsigned frames = 0;
        muster_frame_reader_init(&reader, 2, 17);
        for (int piece = 0; piece < 2; piece++) {
            in = piece == 0 ? muster_slice(stream, cut) : muster_slice(stream + cut, len - cut);
            while (muster_frame_next(&reader, &in, &frame) == MUSTER_FRAME_READY) {
                static const size_t want[] = {17, 0, 12};
                assert_in_range(frames, 0, 2);
                assert_int_equal(frame.len, want[frames]);
                if (frames++ == 0) {
                    muster_frame_reader_set_header(&reader, 4, LIMIT);
                    assert_int_equal(reader.limit, LIMIT);
                }
            }
        }
        assert_int_equal(frames, 3);
        muster_frame_reader_close(&reader);
    }
}

static void test_limits_at_their_ends(void **state) {
    uint8_t stream[64];
    struct muster_frame_reader reader;
    struct muster_slice in, frame;
    (void)state;
    muster_frame_reader_init(&reader, 2, 0);
    in = muster_slice(stream, put_frame(stream, 2, 0, 0));
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_READY);
    in = muster_slice(stream, put_frame(stream, 2, 1, 0));
    assert_int_equal(muster_frame_next(&reader, &in, &frame), MUSTER_FRAME_OVERSIZED);
    assert_int_equal(frame.len, 1);
    muster_frame_reader_close(&reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_cut_2, setup),
        cmocka_unit_test_setup(test_every_cut_4, setup),
        cmocka_unit_test_setup(test_whole_frames_are_not_copied, setup),
        cmocka_unit_test_setup(test_no_input, setup),
        cmocka_unit_test_setup(test_announcements_cost_nothing, setup),
        cmocka_unit_test_setup(test_memory_follows_what_came, setup),
        cmocka_unit_test_setup(test_memory_is_given_back, setup),
        cmocka_unit_test_setup(test_a_small_buffer_is_kept, setup),
        cmocka_unit_test_setup(test_no_memory_for_the_first_piece, setup),
        cmocka_unit_test_setup(test_no_memory_to_grow, setup),
        cmocka_unit_test_setup(test_huge_drain, setup),
        cmocka_unit_test_setup(test_header_switch, setup),
        cmocka_unit_test_setup(test_limits_at_their_ends, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
