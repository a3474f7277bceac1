#include "node/listener.h"

#include <stdlib.h>
#include <string.h>

#include "node/log.h"

#define BACKLOG 128
#define PAUSE_MS 1

/* --- Connections that nobody takes --- */

static void refuse(struct muster_listener *listener);

static void on_refused(uv_handle_t *handle) {
    struct muster_listener *listener = handle->data;
    listener->refusing = 0;
    if (listener->waiting && listener->tcp != NULL) {
        refuse(listener);
    }
}

/* libuv holds the next one back until it is accepted. */
static void refuse(struct muster_listener *listener) {
    listener->waiting = listener->refusing;
    if (listener->refusing) {
        return;
    }
    listener->refusing = 1;
    uv_tcp_init(listener->loop, &listener->refused);
    listener->refused.data = listener;
    uv_accept((uv_stream_t *)listener->tcp, (uv_stream_t *)&listener->refused);
    uv_close((uv_handle_t *)&listener->refused, on_refused);
}

/* --- Connections --- */

static void take(struct muster_listener *listener) {
    listener->taken++;
    if (listener->accept(listener->context, (uv_stream_t *)listener->tcp) != 0) {
        muster_log(MUSTER_WARNING, "cannot accept a connection, it is closed");
        refuse(listener);
    }
}

static int has_taken_enough(struct muster_listener *listener) {
    uint64_t now = uv_now(listener->loop);
    if (listener->now_ms != now) {
        listener->now_ms = now;
        listener->taken = 0;
    }
    return listener->taken == MUSTER_LISTENER_PER_MS;
}

static void on_pause_over(uv_timer_t *timer) {
    struct muster_listener *listener = timer->data;
    listener->taken = 0;
    take(listener);
}

/* libuv takes them off the system's queue as fast as they come, and does nothing else, until one is
 * not accepted at once. */
static void on_connection(uv_stream_t *server, int status) {
    struct muster_listener *listener = server->data;
    if (status != 0) {
        return; /* of no use any more */
    }
    if (has_taken_enough(listener)) {
        uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
    } else {
        take(listener);
    }
}

/* --- Life --- */

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static void close_tcp(struct muster_listener *listener) {
    uv_close((uv_handle_t *)listener->tcp, on_closed);
    listener->tcp = NULL;
}

void muster_listener_close(struct muster_listener *listener) {
    if (listener->tcp != NULL) {
        close_tcp(listener);
        uv_close((uv_handle_t *)&listener->pause, NULL);
    }
}

static int bind_to(struct muster_listener *listener, int family, const char *ip, uint16_t port) {
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    int status =
        family == AF_INET6
            ? uv_ip6_addr(ip != NULL ? ip : "::", port, (struct sockaddr_in6 *)&address)
            : uv_ip4_addr(ip != NULL ? ip : "0.0.0.0", port, (struct sockaddr_in *)&address);
    if (status == 0) {
        status = uv_tcp_bind(listener->tcp, (const struct sockaddr *)&address, 0);
    }
    /* libuv keeps EADDRINUSE for listen(), so each port is tried to the end. */
    return status != 0 ? status : uv_listen((uv_stream_t *)listener->tcp, BACKLOG, on_connection);
}

static int find_port(struct muster_listener *listener) {
    struct sockaddr_storage address;
    int len = sizeof address;
    int status = uv_tcp_getsockname(listener->tcp, (struct sockaddr *)&address, &len);
    listener->port = address.ss_family == AF_INET6
                         ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
    return status;
}

/* A handle whose bind failed cannot be bound again: a new one is made for each port. */
int muster_listener_start(struct muster_listener *listener, uv_loop_t *loop, int family,
                          const char *ip, uint16_t port_min, uint16_t port_max,
                          muster_listener_accept accept, void *context) {
    int status = UV_EINVAL;
    *listener = (struct muster_listener){.loop = loop, .accept = accept, .context = context};
    for (uint32_t port = port_min; port <= port_max; port++) {
        listener->tcp = malloc(sizeof *listener->tcp);
        if (listener->tcp == NULL) {
            return UV_ENOMEM;
        }
        uv_tcp_init(loop, listener->tcp);
        listener->tcp->data = listener;
        status = bind_to(listener, family, ip, (uint16_t)port);
        if (status == 0) {
            status = find_port(listener);
        }
        if (status == 0) {
            uv_timer_init(loop, &listener->pause);
            listener->pause.data = listener;
            return 0;
        }
        close_tcp(listener);
    }
    return status;
}
