#include "node/cookies.h"

#include <sodium.h>
#include <stdlib.h>

#include "core/errors.h"

struct muster_cookie_exception {
    struct muster_cookie_exception *next;
    struct muster_node_name node;
    char cookie[MUSTER_COOKIE_SIZE];
};

static struct muster_cookie_exception *find(const struct muster_cookies *cookies,
                                            const struct muster_node_name *node) {
    struct muster_cookie_exception *e = cookies->exceptions;
    while (e != NULL && !muster_node_name_equal(&e->node, node)) {
        e = e->next;
    }
    return e;
}

static struct muster_cookie_exception *find_or_add(struct muster_cookies *cookies,
                                                   const struct muster_node_name *node) {
    struct muster_cookie_exception *e = find(cookies, node);
    if (e == NULL) {
        e = calloc(1, sizeof *e);
        if (e != NULL) {
            e->node = *node;
            e->next = cookies->exceptions;
            cookies->exceptions = e;
        }
    }
    return e;
}

int muster_cookies_set(struct muster_cookies *cookies, const struct muster_node_name *node,
                       struct muster_slice cookie) {
    if (cookie.len == 0 || cookie.len >= MUSTER_COOKIE_SIZE ||
        memchr(cookie.data, 0, cookie.len) != NULL) {
        return MUSTER_E_INVALID;
    }
    char *to = cookies->all;
    if (node != NULL) {
        struct muster_cookie_exception *e = find_or_add(cookies, node);
        if (e == NULL) {
            return MUSTER_E_NOMEM;
        }
        to = e->cookie;
    }
    sodium_memzero(to, MUSTER_COOKIE_SIZE);
    memcpy(to, cookie.data, cookie.len);
    return 0;
}

const char *muster_cookies_get(const struct muster_cookies *cookies,
                               const struct muster_node_name *node) {
    const struct muster_cookie_exception *e = find(cookies, node);
    return e != NULL ? e->cookie : cookies->all;
}

void muster_cookies_close(struct muster_cookies *cookies) {
    while (cookies->exceptions != NULL) {
        struct muster_cookie_exception *e = cookies->exceptions;
        cookies->exceptions = e->next;
        sodium_memzero(e, sizeof *e);
        free(e);
    }
    sodium_memzero(cookies->all, sizeof cookies->all);
}
