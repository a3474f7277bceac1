#include "node/lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/epmd.h"
#include "core/errors.h"

#define EPMD_TIMEOUT_MS 3000

struct muster_lookup {
    struct muster_lookup_options options;
    struct muster_node_name name;
    struct muster_lookup **slot;
    muster_looked_up done;
    void *context;
    struct muster_resolve *resolve; /* NULL when not resolving */
    struct muster_addresses addresses;
    unsigned next_address;
    struct epmd_query *query; /* NULL when not asking */
};

/* One question to one epmd; outlives the lookup until its handles are closed. */
struct epmd_query {
    struct muster_lookup *lookup; /* NULL once it is over */
    uv_tcp_t tcp;
    uv_timer_t timer;
    unsigned handles;
    uv_connect_t connect;
    uv_write_t write;
    uint8_t request[MUSTER_EPMD_REQUEST_MAX];
    size_t request_len;
    uint8_t answer[MUSTER_EPMD_RESPONSE_MAX];
    size_t answer_len;
};

static void ask_next_epmd(struct muster_lookup *lookup, enum muster_peer_state outcome,
                          const char *detail);

static void on_query_handle_closed(uv_handle_t *handle) {
    struct epmd_query *query = handle->data;
    if (--query->handles == 0) {
        free(query);
    }
}

static void end_query(struct epmd_query *query) {
    if (query->lookup == NULL) {
        return;
    }
    query->lookup->query = NULL;
    query->lookup = NULL;
    uv_close((uv_handle_t *)&query->tcp, on_query_handle_closed);
    uv_close((uv_handle_t *)&query->timer, on_query_handle_closed);
}

static void finish(struct muster_lookup *lookup, enum muster_peer_state outcome, const char *detail,
                   const struct sockaddr_storage *address) {
    muster_looked_up done = lookup->done;
    void *context = lookup->context;
    muster_lookup_cancel(lookup);
    done(context, outcome, detail, address);
}

static void accept_answer(struct epmd_query *query, const struct muster_epmd_port *answer) {
    struct muster_lookup *lookup = query->lookup;
    struct sockaddr_storage address = lookup->addresses.list[lookup->next_address - 1];
    if (!answer->known) {
        finish(lookup, MUSTER_PEER_NAME_UNKNOWN, "epmd on that host knows no such node", NULL);
    } else if (answer->protocol != 0 || answer->lowest_version > MUSTER_DISTRIBUTION_VERSION ||
               answer->highest_version < MUSTER_DISTRIBUTION_VERSION - 1) {
        finish(lookup, MUSTER_PEER_UNSUPPORTED_DISTRIBUTION,
               "epmd says that the node speaks another distribution version or transport", NULL);
    } else {
        muster_address_set_port(&address, answer->port);
        finish(lookup, MUSTER_PEER_DIALING, "", &address);
    }
}

/* This epmd did not help: on to the host's next address. */
static void give_up_query(struct epmd_query *query, enum muster_peer_state outcome,
                          const char *detail) {
    struct muster_lookup *lookup = query->lookup;
    end_query(query);
    ask_next_epmd(lookup, outcome, detail);
}

static void on_timeout(uv_timer_t *timer) {
    struct epmd_query *query = timer->data;
    give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE,
                  "epmd on that host did not answer within 3 s");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct epmd_query *query = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)query->answer + query->answer_len,
                       (unsigned)(sizeof query->answer - query->answer_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct epmd_query *query = stream->data;
    struct muster_epmd_port answer;
    (void)buf;
    if (query->lookup == NULL) {
        return;
    }
    if (n < 0) {
        give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE,
                      "epmd on that host closed the connection without an answer");
        return;
    }
    query->answer_len += (size_t)n;
    int result = muster_epmd_parse_port(muster_slice(query->answer, query->answer_len), &answer);
    if (result == 1) {
        accept_answer(query, &answer);
    } else if (result < 0 || query->answer_len == sizeof query->answer) {
        give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE,
                      "what answers on epmd's port of that host is not epmd");
    }
}

