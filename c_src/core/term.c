#include "core/term.h"

#include <assert.h>

#include "core/errors.h"

/* Lengths of 32 bits are added to below without a look at overflow. */
_Static_assert(sizeof(size_t) >= 8, "the term check counts bytes in 64 bits");

#define VERSION_MAGIC 131

enum tag {
    NEW_FLOAT = 70,
    BIT_BINARY = 77,
    NEW_PID = 88,
    NEW_PORT = 89,
    NEWER_REFERENCE = 90,
    SMALL_INTEGER = 97,
    INTEGER = 98,
    ATOM = 100,
    REFERENCE = 101,
    PORT = 102,
    PID = 103,
    SMALL_TUPLE = 104,
    LARGE_TUPLE = 105,
    NIL = 106,
    STRING = 107,
    LIST = 108,
    BINARY = 109,
    SMALL_BIG = 110,
    LARGE_BIG = 111,
    NEW_FUN = 112,
    EXPORT = 113,
    NEW_REFERENCE = 114,
    SMALL_ATOM = 115,
    MAP = 116,
    ATOM_UTF8 = 118,
    SMALL_ATOM_UTF8 = 119,
    V4_PORT = 120,
};

#define ATOM_CHARACTERS_MAX 255
#define REFERENCE_WORDS_MAX 5

const struct muster_term_limits muster_term_default_limits = {.max_depth = 64,
                                                              .max_elements = 1u << 20};

struct checker {
    struct muster_slice in;
    size_t at;
    uint32_t budget; /* terms that may still follow */
    unsigned max_depth;
    unsigned depth;
    /* One level more than the nesting allowed: the outermost holds the term itself. */
    struct level {
        uint32_t open; /* terms still to come */
        size_t end;    /* where a fun says that it ends; 0 for anything else */
    } levels[MUSTER_TERM_DEPTH_MAX + 1];
};

static int skip(struct checker *c, size_t n) {
    if (c->in.len - c->at < n) {
        return MUSTER_E_TRUNCATED;
    }
    c->at += n;
    return 0;
}

/* Reads a big-endian integer of 1, 2 or 4 bytes. */
static int take(struct checker *c, unsigned bytes, uint32_t *value) {
    if (c->in.len - c->at < bytes) {
        return MUSTER_E_TRUNCATED;
    }
    *value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        *value = *value << 8 | c->in.data[c->at++];
    }
    return 0;
}

/* A length of `bytes` bytes, then `extra` more and as many bytes as the length says. */
static int counted(struct checker *c, unsigned bytes, size_t extra) {
    uint32_t n;
    int error = take(c, bytes, &n);
    return error != 0 ? error : skip(c, extra + n);
}

static int atom_bytes(struct checker *c, unsigned length_bytes, uint32_t max) {
    uint32_t n;
    int error = take(c, length_bytes, &n);
    if (error != 0) {
        return error;
    }
    return n > max ? MUSTER_E_MALFORMED : skip(c, n);
}

static int atom(struct checker *c, uint32_t tag) {
    switch (tag) {
    case ATOM:
        return atom_bytes(c, 2, ATOM_CHARACTERS_MAX);
    case ATOM_UTF8: /* up to four bytes a character */
        return atom_bytes(c, 2, 4 * ATOM_CHARACTERS_MAX);
    case SMALL_ATOM:
    case SMALL_ATOM_UTF8:
        return atom_bytes(c, 1, ATOM_CHARACTERS_MAX);
    default:
        return MUSTER_E_MALFORMED;
    }
}

/* A term of one kind where the format demands that: of integers a small one, as ei takes no other
 * there. */
static int demanded(struct checker *c, int (*kind)(struct checker *c, uint32_t tag)) {
    uint32_t tag;
    int error = take(c, 1, &tag);
    return error != 0 ? error : kind(c, tag);
}

/* An atom where the format demands one, such as the node of a pid; then `extra` bytes. */
static int atom_then(struct checker *c, size_t extra) {
    int error = demanded(c, atom);
    return error != 0 ? error : skip(c, extra);
}

static int reference(struct checker *c, size_t creation_bytes) {
    uint32_t words;
    int error = take(c, 2, &words);
    if (error != 0) {
        return error;
    }
    if (words == 0 || words > REFERENCE_WORDS_MAX) {
        return MUSTER_E_MALFORMED;
    }
    return atom_then(c, creation_bytes + 4 * words);
}

static int push(struct checker *c, uint64_t terms, size_t end) {
    if (terms == 0) {
        return 0;
    }
    if (c->depth == c->max_depth) {
        return MUSTER_E_TOO_DEEP;
    }
    if (terms > c->budget) {
        return MUSTER_E_LIMIT;
    }
    /* Each term takes a byte at least, so a count beyond the input is refused before it costs
     * anything. */
    if (terms > c->in.len - c->at) {
        return MUSTER_E_TRUNCATED;
    }
    c->budget -= (uint32_t)terms;
    c->levels[c->depth++] = (struct level){.open = (uint32_t)terms, .end = end};
    return 0;
}

/* A count of `bytes` bytes, then `per` terms for each and `more` at the end. */
static int container(struct checker *c, unsigned bytes, uint64_t per, uint64_t more) {
    uint32_t n;
    int error = take(c, bytes, &n);
    return error != 0 ? error : push(c, n * per + more, 0);
}

