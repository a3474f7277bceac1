/* How the process ends: in order, once, and soon; SIGTERM and SIGINT end it so, too. */
#ifndef MUSTER_NODE_LEAVING_H
#define MUSTER_NODE_LEAVING_H

#include <uv.h>

enum muster_exit {
    MUSTER_EXIT_LEFT = 0,    /* asked to leave, and left */
    MUSTER_EXIT_FAILED = 1,  /* could not do what it was started for */
    MUSTER_EXIT_USAGE = 2,   /* wrong arguments or configuration */
    MUSTER_EXIT_OVERRUN = 3, /* the BEAM did not read what was written to it */
};

struct muster_leaving {
    void (*leave)(void *context);
    void *context;
    uv_timer_t timer;
    uv_signal_t sigterm, sigint;
    int begun;
    enum muster_exit exit_code;
};

/* `leave` closes all handles of the caller's, and is called once. */
void muster_leaving_init(struct muster_leaving *leaving, uv_loop_t *loop,
                         void (*leave)(void *context), void *context);

/*
 * Leaves with that exit code, unless it does so already: from the loop, not from here, as whoever
 * calls may stand in the middle of what leaving takes down. The loop ends when all handles are
 * closed, or soon after that for want of a look-up's answer.
 */
void muster_leaving_begin(struct muster_leaving *leaving, enum muster_exit exit_code);

#endif
