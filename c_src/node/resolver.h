/*
 * Host names to addresses, by the system's resolver, which cannot take a look-up back: one that a
 * name server does not answer lasts for many seconds. So two at a time, and one for each host;
 * after MUSTER_RESOLVER_PATIENCE_MS a look-up no longer counts, and another may begin beside it, as
 * long as there are no more than MUSTER_RESOLVER_OVERDUE of these. Its answer is still taken.
 */
#ifndef MUSTER_NODE_RESOLVER_H
#define MUSTER_NODE_RESOLVER_H

#include <uv.h>

#define MUSTER_RESOLVER_IN_FLIGHT 2
#define MUSTER_RESOLVER_OVERDUE 30
#define MUSTER_RESOLVER_PATIENCE_MS 1000
#define MUSTER_ADDRESSES_MAX 4

/* Addresses of one host, in the order the resolver gave them; ports are 0. */
struct muster_addresses {
    struct sockaddr_storage list[MUSTER_ADDRESSES_MAX];
    unsigned count;
};

/* `status` is 0 or a libuv error; `addresses` is NULL unless it is 0. Called exactly once unless
 * cancelled. */
typedef void (*muster_resolved)(void *context, int status,
                                const struct muster_addresses *addresses);

struct muster_resolve; /* a request under way or waiting */

struct muster_resolver {
    uv_loop_t *loop;
    uint64_t patience_ms;
    uv_timer_t timer; /* when the next look-up is overdue */
    struct muster_resolve *running;
    struct muster_resolve *first, *last; /* waiting */
};

void muster_resolver_init(struct muster_resolver *resolver, uv_loop_t *loop);

/* Drops everything that waits, without a call back. What is running has to be cancelled; it ends by
 * itself. */
void muster_resolver_close(struct muster_resolver *resolver);

/*
 * Resolves `host` for AF_INET or AF_INET6. A numeric address calls back at once, from within this
 * call.
 * `*slot` names the request while it is under way; it is NULL by the time of the call back.
 * Returns 0 or MUSTER_E_NOMEM.
 */
int muster_resolver_start(struct muster_resolver *resolver, const char *host, int family,
                          muster_resolved done, void *context, struct muster_resolve **slot);

/* After this the callback is not called any more. */
void muster_resolver_cancel(struct muster_resolve *request);

/* Sets the port of an address of either family. */
void muster_address_set_port(struct sockaddr_storage *address, uint16_t port);

#endif
