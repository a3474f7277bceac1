#include "node/command.h"

#include <signal.h>
#include <stdlib.h>

#include "core/json_text.h"

/* The process, the timer and the two pipes. */
#define HANDLES 4
#define READ_SIZE (16 * 1024)

struct muster_command {
    uv_process_t process;
    uv_timer_t timer;
    uv_pipe_t out, err;
    struct muster_command_owner owner;
    struct muster_command **slot;
    enum muster_command_outcome outcome;
    int64_t code;
    int handles; /* not closed yet */
    int exited;
    int open;      /* pipes not at their end */
    int cancelled; /* nobody is to be told */
    char said[MUSTER_COMMAND_STDERR_MAX];
    size_t said_len;
};

static char read_buffer[READ_SIZE];

/* --- The end --- */

static void on_closed(uv_handle_t *handle) {
    struct muster_command *c = handle->data;
    if (--c->handles == 0) {
        free(c);
    }
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, on_closed);
    }
}

static void close_all(struct muster_command *c) {
    close_handle((uv_handle_t *)&c->timer);
    close_handle((uv_handle_t *)&c->out);
    close_handle((uv_handle_t *)&c->err);
    if (c->exited) {
        close_handle((uv_handle_t *)&c->process);
    }
}

static void tell(struct muster_command *c) {
    char said[MUSTER_COMMAND_STDERR_MAX];
    struct muster_command_owner owner = c->owner;
    if (c->cancelled) {
        return;
    }
    c->cancelled = 1;
    *c->slot = NULL;
    while (c->said_len > 0 && c->said[c->said_len - 1] <= ' ') {
        c->said_len--;
    }
    muster_printable(said, sizeof said, c->said, c->said_len);
    owner.on_end(owner.context, c->outcome, c->code, said);
}

/* It has ended when the process has and nobody holds its pipes. */
static void look_for_end(struct muster_command *c) {
    if (c->exited && c->open == 0) {
        close_all(c);
        tell(c);
    }
}

/* It leads a process group of its own, so that what it started goes too. Its handle stays until the
 * exit is seen: a process that nobody waits for would remain as a zombie. */
static void kill_all(struct muster_command *c) {
    if (!c->exited || c->open > 0) {
        kill(-c->process.pid, SIGKILL);
    }
}

static void give_up(struct muster_command *c, enum muster_command_outcome outcome) {
    c->outcome = outcome;
    kill_all(c);
    close_all(c);
    tell(c);
}

void muster_command_cancel(struct muster_command *command) {
    command->cancelled = 1;
    *command->slot = NULL;
    kill_all(command);
    close_all(command);
}

/* --- What happens --- */

static void on_timer(uv_timer_t *timer) {
    give_up(timer->data, MUSTER_COMMAND_TIMED_OUT);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal) {
    struct muster_command *c = process->data;
    c->exited = 1;
    c->code = signal != 0 ? signal : status;
    if (c->cancelled) {
        close_handle((uv_handle_t *)process);
        return;
    }
    c->outcome = signal != 0 ? MUSTER_COMMAND_SIGNALLED : MUSTER_COMMAND_EXITED;
    look_for_end(c);
}

/* One buffer for all: what is read is passed on before the next read. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_pipe_end(struct muster_command *c, uv_stream_t *pipe) {
    uv_read_stop(pipe);
    c->open--;
    look_for_end(c);
}

static void on_out(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf) {
    struct muster_command *c = pipe->data;
    if (n < 0) {
        on_pipe_end(c, pipe);
    } else if (n > 0 &&
               c->owner.on_output(c->owner.context, muster_slice(buf->base, (size_t)n)) != 0) {
        give_up(c, MUSTER_COMMAND_STOPPED);
    }
}

/* The beginning is kept, the rest read and dropped, so that the command can go on. */
static void on_err(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf) {
    struct muster_command *c = pipe->data;
    if (n < 0) {
        on_pipe_end(c, pipe);
        return;
    }
    size_t room = sizeof c->said - c->said_len;
    size_t len = (size_t)n < room ? (size_t)n : room;
    memcpy(c->said + c->said_len, buf->base, len);
    c->said_len += len;
}

/* --- The beginning --- */

static void init_handles(struct muster_command *c, uv_loop_t *loop) {
    uv_timer_init(loop, &c->timer);
    uv_pipe_init(loop, &c->out, 0);
    uv_pipe_init(loop, &c->err, 0);
    c->process.data = c->timer.data = c->out.data = c->err.data = c;
    c->handles = HANDLES;
}

static int spawn(struct muster_command *c, uv_loop_t *loop, char *const args[]) {
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->err},
    };
    uv_process_options_t options = {.exit_cb = on_process_exit,
                                    .file = args[0],
                                    .args = (char **)(uintptr_t)args,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 3,
                                    .stdio = stdio};
    return uv_spawn(loop, &c->process, &options);
}

int muster_command_start(uv_loop_t *loop, char *const args[], uint64_t timeout_ms,
                         const struct muster_command_owner *owner, struct muster_command **slot) {
    struct muster_command *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return UV_ENOMEM;
    }
    c->owner = *owner;
    c->slot = slot;
    init_handles(c, loop);
    int status = spawn(c, loop, args);
    if (status != 0) {
        c->exited = 1; /* there is nothing to wait for */
        close_all(c);
        return status;
    }
    c->open = 2;
    *slot = c;
    uv_timer_start(&c->timer, on_timer, timeout_ms, 0);
    uv_read_start((uv_stream_t *)&c->out, on_alloc, on_out);
    uv_read_start((uv_stream_t *)&c->err, on_alloc, on_err);
    return 0;
}
