/* Whose look-up runs when: the system's resolver is played here, and answers when it is told to. */
#include "unit.h"

#include <stdio.h>
#include <uv.h>

#include "node/system_resolver.h"

#define ASKED_MAX 64

static struct muster_system_question *asked[ASKED_MAX];
static char hosts[ASKED_MAX][256];
static unsigned asked_count;

static int fake_ask(uv_loop_t *loop, struct muster_system_question *question) {
    (void)loop;
    if (strcmp(question->host, "refused") == 0) {
        return UV_ENOMEM;
    }
    asked[asked_count] = question;
    snprintf(hosts[asked_count], sizeof hosts[0], "%s", question->host);
    asked_count++;
    return 0;
}

static void fake_freeaddrinfo(struct addrinfo *info) {
    (void)info;
}

#define muster_system_resolver_ask fake_ask
#define freeaddrinfo fake_freeaddrinfo
#define muster_resolver_init tested_init
#define muster_resolver_close tested_close
#define muster_resolver_start tested_start
#define muster_resolver_cancel tested_cancel
#define muster_address_set_port tested_set_port
#include "node/resolver.c"

static uv_loop_t loop;
static struct muster_resolver resolver;

struct user {
    struct muster_resolve *request;
    int calls, status;
    struct muster_addresses addresses;
};

static struct user users[ASKED_MAX];

static void on_resolved(void *context, int status, const struct muster_addresses *addresses) {
    struct user *user = context;
    assert_null(user->request);
    user->calls++;
    user->status = status;
    if (addresses != NULL) {
        user->addresses = *addresses;
    }
}

static int set_up(void **state) {
    (void)state;
    memset(users, 0, sizeof users);
    asked_count = 0;
    uv_loop_init(&loop);
    muster_resolver_init(&resolver, &loop);
    resolver.patience_ms = 10;
    return 0;
}

static void answer(unsigned number, int status) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(number + 1)};
    struct addrinfo info = {.ai_addr = (struct sockaddr *)&address, .ai_addrlen = sizeof address};
    asked[number]->done(asked[number], status, status == 0 ? &info : NULL);
    asked[number] = NULL;
}

static int tear_down(void **state) {
    (void)state;
    for (unsigned i = 0; i < asked_count; i++) {
        if (asked[i] != NULL) {
            answer(i, UV_EAI_AGAIN);
        }
    }
    muster_resolver_close(&resolver);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void start(unsigned user, const char *host) {
    assert_int_equal(muster_resolver_start(&resolver, host, AF_INET, on_resolved, &users[user],
                                           &users[user].request),
                     0);
}

/* Until nothing is going to happen any more by itself. */
static void wait_for_overdue(void) {
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void test_two_at_a_time(void **state) {
    (void)state;
    start(0, "a");
    start(1, "b");
    start(2, "c");
    assert_int_equal(asked_count, 2);
    answer(1, 0);
    assert_int_equal(users[1].calls, 1);
    assert_int_equal(users[1].addresses.count, 1);
    assert_int_equal(asked_count, 3);
    assert_string_equal(hosts[2], "c");
    answer(2, UV_EAI_NONAME);
    assert_int_equal(users[2].status, UV_EAI_NONAME);
    assert_int_equal(users[0].calls, 0);
}

static void test_hanging_names_let_others_pass(void **state) {
    char host[16];
    (void)state;
    for (unsigned i = 0; i < MUSTER_RESOLVER_OVERDUE; i++) {
        snprintf(host, sizeof host, "hangs%u", i);
        start(i, host);
    }
    unsigned c = MUSTER_RESOLVER_OVERDUE, d = c + 1, last = c + 4;
    start(c, "c");
    start(d, "d");
    start(c + 2, "hangs too");
    start(c + 3, "and so does this");
    start(last, "e");
    assert_int_equal(asked_count, MUSTER_RESOLVER_IN_FLIGHT);
    wait_for_overdue();
    assert_int_equal(asked_count, c + 2);
    answer(c, 0);
    answer(d, 0);
    assert_int_equal(users[c].calls + users[d].calls, 2);
    /* All that may be overdue are, and these two now as well: the last one waits. */
    assert_int_equal(asked_count, last);
    wait_for_overdue();
    assert_int_equal(asked_count, last);
    /* Late answers are answers. */
    answer(0, 0);
    assert_int_equal(users[0].calls, 1);
    assert_int_equal(users[0].addresses.count, 1);
    assert_int_equal(asked_count, last + 1);
    assert_string_equal(hosts[last], "e");
}

static void test_one_look_up_for_each_host(void **state) {
    (void)state;
    start(0, "hangs");
    start(1, "hangs");
    start(2, "hangs");
    start(3, "c");
    assert_int_equal(asked_count, 2);
    assert_string_equal(hosts[1], "c");
    wait_for_overdue();
    assert_int_equal(asked_count, 2);
    answer(0, UV_EAI_AGAIN);
    assert_int_equal(asked_count, 3);
    answer(2, 0);
    answer(3, 0);
    assert_int_equal(users[1].calls + users[2].calls, 2);
}

static void test_cancelled(void **state) {
    (void)state;
    start(0, "a");
    start(1, "b");
    for (unsigned user = 2; user < 6; user++) {
        start(user, "c");
    }
    /* From the middle, the end and the beginning of those that wait. */
    muster_resolver_cancel(users[3].request);
    muster_resolver_cancel(users[5].request);
    muster_resolver_cancel(users[2].request);
    muster_resolver_cancel(users[0].request);
    start(6, "d");
    answer(0, 0);
    assert_int_equal(users[0].calls, 0);
    assert_int_equal(asked_count, 3);
    assert_string_equal(hosts[2], "c");
    answer(2, 0);
    answer(1, 0);
    assert_int_equal(users[4].calls, 1);
    assert_string_equal(hosts[3], "d");
    for (unsigned user = 0; user < 6; user++) {
        assert_int_equal(users[user].calls, user == 1 || user == 4);
    }
}

static void test_what_fails_at_once_does_not_hold_the_others_up(void **state) {
    (void)state;
    start(0, "refused");
    assert_int_equal(users[0].status, UV_ENOMEM);
    start(1, "127.0.0.1");
    assert_int_equal(users[1].calls, 1);
    assert_int_equal(users[1].status, 0);
    start(2, "a");
    assert_int_equal(asked_count, 1);
}

static void test_closed_while_some_wait(void **state) {
    (void)state;
    start(0, "a");
    start(1, "b");
    start(2, "c");
    muster_resolver_close(&resolver);
    assert_null(users[2].request); /* so that its user does not cancel it */
    muster_resolver_cancel(users[0].request);
    muster_resolver_cancel(users[1].request);
    answer(0, 0);
    answer(1, 0);
    assert_int_equal(users[0].calls + users[1].calls + users[2].calls, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    muster_resolver_init(&resolver, &loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_two_at_a_time),
        TEST(test_hanging_names_let_others_pass),
        TEST(test_one_look_up_for_each_host),
        TEST(test_cancelled),
        TEST(test_what_fails_at_once_does_not_hold_the_others_up),
        TEST(test_closed_while_some_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
