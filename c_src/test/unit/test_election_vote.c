/* Candidacies and votes, as transcripts. */
#include "test/unit/election_cluster.h"

#include "core/errors.h"

static struct cluster c;

static void a_lone_voter_leads_at_once(void **state) {
    (void)state;
    cluster_init(&c, 1, 1, false);
    cluster_tick(&c, 1);
    cluster_expect(&c, "n1 leads in term 1\n");
    assert_int_equal(1000 * MS, c.now);
}

static void three_voters_elect_one(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    c.now += 400 * MS;
    cluster_tick(&c, 2);
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n1: PRE_VOTE 1\n"
                       "n2 -> n3: PRE_VOTE 1\n"
                       "n1 -> n2: PRE_VOTE_REPLY 1 yes\n"
                       "n3 -> n2: PRE_VOTE_REPLY 1 yes\n"
                       "n2 -> n1: VOTE 1\n"
                       "n2 -> n3: VOTE 1\n"
                       "n1 -> n2: VOTE_REPLY 1 yes\n"
                       "n3 -> n2: VOTE_REPLY 1 yes\n"
                       "n2 leads in term 1\n"
                       "n1 follows n2 in term 1\n"
                       "n3 follows n2 in term 1\n");
}

static void a_split_vote_elects_nobody_and_the_next_try_one(void **state) {
    (void)state;
    cluster_init(&c, 4, 4, true);
    c.now += 400 * MS;
    /* Both have a majority's good wishes before either stands. */
    cluster_tick(&c, 1);
    cluster_tick(&c, 2);
    for (int i = 0; i < 12; i++)
        cluster_deliver(&c);
    c.log[0] = '\0';
    c.cut[1][4] = c.cut[2][3] = true;
    cluster_settle(&c);
    cluster_expect(&c, "n1 -> n2: VOTE 1\n"
                       "n1 -> n3: VOTE 1\n"
                       "n2 -> n1: VOTE 1\n"
                       "n2 -> n4: VOTE 1\n"
                       "n2 -> n1: VOTE_REPLY 1 no\n"
                       "n3 -> n1: VOTE_REPLY 1 yes\n"
                       "n1 -> n2: VOTE_REPLY 1 no\n"
                       "n4 -> n2: VOTE_REPLY 1 yes\n");
    assert_int_equal(0, cluster_leader(&c));
    c.cut[1][4] = c.cut[2][3] = false;
    cluster_pass(&c, 800 * MS);
    assert_int_not_equal(0, cluster_leader(&c));
}

static void all_start_together_and_nobody_votes_too_early(void **state) {
    (void)state;
    cluster_init(&c, 5, 5, false);
    cluster_pass(&c, 300 * MS);
    cluster_expect(&c, "");
    cluster_pass(&c, 700 * MS);
    assert_int_not_equal(0, cluster_leader(&c));
}

static void whoever_is_not_heard_cannot_disturb(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    /* n3 hears nothing but is heard. */
    cluster_isolate(&c, 3, true, false);
    cluster_pass(&c, 500 * MS);
    assert_non_null(strstr(c.log, "n3 -> n1: PRE_VOTE 2\n"));
    assert_null(strstr(c.log, "leads"));
    assert_int_equal(1, cluster_leader(&c));
    assert_int_equal(1, c.node[1].term);
    assert_int_equal(1, c.node[3].term);
    c.log[0] = '\0';
    cluster_isolate(&c, 3, false, false);
    cluster_pass(&c, 60 * MS);
    cluster_expect(&c, "n3 follows n1 in term 1\n");
}

static void a_loyal_voter_refuses_even_a_real_candidacy(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    struct muster_message vote = {
        .kind = MUSTER_MESSAGE_VOTE, .term = 9, .election = 77, .stamp = c.node[2].config.stamp};
    cluster_event(
        &c, 2, (struct muster_event){.kind = MUSTER_EVENT_MESSAGE, .member = 3, .message = &vote});
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n3: VOTE_REPLY 1 no\n");
    assert_int_equal(1, c.node[2].term);
}

