#include "node/peers.h"

#include "node/log.h"
#include "node/peers_internal.h"

/* After this long a dial that went well is forgotten by the back-off; before, flapping keeps it
 * waiting. */
#define STABLE_MS 10000

uint64_t muster_peer_since(const struct muster_peer *peer) {
    return muster_peers_now(peer->peers) - peer->since_ms;
}

int64_t muster_peer_retry_in(const struct muster_peer *peer) {
    const uv_handle_t *retry = (const uv_handle_t *)&peer->retry;
    return uv_is_active(retry) ? (int64_t)uv_timer_get_due_in(&peer->retry) : -1;
}

int muster_peers_are_own_side(const struct muster_peers *peers,
                              const struct muster_node_name *name) {
    return muster_node_name_equal(name, &peers->link_settings.self) ||
           muster_node_name_equal(name, &peers->beam);
}

/* --- Links --- */

static void set_unacknowledged(const struct muster_peer *peer) {
    if (peer->link != NULL) {
        muster_link_limit_unacknowledged(
            peer->link, peer->urgent > 0 ? peer->unacknowledged_ms : MUSTER_LINK_UNACKNOWLEDGED_MS);
    }
}

/*
 * When both sides dial, the greater name's attempt goes on. Nothing of ours is given up before the
 * peer has proved who it is: a stranger could use the name.
 */
static enum muster_handshake_verdict on_name(void *context, struct muster_link *link,
                                             const struct muster_node_name *name,
                                             const char **cookie) {
    struct muster_peers *peers = context;
    const struct muster_peer *peer = muster_peers_find(peers, name);
    (void)link;
    *cookie = muster_cookies_get(peers->cookies, name);
    if (peers->stopping || muster_node_name_equal(name, &peers->link_settings.self)) {
        return MUSTER_VERDICT_NOT_ALLOWED;
    }
    if (peer != NULL && peer->link != NULL) {
        return MUSTER_VERDICT_ALIVE;
    }
    if (peer != NULL && peer->outgoing != NULL) {
        int ours_is_greater = muster_node_name_compare(&peers->link_settings.self, name) > 0;
        return ours_is_greater ? MUSTER_VERDICT_NOK : MUSTER_VERDICT_OK_SIMULTANEOUS;
    }
    return MUSTER_VERDICT_OK;
}

static void handshake_over(struct muster_peers *peers, const struct muster_link *link) {
    unsigned i = 0;
    while (peers->handshakes[i] != link) {
        i++;
    }
    peers->handshake_count--;
    memmove(&peers->handshakes[i], &peers->handshakes[i + 1],
            (peers->handshake_count - i) * sizeof(struct muster_link *));
}

static void on_up(void *context, struct muster_link *link) {
    struct muster_peers *peers = context;
    struct muster_peer *peer = muster_peers_find_or_add(peers, muster_link_peer(link));
    if (!muster_link_is_outgoing(link)) {
        handshake_over(peers, link);
    }
    if (peer == NULL) {
        muster_link_close(link, MUSTER_PEER_OVERLOADED, "out of memory");
        return;
    }
    struct muster_link *replaced = peer->link;
    if (replaced != NULL) {
        peers->owner.on_link_down(peers->owner.context, peer, 1);
    }
    peer->link = link;
    if (muster_link_is_outgoing(link)) {
        peer->dial_took_ms = (uint32_t)(muster_peers_now(peers) - peer->dialled_at_ms) + 1;
    } else if (peer->dial_took_ms == 0) {
        peer->dial_took_ms = 1; /* it was near enough to come by itself */
    }
    if (peer->outgoing == link) {
        peer->outgoing = NULL;
    }
    muster_peer_stop_dialling(peer);
    peer->attempts = 0;
    if (replaced != NULL) {
        muster_link_close(replaced, MUSTER_PEER_CLOSED, "the peer connected anew");
        peer->state = MUSTER_PEER_CLOSED; /* a new link is news, the old one's end was not */
    }
    set_unacknowledged(peer);
    muster_peer_set_state(peer, MUSTER_PEER_CONNECTED,
                          muster_link_is_outgoing(link) ? "dialled" : "accepted");
    if (peer->link == link) {
        peers->owner.on_link_up(peers->owner.context, peer);
    }
}

