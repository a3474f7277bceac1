/* The succession: the longest-running healthy member, a pin before it, and hold-downs against
 * flapping. */
#include "core/commander_internal.h"

#include <stddef.h>

#define MS UINT64_C(1000)

/* A commander that has kept the command for so many hold-downs has proved itself. */
#define PROOF 6

static uint64_t hold_down(const struct muster_commander *c, uint32_t losses) {
    uint64_t hold = c->options.hold_down;
    for (uint32_t i = 1; i < losses && hold < c->options.hold_down_max; i++)
        hold *= 2;
    if (losses == 0)
        hold = 0;
    return (hold < c->options.hold_down_max ? hold : c->options.hold_down_max) * MS;
}

void muster_commander_hold(struct muster_commander *c, muster_member member) {
    struct muster_role_row *row = muster_table_find(&c->table, member);
    if (row == NULL)
        return;
    if (row->losses < UINT32_MAX)
        row->losses++;
    c->held_until[row - c->table.rows] = c->election.now + hold_down(c, row->losses);
}

bool muster_commander_refused(struct muster_commander *c, muster_member member) {
    const struct muster_role_row *row = muster_table_look(&c->table, member);
    if (row == NULL)
        return false;
    if (member == c->table.pin) {
        /* Ordered by hand: tried again and again. */
        c->held_until[row - c->table.rows] = c->election.now + c->options.settle * MS;
        return false;
    }
    muster_commander_hold(c, member);
    return true;
}

void muster_commander_take_over(struct muster_commander *c) {
    const struct muster_election *e = &c->election;
    c->leading_since = e->now;
    for (uint32_t i = 0; i < c->table.count; i++) {
        bool own = c->table.rows[i].id == e->options.self;
        c->held_until[i] = own ? 0 : e->now + hold_down(c, c->table.rows[i].losses);
    }
    bool willing = e->released == c->table.writer_election && e->released_willingly;
    if (c->table.writer != e->options.self && !willing)
        muster_commander_hold(c, c->table.writer);
}

bool muster_commander_pardon(struct muster_commander *c) {
    struct muster_role_row *own = muster_table_find(&c->table, c->election.options.self);
    if (own == NULL || own->losses == 0 ||
        c->election.now < c->leading_since + PROOF * hold_down(c, own->losses))
        return false;
    own->losses = 0;
    return true;
}

static const struct muster_election_peer *peer_of(const struct muster_commander *c,
                                                  muster_member member) {
    const struct muster_election_peer *peer;
    for (uint32_t i = 0; (peer = muster_election_peer(&c->election, i)) != NULL; i++)
        if (peer->id == member)
            return peer;
    return NULL;
}

/* Whether the member could lead: it has a C node that is well and no role that forbids it. */
static bool able(const struct muster_commander *c, const struct muster_role_row *row) {
    const struct muster_election_peer *peer = peer_of(c, row->id);
    return row->incarnation != 0 && row->alive && row->role != MUSTER_ROLE_OBSERVER &&
           peer != NULL && peer->link_open && peer->eligible;
}

static bool pin_lives(const struct muster_commander *c) {
    const struct muster_role_row *pinned = muster_table_look(&c->table, c->table.pin);
    return pinned != NULL && pinned->alive;
}

/* Whether this commander yields to the member once its time has come. */
static bool outranks(const struct muster_commander *c, const struct muster_role_row *row) {
    const struct muster_role_row *own = muster_table_look(&c->table, c->election.options.self);
    if (!able(c, row))
        return false;
    if (own == NULL || own->role == MUSTER_ROLE_OBSERVER)
        return true; /* a full table has no row for it: anyone listed rather than this one */
    if (c->held_until[own - c->table.rows] > c->election.now)
        return true; /* told to be something else: anyone able rather than this one */
    return row->started + MUSTER_AGE_TOLERANCE < own->started;
}

/* When the command may be handed to this row; never if it should not be. */
static uint64_t due(const struct muster_commander *c, uint32_t index) {
    const struct muster_role_row *row = &c->table.rows[index];
    if (row->id == c->election.options.self)
        return MUSTER_NEVER;
    if (pin_lives(c))
        return row->id == c->table.pin && able(c, row) ? c->held_until[index] : MUSTER_NEVER;
    if (!outranks(c, row))
        return MUSTER_NEVER;
    uint64_t settled = peer_of(c, row->id)->prompt_since + c->options.settle * MS;
    return settled > c->held_until[index] ? settled : c->held_until[index];
}

muster_member muster_commander_successor(const struct muster_commander *c) {
    const struct muster_role_row *best = NULL;
    for (uint32_t i = 0; i < c->table.count; i++) {
        const struct muster_role_row *row = &c->table.rows[i];
        if (due(c, i) <= c->election.now && (best == NULL || muster_table_senior(row, best)))
            best = row;
    }
    return best == NULL ? MUSTER_NOBODY : best->id;
}

uint64_t muster_commander_patience(const struct muster_commander *c) {
    uint64_t next = MUSTER_NEVER;
    for (uint32_t i = 0; i < c->table.count; i++) {
        uint64_t at = due(c, i);
        if (at > c->election.now && at < next)
            next = at;
    }
    return next;
}
