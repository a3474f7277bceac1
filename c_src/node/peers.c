#include "node/peers.h"

#include <search.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/errors.h"
#include "node/log.h"

#define RETRY_FIRST_MS 250
#define RETRY_CAP_MS 10000
/* How long a dial at most waits before it asks again whether it is its turn. */
#define DIAL_TURN_MS 100
/* After this long a dial that went well is forgotten by the back-off; before, flapping keeps it
 * waiting. */
#define STABLE_MS 10000
/* A dial of an urgent peer is given up after this, or after so many times what the last good one
 * took; but every so manieth may take its time, should the network have become slower. */
#define URGENT_DIAL_MS 400
#define URGENT_DIAL_FACTOR 4
#define URGENT_DIAL_FIRST_MS 250
#define PATIENT_DIALS 16

static uint64_t now_ms(const struct muster_peers *peers) {
    return uv_now(peers->link_settings.loop);
}

uint64_t muster_peer_since(const struct muster_peer *peer) {
    return now_ms(peer->peers) - peer->since_ms;
}

int64_t muster_peer_retry_in(const struct muster_peer *peer) {
    const uv_handle_t *retry = (const uv_handle_t *)&peer->retry;
    return uv_is_active(retry) ? (int64_t)uv_timer_get_due_in(&peer->retry) : -1;
}

/* --- The table --- */

static int compare(const void *a, const void *b) {
    const struct muster_peer *left = a, *right = b;
    return muster_node_name_compare(&left->name, &right->name);
}

struct muster_peer *muster_peers_find(const struct muster_peers *peers,
                                      const struct muster_node_name *name) {
    struct muster_peer key = {.name = *name};
    void *found = tfind(&key, &peers->tree, compare);
    return found != NULL ? *(struct muster_peer **)found : NULL;
}

static void on_peer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void forget(struct muster_peer *peer) {
    struct muster_peers *peers = peer->peers;
    tdelete(peer, &peers->tree, compare);
    if (peer->previous != NULL) {
        peer->previous->next = peer->next;
    } else {
        peers->first = peer->next;
    }
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    peers->count--;
    uv_close((uv_handle_t *)&peer->retry, on_peer_closed);
}

static int is_idle(const struct muster_peer *peer) {
    return peer->wanted == 0 && peer->link == NULL && peer->outgoing == NULL &&
           peer->lookup == NULL;
}

/* Keeps the table bounded whatever names arrive: the idle peer whose state is oldest goes first. */
static void forget_surplus(struct muster_peers *peers) {
    unsigned idle = 0;
    struct muster_peer *oldest = NULL;
    for (struct muster_peer *p = peers->first; p != NULL; p = p->next) {
        if (is_idle(p)) {
            idle++;
            oldest = oldest == NULL || p->since_ms < oldest->since_ms ? p : oldest;
        }
    }
    if (idle > MUSTER_PEERS_REMEMBERED) {
        forget(oldest);
    }
}

static struct muster_peer *add(struct muster_peers *peers, const struct muster_node_name *name) {
    struct muster_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->name = *name;
    if (tsearch(peer, &peers->tree, compare) == NULL) {
        free(peer);
        return NULL;
    }
    peer->peers = peers;
    peer->state = MUSTER_PEER_IDLE;
    peer->detail = "";
    peer->since_ms = peer->there_ms = now_ms(peers);
    muster_backoff_init(&peer->backoff, RETRY_FIRST_MS, RETRY_CAP_MS);
    uv_timer_init(peers->link_settings.loop, &peer->retry);
    peer->retry.data = peer;
    peer->next = peers->first;
    if (peers->first != NULL) {
        peers->first->previous = peer;
    }
    peers->first = peer;
    peers->count++;
    return peer;
}

static struct muster_peer *find_or_add(struct muster_peers *peers,
                                       const struct muster_node_name *name) {
    struct muster_peer *peer = muster_peers_find(peers, name);
    return peer != NULL ? peer : add(peers, name);
}

static void set_state(struct muster_peer *peer, enum muster_peer_state state, const char *detail) {
    int same = peer->state == state;
    peer->detail = detail;
    if (same) {
        return;
    }
    peer->state = state;
    peer->since_ms = now_ms(peer->peers);
    if (state != MUSTER_PEER_DIALING) {
        peer->peers->owner.on_state(peer->peers->owner.context, peer);
    }
}

/* --- Dialling --- */

static void on_retry(uv_timer_t *timer);
static void give_dial_up(struct muster_peer *peer);

/* No wait between two dials is longer. */
static uint32_t longest_wait(const struct muster_peer *peer) {
    if (peer->urgent > peer->fading) {
        return MUSTER_PEERS_URGENT_MS;
    }
    return peer->urgent == 0 ? RETRY_CAP_MS
                             : muster_backoff_fading(now_ms(peer->peers) - peer->there_ms,
                                                     MUSTER_PEERS_URGENT_MS, MUSTER_PEERS_FADED_MS);
}

