/* The epmd protocol as bytes: requests to send, answers to understand. No I/O. */
#ifndef MUSTER_CORE_EPMD_H
#define MUSTER_CORE_EPMD_H

#include "core/bytes.h"
#include "core/node_name.h"

#define MUSTER_EPMD_PORT 4369
#define MUSTER_EPMD_REQUEST_MAX (2 + 13 + MUSTER_NODE_NAME_MAX)
/* The longest answer to a look-up that is read; extra data beyond it is not ours to keep. */
#define MUSTER_EPMD_RESPONSE_MAX (12 + MUSTER_NODE_NAME_MAX + 2 + 512)

/* The only distribution version spoken here: 6, of OTP 23 and later. */
#define MUSTER_DISTRIBUTION_VERSION 6

/* ALIVE2_REQ for a hidden node; `out` holds MUSTER_EPMD_REQUEST_MAX bytes. Returns its length. */
size_t muster_epmd_alive_request(uint8_t *out, const struct muster_node_name *name, uint16_t port);

/* PORT_PLEASE2_REQ for the alive part of `name`; `out` as above. */
size_t muster_epmd_port_request(uint8_t *out, const struct muster_node_name *name);

struct muster_epmd_alive {
    int accepted; /* 0: the name is taken (or the request was refused) */
    uint32_t creation;
};

/*
 * Both parsers look at all bytes received so far. They return 1 and fill `*result` when the answer
 * is complete, 0 when more bytes are needed, MUSTER_E_MALFORMED when it cannot become an answer.
 */
int muster_epmd_parse_alive(struct muster_slice in, struct muster_epmd_alive *result);

struct muster_epmd_port {
    int known; /* 0: epmd knows no such name, and the rest is 0 */
    uint16_t port;
    uint8_t protocol; /* 0: TCP over IP */
    uint16_t highest_version;
    uint16_t lowest_version;
};

int muster_epmd_parse_port(struct muster_slice in, struct muster_epmd_port *result);

/* NAMES_REQ, which asks for all names; `out` as above. */
size_t muster_epmd_names_request(uint8_t *out);

/* The answer is read up to here: some thousands of names. */
#define MUSTER_EPMD_NAMES_MAX (128 * 1024)

/* Whether what came so far can become an answer to NAMES_REQ, which ends when epmd closes. */
int muster_epmd_names_plausible(struct muster_slice in);

/*
 * Takes the next alive name off the answer's text at `*at`, which is 0 at first. Returns 1, 0 at
 * the end, or MUSTER_E_MALFORMED. Nothing is known of the name but that it is not empty.
 */
int muster_epmd_next_name(struct muster_slice in, size_t *at, struct muster_slice *alive);

#endif
