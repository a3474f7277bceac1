/* Candidacies and votes: whom a voter may promise what, and when a candidate has won. */
#include "core/election_internal.h"

#include "core/election_mutation.h"

#include <stddef.h>

/* Standing */

static uint64_t next_term(const struct muster_turn *t) {
    const struct muster_election *e = t->e;
    uint64_t next = e->term + 1;
    /* What kept nothing on disk starts above the terms of its former life, if clocks are right. */
    if (!e->options.durable && t->moment.wall_ms > next && t->moment.wall_ms < MUSTER_TERM_MAX)
        next = t->moment.wall_ms;
    return next;
}

bool muster_election_could_lead(const struct muster_election *e) {
    return e->eligible && !e->exiting && !e->barred;
}

bool muster_election_may_stand(const struct muster_election *e) {
    return muster_election_votes(e) && muster_election_could_lead(e) && e->now >= e->abstain_until;
}

static void forget_answers(struct muster_election *e) {
    for (uint32_t i = 0; i < e->peer_count; i++)
        e->peers[i].granted = e->peers[i].refused = false;
}

static void start_round(struct muster_turn *t, enum muster_election_role role) {
    struct muster_election *e = t->e;
    e->role = role;
    e->timer = e->now + muster_election_timeout(t);
    forget_answers(e);
}

static void new_election(struct muster_turn *t) {
    do
        t->e->election = muster_election_draw(t);
    while (t->e->election == 0);
}

/* The voters who have agreed, oneself included once one's own vote is on the disk. */
static uint32_t count_grants(const struct muster_election *e) {
    bool own = e->role == MUSTER_PRE_CANDIDATE || muster_election_saved(e, e->vote_sequence);
    uint32_t count = own ? 1 : 0;
    for (uint32_t i = 0; i < e->peer_count; i++)
        if (e->peers[i].granted && muster_config_has(&e->config, e->peers[i].id))
            count++;
    return count;
}

static uint32_t count_refusals(const struct muster_election *e) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->peer_count; i++)
        if (e->peers[i].refused && muster_config_has(&e->config, e->peers[i].id))
            count++;
    return count;
}

static void report_ready(struct muster_turn *t) {
    struct muster_election *e = t->e;
    struct muster_message ready =
        muster_election_message(e, MUSTER_MESSAGE_TRANSFER_READY, e->permit);
    muster_election_send(t, e->leader, &ready);
}

static void count_votes(struct muster_turn *t) {
    struct muster_election *e = t->e;
    uint32_t grants = count_grants(e);
    uint32_t quorum = muster_election_quorum(e);
    if (grants < quorum)
        return;
    if (e->role == MUSTER_PRE_CANDIDATE && e->permit != 0) {
        if (grants == quorum) /* once is enough */
            report_ready(t);
    } else if (e->role == MUSTER_PRE_CANDIDATE)
        muster_election_stand(t);
    else if (muster_election_saved(e, e->vote_sequence))
        muster_election_lead(t);
}

void muster_election_rest(struct muster_turn *t, uint64_t wait) {
    t->e->role = MUSTER_FOLLOWER;
    t->e->permit = 0;
    t->e->timer = t->e->now + wait;
}

/* Loyalty outlasts the leader's name: its lease may still count on this member. */
static void forget_leader(struct muster_election *e) {
    e->leader = MUSTER_NOBODY;
    e->leader_leads = false;
}

void muster_election_release(struct muster_election *e) {
    forget_leader(e);
    e->loyal_until = 0;
}

static void set_term(struct muster_turn *t, uint64_t term) {
    t->e->term = term;
    t->e->voted_for = MUSTER_NOBODY;
    t->e->voted_election = 0;
    t->e->grant_pending = false;
    t->e->term_sequence = muster_election_persist(t);
}

void muster_election_adopt_term(struct muster_turn *t, uint64_t term) {
    set_term(t, term);
    forget_leader(t->e);
    muster_election_rest(t, muster_election_timeout(t));
}

uint64_t muster_election_bound_until(const struct muster_election *e) {
    return e->loyal_until > e->owed_until ? e->loyal_until : e->owed_until;
}

void muster_election_campaign(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->permit == 0)
        forget_leader(e);
    if (!muster_election_may_stand(e)) {
        muster_election_rest(t, muster_election_timeout(t));
        return;
    }
    uint64_t bound_until = muster_election_bound_until(e);
    if (e->permit == 0 && e->now < bound_until) {
        muster_election_rest(t, bound_until - e->now);
        return;
    }
    if (MUSTER_MUTANT(NO_PRE_VOTE) && e->permit == 0) {
        muster_election_stand(t);
        return;
    }
    new_election(t);
    e->campaign_term = next_term(t);
    start_round(t, MUSTER_PRE_CANDIDATE);
    struct muster_message request =
        muster_election_message(e, MUSTER_MESSAGE_PRE_VOTE, e->election);
    request.term = e->campaign_term;
    request.consent = e->permit != 0 ? e->permit : e->released;
    muster_election_send_voters(t, &request);
    count_votes(t);
}

