/*
 * Questions to name servers, by c-ares on the loop: a set of them goes out together and each gets
 * its own answer. Truncated answers are asked for again over TCP.
 */
#ifndef MUSTER_NODE_DNS_H
#define MUSTER_NODE_DNS_H

#include <uv.h>

#include "node/args.h"

/* What became of a question, and what to do about it. */
#define MUSTER_DNS_OUTCOMES(X)                                                                     \
    X(ANSWER, "")                                                                                  \
    X(NO_RECORDS, "the name has no records of this type")                                          \
    X(NO_NAME, "there is no such name (NXDOMAIN): check its spelling, and that at least one "      \
               "instance is registered under it")                                                  \
    X(SERVER_FAILED, "the name server could not find out (SERVFAIL): its own log or upstream "     \
                     "servers tell more")                                                          \
    X(REFUSED, "the name server refuses to answer: allow this host to ask it, or set option "      \
               "nameservers")                                                                      \
    X(TIMEOUT, "no answer in time: check that the name server runs and that UDP and TCP port 53 "  \
               "to it are open, or raise option timeout")                                          \
    X(UNREACHABLE, "no name server can be reached: check /etc/resolv.conf or option nameservers")  \
    X(BAD_NAME, "this is not a name that DNS can be asked for")                                    \
    X(GARBLED, "the name server's answer is no valid DNS message")                                 \
    X(FAILED, "the question could not be sent")

enum muster_dns_outcome {
#define X(name, text) MUSTER_DNS_##name,
    MUSTER_DNS_OUTCOMES(X)
#undef X
};

const char *muster_dns_outcome_text(enum muster_dns_outcome outcome);

/* Name servers in the form c-ares takes them; empty: the system's. */
struct muster_dns_servers {
    char csv[1024];
};

/* Reads "ip", "ip:port" or "[ip6]:port" each. Returns 0, or MUSTER_E_INVALID with the problem. */
int muster_dns_servers_read(struct muster_dns_servers *servers,
                            const struct muster_arg_binaries *texts,
                            struct muster_problem *problem);

struct muster_dns_question {
    const char
        *name; /* with a final dot: taken as it is; else the resolver's search list applies */
    uint16_t type;
};

struct muster_dns_owner {
    void *context;
    /* `message` is set for MUSTER_DNS_ANSWER only. */
    void (*on_answer)(void *context, unsigned index, enum muster_dns_outcome outcome,
                      struct muster_slice message);
    /* All have been answered; the slot is NULL by now. */
    void (*on_end)(void *context);
};

struct muster_dns;

/*
 * Asks; may call back from within this call. `servers` and the names stay the caller's until the
 * end. After `timeout_ms` questions that are still open get MUSTER_DNS_TIMEOUT. `*slot` names the
 * set while it is under way. Returns 0, MUSTER_E_NOMEM or MUSTER_E_INVALID (c-ares did not start),
 * without any call back.
 */
int muster_dns_ask(uv_loop_t *loop, const struct muster_dns_servers *servers, uint64_t timeout_ms,
                   const struct muster_dns_question *questions, unsigned count,
                   const struct muster_dns_owner *owner, struct muster_dns **slot);

/* After this nobody is called any more. */
void muster_dns_cancel(struct muster_dns *dns);

#endif