static void a_vote_waits_for_the_disk(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    c.slow_disk = true;
    c.now += 400 * MS;
    cluster_tick(&c, 1);
    cluster_settle(&c);
    cluster_expect(&c, "n1 -> n2: PRE_VOTE 1\n"
                       "n1 -> n3: PRE_VOTE 1\n"
                       "n2 -> n1: PRE_VOTE_REPLY 1 yes\n"
                       "n3 -> n1: PRE_VOTE_REPLY 1 yes\n"
                       "n1 -> n2: VOTE 1\n"
                       "n1 -> n3: VOTE 1\n");
    cluster_write(&c, 2);
    cluster_write(&c, 3);
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n1: VOTE_REPLY 1 yes\n"
                       "n3 -> n1: VOTE_REPLY 1 yes\n");
    /* Its own vote, too. */
    cluster_write(&c, 1);
    cluster_settle(&c);
    cluster_expect(&c, "n1 leads in term 1\n"
                       "n2 follows n1 in term 1\n"
                       "n3 follows n1 in term 1\n");
}

static void a_saved_vote_survives_a_restart(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    c.cut[2][1] = c.cut[3][1] = false;
    c.now += 400 * MS;
    cluster_tick(&c, 1);
    for (int i = 0; i < 6; i++)
        cluster_deliver(&c);
    assert_int_equal(1, c.node[2].voted_for);
    cluster_crash(&c, 2, true);
    c.flight_count = 0;
    cluster_start(&c, 2);
    c.now += 400 * MS;
    c.log[0] = '\0';
    struct muster_message vote = {.kind = MUSTER_MESSAGE_VOTE, .term = 1, .election = 77};
    cluster_event(
        &c, 2, (struct muster_event){.kind = MUSTER_EVENT_MESSAGE, .member = 3, .message = &vote});
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n3: VOTE_REPLY 1 no\n");
}

static void a_forgetful_voter_abstains(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, false);
    c.now += 400 * MS;
    cluster_crash(&c, 2, true);
    cluster_start(&c, 2);
    struct muster_message vote = {.kind = MUSTER_MESSAGE_VOTE, .term = 1, .election = 77};
    struct muster_event event = {.kind = MUSTER_EVENT_MESSAGE, .member = 3, .message = &vote};
    c.now += 306 * MS;
    cluster_event(&c, 2, event);
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n3: VOTE_REPLY 0 no\n");
    c.now += 1 * MS; /* 300 ms x 1.01 / 0.99 are over */
    cluster_event(&c, 2, event);
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n3: VOTE_REPLY 1 yes\n");
}

static void a_frozen_candidate_wakes_and_late_grants_count_for_nothing(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, false);
    c.now += 400 * MS;
    cluster_tick(&c, 1);
    for (int i = 0; i < 6; i++)
        cluster_deliver(&c);
    /* n1 has asked for votes, they are on their way back; it is stopped. */
    assert_int_equal(MUSTER_CANDIDATE, c.node[1].role);
    c.now = c.node[1].timer;
    c.log[0] = '\0';
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n1: VOTE_REPLY 1 yes\n"
                       "n3 -> n1: VOTE_REPLY 1 yes\n");
    assert_int_equal(MUSTER_FOLLOWER, c.node[1].role);
}

static void terms_start_at_the_unix_time_where_nothing_is_saved(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, false);
    c.wall_ms = 1700000000000;
    cluster_elect(&c, 1);
    assert_int_equal(1700000000000, c.node[2].term);
    cluster_init(&c, 3, 3, true);
    c.wall_ms = 1700000000000;
    cluster_elect(&c, 1);
    assert_int_equal(1, c.node[2].term);
}

