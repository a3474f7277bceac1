/*
 * Finds and reads the `.hosts.erlang` file, on libuv's thread pool: the file is small, but a home
 * directory may be on a network that hangs, and the loop must not.
 */
#ifndef MUSTER_NODE_HOSTS_READING_H
#define MUSTER_NODE_HOSTS_READING_H

#include <limits.h>
#include <uv.h>

#include "core/node_name.h"

#define MUSTER_HOSTS_MAX 256

struct muster_hosts {
    unsigned count;
    char names[MUSTER_HOSTS_MAX][MUSTER_NODE_NAME_MAX + 1];
};

struct muster_hosts_reading;

/* Once, unless cancelled. `hosts` is NULL and `problem` says why, where there is no list; both are
 * the caller's for the time of the call. */
typedef void (*muster_hosts_read)(void *context, const struct muster_hosts *hosts,
                                  const char *problem);

/*
 * Reads `path`; where that is empty text, the first of `.hosts.erlang` in the current directory,
 * the home directory and `root`, as Erlang does (empty text: not there). Never calls back from
 * within this call. Returns 0, MUSTER_E_NOMEM or a libuv error.
 */
int muster_hosts_reading_start(uv_loop_t *loop, const char *path, const char *root,
                               muster_hosts_read done, void *context,
                               struct muster_hosts_reading **slot);

/* Ends it without a call back and clears its slot. */
void muster_hosts_reading_cancel(struct muster_hosts_reading *reading);

#endif