static void on_written(uv_write_t *request, int status) {
    (void)request;
    (void)status; /* a failure shows as the end of the stream or as the time-out */
}

static void on_connected(uv_connect_t *request, int status) {
    struct epmd_query *query = request->data;
    if (query->lookup == NULL) {
        return;
    }
    if (status == UV_EHOSTUNREACH || status == UV_ENETUNREACH) {
        give_up_query(query, MUSTER_PEER_UNREACHABLE, "no route to that host");
        return;
    }
    if (status == UV_ECONNREFUSED) {
        give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE, "no epmd listens on that host");
        return;
    }
    if (status != 0) {
        give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE, uv_strerror(status));
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)query->request, (unsigned)query->request_len);
    uv_write(&query->write, (uv_stream_t *)&query->tcp, &buf, 1, on_written);
    uv_read_start((uv_stream_t *)&query->tcp, on_alloc, on_read);
}

static int start_query(struct muster_lookup *lookup, const struct sockaddr_storage *address) {
    struct epmd_query *query = calloc(1, sizeof *query);
    if (query == NULL) {
        return UV_ENOMEM;
    }
    query->lookup = lookup;
    lookup->query = query;
    query->handles = 2;
    uv_tcp_init(lookup->options.loop, &query->tcp);
    uv_timer_init(lookup->options.loop, &query->timer);
    query->tcp.data = query->timer.data = query->connect.data = query;
    query->request_len = muster_epmd_port_request(query->request, &lookup->name);
    uv_timer_start(&query->timer, on_timeout, EPMD_TIMEOUT_MS, 0);
    int status = uv_tcp_connect(&query->connect, &query->tcp, (const struct sockaddr *)address,
                                on_connected);
    if (status != 0) {
        end_query(query);
    }
    return status;
}

/* `outcome` and `detail` are the last address's, told when there is none left to try. */
static void ask_next_epmd(struct muster_lookup *lookup, enum muster_peer_state outcome,
                          const char *detail) {
    while (lookup->next_address < lookup->addresses.count) {
        struct sockaddr_storage *address = &lookup->addresses.list[lookup->next_address++];
        muster_address_set_port(address, lookup->options.epmd_port);
        int status = start_query(lookup, address);
        if (status == 0) {
            return;
        }
        outcome = MUSTER_PEER_UNREACHABLE;
        detail = uv_strerror(status);
    }
    finish(lookup, outcome, detail, NULL);
}

static void on_resolved(void *context, int status, const struct muster_addresses *addresses) {
    struct muster_lookup *lookup = context;
    if (status != 0) {
        finish(lookup, MUSTER_PEER_HOST_UNKNOWN, uv_strerror(status), NULL);
        return;
    }
    lookup->addresses = *addresses;
    ask_next_epmd(lookup, MUSTER_PEER_HOST_UNKNOWN, "the host has no address of this family");
}

int muster_lookup_start(const struct muster_lookup_options *options,
                        const struct muster_node_name *name, muster_looked_up done, void *context,
                        struct muster_lookup **slot) {
    struct muster_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return MUSTER_E_NOMEM;
    }
    lookup->options = *options;
    lookup->name = *name;
    lookup->slot = slot;
    lookup->done = done;
    lookup->context = context;
    *slot = lookup;
    int error = muster_resolver_start(options->resolver, muster_node_name_host(&lookup->name),
                                      options->family, on_resolved, lookup, &lookup->resolve);
    if (error != 0) {
        muster_lookup_cancel(lookup);
    }
    return error;
}

void muster_lookup_cancel(struct muster_lookup *lookup) {
    if (lookup->resolve != NULL) {
        muster_resolver_cancel(lookup->resolve);
    }
    if (lookup->query != NULL) {
        end_query(lookup->query);
    }
    *lookup->slot = NULL;
    free(lookup);
}
