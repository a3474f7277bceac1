#include "node/link.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__linux__)
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#endif

#include "core/errors.h"
#include "core/frame.h"
#include "node/log.h"
#include "node/write_queue.h"

#define HANDSHAKE_HEADER 2
#define FRAME_HEADER 4
/* Four ticks to a net tick time, as the BEAM has it. */
#define TICKS 4
/* What one link may have read in a millisecond before the others get their turn: libuv would go on
 * with it for as long as it fills the buffer, and a peer that floods would hold up all the rest. */
#define READ_BYTES_PER_MS (16u * 1024)

struct muster_link {
    const struct muster_link_settings *settings;
    struct muster_link_owner owner;
    uv_tcp_t tcp;
    uv_timer_t timer; /* the handshake's limit, then the ticks */
    unsigned handles;
    uv_connect_t connect;
    struct muster_handshake handshake;
    struct muster_frame_reader frames;
    struct muster_write_queue writes;
    int outgoing;
    int up;
    int closed;
    int ended_by_peer;
    unsigned silent_ticks; /* ticks in a row in which nothing was read */
    int read_since_tick;
    int written_since_tick;
    uint64_t read_ms;    /* the loop's time of the last read */
    size_t read_bytes;   /* and how much was read at that time */
    int tick_answered;   /* one answer to all the ticks of a read is enough */
    int tick_unanswered; /* the next tick that comes may be the answer to ours */
    char cookie[MUSTER_COOKIE_SIZE];
};

/* One read buffer for all links: libuv reads and calls back one at a time. */
static char read_buffer[READ_BYTES_PER_MS];

const struct muster_node_name *muster_link_peer(const struct muster_link *link) {
    return &link->handshake.peer;
}

uint64_t muster_link_peer_flags(const struct muster_link *link) {
    return link->handshake.peer_flags;
}

int muster_link_is_up(const struct muster_link *link) {
    return link->up;
}

int muster_link_ended_by_peer(const struct muster_link *link) {
    return link->ended_by_peer;
}

int muster_link_is_outgoing(const struct muster_link *link) {
    return link->outgoing;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct muster_link *link = handle->data;
    if (--link->handles == 0) {
        muster_frame_reader_close(&link->frames);
        sodium_memzero(link->cookie, sizeof link->cookie);
        free(link);
    }
}

void muster_link_close(struct muster_link *link, enum muster_peer_state state, const char *detail) {
    if (link->closed) {
        return;
    }
    link->closed = 1;
    /* First, as whoever counts on this link must stop before the other side sees it closed. */
    link->owner.on_closed(link->owner.context, link, state, detail);
    uv_close((uv_handle_t *)&link->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&link->timer, on_handle_closed);
}

/* A read or write failed. A host that fell silent, or the way to it, is not the peer's doing. */
static void close_broken(struct muster_link *link, int status, const char *detail) {
    enum muster_peer_state state = status == UV_ETIMEDOUT ? MUSTER_PEER_SILENT : MUSTER_PEER_CLOSED;
    link->ended_by_peer = status == UV_EOF || status == UV_ECONNRESET || status == UV_EPIPE;
    muster_link_close(link, state, detail);
}

static void on_write_failed(void *context, int status) {
    close_broken(context, status, uv_strerror(status));
}

static void close_unwritable(struct muster_link *link, int status) {
    switch (status) {
    case UV_ENOBUFS:
        muster_link_close(link, MUSTER_PEER_OVERLOADED,
                          "the peer does not read, its write queue is full");
        break;
    case UV_ENOMEM:
        muster_link_close(link, MUSTER_PEER_OVERLOADED, "out of memory for the write queue");
        break;
    default:
        close_broken(link, status, uv_strerror(status));
    }
}

static void send_bytes(struct muster_link *link, struct muster_slice bytes) {
    if (link->closed || bytes.len == 0) {
        return;
    }
    int status = muster_write_queue_send(&link->writes, bytes);
    if (status != 0) {
        close_unwritable(link, status);
        return;
    }
    link->written_since_tick = 1;
}

void muster_link_send(struct muster_link *link, struct muster_slice frame) {
    assert(link->up);
    send_bytes(link, frame);
}

static void send_tick(struct muster_link *link) {
    static const uint8_t tick[FRAME_HEADER];
    send_bytes(link, muster_slice(tick, sizeof tick));
}

/*
 * A BEAM with a shorter tick time than ours needs an answer to its ticks. An answer is itself a
 * tick, so two C nodes would answer each other for ever: a tick that may be the answer to our own
 * is not answered. What waits in the queue is a sign of life already.
 */
