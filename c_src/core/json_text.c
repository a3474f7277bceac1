#include "core/json_text.h"

json_t *muster_json_load(struct muster_slice text) {
    return json_loadb((const char *)text.data, text.len, 0, NULL);
}

const char *muster_json_text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

void muster_printable(char *out, size_t size, const char *text, size_t len) {
    size_t n = len < size - 1 ? len : size - 1;
    for (size_t i = 0; i < n; i++) {
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
    out[n] = '\0';
}
