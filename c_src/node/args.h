/*
 * Arguments that come as a map of options: read against a table that says what is allowed, with an
 * error that names the option, the value and what was expected.
 */
#ifndef MUSTER_NODE_ARGS_H
#define MUSTER_NODE_ARGS_H

#include "core/name_list.h"
#include "node/codec.h"

enum muster_arg_type {
    MUSTER_ARG_INTEGER, /* target: int64_t, within [min, max] */
    MUSTER_ARG_BINARY,  /* target: struct muster_slice, 1 to max bytes */
    MUSTER_ARG_TEXT,    /* target: char[max + 1]; a binary as above, without a zero byte */
    MUSTER_ARG_NODE,    /* target: struct muster_node_name */
    MUSTER_ARG_ATOM,    /* target: char[MUSTER_ATOM_SIZE] */
    MUSTER_ARG_CHOICE,  /* target: int, the index of the atom in `choices` */
    MUSTER_ARG_NODES, /* target: struct muster_name_list, which the caller closes, on failure too */
    MUSTER_ARG_BINARIES, /* target: struct muster_arg_binaries, of 1 to max bytes each; a single
                            binary is a list of one */
    MUSTER_ARG_MAP,      /* target: struct muster_slice, the map as a term */
};

#define MUSTER_ARG_BINARIES_MAX 16

struct muster_arg_binaries {
    struct muster_slice items[MUSTER_ARG_BINARIES_MAX];
    unsigned count;
};

struct muster_arg {
    const char *name;
    enum muster_arg_type type;
    void *target; /* keeps its value, the default, when the option is not given */
    int required;
    int64_t min, max;
    const char *const *choices; /* ends with NULL */
    int given;                  /* set by muster_args_read */
};

/* No interval or threshold that an option sets is longer. */
#define MUSTER_DAY_MS 86400000

/* How many there are in a table. */
#define MUSTER_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* An entry that several tables have: the node that a request is about. */
#define MUSTER_NODE_ARG(target_)                                                                   \
    { .name = "node", .type = MUSTER_ARG_NODE, .target = (target_), .required = 1 }

struct muster_problem {
    char text[512];
};

/* Reads a map. Returns 0 or MUSTER_E_INVALID with `*problem` filled in; targets may then be partly
 * set. */
int muster_args_read(struct muster_slice map, struct muster_arg *args, size_t count,
                     struct muster_problem *problem);

/* Whether a node's name can begin so: 0, or MUSTER_E_INVALID with `*problem` filled in. */
int muster_args_check_basename(const char *option, const char *basename,
                               struct muster_problem *problem);

#endif
