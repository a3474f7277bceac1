/* Changing the voters without a log, as transcripts; options and configurations. */
#include "test/unit/election_cluster.h"

#include "core/errors.h"

static struct cluster c;

static void a_joiner_observes_until_the_leader_makes_it_a_voter(void **state) {
    (void)state;
    cluster_init(&c, 4, 3, true);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 4);
    assert_int_equal(0, c.error);
    cluster_settle(&c);
    cluster_expect(&c, "n1 has 4 voters\n"
                       "n2 has 4 voters\n"
                       "n3 has 4 voters\n"
                       "n4 has 4 voters\n"
                       "n1: a majority has the voters of version 1\n");
    cluster_crash(&c, 2, true);
    cluster_tell(&c, 1, MUSTER_EVENT_TRANSFER, 4);
    cluster_settle(&c);
    assert_int_equal(4, cluster_leader(&c));
}

static void only_the_leader_changes_the_voters(void **state) {
    (void)state;
    cluster_init(&c, 4, 3, true);
    cluster_tell(&c, 4, MUSTER_EVENT_ADD_VOTER, 4);
    assert_int_equal(MUSTER_E_NOT_LEADER, c.error);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    cluster_tell(&c, 4, MUSTER_EVENT_ADD_VOTER, 4);
    assert_int_equal(MUSTER_E_NOT_LEADER, c.error);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 2);
    assert_int_equal(MUSTER_E_INVALID, c.error);
    cluster_tell(&c, 1, MUSTER_EVENT_REMOVE_VOTER, 4);
    assert_int_equal(MUSTER_E_INVALID, c.error);
    cluster_tell(&c, 1, MUSTER_EVENT_REMOVE_VOTER, 1);
    assert_int_equal(MUSTER_E_INVALID, c.error);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 99);
    assert_int_equal(MUSTER_E_INVALID, c.error);
}

/* Why: with the voters 1, 2 and 3, a leader 1 that adds 4 and then 5 while 2 and 3 do not hear it
 * would count 1, 4 and 5 as a majority of five; 2 and 3 are one of three. */
static void the_next_change_waits_for_a_majority_to_hold_the_last(void **state) {
    (void)state;
    cluster_init(&c, 5, 3, true);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    c.cut[1][2] = c.cut[1][3] = c.cut[1][4] = true;
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 4);
    assert_int_equal(0, c.error);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 5);
    assert_int_equal(MUSTER_E_BUSY, c.error);
    memset(c.cut, 0, sizeof c.cut);
    cluster_pass(&c, 60 * MS);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 5);
    assert_int_equal(0, c.error);
}

static void who_keeps_nothing_on_disk_keeps_its_voters(void **state) {
    (void)state;
    cluster_init(&c, 4, 3, false);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 4);
    assert_int_equal(MUSTER_E_UNSUPPORTED, c.error);
}

static void a_candidate_with_older_voters_is_refused_and_told_the_newer(void **state) {
    (void)state;
    cluster_init(&c, 4, 3, true);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    c.cut[1][3] = true;
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 4);
    cluster_settle(&c);
    cluster_crash(&c, 1, true);
    c.now += 400 * MS;
    c.log[0] = '\0';
    cluster_tick(&c, 3);
    cluster_settle(&c);
    cluster_expect(&c, "n3 -> n2: PRE_VOTE 2\n"
                       "n2 -> n3: PRE_VOTE_REPLY 1 no\n"
                       "n3 has 4 voters\n");
    cluster_tick(&c, 3);
    cluster_settle(&c);
    assert_int_equal(3, cluster_leader(&c));
}

/* The simulator's seed 30073: a voter whose own configuration does not list it is asked by one
 * whose newer configuration does. If it refused, this group would never have a leader again. */
