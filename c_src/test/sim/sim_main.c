/*
 * The election's simulator: schedules of mishaps, drawn from seeds, played against the real core.
 *
 * What must hold, checked after every step (by these numbers in sim_check.c):
 *
 *  1. At most one member leads at a time, by its own clock.
 *  2. With saved votes: at most one leader per term, ever.
 *  3. No fencing token is used twice.
 *  4. Terms never go back; with saved votes not over restarts either.
 *  5. A majority acknowledged what the leader sent less than election_timeout_min ago (its bound).
 *  6. A candidacy is decided within election_timeout_max.
 *  7. A member that hears no majority does not raise its term.
 *  8. Voters change one at a time, by a leader, after a majority has the current ones on disk.
 *  9. Two configurations with one stamp are the same.
 * 10. Observers neither vote nor lead.
 * 11. While all is well and a leader is heard, nothing changes.
 * 12. A vote is on the disk before it is given.
 * 13. No voter votes twice in a term.
 * 14. No voter votes while it may have forgotten a vote, or whom it was loyal to.
 * 15. Without saved votes: nor does it hold up a lease while it may have forgotten a vote.
 * 16. Nobody votes for somebody else, or stands, while a leader's lease counts on it.
 * 17. Once all is well, everyone names one leader within a bound; the commander's nodes also have
 *     one role table, and the longest-running member commands, or the one promoted by hand.
 * 18. After a transfer, or a promotion to commander, its target leads.
 *
 * With --promises only those of them that a user sees are checked (1 to 4, 11, 17, 18). A quarter
 * of the schedules play the commander: no declared voters and no saved votes, so 1, 14 and 15 hold
 * where quorum_size is more than half of the nodes, and 2, 8, 9 and 12 do not apply.
 *
 * What goes wrong until then: messages are lost, late, doubled and overtake each other; links close
 * and are dialled again; partitions, also one-way, come and go; processes crash (alone, in the
 * middle of a step, many at once, with their host), restart with and without what they saved, and
 * are stopped for a while (candidates and leaders above all); disks are slow and lose what was not
 * written; clocks run at different speeds and wall clocks are wrong; leaders resign, transfer,
 * leave and lose their BEAM; voters are added and removed.
 */
#include "test/sim/sim_trace.h"
#include "test/sim/sim_world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALM_BOUND (8000 * SIM_MS)
#define TRANSFER_BOUND (1000 * SIM_MS)
#define POLL (10 * SIM_MS)
#define LATENCIES 501

struct settings {
    uint64_t seed;
    uint64_t schedules;
    int nodes; /* 0: 3, 4, 5 and 7 by turns */
    bool trace;
    bool promises_only;
    bool expect_failure;
    const char *mutation;
};

struct totals {
    uint64_t passed;
    uint64_t failed;
    uint64_t steps;
    uint64_t leaderships;
    uint64_t changes;
    uint64_t transfers;
    uint64_t virtual_ms;
    uint64_t elected_within[LATENCIES]; /* schedules by 10 ms from all being well to agreement */
};

static struct sim_profile draw_profile(uint64_t seed, int nodes) {
    static const int sizes[] = {3, 4, 5, 7};
    struct sim_random r;
    sim_random_init(&r, ~seed);
    struct sim_profile p = {0};
    p.nodes = nodes != 0 ? nodes : sizes[seed % 4];
    p.commander = sim_random_chance(&r, 250);
    bool safe = sim_random_chance(&r, 700);
    p.quorum_size = safe ? (uint32_t)p.nodes / 2 + 1 : (uint32_t)sim_random_between(&r, 1, 2);
    p.durable = !p.commander && sim_random_chance(&r, 500);
    p.voters = p.nodes > 3 && sim_random_chance(&r, 300) ? p.nodes - 1 : p.nodes;
    p.delay_max = sim_random_between(&r, 300, 20 * SIM_MS);
    p.straggler_rate = sim_random_between(&r, 0, 100);
    p.straggler_max = sim_random_between(&r, 10 * SIM_MS, 800 * SIM_MS);
    p.loss = sim_random_chance(&r, 500) ? 0 : sim_random_between(&r, 0, 200);
    p.duplication = sim_random_between(&r, 0, 100);
    p.disk_max = sim_random_between(&r, 100, 15 * SIM_MS);
    p.chaos_mean = sim_random_between(&r, 40 * SIM_MS, 700 * SIM_MS);
    p.chaos_until = sim_random_between(&r, 2500 * SIM_MS, 6000 * SIM_MS);
    p.silence = sim_random_between(&r, 400 * SIM_MS, 3000 * SIM_MS);
    p.drift = sim_random_chance(&r, 500) ? 10 : (uint32_t)sim_random_between(&r, 0, 100);
    return p;
}

