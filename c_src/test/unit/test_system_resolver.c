/* Real look-ups, each on its thread: answered from the loop, which runs until then. */
#include "unit.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/system_resolver.h"

#define QUESTIONS 8

static uv_loop_t loop;

static struct asked {
    struct muster_system_question question;
    int calls, status;
    struct in_addr address;
} asked[QUESTIONS];

static void on_answer(struct muster_system_question *question, int status, struct addrinfo *info) {
    struct asked *a = (struct asked *)question;
    a->calls++;
    a->status = status;
    if (info != NULL) {
        a->address = ((struct sockaddr_in *)info->ai_addr)->sin_addr;
        freeaddrinfo(info);
    }
}

static int ask(struct asked *a, const char *host) {
    *a = (struct asked){.question = {.host = host, .family = AF_INET, .done = on_answer}};
    return muster_system_resolver_ask(&loop, &a->question);
}

static int set_up(void **state) {
    (void)state;
    return uv_loop_init(&loop);
}

static int tear_down(void **state) {
    (void)state;
    return uv_loop_close(&loop);
}

static int free_descriptor(void) {
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void test_several_at_once(void **state) {
    (void)state;
    int before = free_descriptor();
    for (unsigned i = 0; i < QUESTIONS; i++) {
        assert_int_equal(ask(&asked[i], i % 2 == 0 ? "localhost" : "127.0.0.9"), 0);
    }
    assert_int_equal(asked[0].calls, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < QUESTIONS; i++) {
        assert_int_equal(asked[i].calls, 1);
        assert_int_equal(asked[i].status, 0);
        assert_string_equal(inet_ntoa(asked[i].address), i % 2 == 0 ? "127.0.0.1" : "127.0.0.9");
    }
    assert_int_equal(free_descriptor(), before);
}

static void test_no_such_host(void **state) {
    (void)state;
    assert_int_equal(ask(&asked[0], ""), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(asked[0].calls, 1);
    assert_true(asked[0].status == UV_EAI_NONAME || asked[0].status == UV_EAI_NODATA ||
                asked[0].status == UV_EAI_AGAIN || asked[0].status == UV_EAI_FAIL);
}

static void test_no_descriptor_left(void **state) {
    struct rlimit limit, low;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)free_descriptor();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int status = ask(&asked[0], "localhost");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(status, UV_EMFILE);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(asked[0].calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_several_at_once),
        TEST(test_no_such_host),
        TEST(test_no_descriptor_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
