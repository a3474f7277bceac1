/* The commander: who commands, the one role table, promotions and hold-downs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/commander.h"
#include "core/election_random.h"
#include "core/errors.h"

#include <string.h>

#define NODES 5
#define FLIGHTS 2048
#define MS UINT64_C(1000)

struct flight {
    int from;
    int to;
    struct muster_message message;
    struct muster_note note;
    struct muster_role_table table;
    bool has_table;
};

/* Nodes are numbered from 1. Messages arrive at once; time passes only in pass(). */
static struct {
    uint64_t now;
    uint64_t wall_ms; /* the least new term */
    uint64_t steps;
    bool up[NODES + 1];
    bool cut[NODES + 1][NODES + 1];   /* connected, but nothing gets through */
    bool apart[NODES + 1][NODES + 1]; /* never connected */
    struct muster_commander node[NODES + 1];
    struct flight flights[FLIGHTS];
    int flight_count;
    int error;
    bool committed; /* some leader's table reached a majority in the latest step */
    int changes;    /* of the commander, as node 1 was told */
} w;

static struct muster_commander_effects effects;

static struct muster_moment moment(void) {
    return (struct muster_moment){
        .now = w.now, .wall_ms = w.wall_ms, .random = muster_random_nth(7, w.steps++)};
}

static void post(int from, const struct muster_effect *effect) {
    int to = (int)effect->member;
    if (w.cut[from][to] || !w.up[to])
        return;
    assert_true(w.flight_count < FLIGHTS);
    struct flight *flight = &w.flights[w.flight_count++];
    flight->from = from;
    flight->to = to;
    flight->message = effect->message;
    flight->note = effects.note;
    flight->has_table = effect->message.carries;
    if (flight->has_table)
        flight->table = *effects.note.table;
}

static void step(int node, struct muster_commander_event event) {
    w.error = muster_commander_step(&w.node[node], &event, moment(), &effects);
    w.committed = false;
    for (size_t i = 0; i < effects.election.count; i++) {
        if (effects.election.list[i].kind == MUSTER_EFFECT_SEND)
            post(node, &effects.election.list[i]);
        w.committed = w.committed || effects.election.list[i].kind == MUSTER_EFFECT_COMMITTED;
    }
    if (node == 1 && effects.commander_changed)
        w.changes++;
}

static void happen(int node, enum muster_event_kind kind, int member, bool by_peer) {
    step(node,
         (struct muster_commander_event){
             .kind = MUSTER_COMMANDER_ELECTION,
             .election = {.kind = kind, .member = (muster_member)member, .by_peer = by_peer}});
}

static void ask(int node, enum muster_commander_event_kind kind, muster_member member,
                enum muster_cluster_role role) {
    step(node, (struct muster_commander_event){.kind = kind, .member = member, .role = role});
}

static void settle(void) {
    for (int guard = 0; w.flight_count > 0; guard++) {
        assert_true(guard < 100000);
        static struct flight flight;
        flight = w.flights[0];
        w.flight_count--;
        memmove(&w.flights[0], &w.flights[1], (size_t)w.flight_count * sizeof w.flights[0]);
        if (!w.up[flight.to] || w.cut[flight.from][flight.to])
            continue;
        flight.note.table = flight.has_table ? &flight.table : NULL;
        step(flight.to,
             (struct muster_commander_event){.kind = MUSTER_COMMANDER_ELECTION,
                                             .election = {.kind = MUSTER_EVENT_MESSAGE,
                                                          .member = (muster_member)flight.from,
                                                          .message = &flight.message},
                                             .note = &flight.note});
    }
}

static void pass(uint64_t for_us) {
    uint64_t end = w.now + for_us;
    settle();
    for (;;) {
        int next = 0;
        uint64_t soonest = end;
        for (int i = 1; i <= NODES; i++) {
            uint64_t deadline = w.up[i] ? muster_commander_deadline(&w.node[i]) : MUSTER_NEVER;
            if (deadline <= soonest) {
                soonest = deadline;
                next = i;
            }
        }
        if (next == 0)
            break;
        w.now = soonest > w.now ? soonest : w.now;
        happen(next, MUSTER_EVENT_TICK, 0, false);
        settle();
    }
    w.now = end;
}

