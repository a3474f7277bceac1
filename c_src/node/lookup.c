#include "node/lookup.h"

#include <stdlib.h>

#include "core/epmd.h"
#include "core/errors.h"

struct muster_lookup {
    struct muster_lookup **slot;
    muster_looked_up done;
    void *context;
    struct muster_epmd_ask *ask; /* NULL when not asking */
    struct muster_epmd_port answer;
};

static void finish(struct muster_lookup *lookup, enum muster_peer_state outcome, const char *detail,
                   const struct sockaddr_storage *address) {
    muster_looked_up done = lookup->done;
    void *context = lookup->context;
    muster_lookup_cancel(lookup);
    done(context, outcome, detail, address);
}

static int parse(void *context, struct muster_slice in, int ended) {
    struct muster_lookup *lookup = context;
    (void)ended;
    return muster_epmd_parse_port(in, &lookup->answer);
}

static int speaks_another(const struct muster_epmd_port *answer) {
    return answer->protocol != 0 || answer->lowest_version > MUSTER_DISTRIBUTION_VERSION ||
           answer->highest_version < MUSTER_DISTRIBUTION_VERSION - 1;
}

static void on_asked(void *context, enum muster_peer_state outcome, const char *detail,
                     const struct sockaddr_storage *epmd) {
    struct muster_lookup *lookup = context;
    if (outcome != MUSTER_PEER_DIALING) {
        finish(lookup, outcome, detail, NULL);
    } else if (!lookup->answer.known) {
        finish(lookup, MUSTER_PEER_NAME_UNKNOWN, "epmd on that host knows no such node", NULL);
    } else if (speaks_another(&lookup->answer)) {
        finish(lookup, MUSTER_PEER_UNSUPPORTED_DISTRIBUTION,
               "epmd says that the node speaks another distribution version or transport", NULL);
    } else {
        struct sockaddr_storage address = *epmd;
        muster_address_set_port(&address, lookup->answer.port);
        finish(lookup, MUSTER_PEER_DIALING, "", &address);
    }
}

int muster_lookup_start(const struct muster_lookup_options *options,
                        const struct muster_node_name *name, muster_looked_up done, void *context,
                        struct muster_lookup **slot) {
    uint8_t request[MUSTER_EPMD_REQUEST_MAX];
    struct muster_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return MUSTER_E_NOMEM;
    }
    lookup->slot = slot;
    lookup->done = done;
    lookup->context = context;
    *slot = lookup;
    struct muster_epmd_question question = {
        .request = muster_slice(request, muster_epmd_port_request(request, name)),
        .answer_max = MUSTER_EPMD_RESPONSE_MAX,
        .parse = parse,
        .done = on_asked,
        .context = lookup};
    int error =
        muster_epmd_ask_start(options, muster_node_name_host(name), &question, &lookup->ask);
    if (error != 0) {
        muster_lookup_cancel(lookup);
    }
    return error;
}

void muster_lookup_cancel(struct muster_lookup *lookup) {
    if (lookup->ask != NULL) {
        muster_epmd_ask_cancel(lookup->ask);
    }
    *lookup->slot = NULL;
    free(lookup);
}
