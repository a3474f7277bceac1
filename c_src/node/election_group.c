#include "node/election_group.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/errors.h"
#include "node/election_chores.h"
#include "node/election_effects.h"
#include "node/election_links.h"
#include "node/elections.h"

/* The name of a member on a node without a name. */
#define NAMELESS "nonode@nohost"

/* --- Clocks and chance --- */

static struct muster_moment moment(void) {
    struct timespec wall = {0};
    struct muster_moment m = {.now = muster_elections_now()};
    clock_gettime(CLOCK_REALTIME, &wall);
    m.wall_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
    randombytes_buf(&m.random, sizeof m.random);
    return m;
}

static uint64_t random_id(void) {
    uint64_t id = 0;
    while (id == 0) {
        randombytes_buf(&id, sizeof id);
    }
    return id;
}

/* --- Asking the core --- */

const struct muster_election *
muster_election_group_core(const struct muster_election_group *group) {
    return &group->core.election;
}

bool muster_election_group_is_leader(const struct muster_election_group *group) {
    return muster_election_is_leader(&group->core.election, muster_elections_now());
}

muster_member muster_election_group_leader(const struct muster_election_group *group) {
    return muster_election_leader(&group->core.election, muster_elections_now(), NULL);
}

void muster_election_group_tell(struct muster_election_group *group,
                                const struct muster_election_event *event) {
    const struct muster_elections_owner *owner = &group->elections->owner;
    if (owner->on_event != NULL && !group->ending) {
        owner->on_event(owner->context, group, event);
    }
}

/* --- Stepping --- */

static void on_timer(uv_timer_t *timer) {
    struct muster_election_group *group = timer->data;
    muster_election_group_happen(group, MUSTER_EVENT_TICK, MUSTER_NOBODY);
}

/* libuv counts in milliseconds: rounded up, so that a deadline has come when the timer fires. */
static void rearm(struct muster_election_group *group) {
    uint64_t deadline = group->kind == MUSTER_ELECTION_COMMANDER
                            ? muster_commander_deadline(&group->core)
                            : muster_election_deadline(&group->core.election);
    if (deadline == MUSTER_NEVER || group->ending) {
        uv_timer_stop(&group->timer);
        return;
    }
    uint64_t now = muster_elections_now();
    uint64_t wait = deadline > now ? (deadline - now + 999) / 1000 : 0;
    uv_update_time(group->elections->loop);
    uv_timer_start(&group->timer, on_timer, wait, 0);
}

int muster_election_group_step(struct muster_election_group *group,
                               const struct muster_commander_event *event) {
    struct muster_elections *elections = group->elections;
    struct muster_commander_effects *effects = &elections->effects;
    int result;
    assert(!elections->carrying_out);
    elections->carrying_out = true;
    if (group->kind == MUSTER_ELECTION_COMMANDER) {
        result = muster_commander_step(&group->core, event, moment(), effects);
    } else {
        result = muster_election_step(&group->core.election, &event->election, moment(),
                                      &effects->election);
    }
    muster_election_effects_carry_out(group, effects);
    elections->carrying_out = false;
    muster_election_chores_committed(group);
    rearm(group);
    muster_elections_close_links(elections);
    return result;
}

int muster_election_group_happen(struct muster_election_group *group, enum muster_event_kind kind,
                                 muster_member member) {
    struct muster_commander_event event = {
        .kind = MUSTER_COMMANDER_ELECTION,
        .election = {.kind = kind, .member = member},
    };
    return muster_election_group_step(group, &event);
}

/* --- The disk --- */

static void on_saved(void *context, uint64_t sequence) {
    struct muster_commander_event event = {
        .kind = MUSTER_COMMANDER_ELECTION,
        .election = {.kind = MUSTER_EVENT_PERSISTED, .sequence = sequence},
    };
    muster_election_group_step(context, &event);
}

static void on_store_ready(void *context) {
    struct muster_election_group *group = context;
    group->ready = true;
    muster_election_greet(group);
}