static void connect(int a, int b) {
    happen(a, MUSTER_EVENT_LINK_OPENED, b, false);
    happen(b, MUSTER_EVENT_LINK_OPENED, a, false);
}

static void start(int node, uint64_t age_ms, uint32_t quorum_size) {
    struct muster_commander_options options;
    muster_commander_options_default(&options);
    options.election.self = (muster_member)node;
    options.election.age = age_ms;
    options.quorum_size = quorum_size;
    options.incarnation = muster_random_nth(99, w.steps) | 1;
    assert_int_equal(0, muster_commander_init(&w.node[node], &options, moment()));
    w.up[node] = true;
    for (int i = 1; i <= NODES; i++)
        if (i != node && w.up[i] && !w.apart[node][i])
            connect(node, i);
}

static void crash(int node) {
    w.up[node] = false;
    for (int i = 1; i <= NODES; i++)
        if (i != node && w.up[i])
            happen(i, MUSTER_EVENT_LINK_CLOSED, node, true);
}

/* Whom every running node names, or 0 if they differ or one names nobody. */
static int commander(void) {
    int named = -1;
    for (int i = 1; i <= NODES; i++) {
        if (!w.up[i])
            continue;
        int here = (int)muster_commander_get(&w.node[i], w.now, NULL);
        if (named != -1 && named != here)
            return 0;
        named = here;
    }
    return named;
}

static void assert_one_table(void) {
    const struct muster_role_table *first = NULL;
    for (int i = 1; i <= NODES; i++) {
        if (!w.up[i])
            continue;
        const struct muster_role_table *table = muster_commander_table(&w.node[i]);
        if (first == NULL)
            first = table;
        assert_int_equal(0, muster_stamp_compare(first->stamp, table->stamp));
        assert_int_equal(first->count, table->count);
        assert_memory_equal(first->rows, table->rows, first->count * sizeof first->rows[0]);
    }
}

static void begin(void) {
    memset(&w, 0, sizeof w);
    w.now = 1000 * MS;
}

/* Five nodes; the higher the number, the older. */
static void begin_with_five(void) {
    begin();
    for (int i = 1; i <= NODES; i++)
        start(i, (uint64_t)i * 10000, 3);
    pass(5000 * MS);
}

static void alone_with_quorum_1_it_commands_at_once(void **state) {
    (void)state;
    begin();
    start(1, 0, 1);
    happen(1, MUSTER_EVENT_TICK, 0, false);
    assert_int_equal(1, commander());
    assert_int_equal(MUSTER_ROLE_COMMANDER, muster_commander_role(&w.node[1], 1, w.now));
}

static void with_too_few_there_is_none(void **state) {
    (void)state;
    begin();
    start(1, 0, 2);
    pass(3000 * MS);
    assert_int_equal(0, commander());
    start(2, 0, 2);
    pass(1500 * MS);
    assert_int_not_equal(0, commander());
    crash(2);
    assert_int_equal(0, muster_commander_get(&w.node[1], w.now, NULL));
    pass(3000 * MS);
    assert_int_equal(0, muster_commander_get(&w.node[1], w.now, NULL));
}

static void the_longest_running_commands_in_the_end_and_all_agree(void **state) {
    (void)state;
    begin_with_five();
    assert_int_equal(5, commander());
    assert_one_table();
    for (int i = 1; i < NODES; i++)
        assert_int_equal(MUSTER_ROLE_WINGMATE,
                         muster_commander_role(&w.node[2], (muster_member)i, w.now));
    assert_int_equal(MUSTER_ROLE_COMMANDER, muster_commander_role(&w.node[2], 5, w.now));
    assert_int_equal(MUSTER_E_INVALID, muster_commander_role(&w.node[2], 77, w.now));
}

