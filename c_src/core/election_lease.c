/* Leading and following: heartbeats, and the lease that a majority's acknowledgements hold up. */
#include "core/election_internal.h"

#include "core/election_mutation.h"

/* Following */

static bool follows(const struct muster_election *e, muster_member from,
                    const struct muster_message *heartbeat) {
    return e->leader == from && e->leader_election == heartbeat->election;
}

/* Whether the sender is to be taken for the leader: of an equal term it must be the first. */
static bool acceptable(const struct muster_election *e, muster_member from,
                       const struct muster_message *heartbeat) {
    if (heartbeat->election == e->released)
        return false;
    if (e->role == MUSTER_LEADER)
        return heartbeat->term > e->term;
    bool taken = e->leader != MUSTER_NOBODY && e->now < e->loyal_until;
    return heartbeat->term > e->term || !taken || follows(e, from, heartbeat);
}

/* Answers the leader's newest heartbeat with what a crash cannot take back; the rest follows when
 * it is on the disk. */
static void acknowledge(struct muster_turn *t) {
    struct muster_election *e = t->e;
    bool term_saved = muster_election_saved(e, e->term_sequence);
    bool config_saved = muster_election_saved(e, e->config_sequence);
    e->owes_acknowledgement = !term_saved || !config_saved;
    if (!term_saved)
        return;
    struct muster_message reply =
        muster_election_message(e, MUSTER_MESSAGE_HEARTBEAT_REPLY, e->leader_election);
    if (!config_saved)
        muster_election_disclaim(&reply);
    reply.granted = true;
    reply.sent_at = e->leader_sent_at;
    reply.eligible = muster_election_could_lead(e);
    /* A vote it forgot may still elect somebody else until the abstention is over. */
    reply.supports = e->options.durable || e->now >= e->abstain_until || MUSTER_MUTANT(EAGER_ACK);
    muster_election_send(t, e->leader, &reply);
}

void muster_election_pay_acknowledgement(struct muster_turn *t) {
    if (t->e->owes_acknowledgement && t->e->leader != MUSTER_NOBODY)
        acknowledge(t);
}

static void refuse(struct muster_turn *t, muster_member to,
                   const struct muster_message *heartbeat) {
    struct muster_message reply =
        muster_election_message(t->e, MUSTER_MESSAGE_HEARTBEAT_REPLY, heartbeat->election);
    muster_election_send(t, to, &reply);
}

/* A heartbeat of a later term may be an old one, and the earlier leader still alive. */
static void owe(struct muster_election *e) {
    if (e->loyal_until <= e->now)
        return;
    bool several = e->now < e->owed_until && e->owed_election != e->leader_election;
    e->owed_election = several ? 0 : e->leader_election;
    if (e->loyal_until > e->owed_until)
        e->owed_until = e->loyal_until;
}

static void follow(struct muster_turn *t, muster_member leader,
                   const struct muster_message *heartbeat) {
    struct muster_election *e = t->e;
    bool asks_for_it = e->role == MUSTER_PRE_CANDIDATE && e->permit == heartbeat->election;
    if (!asks_for_it)
        muster_election_rest(t, muster_election_timeout(t));
    if (!follows(e, leader, heartbeat)) {
        e->leader_leads = false;
        owe(e);
    }
    e->grant_pending = false; /* this term has its leader */
    e->leader = leader;
    e->leader_election = heartbeat->election;
    e->leader_sent_at = heartbeat->sent_at;
    e->leader_leads = e->leader_leads || heartbeat->leads;
    e->loyal_until = e->now + e->timing.timeout_min;
}

bool muster_election_would_follow(const struct muster_election *e, muster_member from,
                                  const struct muster_message *message) {
    return message->kind == MUSTER_MESSAGE_HEARTBEAT && muster_message_check(message) == 0 &&
           message->term >= e->term && acceptable(e, from, message);
}

/* Two leaders of one term, which only seen (undeclared) voters can elect: the junior gives way. Of
 * two about the same age both do, and the next election has another term. */
static bool gives_way(const struct muster_election *e, const struct muster_message *heartbeat) {
    return e->options.membership == MUSTER_MEMBERSHIP_SEEN && e->role == MUSTER_LEADER &&
           heartbeat->term == e->term && heartbeat->election != e->election &&
           !muster_age_senior(muster_election_age(e), heartbeat->age);
}

void muster_election_on_heartbeat(struct muster_turn *t, muster_member from,
                                  const struct muster_message *message) {
    struct muster_election *e = t->e;
    if (message->term < e->term) {
        refuse(t, from, message);
        return;
    }
    if (gives_way(e, message))
        muster_election_step_down(t, MUSTER_NOBODY, false, muster_election_timeout(t));
    if (!acceptable(e, from, message))
        return;
    if (e->role == MUSTER_LEADER)
        muster_election_step_down(t, MUSTER_NOBODY, false, 0);
    if (message->term > e->term)
        muster_election_adopt_term(t, message->term);
    follow(t, from, message);
    if (message->config != NULL)
        muster_election_install(t, message->config);
    acknowledge(t);
}

/* Leading */

void muster_election_beat(struct muster_turn *t) {
    struct muster_election *e = t->e;
    e->heartbeat_at = e->now + e->timing.heartbeat;
    struct muster_message heartbeat =
        muster_election_message(e, MUSTER_MESSAGE_HEARTBEAT, e->election);
    heartbeat.sent_at = e->now;
    heartbeat.leads = e->lease_until != 0;
    for (uint32_t i = 0; i < e->peer_count; i++) {
        const struct muster_election_peer *peer = &e->peers[i];
        heartbeat.carries = muster_stamp_compare(peer->held, e->config.stamp) < 0;
        bool declared = e->options.membership == MUSTER_MEMBERSHIP_DECLARED;
        heartbeat.config = heartbeat.carries && declared ? &e->config : NULL;
        muster_election_send(t, peer->id, &heartbeat);
    }
}

