#include "core/k8s_request.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"

#define HTTPS_PORT 443

static int ends_with(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Only digits, dots and colons and hexadecimal digits after a colon: good enough to tell an address
 * from a name, as no top-level domain is a number. */
static int looks_numeric(const char *host) {
    const char *last = strrchr(host, '.');
    return strchr(host, ':') != NULL ||
           (last != NULL && last[1] != '\0' && strspn(last + 1, "0123456789") == strlen(last + 1));
}

/* The end of the host: a port after it, in `*port`, or nothing. */
static int read_port(const char *text, uint16_t *port) {
    char *end;
    if (*text == '\0') {
        *port = HTTPS_PORT;
        return 0;
    }
    long value = *text == ':' && text[1] >= '0' && text[1] <= '9' ? strtol(text + 1, &end, 10) : 0;
    if (value < 1 || value > 65535 || *end != '\0') {
        return MUSTER_E_INVALID;
    }
    *port = (uint16_t)value;
    return 0;
}

/* Where the host ends: at the bracket, at the only colon, or at the text's end. */
static const char *host_end(const char *text) {
    const char *colon = strchr(text, ':');
    if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        return colon;
    }
    return text + strlen(text);
}

static int is_host(const char *host) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._:";
    return host[0] != '\0' && strspn(host, allowed) == strlen(host);
}

static int complete(struct muster_k8s_server *server, const char *domain) {
    size_t len = strlen(server->host);
    if (server->host[len - 1] == '.') {
        server->host[len - 1] = '\0';
        return 0;
    }
    if (server->is_numeric || ends_with(server->host, domain)) {
        return 0;
    }
    int n = snprintf(server->host + len, sizeof server->host - len, ".%s", domain);
    return n > 0 && (size_t)n < sizeof server->host - len ? 0 : MUSTER_E_INVALID;
}

int muster_k8s_server_read(struct muster_k8s_server *server, const char *text, const char *domain) {
    static const char scheme[] = "https://";
    text += strncmp(text, scheme, sizeof scheme - 1) == 0 ? sizeof scheme - 1 : 0;
    int bracketed = text[0] == '[';
    const char *start = text + bracketed;
    const char *end = bracketed ? strchr(start, ']') : host_end(start);
    if (end == NULL || end == start || (size_t)(end - start) > MUSTER_K8S_HOST_MAX) {
        return MUSTER_E_INVALID;
    }
    memcpy(server->host, start, (size_t)(end - start));
    server->host[end - start] = '\0';
    server->is_numeric = looks_numeric(server->host);
    const char *after = end + bracketed;
    if (!is_host(server->host) || read_port(after, &server->port) != 0) {
        return MUSTER_E_INVALID;
    }
    return *after == ':' ? 0 : complete(server, domain);
}

static int append(char *out, size_t size, size_t *used, const char *text) {
    int n = snprintf(out + *used, size - *used, "%s", text);
    if (n < 0 || (size_t)n >= size - *used) {
        return MUSTER_E_LIMIT;
    }
    *used += (size_t)n;
    return 0;
}

/* Everything but RFC 3986's unreserved characters as %XX. */
static int append_encoded(char *out, size_t size, size_t *used, const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        char code[4] = {*c, '\0'};
        int plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL;
        if (!plain) {
            snprintf(code, sizeof code, "%%%02X", (uint8_t)*c);
        }
        if (append(out, size, used, code) != 0) {
            return MUSTER_E_LIMIT;
        }
    }
    return 0;
}

int muster_k8s_url(char *out, size_t size, const struct muster_k8s_server *server,
                   enum muster_k8s_lookup lookup, const char *namespace, const char *selector,
                   int use_cached) {
    int is_ip6 = strchr(server->host, ':') != NULL;
    int n = snprintf(out, size, "https://%s%s%s:%u/api/v1/namespaces/", is_ip6 ? "[" : "",
                     server->host, is_ip6 ? "]" : "", server->port);
    size_t used = (size_t)n;
    if (n < 0 || used >= size || append_encoded(out, size, &used, namespace) != 0 ||
        append(out, size, &used,
               lookup == MUSTER_K8S_PODS ? "/pods?labelSelector=" : "/endpoints?labelSelector=") !=
            0 ||
        append_encoded(out, size, &used, selector) != 0) {
        return MUSTER_E_LIMIT;
    }
    return use_cached ? append(out, size, &used, "&resourceVersion=0") : 0;
}
