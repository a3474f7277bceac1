/* Connections that nobody takes are closed, and the next ones still come. */
#include "unit.h"

#include <unistd.h>

#include "core/errors.h"
#include "node/listener.h"

#define CLIENTS 5
#define CROWD (4 * MUSTER_LISTENER_PER_MS)

static uv_loop_t loop;
static struct muster_listener listener;
static unsigned offered, unwilling; /* so many are not taken */

static struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    int ended;
} clients[CROWD];

static void on_taken_closed(uv_handle_t *handle) {
    free(handle);
}

static int on_accept(void *context, uv_stream_t *server) {
    assert_ptr_equal(context, &offered);
    offered++;
    if (unwilling > 0) {
        unwilling--;
        return MUSTER_E_NOMEM;
    }
    uv_tcp_t *taken = malloc(sizeof *taken);
    uv_tcp_init(&loop, taken);
    assert_int_equal(uv_accept(server, (uv_stream_t *)taken), 0);
    uv_close((uv_handle_t *)taken, on_taken_closed);
    return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    static char bytes[16];
    (void)handle, (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    if (n < 0) {
        ((struct client *)stream->data)->ended = 1;
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void on_connected(uv_connect_t *request, int status) {
    assert_int_equal(status, 0);
    uv_read_start(request->handle, on_alloc, on_read);
}

static void begin_client(struct client *client) {
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", listener.port, &address);
    uv_tcp_init(&loop, &client->tcp);
    client->tcp.data = client;
    client->ended = 0;
    assert_int_equal(uv_tcp_connect(&client->connect, &client->tcp,
                                    (const struct sockaddr *)&address, on_connected),
                     0);
}

static int set_up(void **state) {
    (void)state;
    uv_loop_init(&loop);
    offered = 0;
    return muster_listener_start(&listener, &loop, AF_INET, "127.0.0.1", 0, 0, on_accept, &offered);
}

static int tear_down(void **state) {
    (void)state;
    muster_listener_close(&listener);
    muster_listener_close(&listener);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void run_until_all_ended(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        while (!clients[i].ended) {
            uv_run(&loop, UV_RUN_ONCE);
        }
    }
}

/* All at once, so that one comes while another is being refused. */
static void test_goes_on_listening(void **state) {
    (void)state;
    unwilling = CLIENTS - 1;
    for (unsigned i = 0; i < CLIENTS; i++) {
        begin_client(&clients[i]);
    }
    run_until_all_ended(CLIENTS);
    begin_client(&clients[0]);
    run_until_all_ended(1);
    assert_int_equal(unwilling, 0);
    assert_true(offered >= 2);
}

/* One more at most, that has waited. */
static void on_turn(uv_check_t *turn) {
    unsigned *counted = turn->data;
    assert_in_range(offered - *counted, 0, MUSTER_LISTENER_PER_MS + 1);
    *counted = offered;
}

/* All are there before the first is taken. */
static void test_a_crowd_does_not_hold_the_loop_up(void **state) {
    static uv_check_t turn;
    int sockets[CROWD];
    unsigned counted = 0;
    struct sockaddr_in address;
    (void)state;
    uv_ip4_addr("127.0.0.1", listener.port, &address);
    for (unsigned i = 0; i < CROWD; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(sockets[i], (const struct sockaddr *)&address, sizeof address), 0);
    }
    uv_check_init(&loop, &turn);
    uv_check_start(&turn, on_turn);
    turn.data = &counted;
    while (offered < CROWD) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&turn, NULL);
    for (unsigned i = 0; i < CROWD; i++) {
        close(sockets[i]);
    }
}

static void test_closed_while_one_waits(void **state) {
    (void)state;
    for (unsigned i = 0; i < CROWD; i++) {
        begin_client(&clients[i]);
    }
    while (!uv_is_active((uv_handle_t *)&listener.pause)) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    muster_listener_close(&listener);
    run_until_all_ended(CROWD);
}

static void test_closed_while_refusing(void **state) {
    (void)state;
    unwilling = CLIENTS;
    for (unsigned i = 0; i < CLIENTS; i++) {
        begin_client(&clients[i]);
    }
    while (offered == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    muster_listener_close(&listener);
    run_until_all_ended(CLIENTS);
}

static void test_a_range_of_ports(void **state) {
    struct muster_listener other;
    (void)state;
    uint16_t taken = listener.port;
    assert_int_equal(muster_listener_start(&other, &loop, AF_INET, "127.0.0.1", taken, taken,
                                           on_accept, &offered),
                     UV_EADDRINUSE);
    assert_null(other.tcp);
    assert_int_equal(
        muster_listener_start(&other, &loop, AF_INET, "no address", 0, 0, on_accept, &offered),
        UV_EINVAL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_goes_on_listening),      TEST(test_a_crowd_does_not_hold_the_loop_up),
        TEST(test_closed_while_one_waits), TEST(test_closed_while_refusing),
        TEST(test_a_range_of_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
