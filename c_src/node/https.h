/*
 * GET over HTTPS on the loop, one request at a time, the server's certificate always verified.
 * Connections are kept for the next request.
 */
#ifndef MUSTER_NODE_HTTPS_H
#define MUSTER_NODE_HTTPS_H

#include <uv.h>

#include "core/bytes.h"

#define MUSTER_HTTPS_TEXT_MAX 256

enum muster_https_outcome {
    MUSTER_HTTPS_ANSWERED,  /* completely, with whatever status */
    MUSTER_HTTPS_UNREACHED, /* no connection */
    MUSTER_HTTPS_UNTRUSTED, /* the certificate is not signed by the CA, or is another host's */
    MUSTER_HTTPS_CA_UNUSABLE,
    MUSTER_HTTPS_TIMED_OUT,
    MUSTER_HTTPS_BROKEN_OFF, /* the answer is incomplete or no HTTP */
    MUSTER_HTTPS_STOPPED,    /* on_body wanted no more */
};

struct muster_https_request {
    const char *url;
    const char *ca_file; /* NULL: the system's authorities */
    const char *header;  /* one line, or NULL */
    const char *address; /* "host:port:address" for a host that curl must not resolve, or NULL */
    uint64_t timeout_ms;
    void *context;
    /* Part of the body; anything but 0 stops. */
    int (*on_body)(void *context, long status, struct muster_slice bytes);
    /* The end, once; `detail` is a short text of the library's. The client may be closed here. */
    void (*on_end)(void *context, enum muster_https_outcome outcome, long status,
                   const char *detail);
};

struct muster_https;

/* Loads libcurl if need be. Returns NULL with `*problem` set to a static text. */
struct muster_https *muster_https_open(uv_loop_t *loop, const char **problem);

/* Ends a request under way without a call back. */
void muster_https_close(struct muster_https *https);

/* Texts of the request need not outlive the call. Returns 0 or MUSTER_E_NOMEM; calls back later. */
int muster_https_get(struct muster_https *https, const struct muster_https_request *request);

#endif