static void the_next_oldest_follows_and_a_restarted_one_is_young_again(void **state) {
    (void)state;
    begin_with_five();
    crash(5);
    pass(5000 * MS);
    assert_int_equal(4, commander());
    start(5, 0, 3);
    pass(20000 * MS);
    assert_int_equal(4, commander());
    assert_one_table();
}

static void it_yields_only_to_one_older_by_more_than_a_second(void **state) {
    (void)state;
    begin();
    for (int i = 1; i <= 3; i++)
        start(i, 10000, 3);
    pass(3000 * MS);
    int first = commander();
    assert_int_not_equal(0, first);
    w.changes = 0;
    start(4, 13900, 3); /* 3 s have passed: 0.9 s older */
    pass(5000 * MS);
    assert_int_equal(first, commander());
    start(5, 19500, 3); /* 8 s have passed: 1.5 s older */
    pass(5000 * MS);
    assert_int_equal(5, commander());
}

static void a_senior_that_too_few_hear_causes_no_gap(void **state) {
    (void)state;
    begin();
    for (int i = 1; i <= NODES; i++)
        start(i, (uint64_t)i * 10000, 3);
    for (int i = 1; i <= 3; i++)
        w.cut[i][5] = w.cut[5][i] = true; /* it hears node 4 alone */
    pass(5000 * MS);
    w.changes = 0;
    pass(60000 * MS);
    assert_int_equal(0, w.changes);
    assert_int_equal(4, muster_commander_get(&w.node[1], w.now, NULL));
}

static void a_senior_that_answers_late_is_not_asked(void **state) {
    (void)state;
    begin();
    for (int i = 1; i < NODES; i++)
        start(i, (uint64_t)i * 10000, 3);
    pass(5000 * MS);
    assert_int_equal(4, commander());
    start(5, 50000, 3);
    w.changes = 0;
    for (int i = 0; i < 20; i++) { /* one heartbeat in twenty is lost */
        pass(950 * MS);
        w.cut[5][4] = true;
        pass(50 * MS);
        w.cut[5][4] = false;
    }
    assert_int_equal(0, w.changes);
    assert_int_equal(4, commander());
    pass(5000 * MS);
    assert_int_equal(5, commander());
}

static void whoever_loses_it_is_held_down_and_twice_as_long_the_next_time(void **state) {
    (void)state;
    begin_with_five();
    uint64_t waits[2];
    for (int i = 0; i < 2; i++) {
        for (int j = 1; j < NODES; j++)
            w.cut[j][5] = true; /* node 5 hears nobody, and its lease ends */
        pass(600 * MS);
        memset(w.cut, 0, sizeof w.cut);
        pass(600 * MS);
        assert_int_not_equal(5, commander());
        uint64_t lost = w.now;
        while (commander() != 5)
            pass(10 * MS);
        waits[i] = w.now - lost;
    }
    assert_in_range(waits[0], 8000 * MS, 12000 * MS);
    assert_in_range(waits[1], 17000 * MS, 22000 * MS);
}

static void a_promoted_commander_stays(void **state) {
    (void)state;
    begin_with_five();
    ask(2, MUSTER_COMMANDER_PROMOTE, 2, MUSTER_ROLE_COMMANDER);
    assert_int_equal(MUSTER_E_NOT_LEADER, w.error);
    ask(5, MUSTER_COMMANDER_PROMOTE, 77, MUSTER_ROLE_COMMANDER);
    assert_int_equal(MUSTER_E_INVALID, w.error);
    ask(5, MUSTER_COMMANDER_PROMOTE, 2, MUSTER_ROLE_COMMANDER);
    assert_int_equal(0, w.error);
    pass(200 * MS);
    assert_int_equal(2, commander());
    pass(60000 * MS);
    assert_int_equal(2, commander());
    assert_one_table();
    /* No longer than it lives. */
    crash(2);
    pass(5000 * MS);
    assert_int_equal(5, commander());
}

static void another_role_changes_its_row_everywhere(void **state) {
    (void)state;
    begin_with_five();
    ask(5, MUSTER_COMMANDER_PROMOTE, 3, MUSTER_ROLE_RELAY);
    pass(200 * MS);
    for (int i = 1; i <= NODES; i++)
        assert_int_equal(MUSTER_ROLE_RELAY, muster_commander_role(&w.node[i], 3, w.now));
    assert_one_table();
}

