#include "node/election_report.h"

#include "node/elections.h"

static void pair_integer(struct muster_writer *w, const char *key, uint64_t value) {
    muster_write_atom(w, key);
    muster_write_unsigned(w, value);
}

static void pair_atom(struct muster_writer *w, const char *key, const char *atom) {
    muster_write_atom(w, key);
    muster_write_atom(w, atom);
}

static void write_node(struct muster_writer *w, const struct muster_node_name *name) {
    if (name != NULL) {
        muster_write_name(w, name);
    } else {
        muster_write_atom(w, "none");
    }
}

static void write_token(struct muster_writer *w, struct muster_token token) {
    if (token.election == 0) {
        muster_write_atom(w, "none");
        return;
    }
    muster_write_tuple(w, 2);
    muster_write_unsigned(w, token.term);
    muster_write_unsigned(w, token.election);
}

static void write_voters(struct muster_writer *w, const struct muster_election_group *group) {
    const struct muster_config *config = &muster_election_group_core(group)->config;
    muster_write_list(w, (int)config->count);
    for (uint32_t i = 0; i < config->count; i++) {
        write_node(w, muster_election_names_get(&group->names, config->voters[i]));
    }
    muster_write_nil(w);
}

/* Wanted or present; the others have only not been forgotten yet. */
static bool is_shown(const struct muster_election_member *m) {
    return m->want != NULL || m->peer != NULL || m->bootstrap || m->joined;
}

static void write_members(struct muster_writer *w, const struct muster_election_group *group) {
    const struct muster_config *config = &muster_election_group_core(group)->config;
    int count = 0;
    for (const struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        count += is_shown(m);
    }
    muster_write_list(w, count);
    for (const struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        if (!is_shown(m)) {
            continue;
        }
        muster_write_map(w, 3);
        muster_write_atom(w, "node");
        muster_write_name(w, &m->beam);
        pair_atom(w, "link", m->peer != NULL ? "open" : "closed");
        pair_atom(w, "voter", muster_config_has(config, m->id) ? "true" : "false");
    }
    muster_write_nil(w);
}

/* Of those who are alive; before the first table a member knows at least of itself. */
static bool is_listed(const struct muster_election_group *group,
                      const struct muster_role_row *row) {
    return row->alive || row->id == group->self_id;
}

static void write_role(struct muster_writer *w, const struct muster_election_group *group,
                       muster_member member) {
    int role = muster_commander_role(&group->core, member, muster_elections_now());
    muster_write_tuple(w, 2);
    write_node(w, muster_election_names_get(&group->names, member));
    muster_write_atom(w, muster_role_name((enum muster_cluster_role)role));
}

static void write_roles(struct muster_writer *w, const struct muster_election_group *group) {
    const struct muster_role_table *table = muster_commander_table(&group->core);
    bool lists_self = muster_table_look(table, group->self_id) != NULL;
    int count = lists_self ? 0 : 1;
    for (uint32_t i = 0; i < table->count; i++) {
        count += is_listed(group, &table->rows[i]);
    }
    muster_write_list(w, count);
    if (!lists_self) {
        write_role(w, group, group->self_id);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        if (is_listed(group, &table->rows[i])) {
            write_role(w, group, table->rows[i].id);
        }
    }
    muster_write_nil(w);
}

static const char *role_name(const struct muster_election_status *status, bool leads) {
    if (leads) {
        return "leader";
    }
    /* A leader that no majority has answered yet, or any more, is none. */
    if (status->role != MUSTER_FOLLOWER) {
        return "candidate";
    }
    return status->voter ? "follower" : "observer";
}

void muster_report_election(struct muster_writer *w, const struct muster_election_group *group) {
    const struct muster_election *core = muster_election_group_core(group);
    bool commander = group->kind == MUSTER_ELECTION_COMMANDER;
    uint64_t now = muster_elections_now();
    struct muster_election_status status;
    struct muster_token token;
    muster_election_status(core, now, &status);
    bool leads = muster_election_is_leader(core, now);
    muster_member leader = muster_election_leader(core, now, &token);
    muster_write_map(w, commander ? 17 : 15);
    pair_atom(w, "kind", commander ? "commander" : "leader");
    pair_atom(w, "role", role_name(&status, leads));
    muster_write_atom(w, "leader");
    write_node(w, muster_election_names_get(&group->names, leader));
    pair_atom(w, "is_leader", leads ? "true" : "false");
    pair_integer(w, "term", status.term);
    muster_write_atom(w, "token");
    write_token(w, token);
    muster_write_atom(w, "voters");
    write_voters(w, group);
    muster_write_atom(w, "members");
    write_members(w, group);
    pair_integer(w, "quorum", status.needed);
    pair_integer(w, "missing", status.needed > status.linked ? status.needed - status.linked : 0);
    pair_atom(w, "abstaining", status.abstaining ? "true" : "false");
    pair_atom(w, "durable", group->store != NULL ? "true" : "false");
    pair_integer(w, "ignored", group->ignored);
    pair_integer(w, "mismatched", group->mismatched);
    muster_write_atom(w, "problem");
    muster_write_text(w, group->problem.text);
    if (commander) {
        muster_member shown = muster_commander_get(&group->core, now, NULL);
        muster_write_atom(w, "commander");
        write_node(w, muster_election_names_get(&group->names, shown));
        muster_write_atom(w, "roles");
        write_roles(w, group);
    }
}

void muster_report_election_event(struct muster_writer *w,
                                  const struct muster_election_group *group,
                                  const struct muster_election_event *event) {
    switch (event->kind) {
    case MUSTER_TOLD_LEADER:
        muster_write_tuple(w, 3);
        muster_write_atom(w, "leader");
        write_node(w, event->node);
        write_token(w, event->token);
        break;
    case MUSTER_TOLD_TERM:
        muster_write_tuple(w, 3);
        muster_write_atom(w, "term");
        muster_write_unsigned(w, event->old_term);
        muster_write_unsigned(w, event->token.term);
        break;
    case MUSTER_TOLD_MEMBER:
        muster_write_tuple(w, 3);
        muster_write_atom(w, "member");
        muster_write_name(w, event->node);
        muster_write_atom(w, event->up ? "up" : "down");
        break;
    case MUSTER_TOLD_VOTERS:
        muster_write_tuple(w, 2);
        muster_write_atom(w, "voters");
        write_voters(w, group);
        break;
    case MUSTER_TOLD_ROLES:
        muster_write_tuple(w, 2);
        muster_write_atom(w, "roles");
        write_roles(w, group);
        break;
    case MUSTER_TOLD_LEFT:
        muster_write_tuple(w, 1);
        muster_write_atom(w, "left");
        break;
    }
}