static void on_store_problem(void *context, const char *text) {
    struct muster_election_group *group = context;
    snprintf(group->problem.text, sizeof group->problem.text, "%s", text != NULL ? text : "");
}

/* --- Life of a group --- */

static bool is_spoken_of(void *context, muster_member member) {
    struct muster_election_group *group = context;
    return member == group->self_id || muster_election_member_find(group, member) != NULL ||
           muster_config_has(&group->core.election.config, member) ||
           muster_table_look(&group->core.table, member) != NULL;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct muster_election_group *group = handle->data;
    if (--group->handles == 0) {
        free(group);
    }
}

static void destroy(struct muster_election_group *group) {
    muster_election_members_free(group);
    if (group->store != NULL) {
        muster_election_store_close(group->store);
    }
    group->handles = 2;
    uv_close((uv_handle_t *)&group->timer, on_handle_closed);
    uv_close((uv_handle_t *)&group->chores, on_handle_closed);
}

static struct muster_election_group *create(struct muster_elections *elections,
                                            struct muster_slice key,
                                            const struct muster_election_group_options *options) {
    struct muster_election_group *group = calloc(1, sizeof *group);
    if (group == NULL) {
        return NULL;
    }
    const struct muster_peers *peers = elections->peers;
    const struct muster_node_name *c_node = &peers->link_settings.self;
    group->elections = elections;
    group->kind = options->kind;
    group->key_len = (uint8_t)key.len;
    memcpy(group->key, key.data, key.len);
    if (peers->beam.len > 0) {
        group->self = peers->beam;
    } else if (c_node->len == 0 || muster_election_beam_of(&group->self, c_node) != 0) {
        muster_node_name_parse_cstr(&group->self, NAMELESS);
    }
    group->incarnation = random_id();
    group->observer = options->observer;
    group->names.in_use = is_spoken_of;
    group->names.context = group;
    group->self_id = muster_election_names_learn(&group->names, &group->self);
    uv_timer_init(elections->loop, &group->timer);
    uv_timer_init(elections->loop, &group->chores);
    group->timer.data = group->chores.data = group;
    return group;
}

static int read_store(struct muster_election_group *group, struct muster_slice data_dir,
                      struct muster_election_saved *saved, bool *found,
                      struct muster_problem *problem) {
    struct muster_elections *elections = group->elections;
    struct muster_election_store_user user = {.context = group,
                                              .on_ready = on_store_ready,
                                              .on_saved = on_saved,
                                              .on_problem = on_store_problem};
    size_t len = 0;
    int error = muster_election_store_open(&elections->stores, data_dir,
                                           muster_slice(group->key, group->key_len), &group->self,
                                           &user, &group->store, elections->bytes, &len, problem);
    if (error != 0) {
        return error;
    }
    group->ready = muster_election_store_is_ready(group->store);
    *found = len > 0;
    struct muster_member_names names = muster_election_names_for_codec(&group->names);
    error = len > 0
                ? muster_election_decode_saved(saved, muster_slice(elections->bytes, len), &names)
                : 0;
    if (error != 0) {
        snprintf(problem->text, sizeof problem->text,
                 "option data_dir: the record in it cannot be read: %s", muster_strerror(error));
    }
    return error;
}

static int refuse(struct muster_problem *problem, const char *text) {
    snprintf(problem->text, sizeof problem->text, "%s", text);
    return MUSTER_E_INVALID;
}

/* Nobody declared: the member is a group of its own, unless it only looks on. */
static int list_voters(struct muster_election_group *group,
                       const struct muster_name_list *bootstrap, muster_member *voters,
                       size_t *count, struct muster_problem *problem) {
    *count = 0;
    for (unsigned i = 0; i < bootstrap->count; i++) {
        muster_member voter = muster_election_names_learn(&group->names, &bootstrap->names[i]);
        if (voter == MUSTER_NOBODY || *count == MUSTER_MEMBERS_MAX) {
            return refuse(problem, "option bootstrap: too many members, or two of one number");
        }
        if (voter == group->self_id && group->observer) {
            return refuse(problem, "option observer: a member of bootstrap votes");
        }
        voters[(*count)++] = voter;
    }
    if (bootstrap->count == 0 && !group->observer) {
        voters[(*count)++] = group->self_id;
    }
    return 0;
}

