#include "node/election_requests.h"

#include <stdio.h>

#include "core/errors.h"
#include "node/election_chores.h"
#include "node/election_links.h"
#include "node/election_report.h"
#include "node/requests.h"

#define HOUR_MS 3600000
#define DATA_DIR_MAX 1000

#define GROUP_ARG(target_)                                                                         \
    {                                                                                              \
        .name = "group", .type = MUSTER_ARG_BINARY, .target = (target_), .required = 1,            \
        .max = MUSTER_ELECTION_KEY_MAX                                                             \
    }
#define TIME_ARG(name_, target_)                                                                   \
    { .name = (name_), .type = MUSTER_ARG_INTEGER, .target = (target_), .min = 1, .max = HOUR_MS }

static const char *const booleans[] = {"false", "true", NULL};

/* --- Starting --- */

struct start_args {
    struct muster_slice key, data_dir;
    int kind, observer;
    int64_t timeout_min, timeout_max, heartbeat, quorum_size, age_ms;
    struct muster_name_list bootstrap;
};

static int read_start(struct muster_request *q, struct start_args *a) {
    static const char *const kinds[] = {"leader", "commander", NULL};
    struct muster_arg args[] = {
        GROUP_ARG(&a->key),
        {.name = "kind",
         .type = MUSTER_ARG_CHOICE,
         .target = &a->kind,
         .required = 1,
         .choices = kinds},
        {.name = "bootstrap", .type = MUSTER_ARG_NODES, .target = &a->bootstrap},
        {.name = "observer",
         .type = MUSTER_ARG_CHOICE,
         .target = &a->observer,
         .choices = booleans},
        TIME_ARG("election_timeout_min", &a->timeout_min),
        TIME_ARG("election_timeout_max", &a->timeout_max),
        TIME_ARG("heartbeat_interval", &a->heartbeat),
        {.name = "data_dir",
         .type = MUSTER_ARG_BINARY,
         .target = &a->data_dir,
         .max = DATA_DIR_MAX},
        {.name = "quorum_size",
         .type = MUSTER_ARG_INTEGER,
         .target = &a->quorum_size,
         .min = 1,
         .max = MUSTER_MEMBERS_MAX},
        {.name = "age_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &a->age_ms,
         .max = INT64_C(1) << 50},
    };
    enum { LEADER_ONLY_1 = 2, LEADER_ONLY_2 = 3, LEADER_ONLY_3 = 7, QUORUM = 8, AGE = 9 };
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    bool commander = a->kind == 1;
    if (commander &&
        (args[LEADER_ONLY_1].given || args[LEADER_ONLY_2].given || args[LEADER_ONLY_3].given)) {
        return muster_request_refuse(
            q, "invalid_argument",
            "options bootstrap, observer and data_dir: not for a group of kind commander");
    }
    if (!commander && args[QUORUM].given) {
        return muster_request_refuse(q, "invalid_argument",
                                     "option quorum_size: not for a group of kind leader");
    }
    if (a->heartbeat >= a->timeout_min || a->timeout_min > a->timeout_max) {
        snprintf(q->problem.text, sizeof q->problem.text,
                 "heartbeat_interval (%lld) < election_timeout_min (%lld) <= election_timeout_max "
                 "(%lld) does not hold",
                 (long long)a->heartbeat, (long long)a->timeout_min, (long long)a->timeout_max);
        return MUSTER_E_INVALID;
    }
    return 0;
}

static int start(struct muster_request *q, const struct start_args *a) {
    struct muster_election_group_options options = {
        .kind = a->kind == 1 ? MUSTER_ELECTION_COMMANDER : MUSTER_ELECTION_LEADER,
        .bootstrap = a->bootstrap,
        .observer = a->observer != 0,
        .data_dir = a->data_dir,
    };
    muster_commander_options_default(&options.commander);
    struct muster_election_options *election = &options.commander.election;
    election->election_timeout_min = (uint32_t)a->timeout_min;
    election->election_timeout_max = (uint32_t)a->timeout_max;
    election->heartbeat_interval = (uint32_t)a->heartbeat;
    election->age = (uint64_t)a->age_ms;
    options.commander.quorum_size = (uint32_t)a->quorum_size;
    int error = muster_election_group_start(&q->node->elections, a->key, &options, &q->problem);
    if (error == 0) {
        return muster_request_succeed_empty(q);
    }
    q->error = error == MUSTER_E_BUSY ? "busy" : "invalid_argument";
    if (q->problem.text[0] == '\0') {
        snprintf(q->problem.text, sizeof q->problem.text, "%s", muster_strerror(error));
    }
    return error;
}

