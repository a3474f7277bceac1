#include "node/port.h"

#include <stdio.h>
#include <unistd.h>

#include "core/errors.h"
#include "core/frame.h"
#include "core/term.h"
#include "node/args.h"
#include "node/log.h"
#include "node/node.h"
#include "node/node_requests.h"
#include "node/port_events.h"
#include "node/priority.h"
#include "node/requests.h"
#include "node/write_queue.h"

#define FRAME_LIMIT (64u << 20)
/* A BEAM that leaves so much unread is not coming back; it starts a new C node when it does. */
#define UNREAD_LIMIT (16u << 20)
#define HEARTBEAT_DEFAULT_MS 500

struct muster_port {
    struct muster_node node;
    uv_loop_t *loop;
    uv_pipe_t in, out;
    uv_timer_t heartbeat;
    struct muster_leaving leaving;
    struct muster_frame_reader frames;
    int64_t heartbeat_ms; /* as configured */
    uint64_t pace_ms;     /* as the elections want it, or 0 */
    int64_t beats;
    struct muster_write_queue writes; /* frames that the BEAM has not read */
    int configured;
};

static char read_buffer[64 * 1024];

/* --- Leaving --- */

static void on_leave(void *context) {
    struct muster_port *port = context;
    muster_log_set_sink(NULL, NULL);
    muster_node_leave(&port->node);
    uv_close((uv_handle_t *)&port->in, NULL);
    uv_close((uv_handle_t *)&port->out, NULL);
    uv_close((uv_handle_t *)&port->heartbeat, NULL);
}

static void leave(struct muster_port *port, enum muster_exit exit_code) {
    muster_leaving_begin(&port->leaving, exit_code);
}

/* --- Writing --- */

static void on_write_failed(void *context, int status) {
    (void)status;
    leave(context, MUSTER_EXIT_LEFT); /* the reader is gone: as good as the end of stdin */
}

static void send_frame(struct muster_port *port, struct muster_slice bytes) {
    int status = muster_write_queue_send(&port->writes, bytes);
    if (status != 0) {
        leave(port, status == UV_ENOBUFS  ? MUSTER_EXIT_OVERRUN
                    : status == UV_ENOMEM ? MUSTER_EXIT_FAILED
                                          : MUSTER_EXIT_LEFT);
    }
}

void muster_port_send(struct muster_port *port, struct muster_writer *w) {
    struct muster_slice frame;
    if (!port->leaving.begun && muster_writer_finish(w, &frame) == 0) {
        send_frame(port, frame);
    }
    muster_writer_free(w);
}

static void send_hello(struct muster_port *port) {
    struct muster_writer w;
    muster_port_begin(&w, 3, "hello");
    muster_write_integer(&w, MUSTER_CONTROL_VERSION);
    muster_write_map(&w, 2);
    muster_write_atom(&w, "version");
    muster_write_text(&w, MUSTER_VERSION);
    muster_write_atom(&w, "os_pid");
    muster_write_integer(&w, uv_os_getpid());
    muster_port_send(port, &w);
}

static void send_log(void *context, enum muster_log_level level, const char *text) {
    struct muster_writer w;
    muster_port_begin(&w, 3, "log");
    muster_write_atom(&w, muster_log_level_name(level));
    muster_write_text(&w, text);
    muster_port_send(context, &w);
}

static void on_heartbeat(uv_timer_t *timer) {
    struct muster_port *port = timer->data;
    struct muster_writer w;
    muster_elections_beam_asked(&port->node.elections);
    muster_port_begin(&w, 2, "heartbeat");
    muster_write_integer(&w, ++port->beats);
    muster_port_send(port, &w);
}

static void beat(struct muster_port *port) {
    uint64_t interval = (uint64_t)port->heartbeat_ms;
    if (port->pace_ms > 0 && port->pace_ms < interval) {
        interval = port->pace_ms;
    }
    uv_timer_start(&port->heartbeat, on_heartbeat, 0, interval);
}