static int is_hurried(const struct muster_peer *peer) {
    return longest_wait(peer) == MUSTER_PEERS_URGENT_MS;
}

static void retry_later(struct muster_peer *peer) {
    if (peer->wanted > 0 && !peer->peers->stopping) {
        peer->backoff.cap_ms = longest_wait(peer);
        uint32_t wait = muster_backoff_next(&peer->backoff, randombytes_random());
        uv_timer_start(&peer->retry, on_retry, wait, 0);
    }
}

static void dial_ended(struct muster_peer *peer) {
    peer->peers->dials -= (unsigned)peer->dialling;
    peer->dialling = 0;
}

static void dial_failed(struct muster_peer *peer, enum muster_peer_state state,
                        const char *detail) {
    dial_ended(peer);
    set_state(peer, state, detail);
    retry_later(peer);
    if (is_idle(peer) && !peer->peers->stopping) {
        forget_surplus(peer->peers);
    }
}

static const struct muster_link_owner link_callbacks;

static struct muster_link_owner link_owner(struct muster_peers *peers) {
    struct muster_link_owner owner = link_callbacks;
    owner.context = peers;
    return owner;
}

static void on_looked_up(void *context, enum muster_peer_state outcome, const char *detail,
                         const struct sockaddr_storage *address) {
    struct muster_peer *peer = context;
    struct muster_peers *peers = peer->peers;
    if (outcome != MUSTER_PEER_DIALING) {
        dial_failed(peer, outcome, detail);
        return;
    }
    struct muster_link_owner owner = link_owner(peers);
    const char *cookie = muster_cookies_get(peers->cookies, &peer->name);
    if (muster_link_connect(&peers->link_settings, &owner, address, &peer->name, cookie,
                            &peer->outgoing) != 0) {
        dial_failed(peer, MUSTER_PEER_CLOSED, "out of memory");
    }
}

/* This node, or the BEAM beside it. */
static int is_own_side(const struct muster_peers *peers, const struct muster_node_name *name) {
    return muster_node_name_equal(name, &peers->link_settings.self) ||
           muster_node_name_equal(name, &peers->beam);
}

/* Peers can be wanted before this node has a name, so it may turn out that one is its own. */
static int may_dial(const struct muster_peer *peer) {
    const struct muster_peers *peers = peer->peers;
    return peers->started && !peers->stopping && peer->wanted > 0 && peer->link == NULL &&
           peer->outgoing == NULL && peer->lookup == NULL && !is_own_side(peers, &peer->name);
}

static void stop_dialling(struct muster_peer *peer) {
    dial_ended(peer);
    uv_timer_stop(&peer->retry);
    if (peer->lookup != NULL) {
        muster_lookup_cancel(peer->lookup);
    }
    if (peer->outgoing != NULL) {
        struct muster_link *outgoing = peer->outgoing;
        peer->outgoing = NULL; /* so that its end is nobody's news */
        muster_link_close(outgoing, MUSTER_PEER_IDLE, "");
    }
}

/* The network may swallow an attempt and be whole again a moment later. */
static void limit_dial(struct muster_peer *peer) {
    uint32_t took = peer->dial_took_ms > 0 ? peer->dial_took_ms : URGENT_DIAL_FIRST_MS;
    uint32_t limit = URGENT_DIAL_FACTOR * took;
    if (is_hurried(peer) && peer->attempts % PATIENT_DIALS != 0) {
        limit = limit > URGENT_DIAL_MS ? limit : URGENT_DIAL_MS;
        uv_timer_start(&peer->retry, on_retry, limit, 0);
    }
}

static void give_dial_up(struct muster_peer *peer) {
    stop_dialling(peer);
    set_state(peer, MUSTER_PEER_TIMEOUT, "no connection in time, dialled again");
    uv_timer_start(&peer->retry, on_retry, 1 + randombytes_uniform(DIAL_TURN_MS / 2), 0);
}

static void set_unacknowledged(const struct muster_peer *peer) {
    if (peer->link != NULL) {
        muster_link_limit_unacknowledged(
            peer->link, peer->urgent > 0 ? peer->unacknowledged_ms : MUSTER_LINK_UNACKNOWLEDGED_MS);
    }
}

static void dial(struct muster_peer *peer) {
    struct muster_peers *peers = peer->peers;
    if (!may_dial(peer)) {
        return;
    }
    if (peers->no_dialling != MUSTER_PEER_IDLE) {
        set_state(peer, peers->no_dialling,
                  "this node's own cluster runs over a distribution that C nodes cannot join");
        return;
    }
    if (peers->dials == MUSTER_PEERS_DIALS_MAX) {
        uv_timer_start(&peer->retry, on_retry, 1 + randombytes_uniform(DIAL_TURN_MS), 0);
        return;
    }
    peer->dialling = 1;
    peers->dials++;
    peer->attempts++;
    peer->dialled_at_ms = now_ms(peers);
    limit_dial(peer);
    if (peer->state == MUSTER_PEER_IDLE) {
        set_state(peer, MUSTER_PEER_DIALING, "");
    }
    if (muster_lookup_start(&peers->lookup_options, &peer->name, on_looked_up, peer,
                            &peer->lookup) != 0) {
        dial_failed(peer, MUSTER_PEER_CLOSED, "out of memory");
    }
}

