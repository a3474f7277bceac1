/* What a process that raises its priority gets, and what it leaves alone; each in a child process.
 */
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "node/priority.h"
#include "test/unit/unit.h"

#define NOBODY 65534

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attributes now(void) {
    struct attributes a = {0};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0) {
        _exit(100);
    }
    return a;
}

/* Kernels that know slices tell them. */
static int has_slices(void) {
    return now().runtime != 0;
}

/* The check's result, in a process of its own: 0 is good. */
static int in_child(int (*check)(void)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        _exit(check());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int raise_as_nobody(void) {
    struct rlimit none = {0};
    if (setrlimit(RLIMIT_NICE, &none) != 0 || (getuid() == 0 && setuid(NOBODY) != 0)) {
        return 1;
    }
    struct attributes before = now();
    muster_priority_set(MUSTER_PRIORITY_RAISED);
    struct attributes after = now();
    if (after.nice != before.nice || after.policy != before.policy) {
        return 2;
    }
    return has_slices() && after.runtime != 100000 ? 3 : 0;
}

static void test_nobody_gets_a_short_slice_and_keeps_the_nice_value(void **state) {
    (void)state;
    assert_int_equal(in_child(raise_as_nobody), 0);
}

/* Tried out first: in a container root may not do it either. */
static int raise_as_started(void) {
    int before = now().nice;
    int better = before - 10 < -20 ? -20 : before - 10;
    int expected = setpriority(PRIO_PROCESS, 0, better) == 0 ? better : before;
    setpriority(PRIO_PROCESS, 0, before);
    muster_priority_set(MUSTER_PRIORITY_RAISED);
    struct attributes after = now();
    if (after.nice != expected) {
        return 1;
    }
    return has_slices() && after.runtime != 100000 ? 2 : 0;
}

static void test_the_nice_value_improves_where_it_may(void **state) {
    (void)state;
    assert_int_equal(in_child(raise_as_started), 0);
}

static int is_ordinary(void) {
    return now().policy != SCHED_OTHER;
}

static int raise_a_batch_job(void) {
    struct sched_param zero = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &zero) != 0) {
        return 1;
    }
    struct attributes before = now();
    muster_priority_set(MUSTER_PRIORITY_RAISED);
    struct attributes after = now();
    return after.policy != SCHED_BATCH || after.nice != before.nice ||
           after.runtime != before.runtime;
}

static void test_another_policy_is_left_alone(void **state) {
    (void)state;
    assert_int_equal(in_child(raise_a_batch_job), 0);
}

/* Tried out first, as above. */
static int be_realtime(void) {
    struct sched_param lowest = {.sched_priority = 1}, zero = {0};
    struct attributes before = now();
    int may = sched_setscheduler(0, SCHED_RR, &lowest) == 0;
    sched_setscheduler(0, SCHED_OTHER, &zero);
    muster_priority_set(MUSTER_PRIORITY_REALTIME);
    struct attributes after = now();
    if (!may) {
        return after.policy != before.policy || (has_slices() && after.runtime != 100000);
    }
    return after.policy != SCHED_RR || after.priority != 1 || in_child(is_ordinary) != 0;
}

static void test_realtime_is_not_for_children(void **state) {
    (void)state;
    assert_int_equal(in_child(be_realtime), 0);
}

static int policy_of_pool;

static void look(uv_work_t *work) {
    (void)work;
    policy_of_pool = sched_getscheduler(0);
}

/* Or the loop would wait for a thread that waits for the loop. */
static int be_realtime_with_the_pool(void) {
    uv_work_t work;
    muster_priority_set(MUSTER_PRIORITY_REALTIME);
    uv_queue_work(uv_default_loop(), &work, look, NULL);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return policy_of_pool != (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK);
}

static void test_realtime_is_for_the_pool_too(void **state) {
    (void)state;
    assert_int_equal(in_child(be_realtime_with_the_pool), 0);
}

static int stay_normal(void) {
    struct attributes before = now();
    muster_priority_set(MUSTER_PRIORITY_NORMAL);
    struct attributes after = now();
    return after.nice != before.nice || after.runtime != before.runtime;
}

static void test_normal_changes_nothing(void **state) {
    (void)state;
    assert_int_equal(in_child(stay_normal), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_gets_a_short_slice_and_keeps_the_nice_value),
        cmocka_unit_test(test_the_nice_value_improves_where_it_may),
        cmocka_unit_test(test_another_policy_is_left_alone),
        cmocka_unit_test(test_realtime_is_not_for_children),
        cmocka_unit_test(test_realtime_is_for_the_pool_too),
        cmocka_unit_test(test_normal_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