static void an_observer_does_not_command(void **state) {
    (void)state;
    begin_with_five();
    ask(5, MUSTER_COMMANDER_PROMOTE, 5, MUSTER_ROLE_OBSERVER);
    pass(2000 * MS);
    assert_int_equal(4, commander());
    assert_int_equal(MUSTER_ROLE_OBSERVER, muster_commander_role(&w.node[1], 5, w.now));
    crash(4);
    pass(3000 * MS);
    assert_int_equal(3, commander());
}

static void a_member_without_a_c_node_may_be_promoted_by_hand(void **state) {
    (void)state;
    begin_with_five();
    ask(5, MUSTER_COMMANDER_JOINED, 100, 0);
    assert_int_equal(0, w.error);
    pass(200 * MS);
    assert_int_equal(MUSTER_ROLE_WINGMATE, muster_commander_role(&w.node[1], 100, w.now));
    ask(5, MUSTER_COMMANDER_PROMOTE, 100, MUSTER_ROLE_COMMANDER);
    pass(200 * MS);
    assert_int_equal(100, commander());
    ask(5, MUSTER_COMMANDER_LEFT, 100, 0);
    pass(200 * MS);
    assert_int_equal(5, commander());
    assert_int_equal(MUSTER_E_INVALID, muster_commander_role(&w.node[1], 100, w.now));
}

/* Its own row may be the one that found no room. */
static void a_commander_that_a_full_table_does_not_list_yields(void **state) {
    (void)state;
    begin();
    start(1, 20000, 1);
    start(2, 10000, 1);
    pass(5000 * MS);
    assert_int_equal(1, commander());
    for (muster_member member = 1000; w.error == 0; member++)
        ask(1, MUSTER_COMMANDER_JOINED, member, 0);
    assert_int_equal(MUSTER_E_LIMIT, w.error);
    start(3, 0, 1);
    pass(1000 * MS);
    assert_null(muster_table_look(muster_commander_table(&w.node[3]), 3));
    happen(2, MUSTER_EVENT_BEAM_SILENT, 0, false);
    crash(1);
    pass(3000 * MS);
    assert_int_equal(3, commander());
    happen(2, MUSTER_EVENT_BEAM_ANSWERS, 0, false);
    pass(15000 * MS);
    assert_int_equal(2, commander());
}

static void a_table_is_acknowledged_when_a_majority_holds_it(void **state) {
    (void)state;
    begin_with_five();
    w.cut[5][1] = w.cut[5][2] = w.cut[5][3] = true;
    ask(5, MUSTER_COMMANDER_PROMOTE, 3, MUSTER_ROLE_RELAY);
    assert_false(w.committed);
    happen(5, MUSTER_EVENT_TICK, 0, false);
    settle();
    assert_false(w.committed);
    memset(w.cut, 0, sizeof w.cut);
    struct muster_stamp wanted = muster_commander_table(&w.node[5])->stamp;
    bool acknowledged = false;
    for (int i = 0; i < 100 && !acknowledged; i++) {
        pass(1 * MS);
        acknowledged = muster_stamp_compare(w.node[5].election.committed, wanted) >= 0;
    }
    assert_true(acknowledged);
}

/* Both halves elect in the same term, and the junior's table gets the higher version. */
static void two_halves_that_meet_have_one_commander_and_its_table(void **state) {
    (void)state;
    begin();
    for (int i = 1; i <= 4; i++)
        for (int j = 1; j <= 4; j++)
            w.apart[i][j] = (i <= 2) != (j <= 2);
    for (int i = 1; i <= 4; i++)
        start(i, (uint64_t)i * 10000, 1);
    pass(5000 * MS);
    for (int i = 0; i < 10; i++)
        ask(2, MUSTER_COMMANDER_PROMOTE, 1, MUSTER_ROLE_RELAY);
    assert_true(w.node[2].table.stamp.version > w.node[4].table.stamp.version);
    assert_int_equal(w.node[2].election.term, w.node[4].election.term);
    for (int i = 1; i <= 2; i++)
        for (int j = 3; j <= 4; j++)
            connect(i, j);
    pass(5000 * MS);
    assert_int_equal(4, commander());
    assert_one_table();
}

