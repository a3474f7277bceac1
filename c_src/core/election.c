#include "core/election_internal.h"

#include "core/election_mutation.h"
#include "core/election_random.h"
#include "core/errors.h"

#include <assert.h>
#include <string.h>

struct muster_election_peer *muster_election_find(struct muster_election *e, muster_member member) {
    for (uint32_t i = 0; i < e->peer_count; i++)
        if (e->peers[i].id == member)
            return &e->peers[i];
    return NULL;
}

bool muster_election_votes(const struct muster_election *e) {
    return muster_config_has(&e->config, e->options.self);
}

/* Voters with an open link, oneself included. */
static uint32_t linked_voters(const struct muster_election *e) {
    uint32_t count = muster_election_votes(e) ? 1 : 0;
    for (uint32_t i = 0; i < e->peer_count; i++)
        if (e->peers[i].link_open && muster_config_has(&e->config, e->peers[i].id))
            count++;
    return count;
}

uint32_t muster_election_quorum(const struct muster_election *e) {
    if (MUSTER_MUTANT(VISIBLE_QUORUM))
        return linked_voters(e) / 2 + 1;
    uint32_t majority = muster_config_majority(&e->config);
    return majority > e->options.quorum_min ? majority : e->options.quorum_min;
}

uint64_t muster_election_draw(struct muster_turn *t) {
    return muster_random_nth(t->moment.random, t->draws++);
}

uint64_t muster_election_between(struct muster_turn *t, uint64_t low, uint64_t high) {
    return low + muster_election_draw(t) % (high - low + 1);
}

uint64_t muster_election_timeout(struct muster_turn *t) {
    return muster_election_between(t, t->e->timing.timeout_min, t->e->timing.timeout_max);
}

static int restore(struct muster_election *e, const struct muster_election_saved *saved) {
    if (saved->term >= MUSTER_TERM_MAX || muster_config_check(&saved->config) != 0)
        return MUSTER_E_MALFORMED;
    e->term = saved->term;
    e->voted_for = saved->voted_for;
    e->voted_election = saved->voted_election;
    e->config = saved->config;
    return 0;
}

/* When the member may first vote, and when it first stands. */
static void set_clocks(struct muster_turn *t) {
    struct muster_election *e = t->e;
    /* Where one vote decides, nobody counts on what this member promised before it restarted. */
    bool alone = muster_election_votes(e) && muster_election_quorum(e) <= 1;
    bool abstain = !alone && !MUSTER_MUTANT(NO_ABSTENTION);
    e->abstain_until = e->now + (abstain ? e->timing.abstention : 0);
    e->timer =
        e->abstain_until + (alone ? 0 : muster_election_between(t, 0, e->timing.timeout_min));
}

int muster_election_init(struct muster_election *e, const struct muster_election_options *options,
                         const muster_member *voters, size_t count,
                         const struct muster_election_saved *saved, struct muster_moment moment) {
    memset(e, 0, sizeof *e);
    int error = muster_election_options_check(options);
    if (error != 0)
        return error;
    e->options = *options;
    e->timing = muster_election_timing_of(options);
    e->started_at = moment.now;
    e->now = moment.now;
    e->eligible = true;
    error = saved != NULL ? restore(e, saved) : muster_config_init(&e->config, voters, count);
    if (error != 0)
        return error;
    muster_election_seat_voters(e);
    e->shown_term = e->term;
    struct muster_turn turn = {.e = e, .moment = moment};
    set_clocks(&turn);
    return 0;
}

/* Two members with different voters under one stamp were started with different lists. */
static bool agrees(const struct muster_election *e, const struct muster_message *message) {
    return message->fingerprint == 0 ||
           muster_stamp_compare(message->stamp, e->config.stamp) != 0 ||
           e->options.membership == MUSTER_MEMBERSHIP_SEEN ||
           message->fingerprint == muster_config_fingerprint(&e->config);
}

static int check_message(struct muster_election *e, muster_member from,
                         const struct muster_message *message) {
    int error = muster_message_check(message);
    if (error != 0)
        return error;
    if (from == MUSTER_NOBODY || from == e->options.self)
        return MUSTER_E_MALFORMED;
    if (muster_election_find(e, from) == NULL)
        return MUSTER_E_LIMIT;
    return agrees(e, message) ? 0 : MUSTER_E_MISMATCH;
}

static int on_message(struct muster_turn *t, muster_member from,
                      const struct muster_message *message) {
    int error = check_message(t->e, from, message);
    if (error != 0)
        return error;
    switch (message->kind) {
    case MUSTER_MESSAGE_PRE_VOTE:
    case MUSTER_MESSAGE_VOTE:
        muster_election_on_request(t, from, message);
        break;
    case MUSTER_MESSAGE_PRE_VOTE_REPLY:
    case MUSTER_MESSAGE_VOTE_REPLY:
        muster_election_on_answer(t, from, message);
        break;
    case MUSTER_MESSAGE_HEARTBEAT:
        muster_election_on_heartbeat(t, from, message);
        break;
    case MUSTER_MESSAGE_HEARTBEAT_REPLY:
        muster_election_on_acknowledgement(t, from, message);
        break;
    case MUSTER_MESSAGE_RESIGN:
        muster_election_on_resign(t, message);
        break;
    case MUSTER_MESSAGE_TRANSFER:
        muster_election_on_transfer(t, from, message);
        break;
    case MUSTER_MESSAGE_TRANSFER_READY:
        muster_election_on_transfer_ready(t, from, message);
        break;
    }
    return 0;
}

