#include "node/election_effects.h"

#include <assert.h>

#include "node/election_links.h"
#include "node/elections.h"
#include "node/log.h"

static void send_message(struct muster_election_group *group, const struct muster_effect *effect,
                         const struct muster_note *note) {
    struct muster_elections *elections = group->elections;
    struct muster_election_member *member = muster_election_member_find(group, effect->member);
    if (member == NULL || member->peer == NULL) {
        return;
    }
    struct muster_member_names names = muster_election_names_for_codec(&group->names);
    size_t len = muster_election_encode(elections->bytes, &effect->message, note, &names);
    if (len == 0) {
        muster_log(MUSTER_ERROR, "election %.*s: a member without a name", group->key_len,
                   group->key);
        return;
    }
    struct muster_election_frame frame = {.kind = MUSTER_FRAME_MESSAGE,
                                          .bytes = muster_slice(elections->bytes, len)};
    muster_election_member_send(member, &frame);
}

static void save(struct muster_election_group *group, const struct muster_effect *effect) {
    uint8_t *bytes = group->elections->bytes;
    struct muster_member_names names = muster_election_names_for_codec(&group->names);
    size_t len = muster_election_encode_saved(bytes, effect->saved, &names);
    assert(len > 0); /* whoever is a voter was learnt by name */
    muster_election_store_save(group->store, effect->sequence, bytes, len);
}

static void tell_leader(struct muster_election_group *group, muster_member member,
                        struct muster_token token) {
    struct muster_election_event event = {
        .kind = MUSTER_TOLD_LEADER,
        .node = muster_election_names_get(&group->names, member),
        .token = token,
    };
    muster_election_group_tell(group, &event);
}

static void voters_changed(struct muster_election_group *group) {
    const struct muster_config *config = &group->core.election.config;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct muster_node_name *name =
            muster_election_names_get(&group->names, config->voters[i]);
        if (name != NULL && !group->ending) {
            (void)muster_election_member_add(group, name);
        }
    }
    for (struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        muster_election_member_review(m);
    }
    uint64_t voters = muster_config_fingerprint(config);
    if (voters != group->told_voters) { /* a new leader only puts its term on them */
        group->told_voters = voters;
        muster_election_group_tell(group,
                                   &(struct muster_election_event){.kind = MUSTER_TOLD_VOTERS});
    }
}

static void carry_out(struct muster_election_group *group, const struct muster_effect *effect,
                      const struct muster_note *note) {
    struct muster_election_event event = {.kind = MUSTER_TOLD_TERM};
    switch (effect->kind) {
    case MUSTER_EFFECT_SEND:
        send_message(group, effect, note);
        break;
    case MUSTER_EFFECT_PERSIST:
        save(group, effect);
        break;
    case MUSTER_EFFECT_LEADER:
        if (group->kind == MUSTER_ELECTION_LEADER) {
            tell_leader(group, effect->member, effect->token);
        }
        break;
    case MUSTER_EFFECT_TERM:
        event.old_term = effect->old_term;
        event.token = effect->token;
        muster_election_group_tell(group, &event);
        break;
    case MUSTER_EFFECT_CONFIG:
        voters_changed(group);
        break;
    case MUSTER_EFFECT_COMMITTED:
        group->committed = effect->stamp;
        break;
    case MUSTER_EFFECT_TRANSFER_REFUSED:
        muster_log(MUSTER_NOTICE, "election %.*s: the member asked to lead found no majority",
                   group->key_len, group->key);
        break;
    }
}

static void tell_command(struct muster_election_group *group,
                         const struct muster_commander_effects *effects) {
    if (effects->commander_changed) {
        struct muster_token token;
        muster_member commander =
            muster_commander_get(&group->core, muster_elections_now(), &token);
        tell_leader(group, commander, token);
    }
    if (effects->commander_changed || effects->table_changed) {
        muster_election_group_tell(group,
                                   &(struct muster_election_event){.kind = MUSTER_TOLD_ROLES});
    }
}

void muster_election_effects_carry_out(struct muster_election_group *group,
                                       const struct muster_commander_effects *effects) {
    bool commander = group->kind == MUSTER_ELECTION_COMMANDER;
    for (size_t i = 0; i < effects->election.count; i++) {
        carry_out(group, &effects->election.list[i], commander ? &effects->note : NULL);
    }
    if (commander) {
        tell_command(group, effects);
    }
}
