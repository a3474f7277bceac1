#include "node/write_queue.h"

#include <stdlib.h>
#include <string.h>

struct queued_write {
    uv_write_t request;
    size_t size; /* of the whole */
    uint8_t data[];
};

void muster_write_queue_init(struct muster_write_queue *queue, uv_stream_t *stream, size_t limit,
                             void (*on_failed)(void *context, int status), void *context) {
    *queue = (struct muster_write_queue){
        .stream = stream, .limit = limit, .on_failed = on_failed, .context = context};
}

static void on_written(uv_write_t *request, int status) {
    struct muster_write_queue *queue = request->data;
    struct queued_write *w = (struct queued_write *)request;
    queue->held -= w->size;
    free(w);
    if (status != 0 && status != UV_ECANCELED) {
        queue->on_failed(queue->context, status);
    }
}

/* What counts is the memory held: of many small frames most of it is not theirs. */
static int keep(struct muster_write_queue *queue, struct muster_slice rest) {
    size_t size = sizeof(struct queued_write) + rest.len;
    if (queue->held + size > queue->limit) {
        return UV_ENOBUFS;
    }
    struct queued_write *w = malloc(size);
    if (w == NULL) {
        return UV_ENOMEM;
    }
    memcpy(w->data, rest.data, rest.len);
    w->request.data = queue;
    w->size = size;
    uv_buf_t buf = uv_buf_init((char *)w->data, (unsigned)rest.len);
    int status = uv_write(&w->request, queue->stream, &buf, 1, on_written);
    if (status != 0) {
        free(w);
        return status;
    }
    queue->held += size;
    return 0;
}

int muster_write_queue_send(struct muster_write_queue *queue, struct muster_slice bytes) {
    if (bytes.len == 0) {
        return 0;
    }
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.len);
    int sent = uv_try_write(queue->stream, &buf, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        return sent;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    return done == bytes.len ? 0 : keep(queue, muster_slice(bytes.data + done, bytes.len - done));
}
