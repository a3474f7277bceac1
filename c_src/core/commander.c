#include "core/commander_internal.h"

#include "core/errors.h"

#include <stddef.h>
#include <string.h>

/* No honest clock shows more, ms; keeps sums in range. */
#define CLOCK_MAX (INT64_C(1) << 60)

void muster_commander_options_default(struct muster_commander_options *options) {
    memset(options, 0, sizeof *options);
    muster_election_options_default(&options->election);
    options->quorum_size = 1;
    options->settle = 3000;
    options->hold_down = 10000;
    options->hold_down_max = 600000;
}

static int check(const struct muster_commander_options *options) {
    bool valid = options->quorum_size >= 1 && options->quorum_size <= MUSTER_MEMBERS_MAX &&
                 options->incarnation != 0 && options->hold_down >= 1 &&
                 options->hold_down <= options->hold_down_max;
    return valid ? 0 : MUSTER_E_INVALID;
}

int muster_commander_init(struct muster_commander *c,
                          const struct muster_commander_options *options,
                          struct muster_moment moment) {
    memset(c, 0, sizeof *c);
    int error = check(options);
    if (error != 0)
        return error;
    c->options = *options;
    struct muster_election_options election = options->election;
    election.membership = MUSTER_MEMBERSHIP_SEEN;
    election.durable = false;
    election.quorum_min = options->quorum_size;
    return muster_election_init(&c->election, &election, &election.self, 1, NULL, moment);
}

/* Two leaders of one term may both have written tables; that of the one not followed is void. */
static void drop_rival_table(struct muster_commander *c, const struct muster_message *message) {
    bool rival =
        c->table.stamp.term == message->term && c->table.writer_election != message->election;
    if (!rival)
        return;
    c->table.stamp.version = 0;
    muster_election_set_stamp(&c->election, c->table.stamp);
}

/* The cluster's clock as a message tells it is late by the time the message took: the least late
 * counts, unless it is another clock. */
static void set_clock(struct muster_commander *c, const struct muster_note *note, uint64_t epoch) {
    int64_t offset = note->clock - (int64_t)(c->election.now / 1000);
    if (epoch != c->clock_epoch || offset > c->clock_offset)
        c->clock_offset = offset;
    c->clock_epoch = epoch;
}

/* Takes over the table of a leader that the coming step will follow, so that the acknowledgement
 * already says that it is held; or of a voter that refuses this member for want of it. */
static int take_table(struct muster_commander *c, muster_member from,
                      const struct muster_message *message, const struct muster_note *note,
                      bool *taken) {
    if (note->clock < -CLOCK_MAX || note->clock > CLOCK_MAX)
        return MUSTER_E_MALFORMED;
    bool leaders = muster_election_would_follow(&c->election, from, message);
    bool taught = message->carries && muster_election_asked(&c->election, message);
    if (!leaders && !taught)
        return 0;
    if (leaders)
        drop_rival_table(c, message);
    const struct muster_role_table *table = note->table;
    if (table == NULL || muster_stamp_compare(table->stamp, c->election.config.stamp) <= 0) {
        if (leaders) /* on whose clock the table runs that is here */
            set_clock(c, note, c->table.epoch);
        return 0;
    }
    if (muster_table_check(table) != 0 || muster_stamp_compare(table->stamp, message->stamp) < 0)
        return MUSTER_E_MALFORMED;
    set_clock(c, note, table->epoch);
    c->table = *table;
    muster_election_set_stamp(&c->election, table->stamp);
    *taken = true;
    return 0;
}

/* The message that it gives way to is not answered: the next one finds it a follower. */
static int give_way(struct muster_commander *c, struct muster_moment moment,
                    struct muster_commander_effects *effects) {
    static const struct muster_event resign = {.kind = MUSTER_EVENT_RESIGN};
    int error = muster_election_step(&c->election, &resign, moment, &effects->election);
    muster_commander_forget_table(c);
    effects->table_changed = true;
    return error;
}

static int step_election(struct muster_commander *c, const struct muster_commander_event *event,
                         struct muster_moment moment, struct muster_commander_effects *effects) {
    const struct muster_event *inner = &event->election;
    if (moment.now > c->election.now)
        c->election.now = moment.now;
    if (inner->kind == MUSTER_EVENT_ADD_VOTER || inner->kind == MUSTER_EVENT_REMOVE_VOTER)
        return MUSTER_E_UNSUPPORTED;
    if (inner->kind == MUSTER_EVENT_MESSAGE) {
        if (muster_commander_stands_fast(c, inner->message, event->note))
            return 0;
        int error =
            take_table(c, inner->member, inner->message, event->note, &effects->table_changed);
        if (error != 0)
            return error;
        muster_commander_hear(c, inner->member, inner->message->age, event->note);
        if (muster_commander_gives_way(c, inner->message, event->note))
            return give_way(c, moment, effects);
    }
    int error = muster_election_step(&c->election, inner, moment, &effects->election);
    if (inner->kind == MUSTER_EVENT_LINK_OPENED)
        muster_commander_listen(c);
    return error;
}