static void on_frame(void *context, struct muster_link *link, struct muster_slice frame,
                     uint64_t read_at) {
    struct muster_peers *peers = context;
    struct muster_peer *peer = muster_peers_find(peers, muster_link_peer(link));
    if (peer != NULL && peer->link == link) {
        peers->owner.on_frame(peers->owner.context, peer, frame, read_at);
    }
}

static void link_lost(struct muster_peer *peer, enum muster_peer_state state, const char *detail) {
    struct muster_peers *peers = peer->peers;
    int by_peer = muster_link_ended_by_peer(peer->link);
    peer->there_ms = muster_peers_now(peers);
    /* A voter behind a flapping link is needed as soon as that is whole. */
    if (muster_peer_since(peer) >= STABLE_MS || muster_peer_is_hurried(peer)) {
        muster_backoff_reset(&peer->backoff);
    }
    peer->link = NULL;
    peers->owner.on_link_down(peers->owner.context, peer, by_peer);
    muster_peer_dial_failed(peer, state, detail);
}

/* Whether one more may be told in this second: anybody can connect, under any name. */
static int admit_stranger(struct muster_peers *peers) {
    if (muster_peers_now(peers) - peers->strangers_since_ms >= 1000) {
        peers->strangers_since_ms = muster_peers_now(peers);
        peers->strangers = 0;
    }
    return peers->strangers++ < MUSTER_PEERS_STRANGERS_PER_SECOND;
}

/*
 * Somebody connected but did not get through the handshake. He may not be who he says, so this is
 * not the state of a peer that is wanted or connected; for one that is not, it is all there is to
 * tell.
 */
static void incoming_failed(struct muster_peers *peers, struct muster_link *link,
                            enum muster_peer_state state, const char *detail) {
    const struct muster_node_name *name = muster_link_peer(link);
    handshake_over(peers, link);
    if (name->len == 0 || state == MUSTER_PEER_SIMULTANEOUS || peers->stopping ||
        !admit_stranger(peers)) {
        return;
    }
    muster_log(MUSTER_NOTICE, "refused a connection from %s: %s", name->text, detail);
    struct muster_peer *peer = muster_peers_find_or_add(peers, name);
    if (peer != NULL && muster_peer_is_idle(peer)) {
        muster_peer_dial_failed(peer, state, detail);
    }
}

static void on_closed(void *context, struct muster_link *link, enum muster_peer_state state,
                      const char *detail) {
    struct muster_peers *peers = context;
    const struct muster_node_name *name = muster_link_peer(link);
    struct muster_peer *peer = name->len > 0 ? muster_peers_find(peers, name) : NULL;
    if (peer != NULL && peer->link == link) {
        link_lost(peer, state, detail);
    } else if (peer != NULL && peer->outgoing == link) {
        peer->outgoing = NULL;
        muster_peer_dial_failed(peer, state, detail);
    } else if (!muster_link_is_outgoing(link) && !muster_link_is_up(link)) {
        incoming_failed(peers, link, state, detail);
    }
}

static const struct muster_link_owner link_callbacks = {
    .on_name = on_name, .on_up = on_up, .on_frame = on_frame, .on_closed = on_closed};

struct muster_link_owner muster_peers_link_owner(struct muster_peers *peers) {
    struct muster_link_owner owner = link_callbacks;
    owner.context = peers;
    return owner;
}

void muster_peer_disconnect(struct muster_peer *peer, enum muster_peer_state state,
                            const char *detail) {
    if (peer->link != NULL) {
        muster_link_close(peer->link, state, detail);
    }
}

/*
 * Strangers who keep silent must not keep everybody else out. A node that means to connect is
 * through its handshake in milliseconds, so the connection that has been at it for the longest
 * goes.
 */
static void make_room(struct muster_peers *peers) {
    if (peers->handshake_count == MUSTER_PEERS_HANDSHAKES_MAX) {
        muster_log(MUSTER_WARNING, "too many connections in their handshake, the oldest gives way");
        muster_link_close(peers->handshakes[0], MUSTER_PEER_TIMEOUT,
                          "its handshake gave way to newer connections");
    }
}

