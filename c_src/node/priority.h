/* How soon this process runs when it has something to do, on a machine that is busy. */
#ifndef MUSTER_NODE_PRIORITY_H
#define MUSTER_NODE_PRIORITY_H

enum muster_priority { MUSTER_PRIORITY_RAISED, MUSTER_PRIORITY_NORMAL, MUSTER_PRIORITY_REALTIME };

/* Their names, in this order, NULL at the end. */
extern const char *const muster_priority_names[];

/*
 * With RAISED asks the system to let the calling thread, and those it starts later, run sooner, as
 * far as it may; with REALTIME before all ordinary programs (this thread and libuv's pool, which
 * must not be in use yet), and where that is refused as with RAISED. A scheduling policy that
 * whoever started us chose is left alone. Nothing is reported: what is refused changes nothing.
 */
void muster_priority_set(enum muster_priority priority);

#endif