static void recv_tick(struct muster_link *link) {
    if (link->tick_unanswered) {
        link->tick_unanswered = 0;
    } else if (link->writes.held == 0 && !link->tick_answered) {
        link->tick_answered = 1;
        send_tick(link);
    }
}

static void on_tick_timer(uv_timer_t *timer) {
    struct muster_link *link = timer->data;
    link->silent_ticks = link->read_since_tick ? 0 : link->silent_ticks + 1;
    link->read_since_tick = 0;
    if (link->silent_ticks > TICKS) {
        muster_link_close(link, MUSTER_PEER_SILENT, "nothing was heard for a whole net tick time");
        return;
    }
    if (!link->written_since_tick) {
        link->tick_unanswered = 1;
        send_tick(link);
    }
    link->written_since_tick = 0;
}

static void on_handshake_limit(uv_timer_t *timer) {
    struct muster_link *link = timer->data;
    muster_link_close(
        link, MUSTER_PEER_TIMEOUT,
        !link->outgoing              ? "the node connected but did not finish the handshake in time"
        : link->connect.data != NULL ? "the node's port takes no connection in time"
                                     : "the node took the connection but did not finish the "
                                       "handshake in time");
}

void muster_link_limit_unacknowledged(struct muster_link *link, unsigned ms) {
#if defined(__linux__) && defined(TCP_USER_TIMEOUT)
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&link->tcp, &fd) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms) != 0) {
        muster_log(MUSTER_DEBUG, "TCP_USER_TIMEOUT cannot be set");
    }
#else
    (void)link, (void)ms;
#endif
}

static void go_up(struct muster_link *link) {
    uint64_t interval = link->settings->ticktime_ms / TICKS;
    muster_frame_reader_set_header(&link->frames, FRAME_HEADER, link->settings->frame_limit);
    link->up = 1;
    uv_timer_start(&link->timer, on_tick_timer, interval, interval);
    muster_link_limit_unacknowledged(link, MUSTER_LINK_UNACKNOWLEDGED_MS);
    link->owner.on_up(link->owner.context, link);
}

static enum muster_handshake_step decide(struct muster_link *link) {
    const char *cookie = "";
    enum muster_handshake_verdict verdict =
        link->owner.on_name(link->owner.context, link, &link->handshake.peer, &cookie);
    snprintf(link->cookie, sizeof link->cookie, "%s", cookie);
    return muster_handshake_decide(&link->handshake, verdict, link->cookie);
}

static void handshake_advanced(struct muster_link *link, enum muster_handshake_step step) {
    if (step == MUSTER_HANDSHAKE_DECIDE) {
        step = decide(link);
    }
    send_bytes(link, muster_handshake_take_output(&link->handshake));
    if (link->closed) {
        return;
    }
    if (step == MUSTER_HANDSHAKE_FAILED) {
        muster_link_close(link, link->handshake.failure, link->handshake.detail);
    } else if (step == MUSTER_HANDSHAKE_DONE) {
        go_up(link);
    }
}

static void take_frame(struct muster_link *link, int result, struct muster_slice frame,
                       uint64_t read_at) {
    if (!link->up) {
        handshake_advanced(link, result == MUSTER_FRAME_OVERSIZED
                                     ? muster_handshake_oversized(&link->handshake, frame.len)
                                     : muster_handshake_input(&link->handshake, frame));
    } else if (result == MUSTER_FRAME_OVERSIZED) {
        muster_log(MUSTER_WARNING, "%s sent a frame of %zu bytes, over the limit of %u: skipped",
                   link->handshake.peer.text, frame.len, link->settings->frame_limit);
    } else if (frame.len == 0) {
        recv_tick(link);
    } else {
        link->owner.on_frame(link->owner.context, link, frame, read_at);
    }
}

