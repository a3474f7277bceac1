/* The roster: whom the commander lists, how old they are, and in which role. */
#include "core/commander_internal.h"

#include "core/errors.h"

#include <stddef.h>
#include <string.h>

/* For so long, in us, a member's age is still corrected, if it is wrong by this much, in ms. */
#define MEASURING UINT64_C(10000000)
#define MISMEASURED 50

int64_t muster_commander_clock(const struct muster_commander *c) {
    return (int64_t)(c->election.now / 1000) + c->clock_offset;
}

static struct muster_about *about(struct muster_commander *c, muster_member member) {
    for (uint32_t i = 0; i < c->about_count; i++)
        if (c->about[i].id == member)
            return &c->about[i];
    return NULL;
}

static bool has_peer(const struct muster_commander *c, muster_member member) {
    const struct muster_election_peer *peer;
    for (uint32_t i = 0; (peer = muster_election_peer(&c->election, i)) != NULL; i++)
        if (peer->id == member)
            return true;
    return false;
}

/* A free place; when there is none, that of one who is gone. There are fewer peers than places. */
static struct muster_about *place(struct muster_commander *c) {
    if (c->about_count < MUSTER_MEMBERS_MAX)
        return &c->about[c->about_count++];
    uint32_t i = 0;
    while (i < MUSTER_MEMBERS_MAX - 1 && has_peer(c, c->about[i].id))
        i++;
    return &c->about[i];
}

/* An age is fixed once for each start of a member, but not by one message that was late. */
static bool measures(const struct muster_commander *c, const struct muster_about *said) {
    return c->election.now < said->first_heard + MEASURING;
}

void muster_commander_hear(struct muster_commander *c, muster_member from, uint64_t age,
                           const struct muster_note *note) {
    struct muster_about *said = about(c, from);
    int64_t started = (int64_t)(c->election.now / 1000) - (int64_t)age;
    if (said != NULL && said->incarnation == note->incarnation) {
        /* The message that took least time tells the age best. */
        if (started < said->started && measures(c, said))
            said->started = started;
        return;
    }
    if (said == NULL)
        said = place(c);
    *said = (struct muster_about){.id = from,
                                  .incarnation = note->incarnation,
                                  .started = started,
                                  .first_heard = c->election.now};
}

void muster_commander_count(struct muster_commander *c) {
    const struct muster_election_peer *peer;
    for (uint32_t i = 0; (peer = muster_election_peer(&c->election, i)) != NULL; i++) {
        const struct muster_about *said = about(c, peer->id);
        bool heard = c->election.role != MUSTER_LEADER || peer->acked != 0;
        bool left = said != NULL && said->left;
        if (peer->link_open && heard && !left)
            (void)muster_election_count_voter(&c->election, peer->id); /* full: it observes */
    }
}

/* Rows and hold-downs have the same index. */
static struct muster_role_row *add_row(struct muster_commander *c, muster_member member) {
    struct muster_role_row *row = muster_table_add(&c->table, member);
    if (row == NULL)
        return NULL;
    uint32_t at = (uint32_t)(row - c->table.rows);
    memmove(&c->held_until[at + 1], &c->held_until[at],
            (c->table.count - 1 - at) * sizeof c->held_until[0]);
    c->held_until[at] = 0;
    return row;
}

static void remove_row(struct muster_commander *c, muster_member member) {
    const struct muster_role_row *row = muster_table_look(&c->table, member);
    if (row == NULL)
        return;
    uint32_t at = (uint32_t)(row - c->table.rows);
    memmove(&c->held_until[at], &c->held_until[at + 1],
            (c->table.count - 1 - at) * sizeof c->held_until[0]);
    muster_table_remove(&c->table, member);
}

static bool enrol(struct muster_commander *c, muster_member id, uint64_t incarnation,
                  int64_t started, bool alive) {
    struct muster_role_row *row = muster_table_find(&c->table, id);
    if (row == NULL)
        row = add_row(c, id);
    if (row == NULL)
        return false;
    bool same = row->incarnation == incarnation && row->alive == alive;
    if (row->incarnation != incarnation) {
        row->incarnation = incarnation;
        row->started = started;
    }
    row->alive = alive;
    return !same;
}

