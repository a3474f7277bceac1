/*
 * The text of an `.hosts.erlang` file: `'host.domain'.` on each line, as Erlang terms, with `%`
 * comments. No I/O.
 */
#ifndef MUSTER_CORE_HOSTS_FILE_H
#define MUSTER_CORE_HOSTS_FILE_H

#include "core/bytes.h"

struct muster_hosts_reader {
    struct muster_slice text;
    size_t at;
    unsigned line; /* of what is read next, from 1 */
};

void muster_hosts_reader_init(struct muster_hosts_reader *reader, struct muster_slice text);

/*
 * The next host, a part of the text that would do as the host of a node's name. Returns 1, 0 at the
 * end, or MUSTER_E_MALFORMED; the error is then on `line`, and reading ends there.
 */
int muster_hosts_reader_next(struct muster_hosts_reader *reader, struct muster_slice *host);

#endif