static int init_core(struct muster_election_group *group,
                     const struct muster_election_group_options *options,
                     struct muster_problem *problem) {
    static struct muster_election_saved saved; /* large */
    struct muster_commander_options commander = options->commander;
    muster_member voters[MUSTER_MEMBERS_MAX];
    size_t count;
    bool found = false;
    commander.incarnation = group->incarnation;
    commander.election.self = group->self_id;
    group->ready = true;
    if (group->kind == MUSTER_ELECTION_COMMANDER) {
        return muster_commander_init(&group->core, &commander, moment());
    }
    int error = list_voters(group, &options->bootstrap, voters, &count, problem);
    if (error == 0 && options->data_dir.len > 0) {
        commander.election.durable = true;
        error = read_store(group, options->data_dir, &saved, &found, problem);
    }
    if (error != 0) {
        return error;
    }
    return muster_election_init(&group->core.election, &commander.election, voters, count,
                                found ? &saved : NULL, moment());
}

static void add_bootstrap(struct muster_election_group *group,
                          const struct muster_name_list *bootstrap) {
    for (unsigned i = 0; i < bootstrap->count; i++) {
        struct muster_election_member *member =
            muster_election_member_add(group, &bootstrap->names[i]);
        if (member != NULL) {
            member->bootstrap = true;
            muster_election_member_review(member);
        }
    }
}

static void open_group(struct muster_election_group *group,
                       const struct muster_election_group_options *options) {
    struct muster_elections *elections = group->elections;
    if (elections->first == NULL) {
        muster_beam_watch_init(&elections->watch, 0, muster_elections_now());
    }
    group->next = elections->first;
    elections->first = group;
    muster_elections_set_pace(elections);
    add_bootstrap(group, &options->bootstrap);
    const struct muster_config *config = &group->core.election.config;
    group->told_voters = muster_config_fingerprint(config);
    for (uint32_t i = 0; i < config->count; i++) { /* voters that the record names */
        struct muster_election_member *member = muster_election_member_add(
            group, muster_election_names_get(&group->names, config->voters[i]));
        if (member != NULL) {
            muster_election_member_review(member);
        }
    }
    if (group->ready) {
        muster_election_greet(group);
    }
    if (elections->watch.silent) {
        muster_election_group_happen(group, MUSTER_EVENT_BEAM_SILENT, MUSTER_NOBODY);
    }
    rearm(group);
}

int muster_election_group_start(struct muster_elections *elections, struct muster_slice key,
                                const struct muster_election_group_options *options,
                                struct muster_problem *problem) {
    struct muster_election_group *old = muster_elections_find(elections, key);
    if (old != NULL) {
        old->ending = true; /* its end is not told: it goes on as another */
        muster_election_group_stop(old, false);
    }
    struct muster_election_group *group = create(elections, key, options);
    if (group == NULL) {
        return MUSTER_E_NOMEM;
    }
    int error = init_core(group, options, problem);
    if (error != 0) {
        group->ending = true;
        destroy(group);
        return error;
    }
    open_group(group, options);
    return 0;
}

void muster_election_group_stop(struct muster_election_group *group, bool for_good) {
    struct muster_elections *elections = group->elections;
    muster_election_group_happen(group, MUSTER_EVENT_EXIT, MUSTER_NOBODY);
    muster_election_chores_stop(group);
    if (for_good && group->kind == MUSTER_ELECTION_COMMANDER) {
        muster_election_member_left(group, &group->self);
    }
    muster_election_part(group);
    struct muster_election_group **at = &elections->first;
    while (*at != group) {
        at = &(*at)->next;
    }
    *at = group->next;
    muster_election_group_tell(group, &(struct muster_election_event){.kind = MUSTER_TOLD_LEFT});
    group->ending = true;
    destroy(group);
    muster_elections_set_pace(elections);
}
