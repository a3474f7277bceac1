#include "core/gossip.h"

#include "core/errors.h"
#include "core/term.h"

enum {
    VERSION_MAGIC = 131,
    ATOM = 100,
    SMALL_ATOM = 115,
    MAP = 116,
    ATOM_UTF8 = 118,
    SMALL_ATOM_UTF8 = 119
};

static const char prefix[] = "heartbeat::";
#define PREFIX_LEN (sizeof prefix - 1)
/* The version byte, the map's tag and its count of pairs. */
#define MAP_HEADER_LEN 6

/* A heartbeat is a flat map of a few pairs: more than this is somebody's attempt to cost us time.
 */
static const struct muster_term_limits limits = {.max_depth = 8, .max_elements = 256};

static uint8_t *put_atom(uint8_t *p, const char *text, size_t len) {
    p[0] = ATOM;
    muster_put16(p + 1, (uint16_t)len);
    memcpy(p + 3, text, len);
    return p + 3 + len;
}

size_t muster_gossip_build(uint8_t *out, const struct muster_node_name *name) {
    uint8_t *p = out;
    memcpy(p, prefix, PREFIX_LEN);
    p += PREFIX_LEN;
    p[0] = VERSION_MAGIC;
    p[1] = MAP;
    muster_put32(p + 2, 1);
    p = put_atom(p + MAP_HEADER_LEN, "node", 4);
    p = put_atom(p, name->text, name->len);
    return (size_t)(p - out);
}

/* Cuts the next term off the front of `in`; the whole was checked before, so this cannot fail. */
static struct muster_slice cut(struct muster_slice *in) {
    size_t used = 0;
    muster_term_check(*in, &limits, &used);
    struct muster_slice term = muster_slice(in->data, used);
    *in = muster_slice(in->data + used, in->len - used);
    return term;
}

/* The characters of an atom. Node names are ASCII, so Latin-1 and UTF-8 need not be told apart. */
static int atom_text(struct muster_slice term, struct muster_slice *text) {
    size_t header;
    switch (term.data[0]) {
    case ATOM:
    case ATOM_UTF8:
        header = 3;
        break;
    case SMALL_ATOM:
    case SMALL_ATOM_UTF8:
        header = 2;
        break;
    default:
        return MUSTER_E_MALFORMED;
    }
    *text = muster_slice(term.data + header, term.len - header);
    return 0;
}

static int is_node_key(struct muster_slice key) {
    struct muster_slice text;
    return atom_text(key, &text) == 0 && muster_slice_is(text, "node");
}

static int parse_name(struct muster_slice value, struct muster_node_name *name) {
    struct muster_slice text;
    if (atom_text(value, &text) != 0 ||
        muster_node_name_parse(name, (const char *)text.data, text.len) != 0) {
        return MUSTER_E_MALFORMED;
    }
    return 0;
}

static int parse_map(struct muster_slice map, struct muster_node_name *name) {
    uint32_t pairs = muster_get32(map.data + 2);
    struct muster_slice rest = muster_slice(map.data + MAP_HEADER_LEN, map.len - MAP_HEADER_LEN);
    int found = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        struct muster_slice key = cut(&rest);
        struct muster_slice value = cut(&rest);
        if (!is_node_key(key)) {
            continue;
        }
        /* A map with a key twice is no term: Erlang would refuse it. */
        if (found || parse_name(value, name) != 0) {
            return MUSTER_E_MALFORMED;
        }
        found = 1;
    }
    return found ? 0 : MUSTER_E_MALFORMED;
}

int muster_gossip_parse(struct muster_slice packet, struct muster_node_name *name) {
    size_t used;
    if (packet.len < PREFIX_LEN || memcmp(packet.data, prefix, PREFIX_LEN) != 0) {
        return MUSTER_E_MALFORMED;
    }
    struct muster_slice term = muster_slice(packet.data + PREFIX_LEN, packet.len - PREFIX_LEN);
    if (muster_term_check_versioned(term, &limits, &used) != 0 || used != term.len ||
        term.data[1] != MAP) {
        return MUSTER_E_MALFORMED;
    }
    return parse_map(term, name);
}