/* Three nodes that any one could command alone, and know their roles: 1 observes, 2 relays. */
static void begin_with_roles(void) {
    begin();
    for (int i = 1; i <= 3; i++)
        start(i, (uint64_t)i * 10000, 1);
    pass(5000 * MS);
    assert_int_equal(3, commander());
    ask(3, MUSTER_COMMANDER_PROMOTE, 1, MUSTER_ROLE_OBSERVER);
    ask(3, MUSTER_COMMANDER_PROMOTE, 2, MUSTER_ROLE_RELAY);
    pass(1000 * MS);
}

static void assert_roles_kept(void) {
    assert_one_table();
    const struct muster_role_table *table = muster_commander_table(&w.node[4]);
    assert_int_equal(MUSTER_ROLE_OBSERVER, muster_table_look(table, 1)->role);
    assert_int_equal(MUSTER_ROLE_RELAY, muster_table_look(table, 2)->role);
}

static void start_apart(int node, uint64_t age_ms, uint64_t term) {
    w.wall_ms = term;
    for (int i = 1; i <= NODES; i++)
        w.apart[node][i] = true;
    start(node, age_ms, 1);
    pass(1000 * MS);
    assert_int_equal(node, muster_commander_get(&w.node[node], w.now, NULL));
}

/* Everybody that is younger starts with a higher term, as terms are no lower than the clock. */
static void a_newcomer_that_commanded_itself_leaves_commander_and_roles_alone(void **state) {
    (void)state;
    begin_with_roles();
    start_apart(4, 0, 1000000);
    for (int i = 1; i <= 3; i++) {
        connect(i, 4); /* the commander's link is the last to open */
        pass(100 * MS);
    }
    pass(200 * MS);
    assert_int_equal(3, commander());
    assert_roles_kept();
    pass(5000 * MS);
    assert_int_equal(3, commander());
    assert_roles_kept();
}

/* The other of two: what is left has no majority, but the roles. */
static void a_member_that_comes_back_to_one_without_a_majority_leaves_it_the_roles(void **state) {
    (void)state;
    begin_with_roles();
    crash(3);
    crash(1);
    pass(1000 * MS);
    assert_int_equal(0, commander());
    start_apart(4, 0, 1000000);
    start_apart(5, 0, 1000000);
    connect(4, 2);
    pass(1000 * MS);
    connect(5, 2);
    connect(5, 4);
    pass(5000 * MS);
    assert_int_equal(2, commander());
    assert_one_table();
    start(1, 0, 1);
    start(3, 0, 1);
    pass(5000 * MS);
    assert_roles_kept();
}

static void of_two_that_commanded_themselves_the_senior_does(void **state) {
    (void)state;
    begin();
    start_apart(1, 50000, 1000);
    start_apart(2, 0, 2000);
    connect(1, 2);
    pass(1000 * MS);
    assert_int_equal(1, commander());
    assert_one_table();
}

/* Who holds the newest table may not command, and who may does not hold it. */
static void whoever_lacks_the_newest_table_is_given_it(void **state) {
    (void)state;
    begin();
    for (int i = 1; i <= 4; i++)
        start(i, (uint64_t)i * 10000, 3);
    pass(5000 * MS);
    ask(4, MUSTER_COMMANDER_PROMOTE, 1, MUSTER_ROLE_OBSERVER);
    ask(4, MUSTER_COMMANDER_PROMOTE, 2, MUSTER_ROLE_OBSERVER);
    pass(200 * MS);
    crash(3);
    crash(4);
    start(3, 0, 3);
    start(4, 0, 3);
    pass(5000 * MS);
    assert_in_range(commander(), 3, 4);
    assert_int_equal(MUSTER_ROLE_OBSERVER, muster_commander_role(&w.node[3], 1, w.now));
}

