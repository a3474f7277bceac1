#include "core/epmd.h"

#include "core/errors.h"

enum {
    ALIVE2_REQ = 120,
    PORT_PLEASE2_REQ = 122,
    ALIVE2_X_RESP = 118,
    ALIVE2_RESP = 121,
    PORT2_RESP = 119,
    NODE_TYPE_HIDDEN = 72,
};

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