int muster_election_request_start(struct muster_request *q) {
    struct start_args a = {
        .timeout_min = 150, .timeout_max = 300, .heartbeat = 50, .quorum_size = 1};
    int result = read_start(q, &a);
    if (result == 0) {
        result = start(q, &a);
    }
    muster_name_list_close(&a.bootstrap);
    return result;
}

/* --- The others --- */

static int find_group(struct muster_request *q, struct muster_slice key,
                      struct muster_election_group **group) {
    *group = muster_elections_find(&q->node->elections, key);
    if (*group == NULL) {
        muster_request_refuse(q, "unknown_group", "no group of this key was started");
        return MUSTER_E_INVALID;
    }
    return 0;
}

static int group_only(struct muster_request *q, struct muster_election_group **group) {
    struct muster_slice key;
    struct muster_arg args[] = {GROUP_ARG(&key)};
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    return error != 0 ? error : find_group(q, key, group);
}

static int group_and_node(struct muster_request *q, struct muster_election_group **group,
                          struct muster_node_name *node) {
    struct muster_slice key;
    struct muster_arg args[] = {GROUP_ARG(&key), MUSTER_NODE_ARG(node)};
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    return error != 0 ? error : find_group(q, key, group);
}

static int require_kind(struct muster_request *q, const struct muster_election_group *group,
                        enum muster_election_kind kind) {
    return group->kind == kind ? 0
                               : muster_request_refuse(q, "invalid_argument",
                                                       "the group's kind has no such operation");
}

static int refuse_event(struct muster_request *q, int error) {
    switch (error) {
    case MUSTER_E_NOT_LEADER:
        q->error = "not_leader";
        break;
    case MUSTER_E_BUSY:
        q->error = "busy";
        break;
    case MUSTER_E_UNSUPPORTED:
        q->error = "unsupported";
        break;
    default:
        q->error = "invalid";
    }
    return error;
}

int muster_election_request_stop(struct muster_request *q) {
    struct muster_election_group *group;
    struct muster_slice key;
    int for_good = 1;
    struct muster_arg args[] = {
        GROUP_ARG(&key),
        {.name = "for_good", .type = MUSTER_ARG_CHOICE, .target = &for_good, .choices = booleans}};
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    if (error == 0) {
        error = find_group(q, key, &group);
    }
    if (error != 0) {
        return error;
    }
    muster_election_group_stop(group, for_good);
    return muster_request_succeed_empty(q);
}

int muster_election_request_status(struct muster_request *q) {
    struct muster_election_group *group;
    int error = group_only(q, &group);
    if (error == 0) {
        muster_report_election(muster_request_succeed(q), group);
    }
    return error;
}

/* Durable leader groups: the newcomer becomes a voter, however long that takes. */
int muster_election_request_join(struct muster_request *q) {
    struct muster_election_group *group;
    struct muster_node_name node;
    int error = group_and_node(q, &group, &node);
    if (error != 0) {
        return error;
    }
    if (muster_node_name_equal(&node, &group->self)) {
        return muster_request_succeed_empty(q);
    }
    struct muster_election_member *member = muster_election_member_add(group, &node);
    if (member == NULL) {
        return muster_request_refuse(q, "system_limit", "no room for one more member");
    }
    member->joined = true;
    muster_election_member_review(member);
    if (member->want != NULL) {
        muster_peers_expect(member->want);
    }
    if (group->store != NULL && !group->observer) {
        member->to_add = true;
        member->to_remove = false;
        muster_election_chores_begin(group);
    }
    return muster_request_succeed_empty(q);
}

