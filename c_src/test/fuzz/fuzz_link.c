/*
 * A connection to a listening node, over a socket pair: arbitrary bytes from the start, or after a
 * good handshake. What the node sends are whole, well-formed frames, and when the connection is
 * closed nothing of it is left.
 *
 * Input: a byte of settings, a byte for the size of pieces, the stream.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/handshake.h"
#include "core/md5.h"
#include "core/term.h"
#include "node/log.h"
#include "node/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (1 << 16)
#define OUTPUT_MAX (8 << 20)
#define COOKIE "fuzz"
#define PEER "peer@127.0.0.1"

enum { HANDSHAKE = 1, ALIAS = 2, SECOND = 4 };

static struct muster_node node;
static uint8_t *output; /* what the node sent on the connection under test */
static size_t output_len;

static void check(int holds) {
    if (!holds) {
        abort();
    }
}

static void quiet(void *context, enum muster_log_level level, const char *text) {
    (void)context, (void)level, (void)text;
}

static void start(void) {
    struct muster_node_owner owner = {.context = NULL};
    struct muster_distribution d;
    struct muster_monitor_options options = {
        .ping_interval_ms = 1000, .thresholds = {.suspect_after_ms = 5000, .down_after_ms = 30000}};
    struct muster_node_name peer;
    struct muster_slice key = muster_slice("fuzz", 4);
    output = malloc(OUTPUT_MAX);
    muster_log_set_sink(quiet, NULL);
    muster_distribution_defaults(&d);
    muster_node_name_parse_cstr(&d.name, "muster@127.0.0.1");
    muster_node_name_parse_cstr(&peer, PEER);
    strcpy(d.cookie, COOKIE);
    strcpy(d.listen_ip, "127.0.0.1");
    d.epmd_port = 1;
    d.transport = MUSTER_TRANSPORT_TLS; /* nothing is dialled */
    muster_node_init(&node, uv_default_loop(), &owner);
    check(muster_node_distribute(&node, &d) == 0);
    /* Watched, so that the connection is pinged and answers are looked at. */
    check(muster_monitor_start(&node.monitors, key, &options) == 0);
    check(muster_watch_start(muster_monitor_find(&node.monitors, key), &peer, MUSTER_HEALTHY, 0) ==
          0);
}

static void turn(void) {
    uv_run(uv_default_loop(), UV_RUN_NOWAIT);
}

/* Hands the listener one end of a socket pair as if it had come in. */
static int open_connection(void) {
    int fds[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    uv_tcp_t *listener = node.peers.listener.tcp;
    listener->accepted_fd = fds[0];
    listener->connection_cb((uv_stream_t *)listener, 0);
    while (listener->accepted_fd == fds[0]) {
        turn(); /* so many a millisecond are taken */
    }
    return fds[1];
}

static void collect(int fd) {
    ssize_t n;
    while (output_len < OUTPUT_MAX &&
           (n = read(fd, output + output_len, OUTPUT_MAX - output_len)) > 0) {
        output_len += (size_t)n;
    }
}

/* Writes all of it, letting the node run; false when the node has closed. */
static int feed(int fd, const uint8_t *data, size_t len, size_t piece) {
    size_t at = 0;
    while (at < len) {
        size_t want = piece < len - at ? piece : len - at;
        ssize_t n = send(fd, data + at, want, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            return 0;
        }
        at += n > 0 ? (size_t)n : 0;
        turn();
        collect(fd);
    }
    return 1;
}

/* Until the node has nothing more to send: what was queued comes in pieces. */
static void collect_rest(int fd) {
    size_t before;
    do {
        before = output_len;
        turn();
        collect(fd);
    } while (output_len > before);
}

static void digest(uint32_t challenge, uint8_t *out) {
    char text[32];
    struct muster_md5 md5;
    int n = snprintf(text, sizeof text, COOKIE "%u", (unsigned)challenge);
    muster_md5_init(&md5);
    muster_md5_update(&md5, text, (size_t)n);
    muster_md5_final(&md5, out);
}

/* As the side that dials, with the right cookie. */
static void shake_hands(int fd, int alias) {
    uint8_t name[64] = {0}, reply[23] = {0, 21, 'r', 0, 0, 0, 1};
    size_t len = strlen(PEER);
    uint64_t flags = MUSTER_DFLAGS_OURS | (alias ? MUSTER_DFLAG_ALIAS : 0);
    muster_put16(name, (uint16_t)(15 + len));
    name[2] = 'N';
    muster_put64(name + 3, flags);
    muster_put32(name + 11, 7);
    muster_put16(name + 15, (uint16_t)len);
    memcpy(name + 17, PEER, len);
    output_len = 0;
    check(feed(fd, name, 17 + len, sizeof name));
    size_t status = 2 + muster_get16(output);
    if (output_len == status) { /* alive: the other connection has the name */
        static const uint8_t yes[] = {0, 5, 's', 't', 'r', 'u', 'e'};
        check(feed(fd, yes, sizeof yes, sizeof yes));
    }
    check(output_len > status + 21 && output[status + 2] == 'N');
    digest(muster_get32(output + status + 2 + 9), reply + 7);
    output_len = 0;
    check(feed(fd, reply, sizeof reply, sizeof reply));
    check(output_len >= 19 && output[2] == 'a');
    output_len -= 19;
    memmove(output, output + 19, output_len);
}

static void check_frames(const uint8_t *at, size_t len) {
    while (len >= 4 && len - 4 >= muster_get32(at)) {
        size_t size = muster_get32(at), used, more;
        struct muster_slice in = muster_slice(at + 5, size - 1);
        at += 4;
        len -= 4;
        if (size > 0) {
            check(at[0] == 112);
            check(muster_term_check_versioned(in, &muster_term_default_limits, &used) == 0);
            struct muster_slice rest = muster_slice(in.data + used, in.len - used);
            if (rest.len > 0) {
                struct muster_term_limits deeper = muster_term_default_limits;
                deeper.max_depth += 2; /* what came as deep as allowed goes back within a tuple */
                check(muster_term_check_versioned(rest, &deeper, &more) == 0);
                check(more == rest.len);
            }
        }
        at += size;
        len -= size;
    }
    check(len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int second = -1;
    if (size < 2 || size > SIZE_MAX_HERE) {
        return 0;
    }
    if (output == NULL) {
        start();
    }
    int fd = open_connection();
    output_len = 0;
    if (data[0] & HANDSHAKE) {
        shake_hands(fd, data[0] & ALIAS);
    }
    int open = feed(fd, data + 2, size - 2, data[1] == 0 ? size : data[1]);
    collect_rest(fd);
    if (open && (data[0] & HANDSHAKE) && (data[0] & SECOND)) {
        check_frames(output, output_len);
        second = open_connection(); /* of the same name: takes the first's place */
        shake_hands(second, 0);
        collect_rest(second);
        check_frames(output, output_len);
    } else if (data[0] & HANDSHAKE) {
        check_frames(output, output_len);
    }
    close(fd);
    if (second >= 0) {
        close(second);
    }
    turn();
    turn();
    check(node.peers.handshake_count == 0);
    for (const struct muster_peer *p = node.peers.first; p != NULL; p = p->next) {
        check(p->link == NULL);
    }
    check(node.peers.count <= MUSTER_PEERS_REMEMBERED + 1);
    return 0;
}
