#include "node/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "core/errors.h"
#include "core/node_name.h"
#include "node/system_resolver.h"

struct muster_resolve {
    struct muster_system_question question;
    struct muster_resolver *resolver;
    struct muster_resolve *next; /* in the list that it is in */
    struct muster_resolve **slot;
    muster_resolved done; /* NULL once cancelled */
    void *context;
    uint64_t overdue_ms; /* running: when it no longer counts */
    int running;
    int family;
    char host[MUSTER_NODE_NAME_MAX + 1];
};

static void start_waiting(struct muster_resolver *resolver);

/* --- The lists --- */

static void push_waiting(struct muster_resolver *resolver, struct muster_resolve *r) {
    if (resolver->last != NULL) {
        resolver->last->next = r;
    } else {
        resolver->first = r;
    }
    resolver->last = r;
}

static void remove_waiting(struct muster_resolver *resolver, struct muster_resolve *r) {
    struct muster_resolve *previous = NULL;
    for (struct muster_resolve *w = resolver->first; w != r; w = w->next) {
        previous = w;
    }
    *(previous != NULL ? &previous->next : &resolver->first) = r->next;
    if (resolver->last == r) {
        resolver->last = previous;
    }
    r->next = NULL;
}

static void remove_running(struct muster_resolver *resolver, struct muster_resolve *r) {
    struct muster_resolve **at = &resolver->running;
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
}

/* --- Addresses --- */

void muster_address_set_port(struct sockaddr_storage *address, uint16_t port) {
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    }
}

static int parse_numeric(const char *host, int family, struct muster_addresses *addresses) {
    memset(addresses, 0, sizeof *addresses);
    addresses->count = 1;
    return family == AF_INET6 ? uv_ip6_addr(host, 0, (struct sockaddr_in6 *)&addresses->list[0])
                              : uv_ip4_addr(host, 0, (struct sockaddr_in *)&addresses->list[0]);
}

static void collect(const struct addrinfo *info, struct muster_addresses *addresses) {
    memset(addresses, 0, sizeof *addresses);
    for (; info != NULL && addresses->count < MUSTER_ADDRESSES_MAX; info = info->ai_next) {
        if (info->ai_addrlen <= sizeof addresses->list[0]) {
            memcpy(&addresses->list[addresses->count++], info->ai_addr, info->ai_addrlen);
        }
    }
}

/* --- Whose turn it is --- */

static void finish(struct muster_resolve *r, int status, const struct muster_addresses *addresses) {
    if (r->done != NULL) {
        *r->slot = NULL;
        r->done(r->context, status, addresses);
    }
    free(r);
}

static void on_answer(struct muster_system_question *question, int status, struct addrinfo *info) {
    struct muster_resolve *r = (struct muster_resolve *)question;
    struct muster_resolver *resolver = r->resolver;
    struct muster_addresses addresses;
    remove_running(resolver, r);
    collect(status == 0 ? info : NULL, &addresses);
    if (info != NULL) {
        freeaddrinfo(info);
    }
    if (status == 0 && addresses.count == 0) {
        status = UV_EAI_NONAME;
    }
    finish(r, status, status == 0 ? &addresses : NULL);
    start_waiting(resolver);
}

static int submit(struct muster_resolve *r) {
    r->question =
        (struct muster_system_question){.host = r->host, .family = r->family, .done = on_answer};
    return muster_system_resolver_ask(r->resolver->loop, &r->question);
}

static int has_room(const struct muster_resolver *resolver) {
    unsigned counted = 0, overdue = 0;
    for (const struct muster_resolve *r = resolver->running; r != NULL; r = r->next) {
        int is_overdue = uv_now(resolver->loop) >= r->overdue_ms;
        overdue += is_overdue;
        counted += !is_overdue;
    }
    counted += overdue > MUSTER_RESOLVER_OVERDUE ? overdue - MUSTER_RESOLVER_OVERDUE : 0;
    return counted < MUSTER_RESOLVER_IN_FLIGHT;
}

/* A name that hangs shall not take a second place. */
static int is_running(const struct muster_resolver *resolver, const struct muster_resolve *w) {
    const struct muster_resolve *r = resolver->running;
    while (r != NULL && (r->family != w->family || strcmp(r->host, w->host) != 0)) {
        r = r->next;
    }
    return r != NULL;
}

static struct muster_resolve *next_waiting(const struct muster_resolver *resolver) {
    struct muster_resolve *w = resolver->first;
    while (w != NULL && is_running(resolver, w)) {
        w = w->next;
    }
    return w;
}

static void on_overdue(uv_timer_t *timer) {
    start_waiting(timer->data);
}

/* Those that run were begun one after the other, the newest first. */
static void await_overdue(struct muster_resolver *resolver) {
    uint64_t now = uv_now(resolver->loop), next = 0;
    for (const struct muster_resolve *r = resolver->running; r != NULL && r->overdue_ms > now;
         r = r->next) {
        next = r->overdue_ms;
    }
    if (next > 0 && resolver->first != NULL) {
        uv_timer_start(&resolver->timer, on_overdue, next - now, 0);
    } else {
        uv_timer_stop(&resolver->timer);
    }
}

static void start_waiting(struct muster_resolver *resolver) {
    struct muster_resolve *w;
    while (has_room(resolver) && (w = next_waiting(resolver)) != NULL) {
        remove_waiting(resolver, w);
        int status = submit(w);
        if (status == 0) {
            w->running = 1;
            w->overdue_ms = uv_now(resolver->loop) + resolver->patience_ms;
            w->next = resolver->running;
            resolver->running = w;
        } else {
            finish(w, status, NULL);
        }
    }
    await_overdue(resolver);
}

/* --- For users --- */

void muster_resolver_init(struct muster_resolver *resolver, uv_loop_t *loop) {
    memset(resolver, 0, sizeof *resolver);
    resolver->loop = loop;
    resolver->patience_ms = MUSTER_RESOLVER_PATIENCE_MS;
    uv_timer_init(loop, &resolver->timer);
    resolver->timer.data = resolver;
}

void muster_resolver_close(struct muster_resolver *resolver) {
    while (resolver->first != NULL) {
        struct muster_resolve *r = resolver->first;
        resolver->first = r->next;
        *r->slot = NULL;
        free(r);
    }
    resolver->last = NULL;
    uv_close((uv_handle_t *)&resolver->timer, NULL);
}

int muster_resolver_start(struct muster_resolver *resolver, const char *host, int family,
                          muster_resolved done, void *context, struct muster_resolve **slot) {
    struct muster_addresses addresses;
    *slot = NULL;
    if (parse_numeric(host, family, &addresses) == 0) {
        done(context, 0, &addresses);
        return 0;
    }
    struct muster_resolve *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return MUSTER_E_NOMEM;
    }
    *r = (struct muster_resolve){
        .resolver = resolver, .slot = slot, .done = done, .context = context, .family = family};
    strncpy(r->host, host, sizeof r->host - 1);
    *slot = r;
    push_waiting(resolver, r);
    start_waiting(resolver);
    return 0;
}

void muster_resolver_cancel(struct muster_resolve *request) {
    if (request->running) {
        request->done = NULL;
    } else {
        remove_waiting(request->resolver, request);
        free(request);
    }
}
