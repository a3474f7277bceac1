/* The write queue between the two ends of a socket pair whose buffers are as small as they go. */
#include "unit.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* The module itself, under other names, with a malloc that fails when told to. */
static int out_of_memory;

static void *failing_malloc(size_t size) {
    return out_of_memory ? NULL : malloc(size);
}

#define malloc failing_malloc
#define muster_write_queue_init tested_init
#define muster_write_queue_send tested_send
#include "node/write_queue.c"
#undef malloc

#define LIMIT (256u * 1024)
#define BUFFER 4096
#define ROUNDS 20000
#define LONGEST 30000

static uv_loop_t loop;
static uv_pipe_t out;
static struct muster_write_queue queue;
static int reader, failures, failure;
static uint8_t chunk[LIMIT];

static void on_failed(void *context, int status) {
    assert_ptr_equal(context, &failure);
    failures++;
    failure = status;
}

static int set_up(void **state) {
    int ends[2], size = BUFFER;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &out, 0);
    assert_int_equal(uv_pipe_open(&out, ends[0]), 0);
    reader = ends[1];
    failures = failure = out_of_memory = 0;
    muster_write_queue_init(&queue, (uv_stream_t *)&out, LIMIT, on_failed, &failure);
    return 0;
}

/* Whatever was waiting is freed by then, and that is no failure. */
static int tear_down(void **state) {
    int before = failures;
    (void)state;
    uv_close((uv_handle_t *)&out, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(queue.held, 0);
    assert_int_equal(failures, before);
    if (reader >= 0) {
        close(reader);
    }
    return uv_loop_close(&loop);
}

static uint8_t byte_at(uint64_t position) {
    return (uint8_t)(position * 31 + position / 251);
}

/* Takes up to `max` bytes from the other end and holds them against what was sent. */
static void read_some(uint64_t *position, size_t max) {
    ssize_t n = recv(reader, chunk, max, MSG_DONTWAIT);
    for (ssize_t i = 0; i < n; i++) {
        assert_int_equal(chunk[i], byte_at((*position)++));
    }
}

static int send_some(uint64_t *position, size_t len) {
    static uint8_t bytes[LONGEST];
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_at(*position + i);
    }
    int status = muster_write_queue_send(&queue, muster_slice(bytes, len));
    *position += len;
    return status;
}

static void read_all(uint64_t *read, uint64_t sent) {
    while (*read < sent) {
        read_some(read, sizeof chunk);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* Taken whole, in part or not at all: what arrives is what was sent, in order. */
static void test_every_partial_write(void **state) {
    uint64_t random = 1, sent = 0, read = 0;
    unsigned whole = 0, partial = 0, none = 0;
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        size_t len = unit_random(&random) % (i % 100 == 0 ? LONGEST : 3000) + 1;
        size_t held = queue.held;
        if (held + sizeof(struct queued_write) + len > LIMIT) {
            read_all(&read, sent);
            held = queue.held;
        }
        assert_int_equal(send_some(&sent, len), 0);
        size_t kept = queue.held - held;
        whole += kept == 0;
        none += kept == sizeof(struct queued_write) + len;
        partial += kept > 0 && kept < sizeof(struct queued_write) + len;
        read_some(&read, unit_random(&random) % 8000);
        if (i % 3 == 0) {
            uv_run(&loop, UV_RUN_NOWAIT);
        }
    }
    read_all(&read, sent);
    assert_int_equal(queue.held, 0);
    assert_int_equal(failures, 0);
    assert_true(whole > 0 && partial > 0 && none > 0);
}

static void test_nothing_is_nothing(void **state) {
    (void)state;
    assert_int_equal(muster_write_queue_send(&queue, muster_slice(chunk, 0)), 0);
    assert_int_equal(queue.held, 0);
}

/* Fills the queue until it is refused, and returns why. */
static int fill(uint64_t *sent, size_t len) {
    int status = 0;
    while (status == 0) {
        assert_true(queue.held <= LIMIT);
        status = send_some(sent, len);
    }
    *sent -= len;
    return status;
}

static void test_the_limit_counts_what_is_held(void **state) {
    uint64_t sent = 0, read = 0;
    (void)state;
    assert_int_equal(fill(&sent, 1), UV_ENOBUFS);
    assert_true(queue.held <= LIMIT && queue.held + sizeof(struct queued_write) + 1 > LIMIT);
    read_all(&read, sent);
    assert_int_equal(queue.held, 0);
    assert_int_equal(send_some(&sent, LONGEST), 0); /* there is room again */
    read_all(&read, sent);
}

static void test_out_of_memory(void **state) {
    uint64_t sent = 0, read = 0;
    (void)state;
    out_of_memory = 1;
    assert_int_equal(fill(&sent, 1), UV_ENOMEM); /* what the socket takes needs none */
    assert_true(sent > 0);
    assert_int_equal(queue.held, 0);
    read_all(&read, sent);
}

static void test_closed_while_writes_wait(void **state) {
    uint64_t sent = 0;
    (void)state;
    fill(&sent, 100);
    assert_true(queue.held > 0); /* tear_down closes */
}

static void test_the_reader_goes_while_writes_wait(void **state) {
    uint64_t sent = 0;
    (void)state;
    fill(&sent, 100);
    close(reader);
    reader = -1;
    while (failures == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(failure == UV_EPIPE || failure == UV_ECONNRESET);
}

static void test_the_reader_has_gone(void **state) {
    uint64_t sent = 0;
    (void)state;
    close(reader);
    reader = -1;
    assert_int_equal(send_some(&sent, 1), UV_EPIPE);
    assert_int_equal(queue.held, 0);
    assert_int_equal(failures, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_every_partial_write),           TEST(test_nothing_is_nothing),
        TEST(test_the_limit_counts_what_is_held), TEST(test_out_of_memory),
        TEST(test_closed_while_writes_wait),      TEST(test_the_reader_goes_while_writes_wait),
        TEST(test_the_reader_has_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
