/* When a peer is dialled, how long that may take, and when it is tried again. */
#include <sodium.h>

#include "node/peers_internal.h"

/* How long a dial at most waits before it asks again whether it is its turn. */
#define DIAL_TURN_MS 100
/* A dial of an urgent peer is given up after this, or after so many times what the last good one
 * took; but every so manieth may take its time, should the network have become slower. */
#define URGENT_DIAL_MS 400
#define URGENT_DIAL_FACTOR 4
#define URGENT_DIAL_FIRST_MS 250
#define PATIENT_DIALS 16

static void on_retry(uv_timer_t *timer);

/* No wait between two dials is longer. */
static uint32_t longest_wait(const struct muster_peer *peer) {
    if (peer->urgent > peer->fading) {
        return MUSTER_PEERS_URGENT_MS;
    }
    return peer->urgent == 0 ? MUSTER_PEERS_RETRY_CAP_MS
                             : muster_backoff_fading(muster_peers_now(peer->peers) - peer->there_ms,
                                                     MUSTER_PEERS_URGENT_MS, MUSTER_PEERS_FADED_MS);
}

int muster_peer_is_hurried(const struct muster_peer *peer) {
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

void muster_peer_dial_failed(struct muster_peer *peer, enum muster_peer_state state,
                             const char *detail) {
    dial_ended(peer);
    muster_peer_set_state(peer, state, detail);
    retry_later(peer);
    if (muster_peer_is_idle(peer) && !peer->peers->stopping) {
        muster_peers_forget_surplus(peer->peers);
    }
}

static void on_looked_up(void *context, enum muster_peer_state outcome, const char *detail,
                         const struct sockaddr_storage *address) {
    struct muster_peer *peer = context;
    struct muster_peers *peers = peer->peers;
    if (outcome != MUSTER_PEER_DIALING) {
        muster_peer_dial_failed(peer, outcome, detail);
        return;
    }
    struct muster_link_owner owner = muster_peers_link_owner(peers);
    const char *cookie = muster_cookies_get(peers->cookies, &peer->name);
    if (muster_link_connect(&peers->link_settings, &owner, address, &peer->name, cookie,
                            &peer->outgoing) != 0) {
        muster_peer_dial_failed(peer, MUSTER_PEER_CLOSED, "out of memory");
    }
}

/* Peers can be wanted before this node has a name, so it may turn out that one is its own. */
static int may_dial(const struct muster_peer *peer) {
    const struct muster_peers *peers = peer->peers;
    return peers->started && !peers->stopping && peer->wanted > 0 && peer->link == NULL &&
           peer->outgoing == NULL && peer->lookup == NULL &&
           !muster_peers_are_own_side(peers, &peer->name);
}

void muster_peer_stop_dialling(struct muster_peer *peer) {
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
    if (muster_peer_is_hurried(peer) && peer->attempts % PATIENT_DIALS != 0) {
        limit = limit > URGENT_DIAL_MS ? limit : URGENT_DIAL_MS;
        uv_timer_start(&peer->retry, on_retry, limit, 0);
    }
}

static void give_dial_up(struct muster_peer *peer) {
    muster_peer_stop_dialling(peer);
    muster_peer_set_state(peer, MUSTER_PEER_TIMEOUT, "no connection in time, dialled again");
    uv_timer_start(&peer->retry, on_retry, 1 + randombytes_uniform(DIAL_TURN_MS / 2), 0);
}

void muster_peer_dial(struct muster_peer *peer) {
    struct muster_peers *peers = peer->peers;
    if (!may_dial(peer)) {
        return;
    }
    if (peers->no_dialling != MUSTER_PEER_IDLE) {
        muster_peer_set_state(
            peer, peers->no_dialling,
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
    peer->dialled_at_ms = muster_peers_now(peers);
    limit_dial(peer);
    if (peer->state == MUSTER_PEER_IDLE) {
        muster_peer_set_state(peer, MUSTER_PEER_DIALING, "");
    }
    if (muster_lookup_start(&peers->lookup_options, &peer->name, on_looked_up, peer,
                            &peer->lookup) != 0) {
        muster_peer_dial_failed(peer, MUSTER_PEER_CLOSED, "out of memory");
    }
}

void muster_peer_dial_afresh(struct muster_peer *peer) {
    muster_backoff_reset(&peer->backoff);
    if (may_dial(peer)) {
        uv_timer_stop(&peer->retry);
        muster_peer_dial(peer);
    }
}

/* Whoever made names up does not have this node dial them for ever at the pace of real ones. */
static int may_retry(struct muster_peer *peer) {
    struct muster_peers *peers = peer->peers;
    int is_doubtful = peer->wanted > 0 && peer->doubts == peer->wanted && peer->attempts > 0;
    return !is_doubtful ||
           muster_token_bucket_take(&peers->doubtful_retries, muster_peers_now(peers));
}

static void on_retry(uv_timer_t *timer) {
    struct muster_peer *peer = timer->data;
    if (peer->lookup != NULL || peer->outgoing != NULL) {
        give_dial_up(peer);
    } else if (may_retry(peer)) {
        muster_peer_dial(peer);
    } else {
        retry_later(peer);
    }
}
