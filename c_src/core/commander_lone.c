/* A commander of nobody but itself, as any member with `quorum_size` 1 is right after its start,
 * meets others. Its term is the higher one, terms being no lower than the clock; but they have the
 * commander, and the roles. */
#include "core/commander_internal.h"

#include <string.h>

static bool is_lone(const struct muster_commander *c) {
    return c->election.role == MUSTER_LEADER && c->election.config.count == 1;
}

void muster_commander_listen(struct muster_commander *c) {
    const struct muster_election_timing *timing = &c->election.timing;
    if (is_lone(c))
        c->election.heartbeat_at = c->election.now + timing->timeout_max + timing->heartbeat;
}

static bool lists_others(const struct muster_role_table *table) {
    uint32_t members = 0;
    for (uint32_t i = 0; table != NULL && i < table->count; i++)
        if (table->rows[i].alive && table->rows[i].incarnation != 0)
            members++;
    return members > 1;
}

static bool is_heartbeat(const struct muster_message *message) {
    return message->kind == MUSTER_MESSAGE_HEARTBEAT && message->leads;
}

bool muster_commander_stands_fast(const struct muster_commander *c,
                                  const struct muster_message *message,
                                  const struct muster_note *note) {
    return is_lone(c) && is_heartbeat(message) && note->table != NULL &&
           !lists_others(note->table) &&
           muster_age_senior(muster_election_age(&c->election), message->age);
}

bool muster_commander_gives_way(const struct muster_commander *c,
                                const struct muster_message *message,
                                const struct muster_note *note) {
    if (!is_lone(c))
        return false;
    if (is_heartbeat(message))
        return message->term < c->election.term &&
               (lists_others(note->table) ||
                muster_age_senior(message->age, muster_election_age(&c->election)));
    /* It has the table of a cluster that has lost its commander. */
    bool stands = message->kind == MUSTER_MESSAGE_PRE_VOTE || message->kind == MUSTER_MESSAGE_VOTE;
    return stands && message->stamp.version != 0 && message->stamp.term < c->election.term;
}

void muster_commander_forget_table(struct muster_commander *c) {
    memset(&c->table, 0, sizeof c->table);
    memset(c->held_until, 0, sizeof c->held_until);
    c->clock_offset = 0;
    c->clock_epoch = 0;
    muster_election_set_stamp(&c->election, c->table.stamp);
}