static void
a_voter_that_does_not_know_that_it_is_one_votes_for_a_newer_configuration(void **state) {
    (void)state;
    cluster_init(&c, 2, 1, true);
    struct muster_election_saved saved = {.term = 1, .config = c.node[1].config};
    saved.config.stamp = (struct muster_stamp){1, 1};
    muster_config_add(&saved.config, 2);
    cluster_crash(&c, 1, true);
    c.disk[1] = saved;
    c.written[1] = true;
    cluster_start(&c, 1);
    cluster_elect(&c, 1);
    assert_true(muster_config_has(&c.node[2].config, 2));
}

static void members_started_with_different_voters_do_not_vote_for_each_other(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, false);
    cluster_crash(&c, 3, true);
    c.voters = 2; /* n3 was told of n1 and n2 only, and observes; n2 of all three */
    cluster_start(&c, 3);
    struct muster_message vote = {.kind = MUSTER_MESSAGE_VOTE,
                                  .term = 1,
                                  .election = 7,
                                  .fingerprint = muster_config_fingerprint(&c.node[3].config)};
    c.now += 400 * MS;
    cluster_event(
        &c, 2, (struct muster_event){.kind = MUSTER_EVENT_MESSAGE, .member = 3, .message = &vote});
    assert_int_equal(MUSTER_E_MISMATCH, c.error);
    assert_int_equal(0, c.node[2].term);
}

static void a_removed_voter_becomes_an_observer(void **state) {
    (void)state;
    cluster_init(&c, 4, 4, true);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    cluster_tell(&c, 1, MUSTER_EVENT_REMOVE_VOTER, 4);
    cluster_settle(&c);
    cluster_expect(&c, "n1 has 3 voters\n"
                       "n2 has 3 voters\n"
                       "n3 has 3 voters\n"
                       "n4 has 3 voters\n"
                       "n1: a majority has the voters of version 1\n");
    cluster_crash(&c, 1, true);
    cluster_pass(&c, 1000 * MS);
    assert_null(strstr(c.log, "n4 -> n2: PRE_VOTE"));
    assert_in_range(cluster_leader(&c), 2, 3);
}

static void the_voters_survive_a_restart_of_everybody(void **state) {
    (void)state;
    cluster_init(&c, 4, 3, true);
    cluster_elect(&c, 1);
    cluster_pass(&c, 60 * MS);
    cluster_tell(&c, 1, MUSTER_EVENT_ADD_VOTER, 4);
    cluster_settle(&c);
    for (int i = 1; i <= 4; i++)
        cluster_crash(&c, i, true);
    for (int i = 1; i <= 4; i++)
        cluster_start(&c, i);
    cluster_pass(&c, 2000 * MS);
    int leader = cluster_leader(&c);
    assert_int_not_equal(0, leader);
    assert_int_equal(4, c.node[leader].config.count);
    assert_true(c.node[leader].term > 1);
}

static bool knows(muster_member member) {
    const struct muster_election_peer *peer;
    for (uint32_t i = 0; (peer = muster_election_peer(&c.node[1], i)) != NULL; i++)
        if (peer->id == member)
            return true;
    return false;
}

static void a_full_table_turns_links_down_but_has_room_for_voters(void **state) {
    (void)state;
    cluster_init(&c, 1, 1, true);
    for (int i = 0; i < MUSTER_MEMBERS_MAX; i++) {
        cluster_tell(&c, 1, MUSTER_EVENT_LINK_OPENED, 2 + i);
        assert_int_equal(0, c.error);
    }
    cluster_tell(&c, 1, MUSTER_EVENT_LINK_OPENED, 900);
    assert_int_equal(MUSTER_E_LIMIT, c.error);
    struct muster_config config;
    const muster_member voters[] = {1, 2, 900};
    muster_config_init(&config, voters, 3);
    config.stamp = (struct muster_stamp){1, 1};
    struct muster_message heartbeat = {.kind = MUSTER_MESSAGE_HEARTBEAT,
                                       .term = 1,
                                       .election = 7,
                                       .stamp = config.stamp,
                                       .carries = true,
                                       .config = &config};
    cluster_event(
        &c, 1,
        (struct muster_event){.kind = MUSTER_EVENT_MESSAGE, .member = 2, .message = &heartbeat});
    assert_int_equal(0, c.error);
    assert_true(knows(2));
    assert_true(knows(900));
    assert_int_equal(MUSTER_MEMBERS_MAX, c.node[1].peer_count);
}