/* Elections find out sooner whether the BEAM answers. */
static void on_pace(void *context, uint64_t interval_ms) {
    struct muster_port *port = context;
    if (port->pace_ms != interval_ms) {
        port->pace_ms = interval_ms;
        beat(port);
    }
}

/* --- Reading --- */

static void refuse_configuration(struct muster_port *port, const char *text) {
    struct muster_writer w;
    struct muster_slice frame;
    muster_port_begin(&w, 2, "refused");
    muster_write_text(&w, text);
    /* Written before anything is closed: it is the last thing the BEAM hears from this process. */
    if (muster_writer_finish(&w, &frame) == 0) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)frame.data, (unsigned)frame.len);
        uv_try_write((uv_stream_t *)&port->out, &buf, 1);
    }
    muster_writer_free(&w);
    leave(port, MUSTER_EXIT_USAGE);
}

/* {configure, Version, Config} */
static void configure(struct muster_port *port, struct muster_reader *r) {
    struct muster_slice config, distribution = {0};
    struct muster_problem problem = {"the configuration is not a map of options"};
    const char *error;
    int64_t version;
    int priority = MUSTER_PRIORITY_RAISED;
    struct muster_arg args[] = {
        {.name = "heartbeat_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &port->heartbeat_ms,
         .min = 10,
         .max = 60000},
        {.name = "distribution", .type = MUSTER_ARG_MAP, .target = &distribution},
        {.name = "priority",
         .type = MUSTER_ARG_CHOICE,
         .target = &priority,
         .choices = muster_priority_names},
    };
    if (muster_read_integer(r, &version) != 0 || version != MUSTER_CONTROL_VERSION) {
        refuse_configuration(port, "this C node speaks version 1 of the control port's protocol");
        return;
    }
    if (muster_read_raw(r, &config) != 0 || muster_args_read(config, args, 3, &problem) != 0) {
        refuse_configuration(port, problem.text);
        return;
    }
    muster_priority_set(priority);
    if (args[1].given &&
        muster_node_distribute_as_told(&port->node, distribution, &error, &problem) != 0) {
        refuse_configuration(port, problem.text);
        return;
    }
    port->configured = 1;
    muster_log_set_sink(send_log, port);
    send_hello(port);
    beat(port);
}

/* Service, operation and argument of a call or cast; the answer goes to `w`, if it does not come
 * later. */
static int carry_out(struct muster_port *port, int64_t id, struct muster_reader *r,
                     struct muster_writer *w) {
    char service[MUSTER_ATOM_SIZE], op[MUSTER_ATOM_SIZE];
    struct muster_slice arg;
    if (muster_read_atom(r, service) != 0 || muster_read_atom(r, op) != 0 ||
        muster_read_raw(r, &arg) != 0) {
        return MUSTER_E_MALFORMED;
    }
    return muster_requests_from_beam(&port->node, id, service, op, arg, w);
}

/* {call, Id, Service, Op, Arg} */
static void call(struct muster_port *port, struct muster_reader *r) {
    struct muster_writer w;
    int64_t id;
    if (muster_read_integer(r, &id) != 0 || id < 0) {
        muster_log(MUSTER_ERROR, "control port: a call without an integer id");
        return;
    }
    muster_port_begin(&w, 3, "reply");
    muster_write_integer(&w, id);
    int result = carry_out(port, id, r, &w);
    if (result == MUSTER_REQUEST_LATER) {
        muster_writer_free(&w);
        return;
    }
    if (result != 0) {
        muster_requests_write_error(&w, "malformed_request", "");
    }
    muster_port_send(port, &w);
}

/* {cast, Service, Op, Arg}: the answer is made and dropped. */
static void cast(struct muster_port *port, struct muster_reader *r) {
    struct muster_writer w;
    muster_writer_init(&w);
    if (carry_out(port, -1, r, &w) < 0) {
        muster_log(MUSTER_ERROR, "control port: a malformed cast");
    }
    muster_writer_free(&w);
}

