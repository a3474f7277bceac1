/* The table of peers: by name, and bounded whatever names arrive. */
#include <search.h>
#include <stdlib.h>

#include "node/peers_internal.h"

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

void muster_peers_forget(struct muster_peer *peer) {
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

int muster_peer_is_idle(const struct muster_peer *peer) {
    return peer->wanted == 0 && peer->link == NULL && peer->outgoing == NULL &&
           peer->lookup == NULL;
}

void muster_peers_forget_surplus(struct muster_peers *peers) {
    unsigned idle = 0;
    struct muster_peer *oldest = NULL;
    for (struct muster_peer *p = peers->first; p != NULL; p = p->next) {
        if (muster_peer_is_idle(p)) {
            idle++;
            oldest = oldest == NULL || p->since_ms < oldest->since_ms ? p : oldest;
        }
    }
    if (idle > MUSTER_PEERS_REMEMBERED) {
        muster_peers_forget(oldest);
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
    peer->since_ms = peer->there_ms = muster_peers_now(peers);
    muster_backoff_init(&peer->backoff, MUSTER_PEERS_RETRY_FIRST_MS, MUSTER_PEERS_RETRY_CAP_MS);
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

struct muster_peer *muster_peers_find_or_add(struct muster_peers *peers,
                                             const struct muster_node_name *name) {
    struct muster_peer *peer = muster_peers_find(peers, name);
    return peer != NULL ? peer : add(peers, name);
}

void muster_peer_set_state(struct muster_peer *peer, enum muster_peer_state state,
                           const char *detail) {
    int same = peer->state == state;
    peer->detail = detail;
    if (same) {
        return;
    }
    peer->state = state;
    peer->since_ms = muster_peers_now(peer->peers);
    if (state != MUSTER_PEER_DIALING) {
        peer->peers->owner.on_state(peer->peers->owner.context, peer);
    }
}
