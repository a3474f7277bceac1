#include "node/args.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/errors.h"

static void expected(const struct muster_arg *arg, char *out, size_t size) {
    switch (arg->type) {
    case MUSTER_ARG_INTEGER:
        snprintf(out, size, "an integer from %lld to %lld", (long long)arg->min,
                 (long long)arg->max);
        break;
    case MUSTER_ARG_BINARY:
        snprintf(out, size, "a binary of 1 to %lld bytes", (long long)arg->max);
        break;
    case MUSTER_ARG_TEXT:
        snprintf(out, size, "a binary of 1 to %lld bytes without a zero byte", (long long)arg->max);
        break;
    case MUSTER_ARG_NODE:
        snprintf(out, size, "a node's name, such as <<\"app@host\">>");
        break;
    case MUSTER_ARG_ATOM:
        snprintf(out, size, "an atom");
        break;
    case MUSTER_ARG_CHOICE: {
        int n = snprintf(out, size, "one of");
        for (const char *const *c = arg->choices; *c != NULL && n < (int)size; c++) {
            n += snprintf(out + n, size - (size_t)n, " %s", *c);
        }
        break;
    }
    case MUSTER_ARG_NODES:
        snprintf(out, size, "a list of at most %d nodes' names", MUSTER_NAME_LIST_MAX);
        break;
    case MUSTER_ARG_BINARIES:
        snprintf(out, size, "a list of at most %d binaries of 1 to %lld bytes",
                 MUSTER_ARG_BINARIES_MAX, (long long)arg->max);
        break;
    case MUSTER_ARG_MAP:
        snprintf(out, size, "a map");
        break;
    }
}

/* Secrets are options too: what their values were is not repeated. */
static int is_secret(const struct muster_arg *arg) {
    return strcmp(arg->name, "cookie") == 0 || strstr(arg->name, "secret") != NULL;
}

static int is_printable(struct muster_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~') {
            return 0;
        }
    }
    return 1;
}

/* Not by ei_s_print_term: it prints a big integer into 2,000 bytes of stack, however big it is. */
static void print(struct muster_slice value, char *out, size_t size) {
    struct muster_reader r = muster_reader(value);
    char atom[MUSTER_ATOM_SIZE];
    struct muster_slice bytes;
    int64_t integer;
    if (muster_read_integer(&r, &integer) == 0) {
        snprintf(out, size, "%lld", (long long)integer);
    } else if (muster_read_atom(&r, atom) == 0) {
        snprintf(out, size, "%.150s", atom);
    } else if (muster_read_binary(&r, &bytes) == 0 && bytes.len < size && is_printable(bytes)) {
        snprintf(out, size, "<<\"%.*s\">>", (int)bytes.len, (const char *)bytes.data);
    } else {
        snprintf(out, size, "its value");
    }
}

/* What each element of a list must be. */
static void expected_element(const struct muster_arg *arg, char *out, size_t size) {
    struct muster_arg element = *arg;
    element.type = arg->type == MUSTER_ARG_NODES ? MUSTER_ARG_NODE : MUSTER_ARG_BINARY;
    expected(&element, out, size);
}

/* `odd` is the list's element at fault, empty where it is the whole value. */
static int refuse(const struct muster_arg *arg, struct muster_slice value, struct muster_slice odd,
                  struct muster_problem *problem) {
    char wanted[160], printed[160] = "its value";
    if (odd.len > 0) {
        expected_element(arg, wanted, sizeof wanted);
        value = odd;
    } else {
        expected(arg, wanted, sizeof wanted);
    }
    if (!is_secret(arg)) {
        print(value, printed, sizeof printed);
    }
    snprintf(problem->text, sizeof problem->text, "option %s: %s is not %s", arg->name, printed,
             wanted);
    return MUSTER_E_INVALID;
}

static int read_choice(struct muster_reader *r, const struct muster_arg *arg) {
    char atom[MUSTER_ATOM_SIZE];
    if (muster_read_atom(r, atom) != 0) {
        return MUSTER_E_INVALID;
    }
    for (int i = 0; arg->choices[i] != NULL; i++) {
        if (strcmp(arg->choices[i], atom) == 0) {
            *(int *)arg->target = i;
            return 0;
        }
    }
    return MUSTER_E_INVALID;
}

static int read_node(struct muster_slice term, struct muster_node_name *name) {
    struct muster_reader r = muster_reader(term);
    struct muster_slice bytes;
    return muster_read_binary(&r, &bytes) != 0
               ? MUSTER_E_INVALID
               : muster_node_name_parse(name, (const char *)bytes.data, bytes.len);
}

static int read_nodes(struct muster_reader *r, struct muster_name_list *list,
                      struct muster_slice *odd) {
    struct muster_slice item;
    int elements;
    if (ei_decode_list_header(r->data, &r->at, &elements) != 0) {
        return MUSTER_E_INVALID;
    }
    for (int i = 0; i < elements; i++) {
        struct muster_node_name name;
        if (muster_read_raw(r, &item) != 0) {
            return MUSTER_E_INVALID;
        }
        if (read_node(item, &name) != 0) {
            *odd = item;
            return MUSTER_E_INVALID;
        }
        if (muster_name_list_add(list, &name) != 0) {
            return MUSTER_E_INVALID;
        }
    }
    return 0;
}