static void rejoining_with_a_higher_saved_term_costs_one_quick_election(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    cluster_crash(&c, 3, true);
    c.disk[3].term = 7; /* it had stood, alone, before it crashed */
    c.log[0] = '\0';
    cluster_start(&c, 3);
    cluster_pass(&c, 60 * MS);
    cluster_expect(&c, "n1 knows no leader\n"
                       "n1 -> n2: RESIGN 1\n"
                       "n2 knows no leader\n"
                       "n1 -> n3: RESIGN 1\n"
                       "n1 -> n2: PRE_VOTE 8\n"
                       "n1 -> n3: PRE_VOTE 8\n"
                       "n2 -> n1: PRE_VOTE_REPLY 8 yes\n"
                       "n3 -> n1: PRE_VOTE_REPLY 7 no\n"
                       "n1 -> n2: VOTE 8\n"
                       "n1 -> n3: VOTE 8\n"
                       "n2 -> n1: VOTE_REPLY 8 yes\n"
                       "n3 -> n1: VOTE_REPLY 7 no\n"
                       "n1 leads in term 8\n"
                       "n2 follows n1 in term 8\n"
                       "n3 follows n1 in term 8\n");
}

static void observers_neither_vote_nor_stand(void **state) {
    (void)state;
    cluster_init(&c, 4, 3, true);
    cluster_elect(&c, 1);
    assert_int_equal(1, muster_election_leader(&c.node[4], c.now, NULL));
    cluster_crash(&c, 1, true);
    cluster_crash(&c, 2, true);
    c.log[0] = '\0';
    cluster_pass(&c, 2000 * MS);
    assert_null(strstr(c.log, "n4 ->"));
    assert_null(strstr(c.log, "-> n4"));
    assert_int_equal(0, cluster_leader(&c));
}

static void nonsense_is_turned_down(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    struct muster_config config = c.node[1].config;
    config.voters[0] = 3; /* out of order */
    struct muster_message messages[] = {
        {.kind = 0, .election = 1},
        {.kind = MUSTER_MESSAGE_VOTE, .election = 0},
        {.kind = MUSTER_MESSAGE_VOTE, .election = 1, .term = UINT64_MAX},
        {.kind = MUSTER_MESSAGE_HEARTBEAT, .election = 1, .config = &config},
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        cluster_event(&c, 1,
                      (struct muster_event){
                          .kind = MUSTER_EVENT_MESSAGE, .member = 2, .message = &messages[i]});
        assert_int_equal(MUSTER_E_MALFORMED, c.error);
    }
    struct muster_message stranger = {.kind = MUSTER_MESSAGE_VOTE, .election = 1};
    cluster_event(
        &c, 1,
        (struct muster_event){.kind = MUSTER_EVENT_MESSAGE, .member = 99, .message = &stranger});
    assert_int_equal(MUSTER_E_LIMIT, c.error);
    cluster_expect(&c, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_voter_leads_at_once),
        cmocka_unit_test(three_voters_elect_one),
        cmocka_unit_test(a_split_vote_elects_nobody_and_the_next_try_one),
        cmocka_unit_test(all_start_together_and_nobody_votes_too_early),
        cmocka_unit_test(whoever_is_not_heard_cannot_disturb),
        cmocka_unit_test(a_loyal_voter_refuses_even_a_real_candidacy),
        cmocka_unit_test(a_vote_waits_for_the_disk),
        cmocka_unit_test(a_saved_vote_survives_a_restart),
        cmocka_unit_test(a_forgetful_voter_abstains),
        cmocka_unit_test(a_frozen_candidate_wakes_and_late_grants_count_for_nothing),
        cmocka_unit_test(terms_start_at_the_unix_time_where_nothing_is_saved),
        cmocka_unit_test(rejoining_with_a_higher_saved_term_costs_one_quick_election),
        cmocka_unit_test(observers_neither_vote_nor_stand),
        cmocka_unit_test(nonsense_is_turned_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
