#include "node/publisher.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A predecessor that is still leaving holds the name for a moment only, so the first retries are
 * quick. */
#define FIRST_RETRY_MS 50
#define RETRY_CAP_MS 5000
#define ANSWER_LIMIT_MS 3000

struct publication {
    struct muster_publisher *publisher; /* NULL once it is given up */
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uint8_t request[MUSTER_EPMD_REQUEST_MAX];
    size_t request_len;
    uint8_t answer[8];
    size_t answer_len;
};

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void drop(struct publication *p) {
    p->publisher->publication = NULL;
    p->publisher = NULL;
    uv_close((uv_handle_t *)&p->tcp, on_closed);
}

static void attempt(uv_timer_t *timer);

static void failed(struct muster_publisher *publisher, const char *text) {
    if (publisher->publication != NULL) {
        drop(publisher->publication);
    }
    int news =
        publisher->published || publisher->told == NULL || strcmp(publisher->told, text) != 0;
    publisher->published = 0;
    publisher->told = text;
    if (news) {
        publisher->changed(publisher->context, 0, text);
    }
    uint32_t wait = muster_backoff_next(&publisher->backoff, randombytes_random());
    uv_timer_start(&publisher->retry, attempt, wait, 0);
}

static void on_no_answer(uv_timer_t *timer) {
    failed(timer->data, "epmd on this host did not answer within 3 s");
}

static void succeeded(struct muster_publisher *publisher) {
    uv_timer_stop(&publisher->retry);
    muster_backoff_reset(&publisher->backoff);
    publisher->published = 1;
    publisher->told = NULL;
    publisher->changed(publisher->context, 1, "published in epmd");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct publication *p = handle->data;
    (void)suggested;
    /* Once answered, epmd has nothing more to say; what it says anyway overwrites the answer. */
    if (p->answer_len == sizeof p->answer) {
        p->answer_len = 0;
    }
    *buf = uv_buf_init((char *)p->answer + p->answer_len,
                       (unsigned)(sizeof p->answer - p->answer_len));
}

static void take_answer(struct publication *p) {
    struct muster_epmd_alive alive;
    int result = muster_epmd_parse_alive(muster_slice(p->answer, p->answer_len), &alive);
    if (result < 0) {
        failed(p->publisher, "what answers on epmd's port is not epmd");
    } else if (result == 1 && !alive.accepted) {
        failed(p->publisher, "epmd refuses the name: a node of this name is still registered");
    } else if (result == 1) {
        succeeded(p->publisher);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct publication *p = stream->data;
    (void)buf;
    if (p->publisher == NULL) {
        return;
    }
    if (n < 0) {
        failed(p->publisher,
               p->publisher->published ? "epmd is gone" : "epmd closed the connection");
        return;
    }
    p->answer_len += (size_t)n;
    if (!p->publisher->published) {
        take_answer(p);
    }
}

static void on_written(uv_write_t *request, int status) {
    (void)request;
    (void)status; /* a failure ends the stream, which is noticed there */
}

static void on_connected(uv_connect_t *request, int status) {
    struct publication *p = request->data;
    if (p->publisher == NULL) {
        return;
    }
    if (status != 0) {
        failed(p->publisher,
               status == UV_ECONNREFUSED ? "no epmd listens on this host" : uv_strerror(status));
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)p->request, (unsigned)p->request_len);
    uv_write(&p->write, (uv_stream_t *)&p->tcp, &buf, 1, on_written);
    uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
}

static int connect_to_epmd(struct muster_publisher *publisher, struct publication *p) {
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (publisher->family == AF_INET6) {
        uv_ip6_addr("::1", publisher->epmd_port, (struct sockaddr_in6 *)&address);
    } else {
        uv_ip4_addr("127.0.0.1", publisher->epmd_port, (struct sockaddr_in *)&address);
    }
    return uv_tcp_connect(&p->connect, &p->tcp, (struct sockaddr *)&address, on_connected);
}

static void attempt(uv_timer_t *timer) {
    struct muster_publisher *publisher = timer->data;
    struct publication *p = calloc(1, sizeof *p);
    if (p == NULL) {
        failed(publisher, "out of memory");
        return;
    }
    p->publisher = publisher;
    publisher->publication = p;
    uv_timer_start(&publisher->retry, on_no_answer, ANSWER_LIMIT_MS, 0);
    uv_tcp_init(publisher->loop, &p->tcp);
    p->tcp.data = p->connect.data = p;
    p->request_len = muster_epmd_alive_request(p->request, &publisher->name, publisher->node_port);
    int status = connect_to_epmd(publisher, p);
    if (status != 0) {
        failed(publisher, uv_strerror(status));
    }
}

void muster_publisher_start(struct muster_publisher *publisher, uv_loop_t *loop,
                            const struct muster_node_name *name, uint16_t epmd_port,
                            uint16_t node_port, int family, muster_published changed,
                            void *context) {
    memset(publisher, 0, sizeof *publisher);
    publisher->loop = loop;
    publisher->name = *name;
    publisher->epmd_port = epmd_port;
    publisher->node_port = node_port;
    publisher->family = family;
    publisher->changed = changed;
    publisher->context = context;
    muster_backoff_init(&publisher->backoff, FIRST_RETRY_MS, RETRY_CAP_MS);
    uv_timer_init(loop, &publisher->retry);
    publisher->retry.data = publisher;
    attempt(&publisher->retry);
}

void muster_publisher_stop(struct muster_publisher *publisher) {
    if (publisher->publication != NULL) {
        drop(publisher->publication);
    }
    publisher->published = 0;
    uv_close((uv_handle_t *)&publisher->retry, NULL);
}
