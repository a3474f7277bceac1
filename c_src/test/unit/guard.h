/* Memory that ends where readable memory ends: catches over-reads of code that no sanitizer sees.
 */
#ifndef MUSTER_TEST_GUARD_H
#define MUSTER_TEST_GUARD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    uint8_t *map;
    size_t size; /* readable bytes, whole pages; an unreadable page follows */
};

static inline void guard_open(struct guard *guard, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guard->size = (size + page) / page * page;
    guard->map =
        mmap(NULL, guard->size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard->map == MAP_FAILED || mprotect(guard->map + guard->size, page, PROT_NONE) != 0) {
        abort();
    }
}

/* A copy of `len` bytes that ends at the unreadable page; valid until the next. */
static inline const uint8_t *guard_put(struct guard *guard, const void *data, size_t len) {
    if (len > guard->size) {
        abort();
    }
    uint8_t *copy = guard->map + guard->size - len;
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

static inline void guard_close(struct guard *guard) {
    munmap(guard->map, guard->size + (size_t)sysconf(_SC_PAGESIZE));
}

#endif
