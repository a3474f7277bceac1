#include "node/leaving.h"

#include <signal.h>

/* Sockets are closed at once: only a name look-up or a disk that hangs can hold the loop. */
#define LIMIT_MS 200

static void on_limit(uv_timer_t *timer) {
    uv_stop(timer->loop);
}

static void on_begun(uv_timer_t *timer) {
    struct muster_leaving *leaving = timer->data;
    leaving->leave(leaving->context);
    uv_close((uv_handle_t *)&leaving->sigterm, NULL);
    uv_close((uv_handle_t *)&leaving->sigint, NULL);
    uv_timer_start(timer, on_limit, LIMIT_MS, 0);
    uv_unref((uv_handle_t *)timer);
}

void muster_leaving_begin(struct muster_leaving *leaving, enum muster_exit exit_code) {
    if (!leaving->begun) {
        leaving->begun = 1;
        leaving->exit_code = exit_code;
        uv_timer_start(&leaving->timer, on_begun, 0, 0);
    }
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    muster_leaving_begin(handle->data, MUSTER_EXIT_LEFT);
}

static void watch(struct muster_leaving *leaving, uv_signal_t *handle, int number) {
    uv_signal_init(leaving->timer.loop, handle);
    handle->data = leaving;
    uv_signal_start(handle, on_signal, number);
}

void muster_leaving_init(struct muster_leaving *leaving, uv_loop_t *loop,
                         void (*leave)(void *context), void *context) {
    *leaving = (struct muster_leaving){.leave = leave, .context = context};
    uv_timer_init(loop, &leaving->timer);
    leaving->timer.data = leaving;
    watch(leaving, &leaving->sigterm, SIGTERM);
    watch(leaving, &leaving->sigint, SIGINT);
}
