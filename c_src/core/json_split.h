/*
 * Takes a long JSON document apart while it arrives: the elements of one member of the outermost
 * object (`"items": [{…}, …]` or `"Peer": {"…": {…}, …}`) are handed over one by one, what is
 * around them is kept, each element replaced by null. So the memory needed and the time spent at
 * once are those of an element, not of the document.
 *
 * It only finds where elements begin and end; that each is JSON, and the rest too, is for the
 * caller's JSON parser to say.
 */
#ifndef MUSTER_CORE_JSON_SPLIT_H
#define MUSTER_CORE_JSON_SPLIT_H

#include "core/bytes.h"

#define MUSTER_JSON_KEY_MAX 15

struct muster_json_buffer {
    uint8_t *data; /* owned */
    size_t len, capacity, limit;
};

/* Returns 0, or a negative code that ends it. */
typedef int (*muster_json_element)(void *context, struct muster_slice element);

struct muster_json_split {
    const char *key;
    muster_json_element on_element;
    void *context;
    struct muster_json_buffer element, rest;
    unsigned depth; /* containers open */
    int in_member;  /* in the container that the key names */
    int in_element;
    int in_string, escaped;
    int ended;                          /* the outermost object is complete */
    char last[MUSTER_JSON_KEY_MAX + 2]; /* the last string at depth 1, as far as it fits */
    uint8_t last_len;
};

/* `key` stays the caller's. Limits are in bytes, for one element and for the rest. Pair with
 * muster_json_split_close. */
void muster_json_split_init(struct muster_json_split *split, const char *key, size_t element_limit,
                            size_t rest_limit, muster_json_element on_element, void *context);
void muster_json_split_close(struct muster_json_split *split);

/* Takes the next bytes. Returns 0, MUSTER_E_LIMIT, MUSTER_E_NOMEM, MUSTER_E_MALFORMED, or what
 * `on_element` returned. Not to be called after a failure. */
int muster_json_split_feed(struct muster_json_split *split, struct muster_slice bytes);

/* At the end: the document without its elements, valid until the next call. Returns 0, or
 * MUSTER_E_TRUNCATED when the document is not complete. */
int muster_json_split_rest(const struct muster_json_split *split, struct muster_slice *rest);

#endif
