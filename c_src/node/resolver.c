#include "node/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "core/errors.h"
#include "core/node_name.h"

struct muster_resolve {
    uv_getaddrinfo_t request;
    struct muster_resolver *resolver;
    struct muster_resolve *next;
    struct muster_resolve **slot;
    muster_resolved done; /* NULL once cancelled */
    void *context;
    int family;
    char host[MUSTER_NODE_NAME_MAX + 1];
};

void muster_resolver_init(struct muster_resolver *resolver, uv_loop_t *loop) {
    memset(resolver, 0, sizeof *resolver);
    resolver->loop = loop;
}

void muster_resolver_close(struct muster_resolver *resolver) {
    while (resolver->first != NULL) {
        struct muster_resolve *r = resolver->first;
        resolver->first = r->next;
        free(r);
    }
    resolver->last = NULL;
}

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

static void start_waiting(struct muster_resolver *resolver);

static void finish(struct muster_resolve *r, int status, const struct muster_addresses *addresses) {
    if (r->done != NULL) {
        *r->slot = NULL;
        r->done(r->context, status, addresses);
    }
    free(r);
}

static void on_addrinfo(uv_getaddrinfo_t *request, int status, struct addrinfo *info) {
    struct muster_resolve *r = request->data;
    struct muster_resolver *resolver = r->resolver;
    struct muster_addresses addresses;
    resolver->in_flight--;
    collect(status == 0 ? info : NULL, &addresses);
    uv_freeaddrinfo(info);
    if (status == 0 && addresses.count == 0) {
        status = UV_EAI_NONAME;
    }
    finish(r, status, status == 0 ? &addresses : NULL);
    start_waiting(resolver);
}

static int submit(struct muster_resolve *r) {
    struct addrinfo hints = {.ai_family = r->family, .ai_socktype = SOCK_STREAM};
    r->request.data = r;
    return uv_getaddrinfo(r->resolver->loop, &r->request, on_addrinfo, r->host, NULL, &hints);
}

static struct muster_resolve *pop(struct muster_resolver *resolver) {
    struct muster_resolve *r = resolver->first;
    resolver->first = r->next;
    if (resolver->first == NULL) {
        resolver->last = NULL;
    }
    return r;
}

static void start_waiting(struct muster_resolver *resolver) {
    while (resolver->in_flight < MUSTER_RESOLVER_IN_FLIGHT && resolver->first != NULL) {
        struct muster_resolve *r = pop(resolver);
        int status = r->done == NULL ? UV_ECANCELED : submit(r);
        if (status == 0) {
            resolver->in_flight++;
        } else {
            finish(r, status, NULL);
        }
    }
}

static void push(struct muster_resolver *resolver, struct muster_resolve *r) {
    if (resolver->last != NULL) {
        resolver->last->next = r;
    } else {
        resolver->first = r;
    }
    resolver->last = r;
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
    push(resolver, r);
    start_waiting(resolver);
    return 0;
}

void muster_resolver_cancel(struct muster_resolve *request) {
    request->done = NULL;
}
