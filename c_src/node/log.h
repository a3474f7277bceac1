/* Log lines: to whoever set the sink, at a bounded rate, never blocking the loop. */
#ifndef MUSTER_NODE_LOG_H
#define MUSTER_NODE_LOG_H

#include <stdint.h>

enum muster_log_level { MUSTER_DEBUG, MUSTER_INFO, MUSTER_NOTICE, MUSTER_WARNING, MUSTER_ERROR };

/* "debug", "info", "notice", "warning" or "error". */
const char *muster_log_level_name(enum muster_log_level level);

typedef void (*muster_log_sink)(void *context, enum muster_log_level level, const char *text);

/* One sink for the process; until it is set lines go to stderr, and are dropped when that would
 * block. */
void muster_log_set_sink(muster_log_sink sink, void *context);

/*
 * printf-style. What peers do can cause lines without end, so below MUSTER_ERROR at most 50 lines a
 * second pass, and the number of suppressed ones is told.
 */
void muster_log(enum muster_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