void muster_election_stand(struct muster_turn *t) {
    struct muster_election *e = t->e;
    uint64_t term =
        e->role == MUSTER_PRE_CANDIDATE && e->permit == 0 ? e->campaign_term : next_term(t);
    new_election(t);
    set_term(t, term);
    forget_leader(e);
    e->permit = 0;
    e->voted_for = e->options.self;
    e->voted_election = e->election;
    e->vote_sequence = muster_election_persist(t);
    start_round(t, MUSTER_CANDIDATE);
    struct muster_message request = muster_election_message(e, MUSTER_MESSAGE_VOTE, e->election);
    request.consent = e->released;
    muster_election_send_voters(t, &request);
    count_votes(t);
}

void muster_election_expire_candidacy(struct muster_turn *t) {
    struct muster_election *e = t->e;
    bool standing = e->role == MUSTER_PRE_CANDIDATE || e->role == MUSTER_CANDIDATE;
    if (!standing || e->now < e->timer)
        return;
    /* An attempt made for a living leader failed: it is still loyal to that leader. */
    bool permitted = e->permit != 0;
    muster_election_rest(t, permitted ? muster_election_timeout(t) : 0);
}

/* Answering */

/* Whether the voter has promised its loyalty to somebody who has not given it back. */
static bool loyal(const struct muster_election *e, const struct muster_message *request) {
    if (e->role == MUSTER_LEADER)
        return request->kind == MUSTER_MESSAGE_VOTE || request->consent != e->election;
    if (e->now < e->owed_until)
        return true;
    if (request->consent != 0 && request->consent == e->leader_election)
        return false;
    return e->now < e->loyal_until;
}

/* A candidate must hold the newest document that this voter knows of, and be a voter in it. */
static bool fit(const struct muster_election *e, muster_member candidate,
                const struct muster_message *request) {
    int order = muster_stamp_compare(request->stamp, e->config.stamp);
    return order > 0 || (order == 0 && muster_config_has(&e->config, candidate));
}

/* Candidates ask only their voters: one with a newer document counts this member as one of them,
 * though it has not heard of that itself. Refusing would leave a group without a leader for good.
 */
static bool asked_rightly(const struct muster_election *e, const struct muster_message *request) {
    return muster_election_votes(e) || muster_stamp_compare(request->stamp, e->config.stamp) > 0;
}

static bool may_promise(const struct muster_election *e, const struct muster_message *request) {
    return asked_rightly(e, request) && e->now >= e->abstain_until && !loyal(e, request);
}

static void agree(struct muster_turn *t, muster_member to, enum muster_message_kind kind,
                  uint64_t election, uint64_t term) {
    struct muster_message reply = muster_election_message(t->e, kind, election);
    reply.term = term;
    reply.granted = true;
    muster_election_send(t, to, &reply);
}

/* A candidate whose document is too old is given the newer one: those who hold it may be unable to
 * stand themselves. */
static void refuse(struct muster_turn *t, muster_member to, enum muster_message_kind kind,
                   const struct muster_message *request) {
    struct muster_election *e = t->e;
    struct muster_message reply = muster_election_message(e, kind, request->election);
    reply.carries = muster_stamp_compare(request->stamp, e->config.stamp) < 0;
    if (reply.carries && e->options.membership == MUSTER_MEMBERSHIP_DECLARED)
        reply.config = &e->config;
    muster_election_send(t, to, &reply);
}

static void on_pre_vote(struct muster_turn *t, muster_member from,
                        const struct muster_message *request) {
    struct muster_election *e = t->e;
    if (request->term > e->term && may_promise(e, request) && fit(e, from, request))
        agree(t, from, MUSTER_MESSAGE_PRE_VOTE_REPLY, request->election, request->term);
    else
        refuse(t, from, MUSTER_MESSAGE_PRE_VOTE_REPLY, request);
}

/* The vote of this term is free, or was given to this very candidacy. */
static bool vote_free(const struct muster_election *e, muster_member candidate,
                      const struct muster_message *request) {
    if (MUSTER_MUTANT(VOTE_TWICE))
        return true;
    if (e->voted_for == MUSTER_NOBODY)
        return e->leader == MUSTER_NOBODY;
    return e->voted_for == candidate && e->voted_election == request->election;
}