static void on_tick(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->role == MUSTER_LEADER) {
        if (e->now >= e->heartbeat_at)
            muster_election_beat(t);
        return;
    }
    if (e->role == MUSTER_FOLLOWER && e->now >= e->timer)
        muster_election_campaign(t);
}

static void on_persisted(struct muster_turn *t, uint64_t sequence) {
    struct muster_election *e = t->e;
    assert(sequence <= e->persist_sequence);
    if (sequence > e->persisted_sequence)
        e->persisted_sequence = sequence;
    muster_election_pay_votes(t);
    muster_election_pay_acknowledgement(t);
    if (e->role == MUSTER_LEADER)
        muster_election_renew(t);
}

static int dispatch(struct muster_turn *t, const struct muster_event *event) {
    struct muster_election *e = t->e;
    switch (event->kind) {
    case MUSTER_EVENT_TICK:
        on_tick(t);
        return 0;
    case MUSTER_EVENT_MESSAGE:
        return on_message(t, event->member, event->message);
    case MUSTER_EVENT_LINK_OPENED:
        return muster_election_link_opened(t, event->member);
    case MUSTER_EVENT_LINK_CLOSED:
        muster_election_link_closed(t, event->member, event->by_peer);
        return 0;
    case MUSTER_EVENT_PERSISTED:
        on_persisted(t, event->sequence);
        return 0;
    case MUSTER_EVENT_TRANSFER:
        return muster_election_transfer(t, event->member);
    case MUSTER_EVENT_RESIGN:
        muster_election_hand_over(t, true);
        return 0;
    case MUSTER_EVENT_EXIT:
        e->exiting = true;
        muster_election_hand_over(t, true);
        return 0;
    case MUSTER_EVENT_BEAM_SILENT:
        e->eligible = false;
        muster_election_hand_over(t, false);
        return 0;
    case MUSTER_EVENT_BEAM_ANSWERS:
        e->eligible = true;
        return 0;
    case MUSTER_EVENT_ADD_VOTER:
        return muster_election_add_voter(t, event->member);
    case MUSTER_EVENT_REMOVE_VOTER:
        return muster_election_remove_voter(t, event->member);
    }
    return MUSTER_E_INVALID;
}

int muster_election_step(struct muster_election *e, const struct muster_event *event,
                         struct muster_moment moment, struct muster_effects *effects) {
    effects->count = 0;
    struct muster_turn turn = {.e = e, .moment = moment, .effects = effects};
    if (moment.now > e->now)
        e->now = moment.now;
    /* First the clock: a process that was stopped must not act on what it was before. */
    muster_election_expire_lease(&turn);
    muster_election_expire_transfer(&turn);
    if (!MUSTER_MUTANT(LATE_GRANTS) || event->kind == MUSTER_EVENT_TICK)
        muster_election_expire_candidacy(&turn);
    int result = dispatch(&turn, event);
    muster_election_settle(&turn);
    return result;
}

int muster_election_start_transfer(struct muster_election *e, muster_member to,
                                   struct muster_moment moment, struct muster_effects *effects) {
    struct muster_turn turn = {.e = e, .moment = moment, .effects = effects};
    return muster_election_transfer(&turn, to);
}

void muster_election_cancel_transfer(struct muster_election *e) {
    e->transfer_to = MUSTER_NOBODY;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t muster_election_deadline(const struct muster_election *e) {
    if (e->role != MUSTER_LEADER)
        return e->timer;
    uint64_t end = e->lease_until != 0 ? e->lease_until : e->timer;
    uint64_t next = earlier(e->heartbeat_at, end);
    return e->transfer_to != MUSTER_NOBODY ? earlier(next, e->transfer_until) : next;
}

bool muster_election_is_leader(const struct muster_election *e, uint64_t now) {
    if (MUSTER_MUTANT(NO_CHECK_QUORUM))
        return e->role == MUSTER_LEADER && e->lease_until != 0;
    return e->role == MUSTER_LEADER && now < e->lease_until;
}

muster_member muster_election_leader(const struct muster_election *e, uint64_t now,
                                     struct muster_token *token) {
    muster_member leader = MUSTER_NOBODY;
    uint64_t election = 0;
    if (muster_election_is_leader(e, now)) {
        leader = e->options.self;
        election = e->election;
    } else if (e->role != MUSTER_LEADER && e->leader != MUSTER_NOBODY && e->leader_leads) {
        leader = e->leader;
        election = e->leader_election;
    }
    if (token != NULL)
        *token = leader == MUSTER_NOBODY ? (struct muster_token){0, 0}
                                         : (struct muster_token){e->term, election};
    return leader;
}

uint64_t muster_election_age(const struct muster_election *e) {
    return e->options.age + (e->now - e->started_at) / 1000;
}

void muster_election_status(const struct muster_election *e, uint64_t now,
                            struct muster_election_status *status) {
    bool leads = muster_election_is_leader(e, now);
    *status = (struct muster_election_status){
        .role = e->role,
        .voter = muster_election_votes(e),
        .abstaining = now < e->abstain_until,
        .term = e->term,
        .voters = e->config.count,
        .needed = muster_election_quorum(e),
        .linked = linked_voters(e),
        .lease_left = leads ? e->lease_until - now : 0,
        .stamp = e->config.stamp,
    };
}

const struct muster_election_peer *muster_election_peer(const struct muster_election *e,
                                                        uint32_t index) {
    return index < e->peer_count ? &e->peers[index] : NULL;
}
