#include "core/node_name.h"

#include "core/errors.h"

static int is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* strchr finds the terminator too, so NUL is refused by hand. */
static int in_set(char c, const char *set) {
    return c != '\0' && (is_alphanumeric(c) || strchr(set, c) != NULL);
}

static int all_in_set(const char *text, size_t len, const char *set) {
    for (size_t i = 0; i < len; i++) {
        if (!in_set(text[i], set)) {
            return 0;
        }
    }
    return 1;
}

int muster_node_name_parse(struct muster_node_name *name, const char *text, size_t len) {
    if (len > MUSTER_NODE_NAME_MAX) {
        return MUSTER_E_LIMIT;
    }
    const char *at = len > 0 ? memchr(text, '@', len) : NULL;
    if (at == NULL || at == text || at == text + len - 1) {
        return MUSTER_E_INVALID;
    }
    size_t alive_len = (size_t)(at - text);
    if (!all_in_set(text, alive_len, "_-.+~=%") ||
        !all_in_set(at + 1, len - alive_len - 1, "_-.:%")) {
        return MUSTER_E_INVALID;
    }
    memcpy(name->text, text, len);
    name->text[len] = '\0';
    name->len = (uint8_t)len;
    name->alive_len = (uint8_t)alive_len;
    return 0;
}

int muster_node_name_parse_cstr(struct muster_node_name *name, const char *text) {
    return muster_node_name_parse(name, text, strlen(text));
}

int muster_node_name_join(struct muster_node_name *name, const char *alive, const char *host,
                          size_t host_len) {
    char text[MUSTER_NODE_NAME_MAX];
    size_t alive_len = strlen(alive);
    if (alive_len >= sizeof text || host_len > sizeof text - alive_len - 1) {
        return MUSTER_E_LIMIT;
    }
    memcpy(text, alive, alive_len);
    text[alive_len] = '@';
    memcpy(text + alive_len + 1, host, host_len);
    return muster_node_name_parse(name, text, alive_len + 1 + host_len);
}

const char *muster_node_name_host(const struct muster_node_name *name) {
    return name->text + name->alive_len + 1;
}

int muster_node_name_equal(const struct muster_node_name *a, const struct muster_node_name *b) {
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

int muster_node_name_compare(const struct muster_node_name *a, const struct muster_node_name *b) {
    return strcmp(a->text, b->text);
}

int muster_node_name_is_cnode(const struct muster_node_name *name) {
    static const char suffix[] = "-muster";
    size_t len = sizeof suffix - 1;
    return name->alive_len > len && memcmp(name->text + name->alive_len - len, suffix, len) == 0;
}

void muster_node_name_alive(const struct muster_node_name *name, char *out) {
    memcpy(out, name->text, name->alive_len);
    out[name->alive_len] = '\0';
}
