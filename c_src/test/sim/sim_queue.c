#include "test/sim/sim_queue.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void *checked(void *memory) {
    if (memory == NULL) {
        perror("muster_sim");
        exit(2);
    }
    return memory;
}

static bool before(const struct sim_event *a, const struct sim_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void sift_up(struct sim_queue *queue, size_t at) {
    struct sim_event *event = queue->heap[at];
    while (at > 0 && before(event, queue->heap[(at - 1) / 2])) {
        queue->heap[at] = queue->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->heap[at] = event;
}

static void sift_down(struct sim_queue *queue, struct sim_event *event) {
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && before(queue->heap[child + 1], queue->heap[child]))
            child++;
        if (!before(queue->heap[child], event))
            break;
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    queue->heap[at] = event;
}

void sim_queue_push(struct sim_queue *queue, const struct sim_event *event) {
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 256 : 2 * queue->capacity;
        queue->heap = checked(realloc(queue->heap, queue->capacity * sizeof *queue->heap));
    }
    struct sim_event *copy = checked(malloc(sizeof *copy));
    *copy = *event;
    copy->order = queue->pushed++;
    queue->heap[queue->count++] = copy;
    sift_up(queue, queue->count - 1);
}

struct sim_event *sim_queue_pop(struct sim_queue *queue) {
    if (queue->count == 0)
        return NULL;
    struct sim_event *first = queue->heap[0];
    queue->count--;
    if (queue->count > 0)
        sift_down(queue, queue->heap[queue->count]);
    return first;
}

void sim_event_free(struct sim_event *event) {
    free(event->config);
    free(event->table);
    free(event);
}

void sim_queue_close(struct sim_queue *queue) {
    for (size_t i = 0; i < queue->count; i++)
        sim_event_free(queue->heap[i]);
    free(queue->heap);
}
