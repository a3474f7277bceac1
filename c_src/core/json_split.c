#include "core/json_split.h"

#include <stdlib.h>

#include "core/errors.h"

#define FIRST_CAPACITY 256

static int append(struct muster_json_buffer *b, const void *data, size_t len) {
    if (len > b->limit - b->len) {
        return MUSTER_E_LIMIT;
    }
    if (b->len + len > b->capacity) {
        size_t capacity = b->capacity > 0 ? b->capacity : FIRST_CAPACITY;
        while (capacity < b->len + len) {
            capacity *= 2;
        }
        uint8_t *grown = realloc(b->data, capacity);
        if (grown == NULL) {
            return MUSTER_E_NOMEM;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    return 0;
}

void muster_json_split_init(struct muster_json_split *split, const char *key, size_t element_limit,
                            size_t rest_limit, muster_json_element on_element, void *context) {
    *split = (struct muster_json_split){.key = key,
                                        .on_element = on_element,
                                        .context = context,
                                        .element = {.limit = element_limit},
                                        .rest = {.limit = rest_limit}};
}

void muster_json_split_close(struct muster_json_split *split) {
    free(split->element.data);
    free(split->rest.data);
    *split = (struct muster_json_split){0};
}

/* --- One byte at a time; what it belongs to is copied in runs --- */

static void remember_key(struct muster_json_split *s, uint8_t c) {
    if (s->depth == 1 && s->last_len < sizeof s->last - 1) {
        s->last[s->last_len++] = (char)c;
        s->last[s->last_len] = '\0';
    }
}

static void string_byte(struct muster_json_split *s, uint8_t c) {
    if (s->escaped) {
        s->escaped = 0;
    } else if (c == '\\') {
        s->escaped = 1;
    } else if (c == '"') {
        s->in_string = 0;
        return;
    }
    remember_key(s, c);
}

static void begin_string(struct muster_json_split *s) {
    s->in_string = 1;
    if (s->depth == 1) {
        s->last_len = 0;
        s->last[0] = '\0';
    }
}

static int flush(struct muster_json_split *s, const uint8_t *from, const uint8_t *to) {
    return append(s->in_element ? &s->element : &s->rest, from, (size_t)(to - from));
}

static int begin_element(struct muster_json_split *s, const uint8_t **run, const uint8_t *at) {
    int error = flush(s, *run, at);
    *run = at;
    s->in_element = 1;
    s->element.len = 0;
    return error;
}

static int end_element(struct muster_json_split *s, const uint8_t **run, const uint8_t *end) {
    int error = flush(s, *run, end);
    *run = end;
    s->in_element = 0;
    if (error == 0) {
        error = append(&s->rest, "null", 4);
    }
    return error != 0 ? error
                      : s->on_element(s->context, muster_slice(s->element.data, s->element.len));
}

static int open_container(struct muster_json_split *s, const uint8_t **run, const uint8_t *at) {
    int error = 0;
    if (s->depth == 0 && (*at != '{' || s->ended)) {
        return MUSTER_E_MALFORMED;
    }
    if (s->depth == 1) {
        s->in_member = strcmp(s->last, s->key) == 0;
    } else if (s->depth == 2 && s->in_member && *at == '{') {
        error = begin_element(s, run, at);
    }
    s->depth++;
    return error;
}

static int close_container(struct muster_json_split *s, const uint8_t **run, const uint8_t *at) {
    if (s->depth == 0) {
        return MUSTER_E_MALFORMED;
    }
    s->depth--;
    s->in_member = s->in_member && s->depth > 1;
    s->ended = s->depth == 0;
    return s->in_element && s->depth == 2 ? end_element(s, run, at + 1) : 0;
}

int muster_json_split_feed(struct muster_json_split *split, struct muster_slice bytes) {
    const uint8_t *run = bytes.data, *end = bytes.data + bytes.len;
    for (const uint8_t *p = bytes.data; p < end; p++) {
        int error = 0;
        if (split->in_string) {
            string_byte(split, *p);
        } else if (*p == '"') {
            begin_string(split);
        } else if (*p == '{' || *p == '[') {
            error = open_container(split, &run, p);
        } else if (*p == '}' || *p == ']') {
            error = close_container(split, &run, p);
        }
        if (error != 0) {
            return error;
        }
    }
    return flush(split, run, end);
}

int muster_json_split_rest(const struct muster_json_split *split, struct muster_slice *rest) {
    *rest = muster_slice(split->rest.data, split->rest.len);
    return split->ended ? 0 : MUSTER_E_TRUNCATED;
}
