/*
 * The nodes this one is, was or wants to be connected to: dialled while wanted, accepted when they
 * come, at most one link each, and always with a state that says what became of it.
 */
#ifndef MUSTER_NODE_PEERS_H
#define MUSTER_NODE_PEERS_H

#include <uv.h>

#include "core/backoff.h"
#include "core/node_name.h"
#include "core/peer_state.h"
#include "core/token_bucket.h"
#include "node/cookies.h"
#include "node/link.h"
#include "node/listener.h"
#include "node/lookup.h"
#include "node/resolver.h"

/* Peers that nobody wants and that are not connected: so many are remembered, for the operator. */
#define MUSTER_PEERS_REMEMBERED 64
/* Dials under way; more wait their turn, so that a long list of nodes does not use up the
 * descriptors. */
#define MUSTER_PEERS_DIALS_MAX 256
/* Connections that have not yet proved who they are; beyond that the oldest gives way. */
#define MUSTER_PEERS_HANDSHAKES_MAX 128
/* Dials a second, after the first, of peers that are wanted by hearsay only. */
#define MUSTER_PEERS_DOUBTFUL_RETRIES_PER_S 20
/* Names that nobody proved: so many a second are remembered and told. */
#define MUSTER_PEERS_STRANGERS_PER_SECOND 50

struct muster_peer {
    struct muster_peer *next, *previous;
    struct muster_peers *peers;
    struct muster_node_name name;
    unsigned wanted;
    unsigned urgent; /* wants that bear no long waits, see muster_peers_hurry */
    unsigned fading; /* of these, wants of one that may have gone for good */
    unsigned doubts; /* wants by mere hearsay, of a name that may be made up */
    enum muster_peer_state state;
    const char *detail; /* static text on the state */
    uint64_t since_ms;
    unsigned attempts; /* since it was last connected */
    uint64_t there_ms; /* when it last was, or was expected to be */
    uint64_t dialled_at_ms;
    uint32_t dial_took_ms; /* the last one that went well; 0: none ever did */
    struct muster_backoff backoff;
    uv_timer_t retry;
    int dialling;                 /* counted among the dials under way */
    struct muster_lookup *lookup; /* the dial's first part, while it is under way */
    struct muster_link *outgoing; /* the dial's second part */
    struct muster_link *link;     /* up */
    unsigned unacknowledged_ms;   /* of an urgent peer's links */
    void *watches;                /* the monitor's, see monitor.c */
};

struct muster_peers_owner {
    void *context;
    /* The peer's state changed (to anything but `dialing`). */
    void (*on_state)(void *context, struct muster_peer *peer);
    void (*on_frame)(void *context, struct muster_peer *peer, struct muster_slice frame,
                     uint64_t read_at);
    /* A link stands, and ends: always in turn, the end before the socket is closed. `by_peer`: the
     * other side ended it. The link's own end is not yet a change of the peer's state. */
    void (*on_link_up)(void *context, struct muster_peer *peer);
    void (*on_link_down)(void *context, struct muster_peer *peer, int by_peer);
};

struct muster_peers {
    struct muster_link_settings link_settings;
    struct muster_lookup_options lookup_options;
    struct muster_resolver resolver;
    struct muster_cookies *cookies;
    struct muster_node_name beam;       /* never dialled; empty text when there is none */
    enum muster_peer_state no_dialling; /* why nothing is dialled, or MUSTER_PEER_IDLE */
    struct muster_peers_owner owner;
    int started;
    int stopping;
    void *tree; /* by name, for tsearch */
    struct muster_peer *first;
    unsigned count;
    struct muster_token_bucket doubtful_retries;
    unsigned dials; /* under way */
    /* Incoming, not yet up; the oldest first. */
    struct muster_link *handshakes[MUSTER_PEERS_HANDSHAKES_MAX];
    unsigned handshake_count;
    uint64_t strangers_since_ms; /* a second in which so many were told: */
    unsigned strangers;
    struct muster_listener listener;
};

void muster_peers_init(struct muster_peers *peers, uv_loop_t *loop, struct muster_cookies *cookies,
                       const struct muster_peers_owner *owner);

/*
 * Listens on a port of [port_min, port_max] (0, 0: any) at `ip` (NULL: all interfaces) and begins
 * to dial what is wanted. `link_settings` and `lookup_options` must be filled in. Returns 0 or a
 * libuv error.
 */
int muster_peers_start(struct muster_peers *peers, const char *ip, uint16_t port_min,
                       uint16_t port_max);

/* Closes all links, stops dialling and forgets all peers: nobody may hold one any more. */
void muster_peers_stop(struct muster_peers *peers);

/* Finds, or NULL. */
struct muster_peer *muster_peers_find(const struct muster_peers *peers,
                                      const struct muster_node_name *name);

/*
 * Counts one more who wants the peer and dials it if it is not connected. Returns NULL when memory
 * is short or the name is this node's own.
 */
struct muster_peer *muster_peers_want(struct muster_peers *peers,
                                      const struct muster_node_name *name);

/* Takes one want back. A link that stands is kept, but not dialled again. The peer may be gone
 * after this. */
void muster_peers_unwant(struct muster_peer *peer);

/*
 * For a want of one's own that bears no long waits: while any such is there, the peer is redialled
 * at least every MUSTER_PEERS_URGENT_MS, an attempt that gets no answer is given up soon, and a
 * link whose data are not acknowledged in `unacknowledged_ms` is dropped. With `fades` that ends
 * five minutes after the peer was last there: the longer it stays away, the rarer it is dialled, in
 * the end once in MUSTER_PEERS_FADED_MS (core/backoff.h). relax takes it back, with the same
 * `fades`, before the want.
 */
#define MUSTER_PEERS_URGENT_MS 500
#define MUSTER_PEERS_FADED_MS 60000
void muster_peers_hurry(struct muster_peer *peer, unsigned unacknowledged_ms, int fades);
void muster_peers_relax(struct muster_peer *peer, int fades);

/* Somebody says that the peer is there: it is dialled at once, and as often as if it had just gone.
 */
void muster_peers_expect(struct muster_peer *peer);

/* A cookie was set: peers that were lost over theirs are dialled at once. */
void muster_peers_cookie_changed(struct muster_peers *peers);

/* Closes the link, if there is one; a wanted peer is dialled again after its back-off. */
void muster_peer_disconnect(struct muster_peer *peer, enum muster_peer_state state,
                            const char *detail);

/* Milliseconds since the state began, and until the next attempt (-1 when none is planned). */
uint64_t muster_peer_since(const struct muster_peer *peer);
int64_t muster_peer_retry_in(const struct muster_peer *peer);

#endif
