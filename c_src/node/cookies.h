/* The cookies: one for all nodes, and exceptions for single ones (erlang:set_cookie/2). */
#ifndef MUSTER_NODE_COOKIES_H
#define MUSTER_NODE_COOKIES_H

#include "core/bytes.h"
#include "core/node_name.h"
#include "node/link.h"

struct muster_cookie_exception;

struct muster_cookies {
    char all[MUSTER_COOKIE_SIZE];
    struct muster_cookie_exception *exceptions;
};

/* Sets the cookie for `node`, or for all nodes when it is NULL. Returns 0, MUSTER_E_INVALID or
 * MUSTER_E_NOMEM. */
int muster_cookies_set(struct muster_cookies *cookies, const struct muster_node_name *node,
                       struct muster_slice cookie);

/* The cookie that goes with a node; valid until the next change. */
const char *muster_cookies_get(const struct muster_cookies *cookies,
                               const struct muster_node_name *node);

/* Forgets all, overwriting the memory. */
void muster_cookies_close(struct muster_cookies *cookies);

#endif
