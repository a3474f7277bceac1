#include "node/system_resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static int translate(int error) {
    switch (error) {
    case 0:
        return 0;
    case EAI_AGAIN:
        return UV_EAI_AGAIN;
    case EAI_MEMORY:
        return UV_EAI_MEMORY;
    case EAI_NONAME:
        return UV_EAI_NONAME;
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
        return UV_EAI_NODATA;
#endif
    case EAI_SYSTEM:
        return uv_translate_sys_error(errno);
    default:
        return UV_EAI_FAIL;
    }
}

/* After its end of the pipe is closed, the question may be gone. */
static void *ask(void *context) {
    struct muster_system_question *q = context;
    struct addrinfo hints = {.ai_family = q->family, .ai_socktype = SOCK_STREAM};
    q->status = translate(getaddrinfo(q->host, NULL, &hints, &q->info));
    close(q->thread_end);
    return NULL;
}

static void on_closed(uv_handle_t *handle) {
    struct muster_system_question *q = handle->data;
    close(q->loop_end);
    q->done(q, q->status, q->info);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    uv_close((uv_handle_t *)poll, on_closed);
}

static int open_pipe(struct muster_system_question *q) {
    int ends[2];
    if (pipe(ends) != 0) {
        return uv_translate_sys_error(errno);
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    q->loop_end = ends[0];
    q->thread_end = ends[1];
    return 0;
}

/* Detached: at the end of the process nobody waits for it. */
static int start_thread(struct muster_system_question *q) {
    pthread_t thread;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        error = pthread_create(&thread, &attributes, ask, q);
        pthread_attr_destroy(&attributes);
    }
    return uv_translate_sys_error(error);
}

int muster_system_resolver_ask(uv_loop_t *loop, struct muster_system_question *question) {
    int status = open_pipe(question);
    if (status != 0) {
        return status;
    }
    status = uv_poll_init(loop, &question->poll, question->loop_end);
    if (status != 0) {
        close(question->loop_end);
        close(question->thread_end);
        return status;
    }
    question->poll.data = question;
    question->info = NULL;
    uv_poll_start(&question->poll, UV_READABLE, on_ready);
    status = start_thread(question);
    if (status != 0) { /* the handle is the loop's by now: answered like any other */
        question->status = status;
        close(question->thread_end);
    }
    return 0;
}
