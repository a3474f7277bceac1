#include "node/priority.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

/* The least that Linux takes (6.12 on; before, it is ignored). Of those that wait the one with the
 * shorter slice has its turn sooner; its share of the processor is no larger for it. */
#define SLICE_NS 100000u
#define NICER_BY 10

const char *const muster_priority_names[] = {"raised", "normal", "realtime", NULL};

#if defined(__linux__) && defined(SYS_sched_setattr)

/* The first version of the kernel's own; not every libc has it. */
struct attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void shorten_slice(void) {
    struct attributes now = {0};
    if (syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) == 0) {
        now.runtime = SLICE_NS;
        (void)syscall(SYS_sched_setattr, 0, &now, 0);
    }
}

static void do_nothing(uv_work_t *work) {
    (void)work;
}

/*
 * The pool's threads begin with the first work, and run as the thread that gives it. A thread of
 * the pool that wakes the loop is not done with it yet, and before 1.45 libuv spins until it is: if
 * it only had its turn after the loop, that would take up to a second (measured).
 */
static void start_pool(void) {
    static uv_work_t work;
    uv_queue_work(uv_default_loop(), &work, do_nothing, NULL);
}

static int go_before_all(void) {
    struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};
    if (sched_setscheduler(0, SCHED_RR, &lowest) != 0) {
        return -1;
    }
    start_pool();
    return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest);
}

static int is_ordinary(void) {
    return sched_getscheduler(0) == SCHED_OTHER;
}

#else

static void shorten_slice(void) {
}

static int go_before_all(void) {
    return -1;
}

static int is_ordinary(void) {
    return 1;
}

#endif

/* Root may, and whom RLIMIT_NICE lets. */
static void improve_nice(void) {
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (errno == 0) {
        (void)setpriority(PRIO_PROCESS, 0, now - NICER_BY);
    }
}

void muster_priority_set(enum muster_priority priority) {
    if (priority == MUSTER_PRIORITY_NORMAL || !is_ordinary() ||
        (priority == MUSTER_PRIORITY_REALTIME && go_before_all() == 0)) {
        return;
    }
    shorten_slice();
    improve_nice();
}
