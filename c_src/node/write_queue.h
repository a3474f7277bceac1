/*
 * What a stream does not take at once: the rest is copied and waits, up to a limit. Frames are sent
 * from buffers that are used again, and a reader that has stopped must not use up the memory.
 */
#ifndef MUSTER_NODE_WRITE_QUEUE_H
#define MUSTER_NODE_WRITE_QUEUE_H

#include <uv.h>

#include "core/bytes.h"

struct muster_write_queue {
    uv_stream_t *stream;
    size_t limit; /* bytes of memory */
    size_t held;  /* by writes that the stream has not taken */
    void *context;
    void (*on_failed)(void *context, int status);
};

/*
 * `on_failed` is called when a write fails that was waiting (not when the stream is closed), with
 * libuv's error, from the loop. The queue must live until the stream's close callback: by then
 * nothing is held.
 */
void muster_write_queue_init(struct muster_write_queue *queue, uv_stream_t *stream, size_t limit,
                             void (*on_failed)(void *context, int status), void *context);

/*
 * Writes, now or later, after what was sent before. Returns 0, UV_ENOBUFS (over the limit),
 * UV_ENOMEM, or why the stream refuses. After an error part of the bytes may be on their way, so
 * the stream is of no more use.
 */
int muster_write_queue_send(struct muster_write_queue *queue, struct muster_slice bytes);

#endif
