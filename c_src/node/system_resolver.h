/*
 * The system's resolver (/etc/hosts, nsswitch.conf and all), which can neither be asked without
 * waiting nor be told to stop: each question has a thread of its own. libuv's pool would do, but a
 * few name servers that keep silent would hold all of it, and with it what waits for the disk.
 */
#ifndef MUSTER_NODE_SYSTEM_RESOLVER_H
#define MUSTER_NODE_SYSTEM_RESOLVER_H

#include <netdb.h>
#include <uv.h>

/* The asker's; must live until it is answered. */
struct muster_system_question {
    const char *host;
    int family; /* AF_INET, AF_INET6 or AF_UNSPEC */
    /* `status` is 0 or a libuv error; `info` is the callee's, to be freed with freeaddrinfo. The
     * question is nobody's any more. */
    void (*done)(struct muster_system_question *question, int status, struct addrinfo *info);
    /* The rest is not the asker's. */
    uv_poll_t poll;
    int loop_end, thread_end; /* of a pipe: that the thread's is closed is the answer's signal */
    int status;
    struct addrinfo *info;
};

/* Asks; `host`, `family` and `done` are filled in. Returns 0, and the loop runs until it is
 * answered; or a libuv error, and there will be no call back. */
int muster_system_resolver_ask(uv_loop_t *loop, struct muster_system_question *question);

#endif