static void take_frame(struct muster_port *port, struct muster_slice frame) {
    static const struct {
        const char *kind;
        int arity;
        int before_configuration;
        void (*handle)(struct muster_port *port, struct muster_reader *r);
    } kinds[] = {{"configure", 3, 1, configure}, {"call", 5, 0, call}, {"cast", 4, 0, cast}};
    char kind[MUSTER_ATOM_SIZE];
    int arity;
    size_t used;
    int error = muster_term_check_versioned(frame, &muster_term_default_limits, &used);
    struct muster_reader r = muster_reader(muster_slice(frame.data + 1, frame.len - 1));
    if (error != 0 || muster_read_tuple(&r, &arity) != 0 || muster_read_atom(&r, kind) != 0) {
        muster_log(MUSTER_ERROR, "control port: a frame that is no request: %s",
                   muster_strerror(error));
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].kind, kind) == 0 && kinds[i].arity == arity &&
            kinds[i].before_configuration == !port->configured) {
            kinds[i].handle(port, &r);
            return;
        }
    }
    if (strcmp(kind, "heartbeat") == 0) {
        muster_elections_beam_answered(&port->node.elections);
    } else {
        muster_log(MUSTER_ERROR, "control port: unexpected %s of %d elements", kind, arity);
    }
}

static void take_bytes(struct muster_port *port, struct muster_slice in) {
    while (!port->leaving.begun) {
        struct muster_slice frame;
        int result = muster_frame_next(&port->frames, &in, &frame);
        if (result == MUSTER_FRAME_MORE) {
            return;
        }
        if (result < 0) {
            leave(port, MUSTER_EXIT_FAILED);
        } else if (result == MUSTER_FRAME_OVERSIZED) {
            muster_log(MUSTER_ERROR, "control port: a frame of %zu bytes is over the limit",
                       frame.len);
        } else {
            take_frame(port, frame);
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct muster_port *port = stream->data;
    if (n > 0) {
        take_bytes(port, muster_slice(buf->base, (size_t)n));
    } else if (n < 0) {
        leave(port, MUSTER_EXIT_LEFT);
    }
}

/* --- Life --- */

/* A file would be opened all the same, and abort the loop at the first read. */
static int are_pipes(void) {
    return uv_guess_handle(STDIN_FILENO) == UV_NAMED_PIPE &&
           uv_guess_handle(STDOUT_FILENO) == UV_NAMED_PIPE;
}

static int open_pipes(struct muster_port *port) {
    if (!are_pipes()) {
        return UV_EINVAL;
    }
    uv_pipe_init(port->loop, &port->in, 0);
    uv_pipe_init(port->loop, &port->out, 0);
    port->in.data = port->out.data = port;
    muster_write_queue_init(&port->writes, (uv_stream_t *)&port->out, UNREAD_LIMIT, on_write_failed,
                            port);
    int status = uv_pipe_open(&port->in, STDIN_FILENO);
    return status != 0 ? status : uv_pipe_open(&port->out, STDOUT_FILENO);
}

enum muster_exit muster_port_run(void) {
    static struct muster_port port; /* large, and there is one */
    struct muster_node_owner owner = {
        .context = &port,
        .discovery = {.context = &port},
        .election = {.context = &port, .on_pace = on_pace},
    };
    muster_port_events_set(&owner);
    port.loop = uv_default_loop();
    port.heartbeat_ms = HEARTBEAT_DEFAULT_MS;
    muster_frame_reader_init(&port.frames, 4, FRAME_LIMIT);
    muster_node_init(&port.node, port.loop, &owner);
    uv_timer_init(port.loop, &port.heartbeat);
    port.heartbeat.data = &port;
    int status = open_pipes(&port);
    if (status != 0) {
        fprintf(stderr, "muster_node: --port needs pipes on stdin and stdout: %s\n",
                uv_strerror(status));
        return MUSTER_EXIT_USAGE;
    }
    muster_leaving_init(&port.leaving, port.loop, on_leave, &port);
    uv_read_start((uv_stream_t *)&port.in, on_alloc, on_read);
    uv_run(port.loop, UV_RUN_DEFAULT);
    muster_frame_reader_close(&port.frames);
    return port.leaving.exit_code;
}
