#include "node/election_chores.h"

#include <stdlib.h>

#include "core/errors.h"
#include "node/election_links.h"
#include "node/elections.h"

#define CHORES_MS 100
/* How long whoever promotes a member waits for the majority. */
#define PROMOTE_LIMIT_MS 5000
/* Promotions that wait, one's own and others'; more are refused. */
#define WAITS_MAX 256

struct muster_election_wait {
    struct muster_election_wait *next;
    uint64_t id;               /* what an answer is recognised by */
    muster_member asker;       /* whose request it is, or MUSTER_NOBODY: our own BEAM's */
    int64_t request;           /* our own BEAM's, or the asker's id */
    bool forwarded;            /* another member is the leader, it answers */
    struct muster_stamp stamp; /* done when a majority holds it */
    uint64_t until_ms;
};

/* --- Waiting for a promotion --- */

static void answer(struct muster_election_group *group, const struct muster_election_wait *wait,
                   int result) {
    const struct muster_elections_owner *owner = &group->elections->owner;
    if (wait->asker == MUSTER_NOBODY) {
        const char *error = result == 0                     ? NULL
                            : result == MUSTER_E_INVALID    ? "unknown_node"
                            : result == MUSTER_E_NOT_LEADER ? "no_commander"
                                                            : "timeout";
        if (owner->on_answer != NULL) {
            owner->on_answer(owner->context, wait->request, error);
        }
        return;
    }
    struct muster_election_member *asker = muster_election_member_find(group, wait->asker);
    if (asker != NULL) {
        struct muster_election_frame frame = {
            .kind = MUSTER_FRAME_ANSWER, .id = (uint64_t)wait->request, .result = (uint8_t)-result};
        muster_election_member_send(asker, &frame);
    }
}

/* Takes the wait out before it answers: what the answer sets off may come back here. */
static void end_wait(struct muster_election_group *group, struct muster_election_wait **at,
                     int result) {
    struct muster_election_wait *wait = *at;
    *at = wait->next;
    answer(group, wait, result);
    free(wait);
}

static struct muster_election_wait *add_wait(struct muster_election_group *group) {
    static uint64_t ids;
    struct muster_election_wait *wait;
    unsigned n = 0;
    for (wait = group->waits; wait != NULL; wait = wait->next) {
        n++;
    }
    wait = n < WAITS_MAX ? calloc(1, sizeof *wait) : NULL;
    if (wait == NULL) {
        return NULL;
    }
    wait->id = ++ids;
    wait->until_ms = uv_now(group->elections->loop) + PROMOTE_LIMIT_MS;
    wait->next = group->waits;
    group->waits = wait;
    muster_election_chores_begin(group);
    return wait;
}

void muster_election_chores_committed(struct muster_election_group *group) {
    struct muster_election_wait **at = &group->waits;
    while (*at != NULL) {
        if (!(*at)->forwarded && (*at)->stamp.term != 0 &&
            muster_stamp_compare((*at)->stamp, group->committed) <= 0) {
            end_wait(group, at, 0);
            at = &group->waits;
        } else {
            at = &(*at)->next;
        }
    }
}

static void expire_waits(struct muster_election_group *group) {
    uint64_t now = uv_now(group->elections->loop);
    struct muster_election_wait **at = &group->waits;
    while (*at != NULL) {
        if (now >= (*at)->until_ms) {
            end_wait(group, at, MUSTER_E_BUSY);
            at = &group->waits;
        } else {
            at = &(*at)->next;
        }
    }
}

/* --- Promoting --- */

static int promote_here(struct muster_election_group *group, muster_member member, uint8_t role,
                        muster_member asker, int64_t request) {
    struct muster_commander_event event = {
        .kind = MUSTER_COMMANDER_PROMOTE, .member = member, .role = (enum muster_cluster_role)role};
    int error = muster_election_group_step(group, &event);
    if (error != 0) {
        return error;
    }
    struct muster_election_wait *wait = add_wait(group);
    if (wait == NULL) {
        return MUSTER_E_BUSY;
    }
    wait->asker = asker;
    wait->request = request;
    wait->stamp = muster_commander_table(&group->core)->stamp;
    return 0;
}

static struct muster_election_member *leader_elsewhere(struct muster_election_group *group) {
    muster_member leader = muster_election_group_leader(group);
    struct muster_election_member *m =
        leader != MUSTER_NOBODY ? muster_election_member_find(group, leader) : NULL;
    return m != NULL && m->peer != NULL ? m : NULL;
}

const char *muster_election_promote(struct muster_election_group *group, muster_member member,
                                    const struct muster_node_name *name,
                                    enum muster_cluster_role role, int64_t request) {
    if (muster_election_group_is_leader(group)) {
        int error = promote_here(group, member, (uint8_t)role, MUSTER_NOBODY, request);
        return error == 0                     ? NULL
               : error == MUSTER_E_INVALID    ? "unknown_node"
               : error == MUSTER_E_NOT_LEADER ? "no_commander"
                                              : "timeout";
    }
    struct muster_election_member *leader = leader_elsewhere(group);
    if (leader == NULL) {
        return "no_commander";
    }
    struct muster_election_wait *wait = add_wait(group);
    if (wait == NULL) {
        return "timeout";
    }
    wait->request = request;
    wait->forwarded = true;
    struct muster_election_frame frame = {.kind = MUSTER_FRAME_REQUEST,
                                          .id = wait->id,
                                          .op = MUSTER_REQUEST_PROMOTE,
                                          .role = (uint8_t)role,
                                          .name = *name};
    muster_election_member_send(leader, &frame);
    return NULL;
}

