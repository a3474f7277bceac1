#include "test/sim/sim_trace.h"

#include "test/sim/sim_world.h"

#include <stdio.h>

static const char *const event_names[] = {
#define X(name) #name,
    MUSTER_EVENTS(X)
#undef X
};

static const char *const role_names[] = {"follower", "pre-candidate", "candidate", "leader"};

static void print_time(const struct sim_world *world, int node) {
    printf("%10.3f ms  node %d  ", (double)world->now / 1000.0, node);
}

static void print_message(const struct muster_message *m) {
    printf("%s term=%llu election=%04llx", muster_message_name(m->kind),
           (unsigned long long)m->term, (unsigned long long)(m->election & 0xffff));
    if (m->consent != 0)
        printf(" consent=%04llx", (unsigned long long)(m->consent & 0xffff));
    if (m->granted)
        printf(" granted");
    if (m->kind == MUSTER_MESSAGE_RESIGN)
        printf(" successor=%d", sim_index(m->successor));
}

static void print_event(const struct muster_event *event) {
    printf("%s", event_names[event->kind]);
    if (event->member != MUSTER_NOBODY)
        printf(" %d", sim_index(event->member));
    if (event->kind == MUSTER_EVENT_LINK_CLOSED)
        printf(event->by_peer ? " by peer" : " given up");
    if (event->kind == MUSTER_EVENT_MESSAGE) {
        printf(": ");
        print_message(event->message);
    }
}

static void print_effect(const struct muster_effect *effect) {
    switch (effect->kind) {
    case MUSTER_EFFECT_SEND:
        printf("\n%24s-> %d: ", "", sim_index(effect->member));
        print_message(&effect->message);
        break;
    case MUSTER_EFFECT_PERSIST:
        printf("\n%24spersist #%llu", "", (unsigned long long)effect->sequence);
        break;
    case MUSTER_EFFECT_LEADER:
        printf("\n%24sleader is %d", "", sim_index(effect->member));
        break;
    case MUSTER_EFFECT_TERM:
        printf("\n%24sterm is %llu", "", (unsigned long long)effect->token.term);
        break;
    case MUSTER_EFFECT_CONFIG:
        printf("\n%24s%u voters, configuration (%llu, %llu)", "", effect->config->count,
               (unsigned long long)effect->config->stamp.term,
               (unsigned long long)effect->config->stamp.version);
        break;
    case MUSTER_EFFECT_COMMITTED:
        printf("\n%24sa majority holds the configuration", "");
        break;
    case MUSTER_EFFECT_TRANSFER_REFUSED:
        printf("\n%24stransfer to %d failed", "", sim_index(effect->member));
        break;
    }
}

void sim_trace_step(const struct sim_world *world, int node, const struct muster_event *event) {
    const struct muster_election *core = &world->node[node].commander.election;
    print_time(world, node);
    print_event(event);
    printf("  => %s, term %llu", role_names[core->role], (unsigned long long)core->term);
    if (world->newest_error != 0)
        printf(", turned down (%d)", world->newest_error);
    for (size_t i = 0; i < world->effects.election.count; i++)
        print_effect(&world->effects.election.list[i]);
    putchar('\n');
}

void sim_trace_note(const struct sim_world *world, int node, const char *what) {
    print_time(world, node);
    printf("%s\n", what);
}

void sim_trace_tables(const struct sim_world *world) {
    for (int i = 0; i < world->profile.nodes; i++) {
        const struct muster_commander *c = &world->node[i].commander;
        const struct muster_role_table *table = &c->table;
        printf("node %d: age %llu ms, table (%llu, %llu), pin %d\n", i,
               (unsigned long long)muster_election_age(&c->election),
               (unsigned long long)table->stamp.term, (unsigned long long)table->stamp.version,
               sim_index(table->pin));
        for (uint32_t j = 0; j < table->count; j++)
            printf("  %d: %s, started %lld, %u losses, %s\n", sim_index(table->rows[j].id),
                   muster_role_name(table->rows[j].role), (long long)table->rows[j].started,
                   table->rows[j].losses, table->rows[j].alive ? "alive" : "gone");
    }
}
