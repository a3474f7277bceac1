#include "node/monitor_requests.h"

#include <stdio.h>

#include "core/errors.h"
#include "node/report.h"

#define MONITOR_ARG(target_)                                                                       \
    {                                                                                              \
        .name = "monitor", .type = MUSTER_ARG_BINARY, .target = (target_), .required = 1,          \
        .max = MUSTER_MONITOR_KEY_MAX                                                              \
    }

int muster_monitor_request_start(struct muster_request *q) {
    struct muster_slice key;
    int64_t interval = 1000, suspect = 5000, down = 30000;
    struct muster_arg args[] = {
        MONITOR_ARG(&key),
        {.name = "ping_interval_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &interval,
         .min = 1,
         .max = MUSTER_DAY_MS},
        {.name = "suspect_after_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &suspect,
         .min = 1,
         .max = MUSTER_DAY_MS},
        {.name = "down_after_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &down,
         .min = 1,
         .max = MUSTER_DAY_MS},
    };
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    if (down <= suspect || suspect <= interval) {
        snprintf(q->problem.text, sizeof q->problem.text,
                 "ping_interval_ms (%lld) < suspect_after_ms (%lld) < down_after_ms (%lld) does "
                 "not hold",
                 (long long)interval, (long long)suspect, (long long)down);
        return MUSTER_E_INVALID;
    }
    struct muster_monitor_options options = {
        .ping_interval_ms = (uint64_t)interval,
        .thresholds = {.suspect_after_ms = (uint64_t)suspect, .down_after_ms = (uint64_t)down}};
    int error = muster_monitor_start(&q->node->monitors, key, &options);
    return error != 0 ? muster_request_refuse(q, "system_limit", muster_strerror(error))
                      : muster_request_succeed_empty(q);
}

/* The monitor that the arguments name. */
static int find_monitor(struct muster_request *q, struct muster_slice key,
                        struct muster_monitor **monitor) {
    *monitor = muster_monitor_find(&q->node->monitors, key);
    return *monitor != NULL
               ? 0
               : muster_request_refuse(q, "unknown_monitor", "no monitor of this key was started");
}

static int monitor_only(struct muster_request *q, struct muster_monitor **monitor) {
    struct muster_slice key;
    struct muster_arg args[] = {MONITOR_ARG(&key)};
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    return error != 0 ? error : find_monitor(q, key, monitor);
}

static int monitor_and_watch(struct muster_request *q, struct muster_watch **watch) {
    struct muster_slice key;
    struct muster_node_name name;
    struct muster_monitor *monitor;
    struct muster_arg args[] = {MONITOR_ARG(&key), MUSTER_NODE_ARG(&name)};
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    if (error == 0) {
        error = find_monitor(q, key, &monitor);
    }
    if (error != 0) {
        return error;
    }
    *watch = muster_watch_find(monitor, &name);
    return *watch != NULL ? 0 : muster_request_refuse(q, "unknown", "");
}

int muster_monitor_request_stop(struct muster_request *q) {
    struct muster_monitor *monitor;
    int error = monitor_only(q, &monitor);
    if (error != 0) {
        return error;
    }
    muster_monitor_stop(monitor);
    return muster_request_succeed_empty(q);
}

int muster_monitor_request_watch(struct muster_request *q) {
    static const char *const statuses[] = {"healthy", "suspect", "down", NULL};
    struct muster_slice key;
    struct muster_node_name name;
    int status = 0;
    int64_t silent_ms = 0;
    struct muster_monitor *monitor;
    struct muster_arg args[] = {
        MONITOR_ARG(&key),
        MUSTER_NODE_ARG(&name),
        {.name = "status", .type = MUSTER_ARG_CHOICE, .target = &status, .choices = statuses},
        {.name = "silent_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &silent_ms,
         .min = 0,
         .max = INT64_MAX / 2},
    };
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    if (error == 0) {
        error = find_monitor(q, key, &monitor);
    }
    if (error != 0) {
        return error;
    }
    error =
        muster_watch_start(monitor, &name, (enum muster_health_status)status, (uint64_t)silent_ms);
    if (error == MUSTER_E_INVALID) {
        return muster_request_refuse(
            q, "invalid_argument", "option node: a node cannot watch itself or the BEAM beside it");
    }
    return error != 0 ? muster_request_refuse(q, "system_limit", muster_strerror(error))
                      : muster_request_succeed_empty(q);
}

int muster_monitor_request_pause(struct muster_request *q) {
    struct muster_watch *watch;
    int error = monitor_and_watch(q, &watch);
    if (error != 0) {
        return error;
    }
    muster_watch_pause(watch);
    return muster_request_succeed_empty(q);
}

int muster_monitor_request_forget(struct muster_request *q) {
    struct muster_watch *watch;
    int error = monitor_and_watch(q, &watch);
    if (error != 0) {
        return error;
    }
    muster_watch_forget(watch);
    return muster_request_succeed_empty(q);
}

int muster_monitor_request_health(struct muster_request *q) {
    struct muster_watch *watch;
    int error = monitor_and_watch(q, &watch);
    if (error == 0) {
        muster_report_health(muster_request_succeed(q), watch);
    }
    return error;
}

int muster_monitor_request_list(struct muster_request *q) {
    struct muster_monitor *monitor;
    int error = monitor_only(q, &monitor);
    if (error == 0) {
        muster_report_monitor(muster_request_succeed(q), monitor);
    }
    return error;
}
