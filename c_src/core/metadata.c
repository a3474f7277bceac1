#include "core/metadata.h"

#include "core/errors.h"

enum { MAP = 116, BINARY = 109 };

/* The map's tag and its count of pairs; a binary's tag and its length. */
#define HEADER_LEN 5

int muster_metadata_check(struct muster_slice term) {
    if (term.len > MUSTER_METADATA_MAX) {
        return MUSTER_E_LIMIT;
    }
    if (term.len < HEADER_LEN || term.data[0] != MAP) {
        return MUSTER_E_MALFORMED;
    }
    size_t at = HEADER_LEN;
    uint64_t binaries = 2 * (uint64_t)muster_get32(term.data + 1);
    /* Ends early for a false count: each binary takes five bytes at least. */
    for (uint64_t i = 0; i < binaries; i++) {
        if (term.len - at < HEADER_LEN || term.data[at] != BINARY) {
            return MUSTER_E_MALFORMED;
        }
        size_t len = muster_get32(term.data + at + 1);
        at += HEADER_LEN;
        if (term.len - at < len) {
            return MUSTER_E_MALFORMED;
        }
        at += len;
    }
    return at == term.len ? 0 : MUSTER_E_MALFORMED;
}