static int on_connection(void *context, uv_stream_t *server) {
    struct muster_peers *peers = context;
    struct muster_link_owner owner = muster_peers_link_owner(peers);
    struct muster_link *link;
    make_room(peers);
    int error = muster_link_accept(&peers->link_settings, &owner, server, &link);
    if (error == 0) {
        peers->handshakes[peers->handshake_count++] = link;
    }
    return error;
}

/* --- Life --- */

void muster_peers_init(struct muster_peers *peers, uv_loop_t *loop, struct muster_cookies *cookies,
                       const struct muster_peers_owner *owner) {
    memset(peers, 0, sizeof *peers);
    peers->link_settings.loop = loop;
    peers->cookies = cookies;
    peers->owner = *owner;
    muster_token_bucket_init(&peers->doubtful_retries, MUSTER_PEERS_DOUBTFUL_RETRIES_PER_S,
                             MUSTER_PEERS_DOUBTFUL_RETRIES_PER_S, uv_now(loop));
    muster_resolver_init(&peers->resolver, loop);
}

int muster_peers_start(struct muster_peers *peers, const char *ip, uint16_t port_min,
                       uint16_t port_max) {
    int status = muster_listener_start(&peers->listener, peers->link_settings.loop,
                                       peers->lookup_options.family, ip, port_min, port_max,
                                       on_connection, peers);
    if (status != 0) {
        return status;
    }
    peers->lookup_options.resolver = &peers->resolver;
    peers->lookup_options.loop = peers->link_settings.loop;
    peers->started = 1;
    for (struct muster_peer *p = peers->first; p != NULL; p = p->next) {
        muster_peer_dial(p);
    }
    return 0;
}

struct muster_peer *muster_peers_want(struct muster_peers *peers,
                                      const struct muster_node_name *name) {
    if (muster_peers_are_own_side(peers, name)) {
        return NULL;
    }
    struct muster_peer *peer = muster_peers_find_or_add(peers, name);
    if (peer != NULL) {
        peer->wanted++;
        if (peer->wanted == 1) {
            peer->there_ms = muster_peers_now(peers);
            muster_backoff_reset(&peer->backoff);
        }
        muster_peer_dial(peer);
    }
    return peer;
}

void muster_peers_hurry(struct muster_peer *peer, unsigned unacknowledged_ms, int fades) {
    peer->urgent++;
    peer->fading += fades != 0;
    if (peer->urgent == 1 || unacknowledged_ms < peer->unacknowledged_ms) {
        peer->unacknowledged_ms = unacknowledged_ms;
    }
    set_unacknowledged(peer);
}

void muster_peers_relax(struct muster_peer *peer, int fades) {
    peer->urgent--;
    peer->fading -= fades != 0;
    set_unacknowledged(peer);
}

void muster_peers_expect(struct muster_peer *peer) {
    peer->there_ms = muster_peers_now(peer->peers);
    muster_peer_dial_afresh(peer);
}

void muster_peers_cookie_changed(struct muster_peers *peers) {
    for (struct muster_peer *p = peers->first; p != NULL; p = p->next) {
        if (p->state == MUSTER_PEER_COOKIE_MISMATCH) {
            muster_peer_dial_afresh(p);
        }
    }
}

void muster_peers_unwant(struct muster_peer *peer) {
    if (--peer->wanted > 0) {
        return;
    }
    muster_peer_stop_dialling(peer);
    if (peer->state == MUSTER_PEER_DIALING) {
        muster_peer_set_state(peer, MUSTER_PEER_IDLE, "");
    }
    if (muster_peer_is_idle(peer)) {
        muster_peers_forget_surplus(peer->peers);
    }
}

void muster_peers_stop(struct muster_peers *peers) {
    peers->stopping = 1;
    muster_resolver_close(&peers->resolver);
    muster_listener_close(&peers->listener);
    while (peers->handshake_count > 0) {
        muster_link_close(peers->handshakes[0], MUSTER_PEER_IDLE, "this node leaves");
    }
    while (peers->first != NULL) {
        struct muster_peer *peer = peers->first;
        muster_peer_stop_dialling(peer);
        muster_peer_disconnect(peer, MUSTER_PEER_IDLE, "this node leaves");
        muster_peers_forget(peer);
    }
}
