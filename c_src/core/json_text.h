/* Small helpers over jansson for answers of which nothing is certain. */
#ifndef MUSTER_CORE_JSON_TEXT_H
#define MUSTER_CORE_JSON_TEXT_H

#include <jansson.h>

#include "core/bytes.h"

/* Parses a whole document; NULL when it is none. The caller frees it with json_decref. */
json_t *muster_json_load(struct muster_slice text);

/* A member's text, or NULL when `object` is no object, or has no such text. */
const char *muster_json_text(const json_t *object, const char *key);

/* Copies with everything but printable ASCII replaced by '?', cut to fit, NUL-terminated. */
void muster_printable(char *out, size_t size, const char *text, size_t len);

#endif