static void take_bytes(struct muster_link *link, struct muster_slice in, uint64_t read_at) {
    link->read_since_tick = 1;
    link->tick_answered = 0;
    while (!link->closed) {
        struct muster_slice frame;
        int result = muster_frame_next(&link->frames, &in, &frame);
        if (result == MUSTER_FRAME_MORE) {
            return;
        }
        if (result < 0) {
            muster_link_close(link, MUSTER_PEER_CLOSED, muster_strerror(result));
            return;
        }
        take_frame(link, result, frame, read_at);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct muster_link *link = handle->data;
    uint64_t now = uv_now(handle->loop);
    (void)suggested;
    if (link->read_ms != now) {
        link->read_ms = now;
        link->read_bytes = 0;
    }
    /* No buffer: on_read gets UV_ENOBUFS, and libuv asks again in its next turn. */
    *buf = uv_buf_init(read_buffer, link->read_bytes < READ_BYTES_PER_MS ? sizeof read_buffer : 0);
}

static void on_end(struct muster_link *link, int status) {
    if (link->up) {
        close_broken(link, status,
                     status == UV_EOF ? "the peer closed the connection" : uv_strerror(status));
    } else {
        handshake_advanced(link, muster_handshake_closed(&link->handshake));
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct muster_link *link = stream->data;
    if (n > 0) {
        link->read_bytes += (size_t)n;
        take_bytes(link, muster_slice(buf->base, (size_t)n), uv_hrtime());
    } else if (n < 0 && n != UV_ENOBUFS) {
        on_end(link, (int)n);
    }
}

static void start_reading(struct muster_link *link) {
    uv_tcp_nodelay(&link->tcp, 1);
    uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
}

static enum muster_peer_state connect_failure(int status) {
    switch (status) {
    case UV_ECONNREFUSED:
        return MUSTER_PEER_CONNECTION_REFUSED;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
        return MUSTER_PEER_UNREACHABLE;
    case UV_ETIMEDOUT:
        return MUSTER_PEER_TIMEOUT;
    default:
        return MUSTER_PEER_CLOSED;
    }
}

static void on_connected(uv_connect_t *request, int status) {
    struct muster_link *link = request->handle->data;
    request->data = NULL;
    if (status == UV_ECANCELED || link->closed) {
        return;
    }
    if (status != 0) {
        muster_link_close(link, connect_failure(status), uv_strerror(status));
        return;
    }
    start_reading(link);
    send_bytes(link, muster_handshake_take_output(&link->handshake));
}

static struct muster_link *create(const struct muster_link_settings *settings,
                                  const struct muster_link_owner *owner) {
    struct muster_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return NULL;
    }
    link->settings = settings;
    link->owner = *owner;
    link->handles = 2;
    uv_tcp_init(settings->loop, &link->tcp);
    uv_timer_init(settings->loop, &link->timer);
    link->tcp.data = link->timer.data = link;
    muster_write_queue_init(&link->writes, (uv_stream_t *)&link->tcp, settings->write_queue_limit,
                            on_write_failed, link);
    muster_frame_reader_init(&link->frames, HANDSHAKE_HEADER, MUSTER_HANDSHAKE_FRAME_MAX);
    uv_timer_start(&link->timer, on_handshake_limit, settings->handshake_limit_ms, 0);
    return link;
}

static struct muster_handshake_config handshake_config(const struct muster_link *link) {
    return (struct muster_handshake_config){.self = &link->settings->self,
                                            .creation = link->settings->creation,
                                            .challenge = randombytes_random(),
                                            .cookie = link->cookie};
}

int muster_link_connect(const struct muster_link_settings *settings,
                        const struct muster_link_owner *owner,
                        const struct sockaddr_storage *address, const struct muster_node_name *peer,
                        const char *cookie, struct muster_link **slot) {
    struct muster_link *link = create(settings, owner);
    if (link == NULL) {
        return MUSTER_E_NOMEM;
    }
    *slot = link;
    snprintf(link->cookie, sizeof link->cookie, "%s", cookie);
    struct muster_handshake_config config = handshake_config(link);
    link->outgoing = 1;
    link->connect.data = link; /* until the connection stands */
    muster_handshake_connect(&link->handshake, &config, peer);
    int status =
        uv_tcp_connect(&link->connect, &link->tcp, (const struct sockaddr *)address, on_connected);
    if (status != 0) {
        muster_link_close(link, connect_failure(status), uv_strerror(status));
    }
    return 0;
}

int muster_link_accept(const struct muster_link_settings *settings,
                       const struct muster_link_owner *owner, uv_stream_t *server,
                       struct muster_link **slot) {
    struct muster_link *link = create(settings, owner);
    if (link == NULL) {
        return MUSTER_E_NOMEM;
    }
    struct muster_handshake_config config = handshake_config(link);
    int status = uv_accept(server, (uv_stream_t *)&link->tcp);
    if (status != 0) {
        link->closed = 1;
        uv_close((uv_handle_t *)&link->tcp, on_handle_closed);
        uv_close((uv_handle_t *)&link->timer, on_handle_closed);
        return status;
    }
    *slot = link;
    muster_handshake_accept(&link->handshake, &config);
    start_reading(link);
    return 0;
}
