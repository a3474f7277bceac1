/* Ending a leadership on purpose: resigning, handing over on exit, transferring without a gap. */
#include "core/election_internal.h"

#include "core/errors.h"

#include <stddef.h>

/* How long the others leave the field to a successor that the resigning leader named. */
static uint64_t courtesy(const struct muster_turn *t) {
    return t->e->timing.timeout_min;
}

static void refuse_transfer(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->transfer_to == MUSTER_NOBODY)
        return;
    muster_election_effect(t, MUSTER_EFFECT_TRANSFER_REFUSED)->member = e->transfer_to;
    e->transfer_to = MUSTER_NOBODY;
}

void muster_election_step_down(struct muster_turn *t, muster_member successor, bool willing,
                               uint64_t wait) {
    struct muster_election *e = t->e;
    struct muster_message resign = muster_election_message(e, MUSTER_MESSAGE_RESIGN, e->election);
    resign.successor = successor;
    resign.willing = willing;
    if (successor == MUSTER_NOBODY || successor != e->transfer_to)
        refuse_transfer(t);
    e->transfer_to = MUSTER_NOBODY;
    e->lease_until = 0;
    muster_election_release(e);
    e->leader_election = e->election;
    e->released = e->election;
    e->released_willingly = willing;
    muster_election_rest(t, wait);
    muster_election_send_all(t, &resign);
}

static const struct muster_election_peer *best_successor(const struct muster_election *e) {
    const struct muster_election_peer *best = NULL;
    for (uint32_t i = 0; i < e->peer_count; i++) {
        const struct muster_election_peer *peer = &e->peers[i];
        if (muster_election_healthy(e, peer) && (best == NULL || peer->acked > best->acked))
            best = peer;
    }
    return best;
}

void muster_election_hand_over(struct muster_turn *t, bool willing) {
    struct muster_election *e = t->e;
    if (e->role == MUSTER_PRE_CANDIDATE || e->role == MUSTER_CANDIDATE) {
        if (!muster_election_could_lead(e))
            muster_election_rest(t, muster_election_timeout(t));
        return;
    }
    if (e->role != MUSTER_LEADER)
        return;
    const struct muster_election_peer *successor = best_successor(e);
    uint64_t wait = 2 * e->timing.timeout_max;
    muster_member to = successor == NULL ? MUSTER_NOBODY : successor->id;
    muster_election_step_down(t, to, willing, wait);
}

int muster_election_transfer(struct muster_turn *t, muster_member to) {
    struct muster_election *e = t->e;
    if (!muster_election_is_leader(e, e->now))
        return MUSTER_E_NOT_LEADER;
    const struct muster_election_peer *peer = muster_election_find(e, to);
    if (peer == NULL || !muster_config_has(&e->config, to))
        return MUSTER_E_INVALID;
    if (e->transfer_to != MUSTER_NOBODY || !muster_election_healthy(e, peer))
        return MUSTER_E_BUSY;
    e->transfer_to = to;
    e->transfer_until = e->now + e->timing.timeout_min;
    struct muster_message request =
        muster_election_message(e, MUSTER_MESSAGE_TRANSFER, e->election);
    muster_election_send(t, to, &request);
    return 0;
}

void muster_election_expire_transfer(struct muster_turn *t) {
    if (t->e->role == MUSTER_LEADER && t->e->now >= t->e->transfer_until)
        refuse_transfer(t);
}

void muster_election_on_transfer(struct muster_turn *t, muster_member from,
                                 const struct muster_message *message) {
    struct muster_election *e = t->e;
    bool from_leader = e->role == MUSTER_FOLLOWER && e->leader == from &&
                       e->leader_election == message->election && message->term == e->term;
    if (!from_leader)
        return;
    e->permit = message->election;
    muster_election_campaign(t);
}

void muster_election_on_transfer_ready(struct muster_turn *t, muster_member from,
                                       const struct muster_message *message) {
    struct muster_election *e = t->e;
    if (e->role == MUSTER_LEADER && e->election == message->election && e->transfer_to == from)
        muster_election_step_down(t, from, true, 2 * e->timing.timeout_max);
}

void muster_election_on_resign(struct muster_turn *t, const struct muster_message *message) {
    struct muster_election *e = t->e;
    if (message->election == e->owed_election)
        e->owed_until = 0; /* its successor's heartbeat came first */
    if (message->term < e->term || e->role == MUSTER_LEADER)
        return;
    e->released = message->election;
    e->released_willingly = message->willing;
    if (e->leader_election == message->election) {
        muster_election_release(e);
        e->hurry_until = e->now + e->timing.timeout_min;
    }
    if (e->leader != MUSTER_NOBODY || e->role == MUSTER_CANDIDATE)
        return;
    bool free = muster_election_may_stand(e) && e->now >= muster_election_bound_until(e);
    if (message->successor == e->options.self && free) {
        muster_election_stand(t);
        return;
    }
    uint64_t wait = muster_election_between(t, 0, e->timing.jitter);
    if (message->successor != MUSTER_NOBODY)
        wait += courtesy(t);
    muster_election_rest(t, wait);
}