static int read_binary(struct muster_slice term, int64_t max, struct muster_slice *bytes) {
    struct muster_reader r = muster_reader(term);
    return muster_read_binary(&r, bytes) != 0 || bytes->len == 0 || (int64_t)bytes->len > max
               ? MUSTER_E_INVALID
               : 0;
}

static int read_text(struct muster_slice term, int64_t max, char *text) {
    struct muster_slice bytes;
    if (read_binary(term, max, &bytes) != 0 || memchr(bytes.data, 0, bytes.len) != NULL) {
        return MUSTER_E_INVALID;
    }
    memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    return 0;
}

/* A binary is as good as a list of one. */
static int read_binaries(struct muster_reader *r, int64_t max, struct muster_arg_binaries *list,
                         struct muster_slice *odd) {
    int elements = 1;
    int is_list = ei_decode_list_header(r->data, &r->at, &elements) == 0;
    if (elements > MUSTER_ARG_BINARIES_MAX) {
        return MUSTER_E_INVALID;
    }
    for (int i = 0; i < elements; i++) {
        struct muster_slice item;
        if (muster_read_raw(r, &item) != 0) {
            return MUSTER_E_INVALID;
        }
        if (read_binary(item, max, &list->items[i]) != 0) {
            *odd = is_list ? item : *odd;
            return MUSTER_E_INVALID;
        }
    }
    list->count = (unsigned)elements;
    return 0;
}

static int read_value(struct muster_slice value, const struct muster_arg *arg,
                      struct muster_slice *odd) {
    struct muster_reader r = muster_reader(value);
    int64_t integer;
    int arity;
    switch (arg->type) {
    case MUSTER_ARG_INTEGER:
        if (muster_read_integer(&r, &integer) != 0 || integer < arg->min || integer > arg->max) {
            return MUSTER_E_INVALID;
        }
        *(int64_t *)arg->target = integer;
        return 0;
    case MUSTER_ARG_BINARY:
        return read_binary(value, arg->max, arg->target);
    case MUSTER_ARG_TEXT:
        return read_text(value, arg->max, arg->target);
    case MUSTER_ARG_NODE:
        return read_node(value, arg->target);
    case MUSTER_ARG_ATOM:
        return muster_read_atom(&r, arg->target);
    case MUSTER_ARG_CHOICE:
        return read_choice(&r, arg);
    case MUSTER_ARG_NODES:
        return read_nodes(&r, arg->target, odd);
    case MUSTER_ARG_BINARIES:
        return read_binaries(&r, arg->max, arg->target, odd);
    case MUSTER_ARG_MAP:
        *(struct muster_slice *)arg->target = value;
        return muster_read_map(&r, &arity);
    }
    return MUSTER_E_INVALID;
}

static struct muster_arg *find(struct muster_arg *args, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(args[i].name, name) == 0) {
            return &args[i];
        }
    }
    return NULL;
}

static int refuse_name(const char *name, const struct muster_arg *args, size_t count,
                       struct muster_problem *problem) {
    size_t size = sizeof problem->text;
    size_t used =
        (size_t)snprintf(problem->text, size, "option %.100s is not known here, only: ", name);
    for (size_t i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(problem->text + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 args[i].name);
    }
    if (count == 0) {
        snprintf(problem->text + used, size - used, "there are none");
    }
    return MUSTER_E_INVALID;
}

static int read_option(struct muster_reader *r, struct muster_arg *args, size_t count,
                       struct muster_problem *problem) {
    char name[MUSTER_ATOM_SIZE];
    struct muster_slice value = {0}, odd = {0};
    if (muster_read_atom(r, name) != 0) {
        snprintf(problem->text, sizeof problem->text, "an option's name is not an atom");
        return MUSTER_E_INVALID;
    }
    struct muster_arg *arg = find(args, count, name);
    if (arg == NULL) {
        return refuse_name(name, args, count, problem);
    }
    if (muster_read_raw(r, &value) != 0 || read_value(value, arg, &odd) != 0) {
        return refuse(arg, value, odd, problem);
    }
    arg->given = 1;
    return 0;
}

int muster_args_read(struct muster_slice map, struct muster_arg *args, size_t count,
                     struct muster_problem *problem) {
    struct muster_reader r = muster_reader(map);
    int pairs;
    if (map.len == 0 || muster_read_map(&r, &pairs) != 0) {
        snprintf(problem->text, sizeof problem->text, "the argument is not a map of options");
        return MUSTER_E_INVALID;
    }
    for (int i = 0; i < pairs; i++) {
        int error = read_option(&r, args, count, problem);
        if (error != 0) {
            return error;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (args[i].required && !args[i].given) {
            snprintf(problem->text, sizeof problem->text, "option %s is missing", args[i].name);
            return MUSTER_E_INVALID;
        }
    }
    return 0;
}

int muster_args_check_basename(const char *option, const char *basename,
                               struct muster_problem *problem) {
    struct muster_node_name name;
    if (muster_node_name_join(&name, basename, "host", 4) == 0) {
        return 0;
    }
    snprintf(problem->text, sizeof problem->text,
             "option %s: <<\"%.100s\">> cannot be the part of a node's name before the @", option,
             basename);
    return MUSTER_E_INVALID;
}
