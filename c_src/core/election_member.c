/* Who takes part: links, the peer table, and changing the voters without a log. */
#include "core/election_internal.h"

#include "core/election_mutation.h"
#include "core/errors.h"

#include <assert.h>
#include <stddef.h>

static struct muster_election_peer *seat(struct muster_election *e, muster_member member) {
    struct muster_election_peer *peer = muster_election_find(e, member);
    if (peer != NULL)
        return peer;
    if (e->peer_count == MUSTER_MEMBERS_MAX)
        return NULL;
    peer = &e->peers[e->peer_count++];
    *peer = (struct muster_election_peer){.id = member};
    return peer;
}

/* Drops those who are neither voters nor connected. */
static void sweep(struct muster_election *e) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->peer_count; i++)
        if (e->peers[i].link_open || muster_config_has(&e->config, e->peers[i].id))
            e->peers[kept++] = e->peers[i];
    e->peer_count = kept;
}

static void unseat_an_observer(struct muster_election *e) {
    uint32_t i = 0;
    while (muster_config_has(&e->config, e->peers[i].id))
        i++;
    e->peers[i] = e->peers[--e->peer_count];
}

void muster_election_seat_voters(struct muster_election *e) {
    for (uint32_t i = 0; i < e->config.count; i++) {
        muster_member voter = e->config.voters[i];
        if (voter == e->options.self || muster_election_find(e, voter) != NULL)
            continue;
        if (e->peer_count == MUSTER_MEMBERS_MAX)
            unseat_an_observer(e);
        seat(e, voter);
    }
}

/* Links */

int muster_election_link_opened(struct muster_turn *t, muster_member member) {
    struct muster_election *e = t->e;
    if (member == MUSTER_NOBODY || member == e->options.self)
        return MUSTER_E_INVALID;
    struct muster_election_peer *peer = seat(e, member);
    if (peer == NULL)
        return MUSTER_E_LIMIT;
    peer->link_open = true;
    if (e->role == MUSTER_LEADER)
        e->heartbeat_at = e->now; /* the newcomer need not wait to hear who leads */
    return 0;
}

static void leader_gone(struct muster_turn *t) {
    struct muster_election *e = t->e;
    muster_election_release(e);
    e->hurry_until = e->now + e->timing.timeout_min;
    muster_election_rest(t, muster_election_between(t, 0, e->timing.jitter));
}

void muster_election_link_closed(struct muster_turn *t, muster_member member, bool by_peer) {
    struct muster_election *e = t->e;
    struct muster_election_peer *peer = muster_election_find(e, member);
    if (peer == NULL)
        return;
    peer->link_open = false;
    /* Seeing this end, the peer need not wait out its loyalty: what it acknowledged is void. And
     * whoever comes back may have forgotten what it held. */
    peer->acked = 0;
    peer->held = (struct muster_stamp){0, 0};
    sweep(e);
    if (e->role == MUSTER_LEADER)
        muster_election_renew(t);
    else if (by_peer && e->leader == member)
        leader_gone(t);
}

/* Voters */

static void changed(struct muster_turn *t) {
    struct muster_election *e = t->e;
    e->config_sequence = muster_election_persist(t);
    muster_election_effect(t, MUSTER_EFFECT_CONFIG)->config = &e->config;
}

void muster_election_install(struct muster_turn *t, const struct muster_config *config) {
    struct muster_election *e = t->e;
    bool declared = e->options.membership == MUSTER_MEMBERSHIP_DECLARED;
    if (!declared || muster_stamp_compare(config->stamp, e->config.stamp) <= 0)
        return;
    e->config = *config;
    /* Asked to take over, and then removed: the seat is gone before the attempt is. */
    if (e->role != MUSTER_FOLLOWER && !muster_election_votes(e))
        muster_election_rest(t, muster_election_timeout(t));
    sweep(e);
    muster_election_seat_voters(e);
    changed(t);
}