/* An attempt to hand over that found no majority counts like a loss; true if the table notes it. */
static bool note_refusals(struct muster_commander *c, const struct muster_effects *effects) {
    bool noted = false;
    for (size_t i = 0; i < effects->count; i++)
        if (effects->list[i].kind == MUSTER_EFFECT_TRANSFER_REFUSED)
            noted = muster_commander_refused(c, effects->list[i].member) || noted;
    return noted;
}

/* What the leader does beside leading: keep the table. */
static void keep_table(struct muster_commander *c, struct muster_commander_effects *effects) {
    bool was_leading = c->leading;
    if (c->election.role == MUSTER_LEADER)
        c->table.stamp = c->election.config.stamp; /* the winner put its term on it */
    c->leading = muster_election_is_leader(&c->election, c->election.now);
    if (!c->leading)
        return;
    bool changed = !was_leading;
    if (!was_leading)
        muster_commander_take_over(c);
    changed = note_refusals(c, &effects->election) || changed;
    /* News waits while a member asks who would have it: they would call its table too old. */
    if (c->election.transfer_to == MUSTER_NOBODY) {
        changed = muster_commander_enrol(c) || changed;
        changed = muster_commander_pardon(c) || changed;
    }
    if (changed)
        muster_commander_publish(c);
    effects->table_changed = effects->table_changed || changed;
}

/* The clock has its turn before a request, too. */
static void step_clock(struct muster_commander *c, struct muster_moment moment,
                       struct muster_commander_effects *effects) {
    static const struct muster_event tick = {.kind = MUSTER_EVENT_TICK};
    muster_election_step(&c->election, &tick, moment, &effects->election);
    keep_table(c, effects);
}

static int dispatch(struct muster_commander *c, const struct muster_commander_event *event,
                    struct muster_moment moment, struct muster_commander_effects *effects) {
    if (event->kind == MUSTER_COMMANDER_ELECTION)
        return step_election(c, event, moment, effects);
    step_clock(c, moment, effects);
    uint64_t version = c->table.stamp.version;
    int result = 0;
    if (event->kind == MUSTER_COMMANDER_PROMOTE)
        result = muster_commander_promote(c, event->member, event->role);
    else if (event->kind == MUSTER_COMMANDER_JOINED)
        result = muster_commander_join(c, event->member);
    else
        muster_commander_leave(c, event->member);
    effects->table_changed = effects->table_changed || c->table.stamp.version != version;
    return result;
}

/* Starts a hand-over when one is due. Its message comes after the others of the step. */
static void yield_command(struct muster_commander *c, struct muster_moment moment,
                          struct muster_effects *effects) {
    muster_member to = c->leading ? muster_commander_successor(c) : MUSTER_NOBODY;
    if (to == MUSTER_NOBODY || c->election.transfer_to != MUSTER_NOBODY)
        return;
    muster_election_start_transfer(&c->election, to, moment, effects);
}

/* An observer by role votes, but does not stand. */
static void obey_role(struct muster_commander *c) {
    const struct muster_role_row *own = muster_table_look(&c->table, c->election.options.self);
    muster_election_bar(&c->election, own != NULL && own->role == MUSTER_ROLE_OBSERVER);
}

static void settle(struct muster_commander *c, struct muster_commander_effects *effects) {
    struct muster_token token;
    muster_member commander = muster_commander_get(c, c->election.now, &token);
    effects->commander_changed = commander != c->shown || token.election != c->shown_election;
    c->shown = commander;
    c->shown_election = token.election;
    effects->note = (struct muster_note){
        .incarnation = c->options.incarnation,
        .clock = muster_commander_clock(c),
        .table = &c->table,
    };
}

int muster_commander_step(struct muster_commander *c, const struct muster_commander_event *event,
                          struct muster_moment moment, struct muster_commander_effects *effects) {
    effects->election.count = 0;
    effects->table_changed = false;
    int result = dispatch(c, event, moment, effects);
    muster_commander_count(c);
    keep_table(c, effects);
    obey_role(c);
    yield_command(c, moment, &effects->election);
    settle(c, effects);
    return result;
}

uint64_t muster_commander_deadline(const struct muster_commander *c) {
    uint64_t deadline = muster_election_deadline(&c->election);
    uint64_t patience = c->leading ? muster_commander_patience(c) : MUSTER_NEVER;
    return patience < deadline ? patience : deadline;
}

muster_member muster_commander_get(const struct muster_commander *c, uint64_t now,
                                   struct muster_token *token) {
    muster_member leader = muster_election_leader(&c->election, now, token);
    const struct muster_role_row *pinned = muster_table_look(&c->table, c->table.pin);
    bool titular = pinned != NULL && pinned->alive && pinned->incarnation == 0;
    return leader != MUSTER_NOBODY && titular ? pinned->id : leader;
}

int muster_commander_role(const struct muster_commander *c, muster_member member, uint64_t now) {
    if (member == muster_commander_get(c, now, NULL) && member != MUSTER_NOBODY)
        return MUSTER_ROLE_COMMANDER;
    const struct muster_role_row *row = muster_table_look(&c->table, member);
    if (row != NULL)
        return row->role;
    return member == c->election.options.self ? MUSTER_ROLE_WINGMATE : MUSTER_E_INVALID;
}

const struct muster_role_table *muster_commander_table(const struct muster_commander *c) {
    return &c->table;
}
