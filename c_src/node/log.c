#include "node/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define LINES_PER_SECOND 50
#define SECOND_NS UINT64_C(1000000000)

static void to_stderr(void *context, enum muster_log_level level, const char *text) {
    (void)context;
    char line[600];
    int n =
        snprintf(line, sizeof line, "muster_node: %s: %s\n", muster_log_level_name(level), text);
    size_t len = n < (int)sizeof line ? (size_t)n : sizeof line - 1;
    struct pollfd stderr_ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&stderr_ready, 1, 0) == 1 && write(STDERR_FILENO, line, len) < 0) {
        return; /* there is nowhere left to say so */
    }
}

static struct {
    muster_log_sink sink;
    void *context;
    uint64_t second_began;
    unsigned lines;
    unsigned suppressed;
} logger = {.sink = to_stderr};

const char *muster_log_level_name(enum muster_log_level level) {
    static const char *const names[] = {"debug", "info", "notice", "warning", "error"};
    return names[level];
}

void muster_log_set_sink(muster_log_sink sink, void *context) {
    logger.sink = sink != NULL ? sink : to_stderr;
    logger.context = context;
}

/* True if one more line may pass in this second. */
static int admit(void) {
    uint64_t now = uv_hrtime();
    if (now - logger.second_began >= SECOND_NS) {
        unsigned suppressed = logger.suppressed;
        logger.second_began = now;
        logger.lines = 0;
        logger.suppressed = 0;
        if (suppressed > 0) {
            muster_log(MUSTER_WARNING, "%u log lines suppressed", suppressed);
        }
    }
    if (logger.lines >= LINES_PER_SECOND) {
        logger.suppressed++;
        return 0;
    }
    logger.lines++;
    return 1;
}

void muster_log(enum muster_log_level level, const char *format, ...) {
    char text[512];
    va_list args;
    if (level < MUSTER_ERROR && !admit()) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    logger.sink(logger.context, level, text);
}