static void end_chaos(struct sim_world *world) {
    world->calm = true;
    world->profile.delay_max = world->profile.delay_max < 5000 ? world->profile.delay_max : 5000;
    if (world->profile.silence > 500 * SIM_MS)
        world->profile.silence = 500 * SIM_MS;
    sim_heal(world);
    for (int i = 0; i < world->profile.nodes; i++) {
        struct sim_node *n = &world->node[i];
        n->crash_after = -1;
        if (!n->up)
            sim_start(world, i);
        n->paused_until = 0;
        sim_step(world, i, (struct muster_event){.kind = MUSTER_EVENT_BEAM_ANSWERS});
    }
}

static bool run_until_agreed(struct sim_world *world, uint64_t bound, int wanted) {
    uint64_t end = world->now + bound;
    while (world->now < end && sim_world_run(world, world->now + POLL)) {
        int leader = sim_check_agreed(world);
        if (leader >= 0 && (wanted < 0 || leader == wanted))
            return true;
    }
    return false;
}

/* Leader and term must stay as they are for a while. */
static void hold_still(struct sim_world *world, int leader) {
    if (world->check.failed || leader < 0)
        return;
    world->check.calm_term = world->node[leader].commander.election.term;
    world->check.calm_leader = true;
    sim_world_run(world, world->now + 800 * SIM_MS);
    world->check.calm_leader = false;
}

static bool all_linked(const struct sim_world *world) {
    for (int i = 0; i < world->profile.nodes; i++)
        for (int j = 0; j < world->profile.nodes; j++)
            if (i != j && (world->view[i][j] == 0 || world->view[i][j] != world->view[j][i]))
                return false;
    return true;
}

static void elect(struct sim_world *world, struct totals *totals) {
    uint64_t begun = world->now;
    if (!run_until_agreed(world, CALM_BOUND, -1)) {
        sim_fail(world, "no leader %d ms after all was well", (int)(CALM_BOUND / SIM_MS));
        return;
    }
    uint64_t took = (world->now - begun) / (10 * SIM_MS);
    totals->elected_within[took < LATENCIES ? took : LATENCIES - 1]++;
    /* Dead links and messages of the chaos may still cost a leader; then nothing may. */
    for (int i = 0; i < 500 && !world->check.failed && !all_linked(world); i++)
        sim_world_run(world, world->now + POLL);
    uint64_t longest_hold = 2500 * SIM_MS;
    sim_world_run(world, world->now + (world->profile.commander ? longest_hold : 1000 * SIM_MS));
    if (!run_until_agreed(world, CALM_BOUND, -1))
        sim_fail(world, "no lasting leader after all was well");
}

/* A promotion by hand puts its member in command, and keeps it there. */
static void pin_leader(struct sim_world *world, struct totals *totals, int leader) {
    int target = (int)sim_random_between(&world->random, 0, (uint64_t)world->profile.nodes - 1);
    sim_request(world, leader, MUSTER_COMMANDER_PROMOTE, sim_id(target), MUSTER_ROLE_COMMANDER);
    if (world->newest_error != 0)
        sim_fail(world, "a healthy promotion is turned down (%d)", world->newest_error);
    else if (!run_until_agreed(world, TRANSFER_BOUND, target))
        sim_fail(world, "node %d does not command after its promotion", target);
    else
        totals->transfers++;
}

static void move_leader(struct sim_world *world, struct totals *totals) {
    int leader = sim_check_agreed(world);
    if (world->check.failed || leader < 0)
        return;
    if (world->profile.commander) {
        pin_leader(world, totals, leader);
        return;
    }
    const struct muster_config *config = &world->node[leader].commander.election.config;
    uint64_t pick = sim_random_between(&world->random, 0, config->count - 1);
    int target = sim_index(config->voters[pick]);
    if (target == leader)
        return;
    struct muster_event event = {.kind = MUSTER_EVENT_TRANSFER, .member = sim_id(target)};
    sim_step(world, leader, event);
    if (world->newest_error != 0)
        sim_fail(world, "a healthy transfer is turned down (%d)", world->newest_error);
    else if (!run_until_agreed(world, TRANSFER_BOUND, target))
        sim_fail(world, "node %d does not lead after a transfer", target);
    else
        totals->transfers++;
}

static void play(struct sim_world *world, struct totals *totals) {
    if (!sim_world_run(world, world->profile.chaos_until))
        return;
    end_chaos(world);
    elect(world, totals);
    /* A commander may still learn that somebody else is a little more than a second older. */
    if (!world->profile.commander)
        hold_still(world, sim_check_agreed(world));
    move_leader(world, totals);
    hold_still(world, sim_check_agreed(world));
}

static bool run_schedule(const struct settings *settings, uint64_t seed, struct totals *totals) {
    static struct sim_world world;
    struct sim_profile profile = draw_profile(seed, settings->nodes);
    sim_world_init(&world, seed, &profile);
    world.trace = settings->trace;
    world.check.promises_only = settings->promises_only;
    play(&world, totals);
    totals->steps += world.steps;
    totals->virtual_ms += world.now / SIM_MS;
    totals->leaderships += world.check.leaderships;
    totals->changes += world.check.config_changes;
    bool failed = world.check.failed;
    if (failed && settings->trace && profile.commander)
        sim_trace_tables(&world);
    if (failed)
        printf("seed %llu (%d nodes, %s): at %.3f ms: %s\n", (unsigned long long)seed,
               profile.nodes, profile.durable ? "saved votes" : "no saved votes",
               (double)world.now / 1000.0, world.check.failure);
    sim_world_close(&world);
    return !failed;
}