void muster_election_lead(struct muster_turn *t) {
    struct muster_election *e = t->e;
    e->role = MUSTER_LEADER;
    e->lease_until = 0;
    e->committed = (struct muster_stamp){0, 0};
    for (uint32_t i = 0; i < e->peer_count; i++) {
        e->peers[i].acked = 0;
        e->peers[i].eligible = false;
        e->peers[i].held = (struct muster_stamp){0, 0};
    }
    muster_election_restamp(t);
    muster_election_beat(t);
    muster_election_renew(t);
}

static bool supports(const struct muster_election *e, const struct muster_election_peer *peer) {
    return peer->link_open && peer->acked != 0 && muster_config_has(&e->config, peer->id);
}

/* When the newest heartbeat was sent that at least `needed` peers have acknowledged; 0: none. */
static uint64_t acknowledged_by(const struct muster_election *e, uint32_t needed) {
    uint64_t newest[MUSTER_MEMBERS_MAX] = {0}; /* the `needed` largest, descending */
    for (uint32_t i = 0; i < e->peer_count; i++) {
        if (!supports(e, &e->peers[i]))
            continue;
        uint64_t acked = e->peers[i].acked;
        for (uint32_t at = 0; at < needed; at++) {
            if (newest[at] >= acked)
                continue;
            uint64_t next = newest[at];
            newest[at] = acked;
            acked = next;
        }
    }
    return needed <= MUSTER_MEMBERS_MAX ? newest[needed - 1] : 0;
}

static uint64_t lease_end(const struct muster_election *e) {
    uint32_t quorum = muster_election_quorum(e);
    if (quorum <= 1)
        return MUSTER_NEVER;
    uint64_t sent = acknowledged_by(e, quorum - 1);
    return sent == 0 ? 0 : sent + e->timing.lease;
}

static bool majority_linked(const struct muster_election *e) {
    struct muster_election_status status;
    muster_election_status(e, e->now, &status);
    return status.linked >= status.needed;
}

static void report_committed(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (muster_stamp_compare(e->committed, e->config.stamp) >= 0 || !muster_election_held(e))
        return;
    e->committed = e->config.stamp;
    muster_election_effect(t, MUSTER_EFFECT_COMMITTED)->stamp = e->committed;
}

void muster_election_measure(struct muster_election *e) {
    uint64_t end = lease_end(e);
    if (e->lease_until != 0)
        e->lease_until = end > 0 ? end : e->now;
    else if (end > e->now)
        e->lease_until = end;
}

void muster_election_renew(struct muster_turn *t) {
    struct muster_election *e = t->e;
    bool first = e->lease_until == 0;
    muster_election_measure(e);
    if (first && e->lease_until != 0) /* tells the others at once, so that all name one leader */
        muster_election_beat(t);
    muster_election_expire_lease(t);
    if (e->role == MUSTER_LEADER)
        report_committed(t);
}

void muster_election_expire_lease(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->role != MUSTER_LEADER || MUSTER_MUTANT(NO_CHECK_QUORUM))
        return;
    uint64_t unconfirmed_until = MUSTER_MUTANT(LATE_GRANTS) ? MUSTER_NEVER : e->timer;
    bool over = e->now >= (e->lease_until != 0 ? e->lease_until : unconfirmed_until);
    if (over || !majority_linked(e))
        muster_election_step_down(t, MUSTER_NOBODY, false, muster_election_timeout(t));
}

bool muster_election_healthy(const struct muster_election *e,
                             const struct muster_election_peer *peer) {
    return supports(e, peer) && peer->eligible && peer->acked + e->timing.lease > e->now &&
           muster_stamp_compare(peer->held, e->config.stamp) == 0;
}

bool muster_election_held(const struct muster_election *e) {
    uint32_t holders = muster_election_saved(e, e->config_sequence) ? 1 : 0;
    for (uint32_t i = 0; i < e->peer_count; i++)
        if (muster_config_has(&e->config, e->peers[i].id) &&
            muster_stamp_compare(e->peers[i].held, e->config.stamp) == 0)
            holders++;
    return holders >= muster_election_quorum(e);
}

/* A member has been in a later term: it can follow again only a leader of a still later one. */
static void outrun(struct muster_turn *t, uint64_t term) {
    muster_election_step_down(t, MUSTER_NOBODY, false, 0);
    muster_election_adopt_term(t, term);
    t->e->timer = t->e->now;
}

void muster_election_on_acknowledgement(struct muster_turn *t, muster_member from,
                                        const struct muster_message *message) {
    struct muster_election *e = t->e;
    if (e->role != MUSTER_LEADER || message->election != e->election)
        return;
    if (!message->granted) {
        if (message->term > e->term)
            outrun(t, message->term);
        return;
    }
    struct muster_election_peer *peer = muster_election_find(e, from);
    if (message->term != e->term || message->sent_at > e->now)
        return;
    if (peer->acked == 0 || e->now - peer->acked >= 2 * e->timing.heartbeat)
        peer->prompt_since = e->now;
    /* Late acknowledgements must not take back what newer ones said. */
    if (message->sent_at >= peer->acked) {
        peer->eligible = message->eligible;
        peer->held = message->stamp;
    }
    uint64_t counted_from = MUSTER_MUTANT(LEASE_FROM_ACK) ? e->now : message->sent_at;
    if (message->supports && counted_from > peer->acked)
        peer->acked = counted_from;
    muster_election_renew(t);
}