static int integer(struct checker *c, uint32_t tag) {
    switch (tag) {
    case SMALL_INTEGER:
        return skip(c, 1);
    case INTEGER:
        return skip(c, 4);
    default:
        return MUSTER_E_MALFORMED;
    }
}

static int pid(struct checker *c, uint32_t tag) {
    switch (tag) {
    case PID:
        return atom_then(c, 4 + 4 + 1);
    case NEW_PID:
        return atom_then(c, 4 + 4 + 4);
    default:
        return MUSTER_E_MALFORMED;
    }
}

/* Module, function, arity. */
static int external_fun(struct checker *c) {
    int error = atom_then(c, 0);
    if (error == 0) {
        error = atom_then(c, 0);
    }
    return error != 0 ? error : demanded(c, integer);
}

/* Module, old index, old uniq, the creator. */
static int fun_origin(struct checker *c) {
    int error = atom_then(c, 0);
    if (error == 0) {
        error = demanded(c, integer);
    }
    if (error == 0) {
        error = demanded(c, integer);
    }
    return error != 0 ? error : demanded(c, pid);
}

/*
 * Size:32, arity:8, uniq:16 bytes, index:32, free variables:32, the origin, and the free variables
 * as terms. ei skips these by the size, so the size must be true.
 */
static int fun(struct checker *c) {
    uint32_t size, free_variables;
    size_t start = c->at;
    int error = take(c, 4, &size);
    if (error == 0) {
        error = skip(c, 1 + 16 + 4);
    }
    if (error == 0) {
        error = take(c, 4, &free_variables);
    }
    if (error == 0) {
        error = fun_origin(c);
    }
    if (error != 0) {
        return error;
    }
    if (free_variables == 0) {
        return c->at == start + size ? 0 : MUSTER_E_MALFORMED;
    }
    return push(c, free_variables, start + size);
}

static int bit_binary(struct checker *c) {
    uint32_t n, bits;
    int error = take(c, 4, &n);
    if (error == 0) {
        error = take(c, 1, &bits);
    }
    if (error != 0) {
        return error;
    }
    if (bits > 8 || (n == 0) != (bits == 0)) {
        return MUSTER_E_MALFORMED;
    }
    return skip(c, n);
}

static int term(struct checker *c) {
    uint32_t tag;
    int error = take(c, 1, &tag);
    if (error != 0) {
        return error;
    }
    switch (tag) {
    case SMALL_INTEGER:
    case INTEGER:
        return integer(c, tag);
    case NEW_FLOAT:
        return skip(c, 8);
    case ATOM:
    case SMALL_ATOM:
    case ATOM_UTF8:
    case SMALL_ATOM_UTF8:
        return atom(c, tag);
    case PID:
    case NEW_PID:
        return pid(c, tag);
    case PORT:
        return atom_then(c, 4 + 1);
    case NEW_PORT:
        return atom_then(c, 4 + 4);
    case V4_PORT:
        return atom_then(c, 8 + 4);
    case REFERENCE:
        return atom_then(c, 4 + 1);
    case NEW_REFERENCE:
        return reference(c, 1);
    case NEWER_REFERENCE:
        return reference(c, 4);
    case NIL:
        return 0;
    case STRING:
        return counted(c, 2, 0);
    case BINARY:
        return counted(c, 4, 0);
    case BIT_BINARY:
        return bit_binary(c);
    case SMALL_BIG:
        return counted(c, 1, 1);
    case LARGE_BIG:
        return counted(c, 4, 1);
    case SMALL_TUPLE:
        return container(c, 1, 1, 0);
    case LARGE_TUPLE:
        return container(c, 4, 1, 0);
    case LIST:
        return container(c, 4, 1, 1);
    case MAP:
        return container(c, 4, 2, 0);
    case EXPORT:
        return external_fun(c);
    case NEW_FUN:
        return fun(c);
    default:
        return MUSTER_E_UNSUPPORTED;
    }
}

static int close_levels(struct checker *c) {
    while (c->depth > 0 && c->levels[c->depth - 1].open == 0) {
        size_t end = c->levels[--c->depth].end;
        if (end != 0 && end != c->at) {
            return MUSTER_E_MALFORMED;
        }
    }
    return 0;
}

int muster_term_check(struct muster_slice in, const struct muster_term_limits *limits,
                      size_t *used) {
    assert(limits->max_depth >= 1 && limits->max_depth <= MUSTER_TERM_DEPTH_MAX);
    struct checker c = {
        .in = in, .budget = limits->max_elements, .max_depth = limits->max_depth + 1};
    int error = push(&c, 1, 0);
    while (error == 0 && c.depth > 0) {
        c.levels[c.depth - 1].open--;
        error = term(&c);
        if (error == 0) {
            error = close_levels(&c);
        }
    }
    *used = c.at;
    return error;
}

int muster_term_check_versioned(struct muster_slice in, const struct muster_term_limits *limits,
                                size_t *used) {
    *used = 0;
    if (in.len == 0) {
        return MUSTER_E_TRUNCATED;
    }
    if (in.data[0] != VERSION_MAGIC) {
        return MUSTER_E_MALFORMED;
    }
    int error = muster_term_check(muster_slice(in.data + 1, in.len - 1), limits, used);
    *used += 1;
    return error;
}