static int leave_voter(struct muster_request *q, struct muster_election_group *group,
                       struct muster_election_member *member) {
    if (group->store == NULL) {
        return refuse_event(q, MUSTER_E_UNSUPPORTED);
    }
    member->to_remove = true;
    member->to_add = false;
    muster_election_chores_begin(group);
    return 0;
}

int muster_election_request_leave(struct muster_request *q) {
    struct muster_election_group *group;
    struct muster_node_name node;
    int error = group_and_node(q, &group, &node);
    if (error != 0) {
        return error;
    }
    muster_member id = muster_member_of(&node);
    struct muster_election_member *member = muster_election_member_find(group, id);
    bool voter = group->kind == MUSTER_ELECTION_LEADER &&
                 muster_config_has(&muster_election_group_core(group)->config, id);
    if (member == NULL) { /* oneself, too: another member has to ask for that */
        return voter ? refuse_event(q, MUSTER_E_INVALID) : muster_request_succeed_empty(q);
    }
    if (voter && (error = leave_voter(q, group, member)) != 0) {
        return error;
    }
    member->bootstrap = member->joined = member->to_add = false;
    muster_election_member_review(member);
    return muster_request_succeed_empty(q);
}

int muster_election_request_transfer(struct muster_request *q) {
    struct muster_election_group *group;
    struct muster_node_name node;
    int error = group_and_node(q, &group, &node);
    if (error != 0) {
        return error;
    }
    error = muster_election_group_happen(group, MUSTER_EVENT_TRANSFER, muster_member_of(&node));
    return error != 0 ? refuse_event(q, error) : muster_request_succeed_empty(q);
}

int muster_election_request_resign(struct muster_request *q) {
    struct muster_election_group *group;
    int error = group_only(q, &group);
    if (error != 0) {
        return error;
    }
    muster_election_group_happen(group, MUSTER_EVENT_RESIGN, MUSTER_NOBODY);
    return muster_request_succeed_empty(q);
}

int muster_election_request_promote(struct muster_request *q) {
    static const char *const roles[] = {"wingmate", "observer", "relay", "commander", NULL};
    struct muster_slice key;
    struct muster_node_name node;
    struct muster_election_group *group;
    int role;
    struct muster_arg args[] = {GROUP_ARG(&key),
                                MUSTER_NODE_ARG(&node),
                                {.name = "role",
                                 .type = MUSTER_ARG_CHOICE,
                                 .target = &role,
                                 .required = 1,
                                 .choices = roles}};
    int error = muster_request_args(q, args, MUSTER_COUNT(args));
    if (error == 0) {
        error = find_group(q, key, &group);
    }
    if (error == 0) {
        error = require_kind(q, group, MUSTER_ELECTION_COMMANDER);
    }
    if (error != 0) {
        return error;
    }
    const char *refusal =
        muster_election_promote(group, muster_member_of(&node), &node,
                                (enum muster_cluster_role)(role + MUSTER_ROLE_WINGMATE), q->id);
    return refusal != NULL ? muster_request_refuse(q, refusal, "") : MUSTER_REQUEST_LATER;
}

static int commander_and_node(struct muster_request *q, struct muster_election_group **group,
                              struct muster_node_name *node) {
    int error = group_and_node(q, group, node);
    return error != 0 ? error : require_kind(q, *group, MUSTER_ELECTION_COMMANDER);
}

int muster_election_request_node_joined(struct muster_request *q) {
    struct muster_election_group *group;
    struct muster_node_name node;
    int error = commander_and_node(q, &group, &node);
    if (error != 0) {
        return error;
    }
    struct muster_election_member *member = muster_election_member_add(group, &node);
    if (member != NULL) {
        member->to_enrol = true;
        muster_election_chores_begin(group);
    }
    return muster_request_succeed_empty(q);
}

int muster_election_request_node_left(struct muster_request *q) {
    struct muster_election_group *group;
    struct muster_node_name node;
    int error = commander_and_node(q, &group, &node);
    if (error != 0) {
        return error;
    }
    struct muster_election_member *member =
        muster_election_member_find(group, muster_member_of(&node));
    if (member != NULL) {
        member->joined = member->to_enrol = false;
        muster_election_member_review(member);
    }
    muster_election_member_left(group, &node);
    return muster_request_succeed_empty(q);
}