static void configurations_are_sets_in_order(void **state) {
    (void)state;
    struct muster_config config;
    const muster_member some[] = {30, 10, 20, 10};
    assert_int_equal(0, muster_config_init(&config, some, 4));
    assert_int_equal(3, config.count);
    assert_int_equal(2, muster_config_majority(&config));
    assert_int_equal(0, muster_config_check(&config));
    muster_config_add(&config, 15);
    assert_int_equal(15, config.voters[1]);
    assert_int_equal(3, muster_config_majority(&config));
    muster_config_remove(&config, 10);
    assert_false(muster_config_has(&config, 10));
    assert_true(muster_config_has(&config, 30));
    const muster_member nobody[] = {1, MUSTER_NOBODY};
    assert_int_equal(MUSTER_E_INVALID, muster_config_init(&config, nobody, 2));
    muster_member many[MUSTER_MEMBERS_MAX + 1];
    for (size_t i = 0; i <= MUSTER_MEMBERS_MAX; i++)
        many[i] = i + 1;
    assert_int_equal(0, muster_config_init(&config, many, MUSTER_MEMBERS_MAX));
    assert_int_equal(MUSTER_E_LIMIT, muster_config_init(&config, many, MUSTER_MEMBERS_MAX + 1));
}

static void options_are_checked_and_give_the_derived_times(void **state) {
    (void)state;
    static const struct {
        uint32_t min, max, heartbeat, drift;
        int error;
        uint64_t lease;
    } rows[] = {
        {150, 300, 50, 10, 0, 147029},
        {150, 150, 149, 0, 0, 150000},
        {1000, 2000, 100, 100, 0, 818181},
        {150, 300, 150, 10, MUSTER_E_INVALID, 0},
        {150, 149, 50, 10, MUSTER_E_INVALID, 0},
        {150, 300, 0, 10, MUSTER_E_INVALID, 0},
        {150, 300, 50, 201, MUSTER_E_INVALID, 0},
        {150, 3600001, 50, 10, MUSTER_E_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct muster_election_options options;
        muster_election_options_default(&options);
        options.self = 1;
        options.election_timeout_min = rows[i].min;
        options.election_timeout_max = rows[i].max;
        options.heartbeat_interval = rows[i].heartbeat;
        options.clock_drift = rows[i].drift;
        assert_int_equal(rows[i].error, muster_election_options_check(&options));
        if (rows[i].error != 0)
            continue;
        struct muster_election_timing timing = muster_election_timing_of(&options);
        assert_int_equal(rows[i].lease, timing.lease);
        assert_true(timing.abstention >= timing.timeout_max);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_joiner_observes_until_the_leader_makes_it_a_voter),
        cmocka_unit_test(only_the_leader_changes_the_voters),
        cmocka_unit_test(the_next_change_waits_for_a_majority_to_hold_the_last),
        cmocka_unit_test(who_keeps_nothing_on_disk_keeps_its_voters),
        cmocka_unit_test(a_candidate_with_older_voters_is_refused_and_told_the_newer),
        cmocka_unit_test(a_voter_that_does_not_know_that_it_is_one_votes_for_a_newer_configuration),
        cmocka_unit_test(members_started_with_different_voters_do_not_vote_for_each_other),
        cmocka_unit_test(a_removed_voter_becomes_an_observer),
        cmocka_unit_test(the_voters_survive_a_restart_of_everybody),
        cmocka_unit_test(a_full_table_turns_links_down_but_has_room_for_voters),
        cmocka_unit_test(configurations_are_sets_in_order),
        cmocka_unit_test(options_are_checked_and_give_the_derived_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
