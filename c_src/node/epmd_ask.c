#include "node/epmd_ask.h"

#include <stdlib.h>
#include <string.h>

#include "core/epmd.h"
#include "core/errors.h"

#define EPMD_TIMEOUT_MS 3000

struct muster_epmd_ask {
    struct muster_lookup_options options;
    struct muster_epmd_question question;
    uint8_t request[MUSTER_EPMD_REQUEST_MAX];
    struct muster_epmd_ask **slot;
    struct muster_resolve *resolve; /* NULL when not resolving */
    struct muster_addresses addresses;
    unsigned next_address;
    struct epmd_query *query; /* NULL when not asking */
};

/* The question to one address; outlives the asking until its handles are closed. */
struct epmd_query {
    struct muster_epmd_ask *ask; /* NULL once it is over */
    uv_tcp_t tcp;
    uv_timer_t timer;
    unsigned handles;
    uv_connect_t connect;
    uv_write_t write;
    uint8_t request[MUSTER_EPMD_REQUEST_MAX];
    size_t answer_len, answer_max;
    uint8_t answer[];
};

static void ask_next_address(struct muster_epmd_ask *ask, enum muster_peer_state outcome,
                             const char *detail);

static void on_query_handle_closed(uv_handle_t *handle) {
    struct epmd_query *query = handle->data;
    if (--query->handles == 0) {
        free(query);
    }
}

static void end_query(struct epmd_query *query) {
    if (query->ask == NULL) {
        return;
    }
    query->ask->query = NULL;
    query->ask = NULL;
    uv_close((uv_handle_t *)&query->tcp, on_query_handle_closed);
    uv_close((uv_handle_t *)&query->timer, on_query_handle_closed);
}

static void finish(struct muster_epmd_ask *ask, enum muster_peer_state outcome, const char *detail,
                   const struct sockaddr_storage *address) {
    struct muster_epmd_question question = ask->question;
    muster_epmd_ask_cancel(ask);
    question.done(question.context, outcome, detail, address);
}

/* This epmd did not help: on to the host's next address. */
static void give_up_query(struct epmd_query *query, enum muster_peer_state outcome,
                          const char *detail) {
    struct muster_epmd_ask *ask = query->ask;
    end_query(query);
    ask_next_address(ask, outcome, detail);
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
                       (unsigned)(query->answer_max - query->answer_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct epmd_query *query = stream->data;
    struct muster_epmd_ask *ask = query->ask;
    (void)buf;
    if (ask == NULL) {
        return;
    }
    query->answer_len += n > 0 ? (size_t)n : 0;
    int ended = n < 0;
    int result = ask->question.parse(ask->question.context,
                                     muster_slice(query->answer, query->answer_len), ended);
    if (result == 1) {
        struct sockaddr_storage address = ask->addresses.list[ask->next_address - 1];
        finish(ask, MUSTER_PEER_DIALING, "", &address);
    } else if (result < 0 || query->answer_len == query->answer_max) {
        give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE,
                      "what answers on epmd's port of that host is not epmd");
    } else if (ended) {
        give_up_query(query, MUSTER_PEER_EPMD_UNREACHABLE,
                      "epmd on that host closed the connection without an answer");
    }
}

static void on_written(uv_write_t *request, int status) {
    (void)request;
    (void)status; /* a failure shows as the end of the stream or as the time-out */
}

static void on_connected(uv_connect_t *request, int status) {
    struct epmd_query *query = request->data;
    if (query->ask == NULL) {
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
    uv_buf_t buf = uv_buf_init((char *)query->request, (unsigned)query->ask->question.request.len);
    uv_write(&query->write, (uv_stream_t *)&query->tcp, &buf, 1, on_written);
    uv_read_start((uv_stream_t *)&query->tcp, on_alloc, on_read);
}

static int start_query(struct muster_epmd_ask *ask, const struct sockaddr_storage *address) {
    struct epmd_query *query = calloc(1, sizeof *query + ask->question.answer_max);
    if (query == NULL) {
        return UV_ENOMEM;
    }
    query->ask = ask;
    ask->query = query;
    query->handles = 2;
    query->answer_max = ask->question.answer_max;
    memcpy(query->request, ask->request, ask->question.request.len);
    uv_tcp_init(ask->options.loop, &query->tcp);
    uv_timer_init(ask->options.loop, &query->timer);
    query->tcp.data = query->timer.data = query->connect.data = query;
    uv_timer_start(&query->timer, on_timeout, EPMD_TIMEOUT_MS, 0);
    int status = uv_tcp_connect(&query->connect, &query->tcp, (const struct sockaddr *)address,
                                on_connected);
    if (status != 0) {
        end_query(query);
    }
    return status;
}

/* `outcome` and `detail` are the last address's, told when there is none left to try. */
static void ask_next_address(struct muster_epmd_ask *ask, enum muster_peer_state outcome,
                             const char *detail) {
    while (ask->next_address < ask->addresses.count) {
        struct sockaddr_storage *address = &ask->addresses.list[ask->next_address++];
        muster_address_set_port(address, ask->options.epmd_port);
        int status = start_query(ask, address);
        if (status == 0) {
            return;
        }
        outcome = MUSTER_PEER_UNREACHABLE;
        detail = uv_strerror(status);
    }
    finish(ask, outcome, detail, NULL);
}

static void on_resolved(void *context, int status, const struct muster_addresses *addresses) {
    struct muster_epmd_ask *ask = context;
    if (status != 0) {
        finish(ask, MUSTER_PEER_HOST_UNKNOWN, uv_strerror(status), NULL);
        return;
    }
    ask->addresses = *addresses;
    ask_next_address(ask, MUSTER_PEER_HOST_UNKNOWN, "the host has no address of this family");
}

int muster_epmd_ask_start(const struct muster_lookup_options *options, const char *host,
                          const struct muster_epmd_question *question,
                          struct muster_epmd_ask **slot) {
    struct muster_epmd_ask *ask = calloc(1, sizeof *ask);
    if (ask == NULL) {
        return MUSTER_E_NOMEM;
    }
    ask->options = *options;
    ask->question = *question;
    memcpy(ask->request, question->request.data, question->request.len);
    ask->question.request.data = ask->request;
    ask->slot = slot;
    *slot = ask;
    int error = muster_resolver_start(options->resolver, host, options->family, on_resolved, ask,
                                      &ask->resolve);
    if (error != 0) {
        muster_epmd_ask_cancel(ask);
    }
    return error;
}

void muster_epmd_ask_cancel(struct muster_epmd_ask *ask) {
    if (ask->resolve != NULL) {
        muster_resolver_cancel(ask->resolve);
    }
    if (ask->query != NULL) {
        end_query(ask->query);
    }
    *ask->slot = NULL;
    free(ask);
}