/* The time within which the given share of the schedules had a leader everyone agreed on, ms. */
static unsigned within(const struct totals *totals, double share) {
    uint64_t all = 0;
    for (int i = 0; i < LATENCIES; i++)
        all += totals->elected_within[i];
    uint64_t sum = 0;
    for (unsigned i = 0; i < LATENCIES; i++) {
        sum += totals->elected_within[i];
        if ((double)sum >= share * (double)all)
            return i * 10;
    }
    return LATENCIES * 10;
}

static void report(const struct totals *totals, double seconds) {
    printf(
        "%llu schedules: %.1f M steps, %.1f h of virtual time, %llu leaderships, %llu changes of "
        "voters, %llu transfers; %.1f s\n",
        (unsigned long long)(totals->passed + totals->failed), (double)totals->steps / 1e6,
        (double)totals->virtual_ms / 3.6e6, (unsigned long long)totals->leaderships,
        (unsigned long long)totals->changes, (unsigned long long)totals->transfers, seconds);
    printf("one leader for all after the last mishap: p50 %u ms, p99 %u ms, p99.9 %u ms\n",
           within(totals, 0.5), within(totals, 0.99), within(totals, 0.999));
}

static void usage(void) {
    puts(
        "muster_sim [--seed N] [--schedules N] [--nodes N] [--trace] [--promises]\n"
        "           [--expect-failure] [--mutation NAME]\n"
        "  --seed            the first schedule's seed (default 1); it alone decides what happens\n"
        "  --schedules       how many, with consecutive seeds (default 1)\n"
        "  --nodes           2 to 24 (default: 3, 4, 5 and 7 by turns)\n"
        "  --trace           every step in readable lines\n"
        "  --promises        check only what users see\n"
        "  --expect-failure  stop at the first broken invariant; it is an error if there is none\n"
        "  --mutation        run the simulator built with this fault in the core instead");
}

static uint64_t number(const char *text, uint64_t low, uint64_t high) {
    char *end;
    unsigned long long value = strtoull(text == NULL ? "" : text, &end, 10);
    if (text == NULL || *text == '\0' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "muster_sim: expected a number from %llu to %llu\n",
                (unsigned long long)low, (unsigned long long)high);
        exit(2);
    }
    return value;
}

static struct settings parse(char **arguments) {
    struct settings s = {.seed = 1, .schedules = 1};
    for (char **a = arguments; *a != NULL; a++) {
        if (strcmp(*a, "--seed") == 0)
            s.seed = number(*++a, 0, UINT64_MAX);
        else if (strcmp(*a, "--schedules") == 0)
            s.schedules = number(*++a, 1, UINT64_MAX);
        else if (strcmp(*a, "--nodes") == 0)
            s.nodes = (int)number(*++a, 2, SIM_NODES_MAX);
        else if (strcmp(*a, "--mutation") == 0 && a[1] != NULL)
            s.mutation = *++a;
        else if (strcmp(*a, "--trace") == 0)
            s.trace = true;
        else if (strcmp(*a, "--promises") == 0)
            s.promises_only = true;
        else if (strcmp(*a, "--expect-failure") == 0)
            s.expect_failure = true;
        else {
            usage();
            exit(strcmp(*a, "--help") == 0 ? 0 : 2);
        }
    }
    return s;
}

/* The faults are compiled in, each in a program of its own beside this one. */
static void become_mutant(const char *name, char **arguments) {
    char path[PATH_MAX];
    const char *slash = strrchr(arguments[0], '/');
    int length = slash == NULL ? 0 : (int)(slash - arguments[0]) + 1;
    snprintf(path, sizeof path, "%.*smutant_%s", length, arguments[0], name);
    char **kept = arguments;
    for (char **a = arguments; *a != NULL; a++) {
        if (strcmp(*a, "--mutation") == 0)
            a++;
        else
            *kept++ = *a;
    }
    *kept = NULL;
    execv(path, arguments);
    perror(path);
    exit(2);
}

int main(int count, char **arguments) {
    (void)count;
    struct settings settings = parse(arguments + 1);
    if (settings.mutation != NULL)
        become_mutant(settings.mutation, arguments);
    static struct totals totals;
    struct timespec begun, ended;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (uint64_t i = 0; i < settings.schedules; i++) {
        if (run_schedule(&settings, settings.seed + i, &totals))
            totals.passed++;
        else
            totals.failed++;
        fflush(stdout);
        if (totals.failed > 0 && settings.expect_failure)
            break;
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    report(&totals,
           (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
    return (totals.failed > 0) == settings.expect_failure ? 0 : 1;
}
