/*
 * Runs a command and reads what it prints, all on the loop: its standard input is empty, its output
 * bounded, and when its time is over it is killed with everything it started.
 */
#ifndef MUSTER_NODE_COMMAND_H
#define MUSTER_NODE_COMMAND_H

#include <uv.h>

#include "core/bytes.h"

#define MUSTER_COMMAND_STDERR_MAX 200

enum muster_command_outcome {
    MUSTER_COMMAND_EXITED,
    MUSTER_COMMAND_SIGNALLED,
    MUSTER_COMMAND_TIMED_OUT,
    MUSTER_COMMAND_STOPPED, /* on_output wanted no more */
};

struct muster_command_owner {
    void *context;
    /* Part of its standard output; anything but 0 stops. */
    int (*on_output)(void *context, struct muster_slice bytes);
    /*
     * The end, once: `code` is its exit status or the signal; `said` the printable beginning of
     * what it wrote to standard error.
     */
    void (*on_end)(void *context, enum muster_command_outcome outcome, int64_t code,
                   const char *said);
};

struct muster_command;

/*
 * `args` ends with NULL, its first element is the command, looked for in PATH. `*slot` names it
 * while it is under way; it is NULL by the time of on_end. Returns 0, or a libuv error and nothing
 * runs.
 */
int muster_command_start(uv_loop_t *loop, char *const args[], uint64_t timeout_ms,
                         const struct muster_command_owner *owner, struct muster_command **slot);

/* Kills it; nobody is called any more. */
void muster_command_cancel(struct muster_command *command);

#endif