void muster_election_restamp(struct muster_turn *t) {
    struct muster_election *e = t->e;
    e->config.stamp.term = e->term;
    if (e->options.membership == MUSTER_MEMBERSHIP_DECLARED)
        changed(t);
}

static int may_change(const struct muster_election *e) {
    if (MUSTER_MUTANT(LOCAL_JOIN))
        return 0;
    if (!muster_election_is_leader(e, e->now))
        return MUSTER_E_NOT_LEADER;
    /* Voters that forget the change would elect by the voters they started with. */
    if (!e->options.durable && !MUSTER_MUTANT(FORGETFUL_JOIN))
        return MUSTER_E_UNSUPPORTED;
    bool steady = e->config.stamp.term == e->term && muster_election_held(e);
    return steady && e->transfer_to == MUSTER_NOBODY ? 0 : MUSTER_E_BUSY;
}

/* Precondition: the voters differ by one from what a majority holds. */
static void spread(struct muster_turn *t) {
    struct muster_election *e = t->e;
    e->config.stamp.version++;
    changed(t);
    if (e->role != MUSTER_LEADER)
        return;
    muster_election_beat(t);
    muster_election_renew(t);
}

/* A newcomer counts as soon as it is in: it must already be acknowledging. */
static bool ready_to_join(const struct muster_election *e,
                          const struct muster_election_peer *peer) {
    return MUSTER_MUTANT(LOCAL_JOIN) ||
           (peer->link_open && peer->acked != 0 && peer->acked + e->timing.lease > e->now &&
            muster_stamp_compare(peer->held, e->config.stamp) == 0);
}

int muster_election_add_voter(struct muster_turn *t, muster_member member) {
    struct muster_election *e = t->e;
    int error = may_change(e);
    if (error != 0)
        return error;
    const struct muster_election_peer *peer = muster_election_find(e, member);
    if (peer == NULL || muster_config_has(&e->config, member))
        return MUSTER_E_INVALID;
    if (e->config.count == MUSTER_MEMBERS_MAX)
        return MUSTER_E_LIMIT;
    if (!ready_to_join(e, peer))
        return MUSTER_E_BUSY;
    muster_config_add(&e->config, member);
    spread(t);
    return 0;
}

int muster_election_remove_voter(struct muster_turn *t, muster_member member) {
    struct muster_election *e = t->e;
    int error = may_change(e);
    if (error != 0)
        return error;
    if (member == e->options.self || !muster_config_has(&e->config, member))
        return MUSTER_E_INVALID;
    muster_config_remove(&e->config, member);
    spread(t);
    sweep(e);
    return 0;
}

/* Seen members (the commander's) */

int muster_election_count_voter(struct muster_election *e, muster_member member) {
    assert(e->options.membership == MUSTER_MEMBERSHIP_SEEN);
    if (muster_config_has(&e->config, member))
        return 0;
    if (seat(e, member) == NULL || e->config.count == MUSTER_MEMBERS_MAX)
        return MUSTER_E_LIMIT;
    muster_config_add(&e->config, member);
    if (e->role == MUSTER_LEADER && e->lease_until != 0)
        muster_election_measure(e);
    return 0;
}

void muster_election_forget_voter(struct muster_election *e, muster_member member) {
    assert(e->options.membership == MUSTER_MEMBERSHIP_SEEN);
    if (member == e->options.self || !muster_config_has(&e->config, member))
        return;
    muster_config_remove(&e->config, member);
    sweep(e);
}

void muster_election_bar(struct muster_election *e, bool barred) {
    assert(e->options.membership == MUSTER_MEMBERSHIP_SEEN);
    e->barred = barred;
}

void muster_election_set_stamp(struct muster_election *e, struct muster_stamp stamp) {
    assert(e->options.membership == MUSTER_MEMBERSHIP_SEEN);
    e->config.stamp = stamp;
    if (e->role == MUSTER_LEADER)
        e->heartbeat_at = e->now;
}