static void whoever_has_left_counts_no_more(void **state) {
    (void)state;
    begin_with_five();
    for (int i = 1; i <= 2; i++) {
        for (int j = 1; j <= NODES; j++)
            if (j != i && w.up[j])
                ask(j, MUSTER_COMMANDER_LEFT, (muster_member)i, 0);
        crash(i);
    }
    pass(1000 * MS);
    assert_int_equal(3, w.node[5].election.config.count);
    assert_int_equal(3, muster_commander_table(&w.node[3])->count);
    assert_int_equal(5, commander());
}

static void tables_are_checked_and_ordered(void **state) {
    (void)state;
    static struct muster_role_table table;
    memset(&table, 0, sizeof table);
    struct muster_role_row *late = muster_table_add(&table, 9);
    late->started = 20;
    muster_table_add(&table, 4)->started = 10;
    assert_int_equal(0, muster_table_check(&table));
    assert_int_equal(4, table.rows[0].id);
    assert_true(muster_table_senior(&table.rows[0], &table.rows[1]));
    table.rows[1].started = 10;
    assert_true(muster_table_senior(&table.rows[0], &table.rows[1])); /* the smaller id */
    assert_false(muster_table_senior(&table.rows[1], &table.rows[0]));
    table.rows[1].role = MUSTER_ROLE_COMMANDER;
    assert_int_equal(MUSTER_E_MALFORMED, muster_table_check(&table));
    table.rows[1].role = MUSTER_ROLE_RELAY;
    table.pin = 9;
    muster_table_remove(&table, 9);
    assert_int_equal(MUSTER_NOBODY, table.pin);
    assert_int_equal(1, table.count);
    assert_string_equal("relay", muster_role_name(MUSTER_ROLE_RELAY));
}

static void options_are_checked(void **state) {
    (void)state;
    struct muster_commander_options options;
    muster_commander_options_default(&options);
    options.election.self = 1;
    assert_int_equal(MUSTER_E_INVALID, muster_commander_init(&w.node[1], &options, moment()));
    options.incarnation = 1;
    assert_int_equal(0, muster_commander_init(&w.node[1], &options, moment()));
    options.quorum_size = 0;
    assert_int_equal(MUSTER_E_INVALID, muster_commander_init(&w.node[1], &options, moment()));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_with_quorum_1_it_commands_at_once),
        cmocka_unit_test(with_too_few_there_is_none),
        cmocka_unit_test(the_longest_running_commands_in_the_end_and_all_agree),
        cmocka_unit_test(the_next_oldest_follows_and_a_restarted_one_is_young_again),
        cmocka_unit_test(it_yields_only_to_one_older_by_more_than_a_second),
        cmocka_unit_test(a_senior_that_too_few_hear_causes_no_gap),
        cmocka_unit_test(a_senior_that_answers_late_is_not_asked),
        cmocka_unit_test(whoever_loses_it_is_held_down_and_twice_as_long_the_next_time),
        cmocka_unit_test(a_promoted_commander_stays),
        cmocka_unit_test(another_role_changes_its_row_everywhere),
        cmocka_unit_test(an_observer_does_not_command),
        cmocka_unit_test(a_member_without_a_c_node_may_be_promoted_by_hand),
        cmocka_unit_test(a_commander_that_a_full_table_does_not_list_yields),
        cmocka_unit_test(a_table_is_acknowledged_when_a_majority_holds_it),
        cmocka_unit_test(two_halves_that_meet_have_one_commander_and_its_table),
        cmocka_unit_test(a_newcomer_that_commanded_itself_leaves_commander_and_roles_alone),
        cmocka_unit_test(a_member_that_comes_back_to_one_without_a_majority_leaves_it_the_roles),
        cmocka_unit_test(of_two_that_commanded_themselves_the_senior_does),
        cmocka_unit_test(whoever_lacks_the_newest_table_is_given_it),
        cmocka_unit_test(whoever_has_left_counts_no_more),
        cmocka_unit_test(tables_are_checked_and_ordered),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
