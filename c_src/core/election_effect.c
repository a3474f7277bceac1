#include "core/election_internal.h"

#include <assert.h>

struct muster_message muster_election_message(const struct muster_election *e,
                                              enum muster_message_kind kind, uint64_t election) {
    return (struct muster_message){
        .kind = kind,
        .term = e->term,
        .election = election,
        .age = muster_election_age(e),
        .stamp = e->config.stamp,
        .fingerprint = e->options.membership == MUSTER_MEMBERSHIP_DECLARED
                           ? muster_config_fingerprint(&e->config)
                           : 0,
    };
}

void muster_election_disclaim(struct muster_message *message) {
    message->stamp = (struct muster_stamp){0, 0};
    message->fingerprint = 0;
}

struct muster_effect *muster_election_effect(struct muster_turn *t, enum muster_effect_kind kind) {
    assert(t->effects->count < MUSTER_EFFECTS_MAX);
    struct muster_effect *effect = &t->effects->list[t->effects->count++];
    *effect = (struct muster_effect){.kind = kind};
    return effect;
}

void muster_election_send(struct muster_turn *t, muster_member to,
                          const struct muster_message *message) {
    struct muster_effect *effect = muster_election_effect(t, MUSTER_EFFECT_SEND);
    effect->member = to;
    effect->message = *message;
}

void muster_election_send_voters(struct muster_turn *t, const struct muster_message *message) {
    for (uint32_t i = 0; i < t->e->config.count; i++)
        if (t->e->config.voters[i] != t->e->options.self)
            muster_election_send(t, t->e->config.voters[i], message);
}

void muster_election_send_all(struct muster_turn *t, const struct muster_message *message) {
    for (uint32_t i = 0; i < t->e->peer_count; i++)
        muster_election_send(t, t->e->peers[i].id, message);
}

uint64_t muster_election_persist(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->options.durable && !e->persist_wanted) {
        e->persist_wanted = true;
        e->persist_sequence++;
    }
    return e->persist_sequence;
}

bool muster_election_saved(const struct muster_election *e, uint64_t sequence) {
    return e->persisted_sequence >= sequence;
}

static void settle_record(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (!e->persist_wanted)
        return;
    e->persist_wanted = false;
    e->saved = (struct muster_election_saved){
        .term = e->term,
        .voted_for = e->voted_for,
        .voted_election = e->voted_election,
        .config = e->config,
    };
    struct muster_effect *effect = muster_election_effect(t, MUSTER_EFFECT_PERSIST);
    effect->sequence = e->persist_sequence;
    effect->saved = &e->saved;
}

static void settle_term(struct muster_turn *t) {
    struct muster_election *e = t->e;
    if (e->term == e->shown_term)
        return;
    struct muster_effect *effect = muster_election_effect(t, MUSTER_EFFECT_TERM);
    effect->old_term = e->shown_term;
    effect->token.term = e->term;
    e->shown_term = e->term;
}

static void settle_leader(struct muster_turn *t) {
    struct muster_election *e = t->e;
    struct muster_token token = {0, 0};
    muster_member leader = muster_election_leader(e, e->now, &token);
    if (leader == e->shown_leader && token.election == e->shown_token.election)
        return;
    struct muster_effect *effect = muster_election_effect(t, MUSTER_EFFECT_LEADER);
    effect->member = leader;
    effect->token = token;
    e->shown_leader = leader;
    e->shown_token = token;
}

void muster_election_settle(struct muster_turn *t) {
    settle_record(t);
    settle_term(t);
    settle_leader(t);
}
