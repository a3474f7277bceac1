#include "core/hosts_file.h"

#include "core/errors.h"
#include "core/node_name.h"

void muster_hosts_reader_init(struct muster_hosts_reader *reader, struct muster_slice text) {
    *reader = (struct muster_hosts_reader){.text = text, .at = 0, .line = 1};
}

/* The next byte, or -1 at the end. */
static int peek(const struct muster_hosts_reader *r) {
    return r->at < r->text.len ? r->text.data[r->at] : -1;
}

static void step(struct muster_hosts_reader *r) {
    r->line += r->text.data[r->at++] == '\n';
}

static int is_blank(int c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int is_word(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '@';
}

static void skip_blanks(struct muster_hosts_reader *r) {
    while (is_blank(peek(r)) || peek(r) == '%') {
        if (peek(r) == '%') {
            while (peek(r) != '\n' && peek(r) != -1) {
                step(r);
            }
        } else {
            step(r);
        }
    }
}

/* Host names need no escapes, so a backslash within the quotes is just no host. */
static int quoted(struct muster_hosts_reader *r, struct muster_slice *atom) {
    step(r);
    size_t start = r->at;
    while (peek(r) != '\'' && peek(r) != '\n' && peek(r) != -1) {
        step(r);
    }
    *atom = muster_slice(r->text.data + start, r->at - start);
    if (peek(r) != '\'') {
        return MUSTER_E_MALFORMED;
    }
    step(r);
    return 0;
}

static int unquoted(struct muster_hosts_reader *r, struct muster_slice *atom) {
    size_t start = r->at;
    while (is_word(peek(r))) {
        step(r);
    }
    *atom = muster_slice(r->text.data + start, r->at - start);
    return atom->len > 0 && atom->data[0] >= 'a' && atom->data[0] <= 'z' ? 0 : MUSTER_E_MALFORMED;
}

/* A full stop ends a term only before a blank, a comment or the end. */
static int full_stop(struct muster_hosts_reader *r) {
    skip_blanks(r);
    if (peek(r) != '.') {
        return MUSTER_E_MALFORMED;
    }
    step(r);
    return is_blank(peek(r)) || peek(r) == '%' || peek(r) == -1 ? 0 : MUSTER_E_MALFORMED;
}

static int is_host(struct muster_slice atom) {
    char text[MUSTER_NODE_NAME_MAX] = {'n', '@'};
    struct muster_node_name name;
    if (atom.len > sizeof text - 2) {
        return 0;
    }
    memcpy(text + 2, atom.data, atom.len);
    return muster_node_name_parse(&name, text, atom.len + 2) == 0;
}

int muster_hosts_reader_next(struct muster_hosts_reader *reader, struct muster_slice *host) {
    skip_blanks(reader);
    if (peek(reader) == -1) {
        return 0;
    }
    int error = peek(reader) == '\'' ? quoted(reader, host) : unquoted(reader, host);
    if (error == 0 && !is_host(*host)) {
        error = MUSTER_E_MALFORMED;
    }
    if (error == 0) {
        error = full_stop(reader);
    }
    if (error != 0) {
        reader->at = reader->text.len;
        return error;
    }
    return 1;
}
