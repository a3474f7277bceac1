#include "node/epmd_names.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/epmd.h"
#include "core/errors.h"

struct muster_epmd_names {
    struct muster_epmd_names **slot;
    muster_names_known done;
    void *context;
    struct muster_epmd_ask *ask; /* NULL when not asking */
    struct muster_name_list list;
    char host[MUSTER_NODE_NAME_MAX + 1];
};

/* A name that cannot be one of a node's is somebody else's business, not an error of epmd's. */
static int add_name(struct muster_epmd_names *n, struct muster_slice alive) {
    char text[2 * MUSTER_NODE_NAME_MAX];
    struct muster_node_name name;
    int len =
        snprintf(text, sizeof text, "%.*s@%s", (int)alive.len, (const char *)alive.data, n->host);
    if (alive.len > MUSTER_NODE_NAME_MAX || len < 0 || len >= (int)sizeof text ||
        muster_node_name_parse(&name, text, (size_t)len) != 0 || muster_node_name_is_cnode(&name)) {
        return 0;
    }
    return muster_name_list_add(&n->list, &name);
}

/* Complete when epmd closes. */
static int parse(void *context, struct muster_slice in, int ended) {
    struct muster_epmd_names *n = context;
    struct muster_slice alive;
    size_t at = 0;
    int result;
    if (!ended) {
        return muster_epmd_names_plausible(in) ? 0 : MUSTER_E_MALFORMED;
    }
    if (in.len == 0) {
        return 0;
    }
    n->list.count = 0; /* of an address tried before */
    while ((result = muster_epmd_next_name(in, &at, &alive)) == 1) {
        int error = add_name(n, alive);
        if (error != 0) {
            return error;
        }
    }
    return result == 0 ? 1 : result;
}

static void on_asked(void *context, enum muster_peer_state outcome, const char *detail,
                     const struct sockaddr_storage *address) {
    struct muster_epmd_names *n = context;
    struct muster_name_list list = n->list;
    muster_names_known done = n->done;
    void *done_context = n->context;
    (void)address;
    n->list = (struct muster_name_list){0};
    muster_epmd_names_cancel(n);
    done(done_context, outcome == MUSTER_PEER_DIALING ? &list : NULL, detail);
    muster_name_list_close(&list);
}

int muster_epmd_names_start(const struct muster_lookup_options *options, const char *at,
                            const char *host, muster_names_known done, void *context,
                            struct muster_epmd_names **slot) {
    uint8_t request[MUSTER_EPMD_REQUEST_MAX];
    struct muster_epmd_names *n = calloc(1, sizeof *n);
    if (n == NULL) {
        return MUSTER_E_NOMEM;
    }
    n->slot = slot;
    n->done = done;
    n->context = context;
    snprintf(n->host, sizeof n->host, "%s", host);
    *slot = n;
    struct muster_epmd_question question = {
        .request = muster_slice(request, muster_epmd_names_request(request)),
        .answer_max = MUSTER_EPMD_NAMES_MAX,
        .parse = parse,
        .done = on_asked,
        .context = n};
    int error = muster_epmd_ask_start(options, at, &question, &n->ask);
    if (error != 0) {
        muster_epmd_names_cancel(n);
    }
    return error;
}

void muster_epmd_names_cancel(struct muster_epmd_names *names) {
    if (names->ask != NULL) {
        muster_epmd_ask_cancel(names->ask);
    }
    *names->slot = NULL;
    muster_name_list_close(&names->list);
    free(names);
}
