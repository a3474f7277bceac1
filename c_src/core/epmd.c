#include "core/epmd.h"

#include "core/errors.h"

enum {
    ALIVE2_REQ = 120,
    PORT_PLEASE2_REQ = 122,
    NAMES_REQ = 110,
    ALIVE2_X_RESP = 118,
    ALIVE2_RESP = 121,
    PORT2_RESP = 119,
    NODE_TYPE_HIDDEN = 72,
};

/* Epmd's own port stands before the names. */
#define NAMES_HEADER_LEN 4

size_t muster_epmd_alive_request(uint8_t *out, const struct muster_node_name *name, uint16_t port) {
    size_t n = name->alive_len;
    muster_put16(out, (uint16_t)(13 + n));
    out[2] = ALIVE2_REQ;
    muster_put16(out + 3, port);
    out[5] = NODE_TYPE_HIDDEN;
    out[6] = 0; /* TCP over IP */
    muster_put16(out + 7, MUSTER_DISTRIBUTION_VERSION);
    muster_put16(out + 9, MUSTER_DISTRIBUTION_VERSION);
    muster_put16(out + 11, (uint16_t)n);
    memcpy(out + 13, name->text, n);
    muster_put16(out + 13 + n, 0); /* no extra data */
    return 15 + n;
}

size_t muster_epmd_port_request(uint8_t *out, const struct muster_node_name *name) {
    size_t n = name->alive_len;
    muster_put16(out, (uint16_t)(1 + n));
    out[2] = PORT_PLEASE2_REQ;
    memcpy(out + 3, name->text, n);
    return 3 + n;
}

int muster_epmd_parse_alive(struct muster_slice in, struct muster_epmd_alive *result) {
    if (in.len > 0 && in.data[0] != ALIVE2_X_RESP && in.data[0] != ALIVE2_RESP) {
        return MUSTER_E_MALFORMED;
    }
    if (in.len < 2) {
        return 0;
    }
    if (in.data[1] != 0) {
        *result = (struct muster_epmd_alive){.accepted = 0};
        return 1;
    }
    size_t creation_bytes = in.data[0] == ALIVE2_X_RESP ? 4 : 2;
    if (in.len < 2 + creation_bytes) {
        return 0;
    }
    result->accepted = 1;
    result->creation = creation_bytes == 4 ? muster_get32(in.data + 2) : muster_get16(in.data + 2);
    return 1;
}

int muster_epmd_parse_port(struct muster_slice in, struct muster_epmd_port *result) {
    if (in.len > 0 && in.data[0] != PORT2_RESP) {
        return MUSTER_E_MALFORMED;
    }
    if (in.len < 2) {
        return 0;
    }
    *result = (struct muster_epmd_port){.known = in.data[1] == 0};
    if (!result->known) {
        return 1;
    }
    /* Name and extra data follow; what is needed stands before them. */
    if (in.len < 10) {
        return 0;
    }
    result->port = muster_get16(in.data + 2);
    result->protocol = in.data[5];
    result->highest_version = muster_get16(in.data + 6);
    result->lowest_version = muster_get16(in.data + 8);
    return result->port == 0 ? MUSTER_E_MALFORMED : 1;
}

size_t muster_epmd_names_request(uint8_t *out) {
    muster_put16(out, 1);
    out[2] = NAMES_REQ;
    return 3;
}

int muster_epmd_names_plausible(struct muster_slice in) {
    static const char first_line[] = "name ";
    size_t len = in.len > NAMES_HEADER_LEN ? in.len - NAMES_HEADER_LEN : 0;
    size_t compared = len < sizeof first_line - 1 ? len : sizeof first_line - 1;
    return compared == 0 || memcmp(in.data + NAMES_HEADER_LEN, first_line, compared) == 0;
}

/* A line is "name NAME at port PORT\n". */
int muster_epmd_next_name(struct muster_slice in, size_t *at, struct muster_slice *alive) {
    static const char before[] = "name ", after[] = " at port ";
    if (*at == 0) {
        *at = NAMES_HEADER_LEN;
        if (in.len < NAMES_HEADER_LEN) {
            return MUSTER_E_MALFORMED;
        }
    }
    if (*at == in.len) {
        return 0;
    }
    const uint8_t *line = in.data + *at;
    const uint8_t *end = memchr(line, '\n', in.len - *at);
    if (end == NULL || (size_t)(end - line) < sizeof before - 1 ||
        memcmp(line, before, sizeof before - 1) != 0) {
        return MUSTER_E_MALFORMED;
    }
    const uint8_t *name = line + sizeof before - 1;
    const uint8_t *name_end = memmem(name, (size_t)(end - name), after, sizeof after - 1);
    if (name_end == NULL || name_end == name) {
        return MUSTER_E_MALFORMED;
    }
    *alive = muster_slice(name, (size_t)(name_end - name));
    *at = (size_t)(end - in.data) + 1;
    return 1;
}
