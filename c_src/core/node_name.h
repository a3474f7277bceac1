/* Node names as they come from the network: checked here before anything else sees them. */
#ifndef MUSTER_CORE_NODE_NAME_H
#define MUSTER_CORE_NODE_NAME_H

#include "core/bytes.h"

/* An Erlang atom holds at most 255 characters; the distribution sends names as Latin-1. */
#define MUSTER_NODE_NAME_MAX 255

/* A checked name: "alive@host", NUL-terminated, with the length of its alive part. */
struct muster_node_name {
    char text[MUSTER_NODE_NAME_MAX + 1];
    uint8_t len;
    uint8_t alive_len;
};

/*
 * Parses `text` of `len` bytes. Accepted: exactly one '@' with something on both sides, at most 255
 * bytes; before the '@' letters, digits, '_', '-', '.', '+', '~', '=' and '%'; after it those of
 * host names and numeric addresses: letters, digits, '_', '-', '.', ':' and '%'. Returns 0,
 * MUSTER_E_INVALID or MUSTER_E_LIMIT (too long); `*name` is untouched on failure.
 */
int muster_node_name_parse(struct muster_node_name *name, const char *text, size_t len);

/* The same for a NUL-terminated text. */
int muster_node_name_parse_cstr(struct muster_node_name *name, const char *text);

/* Puts `alive`, '@' and `host` of `host_len` bytes together and checks the whole as above. */
int muster_node_name_join(struct muster_node_name *name, const char *alive, const char *host,
                          size_t host_len);

const char *muster_node_name_host(const struct muster_node_name *name);

int muster_node_name_equal(const struct muster_node_name *a, const struct muster_node_name *b);

/* Order of names as the handshake's tie-break compares them: <0, 0 or >0. */
int muster_node_name_compare(const struct muster_node_name *a, const struct muster_node_name *b);

/* Whether this is the name of a BEAM's C node: the alive part ends with "-muster". */
int muster_node_name_is_cnode(const struct muster_node_name *name);

/* Writes the alive part, NUL-terminated, to `out`, which holds MUSTER_NODE_NAME_MAX + 1 bytes. */
void muster_node_name_alive(const struct muster_node_name *name, char *out);

#endif