/* Whoever made names up does not have this node dial them for ever at the pace of real ones. */
static int may_retry(struct muster_peer *peer) {
    struct muster_peers *peers = peer->peers;
    int is_doubtful = peer->wanted > 0 && peer->doubts == peer->wanted && peer->attempts > 0;
    return !is_doubtful || muster_token_bucket_take(&peers->doubtful_retries, now_ms(peers));
}

static void on_retry(uv_timer_t *timer) {
    struct muster_peer *peer = timer->data;
    if (peer->lookup != NULL || peer->outgoing != NULL) {
        give_dial_up(peer);
    } else if (may_retry(peer)) {
        dial(peer);
    } else {
        retry_later(peer);
    }
}

/* --- Links --- */

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
    struct muster_peer *peer = find_or_add(peers, muster_link_peer(link));
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
        peer->dial_took_ms = (uint32_t)(now_ms(peers) - peer->dialled_at_ms) + 1;
    } else if (peer->dial_took_ms == 0) {
        peer->dial_took_ms = 1; /* it was near enough to come by itself */
    }
    if (peer->outgoing == link) {
        peer->outgoing = NULL;
    }
    stop_dialling(peer);
    peer->attempts = 0;
    if (replaced != NULL) {
        muster_link_close(replaced, MUSTER_PEER_CLOSED, "the peer connected anew");
        peer->state = MUSTER_PEER_CLOSED; /* a new link is news, the old one's end was not */
    }
    set_unacknowledged(peer);
    set_state(peer, MUSTER_PEER_CONNECTED, muster_link_is_outgoing(link) ? "dialled" : "accepted");
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
    peer->there_ms = now_ms(peers);
    /* A voter behind a flapping link is needed as soon as that is whole. */
    if (muster_peer_since(peer) >= STABLE_MS || is_hurried(peer)) {
        muster_backoff_reset(&peer->backoff);
    }
    peer->link = NULL;
    peers->owner.on_link_down(peers->owner.context, peer, by_peer);
    dial_failed(peer, state, detail);
}

/* Whether one more may be told in this second: anybody can connect, under any name. */
static int admit_stranger(struct muster_peers *peers) {
    if (now_ms(peers) - peers->strangers_since_ms >= 1000) {
        peers->strangers_since_ms = now_ms(peers);
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
    struct muster_peer *peer = find_or_add(peers, name);
    if (peer != NULL && is_idle(peer)) {
        dial_failed(peer, state, detail);
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
        dial_failed(peer, state, detail);
    } else if (!muster_link_is_outgoing(link) && !muster_link_is_up(link)) {
        incoming_failed(peers, link, state, detail);
    }
}

static const struct muster_link_owner link_callbacks = {
    .on_name = on_name, .on_up = on_up, .on_frame = on_frame, .on_closed = on_closed};

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
    struct muster_link_owner owner = link_owner(peers);
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
        dial(p);
    }
    return 0;
}

struct muster_peer *muster_peers_want(struct muster_peers *peers,
                                      const struct muster_node_name *name) {
    if (is_own_side(peers, name)) {
        return NULL;
    }
    struct muster_peer *peer = find_or_add(peers, name);
    if (peer != NULL) {
        peer->wanted++;
        if (peer->wanted == 1) {
            peer->there_ms = now_ms(peers);
            muster_backoff_reset(&peer->backoff);
        }
        dial(peer);
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
    peer->there_ms = now_ms(peer->peers);
    muster_backoff_reset(&peer->backoff);
    if (may_dial(peer)) {
        uv_timer_stop(&peer->retry);
        dial(peer);
    }
}

void muster_peers_cookie_changed(struct muster_peers *peers) {
    for (struct muster_peer *p = peers->first; p != NULL; p = p->next) {
        if (p->state == MUSTER_PEER_COOKIE_MISMATCH) {
            muster_backoff_reset(&p->backoff);
            uv_timer_stop(&p->retry);
            dial(p);
        }
    }
}

void muster_peers_unwant(struct muster_peer *peer) {
    if (--peer->wanted > 0) {
        return;
    }
    stop_dialling(peer);
    if (peer->state == MUSTER_PEER_DIALING) {
        set_state(peer, MUSTER_PEER_IDLE, "");
    }
    if (is_idle(peer)) {
        forget_surplus(peer->peers);
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
        stop_dialling(peer);
        muster_peer_disconnect(peer, MUSTER_PEER_IDLE, "this node leaves");
        forget(peer);
    }
}