static bool correct_age(struct muster_commander *c, const struct muster_about *said) {
    struct muster_role_row *row = muster_table_find(&c->table, said->id);
    int64_t started = said->started + c->clock_offset;
    if (row == NULL || !measures(c, said) || started >= row->started - MISMEASURED)
        return false;
    row->started = started;
    return true;
}

static bool enrol_peer(struct muster_commander *c, const struct muster_election_peer *peer) {
    const struct muster_about *said = about(c, peer->id);
    const struct muster_role_row *row = muster_table_look(&c->table, peer->id);
    if (said != NULL && !said->left && peer->acked != 0) {
        bool corrected = correct_age(c, said);
        return enrol(c, peer->id, said->incarnation, said->started + c->clock_offset, true) ||
               corrected;
    }
    if (row != NULL && row->incarnation != 0 && row->alive && !peer->link_open)
        return enrol(c, peer->id, row->incarnation, row->started, false);
    return false;
}

bool muster_commander_enrol(struct muster_commander *c) {
    int64_t started = muster_commander_clock(c) - (int64_t)muster_election_age(&c->election);
    bool changed = enrol(c, c->election.options.self, c->options.incarnation, started, true);
    const struct muster_election_peer *peer;
    for (uint32_t i = 0; (peer = muster_election_peer(&c->election, i)) != NULL; i++)
        changed = enrol_peer(c, peer) || changed;
    return changed;
}

void muster_commander_publish(struct muster_commander *c) {
    c->table.stamp = c->election.config.stamp;
    c->table.stamp.version++;
    c->table.writer = c->election.options.self;
    if (c->table.epoch == 0)
        c->table.epoch = c->clock_epoch = c->options.incarnation;
    c->table.writer_election = c->election.election;
    muster_election_set_stamp(&c->election, c->table.stamp);
}

int muster_commander_join(struct muster_commander *c, muster_member member) {
    if (!c->leading)
        return MUSTER_E_NOT_LEADER;
    const struct muster_role_row *row = muster_table_look(&c->table, member);
    if (row != NULL && (row->alive || row->incarnation != 0))
        return 0; /* known, or its C node speaks for it */
    struct muster_role_row *entry =
        row == NULL ? add_row(c, member) : muster_table_find(&c->table, member);
    if (entry == NULL)
        return MUSTER_E_LIMIT;
    entry->started = muster_commander_clock(c);
    entry->alive = true;
    muster_commander_publish(c);
    return 0;
}

void muster_commander_leave(struct muster_commander *c, muster_member member) {
    struct muster_about *said = about(c, member);
    if (said != NULL)
        said->left = true; /* until it comes back as another incarnation */
    muster_election_forget_voter(&c->election, member);
    if (!c->leading || muster_table_look(&c->table, member) == NULL ||
        member == c->election.options.self)
        return;
    remove_row(c, member);
    muster_commander_publish(c);
}

int muster_commander_promote(struct muster_commander *c, muster_member member,
                             enum muster_cluster_role role) {
    if (!c->leading)
        return MUSTER_E_NOT_LEADER;
    struct muster_role_row *row = muster_table_find(&c->table, member);
    if (row == NULL || role < MUSTER_ROLE_WINGMATE || role > MUSTER_ROLE_COMMANDER)
        return MUSTER_E_INVALID;
    if (role == MUSTER_ROLE_COMMANDER) {
        c->table.pin = member;
        muster_election_cancel_transfer(&c->election);
        row->role = MUSTER_ROLE_WINGMATE;
        row->losses = 0;
        c->held_until[row - c->table.rows] = 0;
    } else {
        if (c->table.pin == member)
            c->table.pin = MUSTER_NOBODY;
        row->role = role;
        /* Whoever is told to be something else shall not be handed the command back at once. */
        if (member == c->election.options.self)
            muster_commander_hold(c, member);
    }
    muster_commander_publish(c);
    return 0;
}
