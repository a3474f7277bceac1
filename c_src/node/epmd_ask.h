/*
 * One question to the epmd of a host: the host's name is resolved, then each of its addresses is
 * tried in turn, 3 s each, until one answers.
 */
#ifndef MUSTER_NODE_EPMD_ASK_H
#define MUSTER_NODE_EPMD_ASK_H

#include <uv.h>

#include "core/bytes.h"
#include "core/peer_state.h"
#include "node/resolver.h"

/* Where and how to ask. */
struct muster_lookup_options {
    uv_loop_t *loop;
    struct muster_resolver *resolver;
    int family;
    uint16_t epmd_port;
};

struct muster_epmd_question {
    struct muster_slice request; /* copied */
    size_t answer_max;           /* longer answers are not epmd's */
    /*
     * Looks at all bytes received so far; `ended` says that epmd closed. Returns 1 when the answer
     * is complete, 0 when more is needed (after the end: there was no answer), or a negative code
     * when this cannot become an answer. What it finds it keeps in the asker's context.
     */
    int (*parse)(void *context, struct muster_slice in, int ended);
    /*
     * The outcome, once: MUSTER_PEER_DIALING when `parse` returned 1, with the address that
     * answered (its port is epmd's), or the state that says why not, with a text that stays valid.
     */
    void (*done)(void *context, enum muster_peer_state outcome, const char *detail,
                 const struct sockaddr_storage *address);
    void *context;
};

struct muster_epmd_ask;

/*
 * Starts; may call back from within this call. `*slot` names the asking while it is under way; it
 * is NULL by the time `done` is called. Returns 0 or MUSTER_E_NOMEM.
 */
int muster_epmd_ask_start(const struct muster_lookup_options *options, const char *host,
                          const struct muster_epmd_question *question,
                          struct muster_epmd_ask **slot);

/* Ends it without a call back and clears its slot. */
void muster_epmd_ask_cancel(struct muster_epmd_ask *ask);

#endif