/* The vote is answered only when it is on the disk: a voter that forgets it could give it twice. */
static void give_pending_grant(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (!e->grant_pending || !muster_election_saved(e, e->vote_sequence))
        return;
    e->grant_pending = false;
    agree(t, e->voted_for, MUSTER_MESSAGE_VOTE_REPLY, e->voted_election, e->term);
}

static void grant(struct muster_turn *t, muster_member candidate,
                  const struct muster_message *request) {
    struct muster_election *e = t->e;
    if (e->voted_for != candidate || e->voted_election != request->election) {
        e->voted_for = candidate;
        e->voted_election = request->election;
        e->vote_sequence = muster_election_persist(t);
    }
    muster_election_rest(t, muster_election_timeout(t));
    e->grant_pending = true;
    give_pending_grant(t);
}

static void on_vote(struct muster_turn *t, muster_member from,
                    const struct muster_message *request) {
    struct muster_election *e = t->e;
    bool granted = false;
    if (request->term >= e->term && may_promise(e, request)) {
        if (request->term > e->term)
            muster_election_adopt_term(t, request->term);
        granted = fit(e, from, request) && vote_free(e, from, request);
    }
    if (granted)
        grant(t, from, request);
    else
        refuse(t, from, MUSTER_MESSAGE_VOTE_REPLY, request);
}

void muster_election_on_request(struct muster_turn *t, muster_member from,
                                const struct muster_message *message) {
    if (message->kind == MUSTER_MESSAGE_PRE_VOTE)
        on_pre_vote(t, from, message);
    else
        on_vote(t, from, message);
}

/* Counting */

/* Enough voters have refused that the rest cannot elect this member any more. */
static void give_up_if_lost(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->config.count - count_refusals(e) >= muster_election_quorum(e))
        return;
    /* A split vote is known at once, and a leader's end not to all in the same instant: neither
     * is worth waiting for a whole timeout. */
    bool split = e->role == MUSTER_CANDIDATE;
    bool soon = split || e->now < e->hurry_until;
    uint64_t longest = split ? e->timing.timeout_min : e->timing.jitter;
    muster_election_rest(t, soon ? muster_election_between(t, e->timing.jitter / 2, longest)
                                 : muster_election_timeout(t));
}

bool muster_election_asked(const struct muster_election *e, const struct muster_message *message) {
    enum muster_election_role role = e->role;
    bool asked = (message->kind == MUSTER_MESSAGE_PRE_VOTE_REPLY && role == MUSTER_PRE_CANDIDATE) ||
                 (message->kind == MUSTER_MESSAGE_VOTE_REPLY && role == MUSTER_CANDIDATE);
    return asked && message->election == e->election;
}

/* Learns from a refusal what makes the next try better; false if it holds nothing new. */
static bool learn(struct muster_turn *t, const struct muster_message *refusal) {
    struct muster_election *e = t->e;
    bool newer_config = refusal->config != NULL &&
                        muster_stamp_compare(refusal->config->stamp, e->config.stamp) > 0;
    if (!newer_config && refusal->term <= e->term)
        return false;
    if (newer_config)
        muster_election_install(t, refusal->config);
    if (refusal->term > e->term)
        muster_election_adopt_term(t, refusal->term);
    muster_election_rest(t, 0); /* both only rise, so trying again at once comes to an end */
    return true;
}

/* The same on behalf of a living leader: it stays with that one whatever terms it hears of, and
 * asks again with the newer document. */
static bool catch_up(struct muster_turn *t, const struct muster_message *refusal) {
    if (!refusal->carries)
        return false;
    if (refusal->config != NULL)
        muster_election_install(t, refusal->config);
    if (t->e->permit != 0)
        muster_election_campaign(t);
    return true;
}

void muster_election_on_answer(struct muster_turn *t, muster_member from,
                               const struct muster_message *message) {
    struct muster_election *e = t->e;
    if (!muster_election_asked(e, message))
        return;
    if (!message->granted && (e->permit == 0 ? learn(t, message) : catch_up(t, message)))
        return;
    struct muster_election_peer *peer = muster_election_find(e, from);
    bool news = !peer->granted && !peer->refused;
    peer->granted = peer->granted || message->granted;
    peer->refused = !peer->granted;
    if (!news)
        return;
    if (message->granted)
        count_votes(t);
    else
        give_up_if_lost(t);
}

void muster_election_pay_votes(struct muster_turn *t) {
    give_pending_grant(t);
    if (t->e->role == MUSTER_CANDIDATE)
        count_votes(t);
}
