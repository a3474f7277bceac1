/*
 * One TCP connection that speaks the Erlang distribution: handshake, frames, ticks, a bounded write
 * queue.
 *
 * A link belongs to whoever started it until `on_closed`; after that its memory is the loop's.
 */
#ifndef MUSTER_NODE_LINK_H
#define MUSTER_NODE_LINK_H

#include <uv.h>

#include "core/bytes.h"
#include "core/handshake.h"
#include "core/peer_state.h"

/* A cookie is an atom's text; with its terminator. */
#define MUSTER_COOKIE_SIZE 256

/* Who this node is and how its links behave; shared by all of them. */
struct muster_link_settings {
    uv_loop_t *loop;
    struct muster_node_name self;
    uint32_t creation;
    uint64_t ticktime_ms;
    uint32_t frame_limit;     /* largest frame accepted; longer ones are drained */
    size_t write_queue_limit; /* bytes; a peer that reads too slowly to stay under it is dropped */
    uint64_t handshake_limit_ms;
};

struct muster_link;

struct muster_link_owner {
    void *context;
    /* A peer that connected gave its name: go on? `*cookie` must be set for OK verdicts. */
    enum muster_handshake_verdict (*on_name)(void *context, struct muster_link *link,
                                             const struct muster_node_name *peer,
                                             const char **cookie);
    void (*on_up)(void *context, struct muster_link *link);
    /* A frame that is no tick, `read_at` (uv_hrtime) being when its last byte arrived here. */
    void (*on_frame)(void *context, struct muster_link *link, struct muster_slice frame,
                     uint64_t read_at);
    /* Once, whoever closed it; the socket is still open. */
    void (*on_closed)(void *context, struct muster_link *link, enum muster_peer_state state,
                      const char *detail);
};

/* Dials. May call on_closed before it returns. Returns 0 or MUSTER_E_NOMEM; `*slot` names the link
 * before that. */
int muster_link_connect(const struct muster_link_settings *settings,
                        const struct muster_link_owner *owner,
                        const struct sockaddr_storage *address, const struct muster_node_name *peer,
                        const char *cookie, struct muster_link **slot);

/* Takes a connection off `server`. Returns 0, a libuv error or MUSTER_E_NOMEM. */
int muster_link_accept(const struct muster_link_settings *settings,
                       const struct muster_link_owner *owner, uv_stream_t *server,
                       struct muster_link **slot);

/* Sends a whole frame, its length included, at once if the socket takes it. The link may close on
 * the way. */
void muster_link_send(struct muster_link *link, struct muster_slice frame);

void muster_link_close(struct muster_link *link, enum muster_peer_state state, const char *detail);

/* Valid once the handshake has a name. */
const struct muster_node_name *muster_link_peer(const struct muster_link *link);
uint64_t muster_link_peer_flags(const struct muster_link *link);
int muster_link_is_up(const struct muster_link *link);
int muster_link_is_outgoing(const struct muster_link *link);

/* In on_closed: whether the other side ended the connection (it closed it, or is gone), and not
 * this side, nor silence. */
int muster_link_ended_by_peer(const struct muster_link *link);

/* Written data that a host does not even acknowledge for so long: the host or the way to it is
 * gone. What a link begins with, and how to have it another way while it is up. */
#define MUSTER_LINK_UNACKNOWLEDGED_MS 10000u
void muster_link_limit_unacknowledged(struct muster_link *link, unsigned ms);

#endif