/* --- Voters, and members without a C node --- */

static void forward(struct muster_election_group *group, struct muster_election_member *m,
                    enum muster_election_request_op op) {
    struct muster_election_member *leader = leader_elsewhere(group);
    if (leader != NULL) {
        struct muster_election_frame frame = {
            .kind = MUSTER_FRAME_REQUEST, .op = (uint8_t)op, .name = m->beam};
        muster_election_member_send(leader, &frame);
    }
}

static void change_voter(struct muster_election_group *group, struct muster_election_member *m,
                         bool add) {
    const struct muster_election *core = muster_election_group_core(group);
    bool *wanted = add ? &m->to_add : &m->to_remove;
    if (muster_config_has(&core->config, m->id) == add) {
        *wanted = false;
    } else if (muster_election_group_is_leader(group)) {
        if (!add || (m->peer != NULL && !m->observes)) {
            (void)muster_election_group_happen(
                group, add ? MUSTER_EVENT_ADD_VOTER : MUSTER_EVENT_REMOVE_VOTER, m->id);
        }
    } else {
        forward(group, m, add ? MUSTER_REQUEST_ADD_VOTER : MUSTER_REQUEST_REMOVE_VOTER);
    }
}

static void enrol(struct muster_election_group *group, struct muster_election_member *m) {
    const struct muster_role_row *row =
        muster_table_look(muster_commander_table(&group->core), m->id);
    if (row != NULL && (row->alive || row->incarnation != 0)) {
        m->to_enrol = false;
    } else if (muster_election_group_is_leader(group)) {
        struct muster_commander_event event = {.kind = MUSTER_COMMANDER_JOINED, .member = m->id};
        (void)muster_election_group_step(group, &event);
    } else {
        forward(group, m, MUSTER_REQUEST_JOINED);
    }
}

static bool do_chores(struct muster_election_group *group) {
    bool left = group->waits != NULL;
    for (struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        if (m->to_add) {
            change_voter(group, m, true);
        }
        if (m->to_remove) {
            change_voter(group, m, false);
        }
        if (m->to_enrol) {
            enrol(group, m);
        }
        left = left || m->to_add || m->to_remove || m->to_enrol;
    }
    return left;
}

static void on_chores(uv_timer_t *timer) {
    struct muster_election_group *group = timer->data;
    expire_waits(group);
    if (!do_chores(group)) {
        uv_timer_stop(&group->chores);
    }
}

void muster_election_chores_begin(struct muster_election_group *group) {
    if (!group->ending && !uv_is_active((uv_handle_t *)&group->chores)) {
        uv_timer_start(&group->chores, on_chores, 0, CHORES_MS);
    }
}

void muster_election_chores_stop(struct muster_election_group *group) {
    uv_timer_stop(&group->chores);
    while (group->waits != NULL) {
        end_wait(group, &group->waits, MUSTER_E_BUSY);
    }
}

/* --- Leaving --- */

void muster_election_member_left(struct muster_election_group *group,
                                 const struct muster_node_name *name) {
    struct muster_election_frame frame = {.kind = MUSTER_FRAME_LEFT, .name = *name};
    for (struct muster_election_member *m = group->members; m != NULL; m = m->next) {
        muster_election_member_send(m, &frame);
    }
    struct muster_commander_event event = {.kind = MUSTER_COMMANDER_LEFT,
                                           .member = muster_member_of(name)};
    if (event.member != group->self_id) {
        muster_election_group_step(group, &event);
    }
}

/* --- What others ask for --- */

static void on_promote(struct muster_election_member *from,
                       const struct muster_election_frame *frame) {
    struct muster_election_group *group = from->group;
    muster_member asker = from->id;
    int error =
        promote_here(group, muster_member_of(&frame->name), frame->role, asker, (int64_t)frame->id);
    if (error != 0) {
        struct muster_election_frame refusal = {
            .kind = MUSTER_FRAME_ANSWER, .id = frame->id, .result = (uint8_t)-error};
        muster_election_member_send(from, &refusal);
    }
}

/* Only the leader takes a request: whoever asked asks again. */
static void on_request(struct muster_election_member *from,
                       const struct muster_election_frame *frame) {
    struct muster_election_group *group = from->group;
    bool commander = group->kind == MUSTER_ELECTION_COMMANDER;
    if (frame->op == MUSTER_REQUEST_PROMOTE && commander) {
        on_promote(from, frame);
        return;
    }
    if (!muster_election_group_is_leader(group)) {
        return;
    }
    struct muster_election_member *m = muster_election_member_add(group, &frame->name);
    if (m == NULL) {
        return;
    }
    if (frame->op == MUSTER_REQUEST_ADD_VOTER && !commander) {
        m->joined = true; /* it must answer this one before it can be added */
        muster_election_member_review(m);
        change_voter(group, m, true);
    } else if (frame->op == MUSTER_REQUEST_REMOVE_VOTER && !commander) {
        change_voter(group, m, false);
    } else if (frame->op == MUSTER_REQUEST_JOINED && commander) {
        enrol(group, m);
    }
}

static void on_answer(struct muster_election_group *group,
                      const struct muster_election_frame *frame) {
    struct muster_election_wait **at = &group->waits;
    while (*at != NULL && (!(*at)->forwarded || (*at)->id != frame->id)) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        end_wait(group, at, -(int)frame->result);
    }
}

void muster_election_chores_receive(struct muster_election_member *from,
                                    const struct muster_election_frame *frame) {
    if (frame->kind == MUSTER_FRAME_ANSWER) {
        on_answer(from->group, frame);
    } else {
        on_request(from, frame);
    }
}
