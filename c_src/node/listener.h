/*
 * The port at which this node is connected to: one of a range, listened at whatever happens. A
 * flood of connections does not hold the loop up: so many a millisecond are taken, the rest wait in
 * the system's queue.
 */
#ifndef MUSTER_NODE_LISTENER_H
#define MUSTER_NODE_LISTENER_H

#include <uv.h>

/*
 * Takes the connection with uv_accept and returns 0, or leaves it and returns a negative code: then
 * it is closed, as libuv would not listen any more before it is taken.
 */
typedef int (*muster_listener_accept)(void *context, uv_stream_t *server);

/* Several times what a cluster of a thousand nodes needs to come together within a second. */
#define MUSTER_LISTENER_PER_MS 16

struct muster_listener {
    uv_loop_t *loop;
    uv_tcp_t *tcp; /* NULL while not listening */
    uint16_t port; /* at which it listens */
    muster_listener_accept accept;
    void *context;
    uint64_t now_ms;  /* the loop's time of the last connection */
    unsigned taken;   /* at that time */
    uv_timer_t pause; /* while it runs a connection waits to be taken */
    uv_tcp_t refused; /* takes what nobody took, one at a time, without any memory */
    int refusing;
    int waiting; /* one more is to be refused */
};

/*
 * Listens at `ip` (NULL: all interfaces) of the family on the first free port of [port_min,
 * port_max] (0, 0: any). Returns 0 or a libuv error. The struct must live until the loop has run
 * once more after muster_listener_close.
 */
int muster_listener_start(struct muster_listener *listener, uv_loop_t *loop, int family,
                          const char *ip, uint16_t port_min, uint16_t port_max,
                          muster_listener_accept accept, void *context);

/* May be called when it never listened, and again. */
void muster_listener_close(struct muster_listener *listener);

#endif
