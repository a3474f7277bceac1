/* Leading and following: leases, lost majorities, closed connections, as transcripts. */
#include "test/unit/election_cluster.h"

static struct cluster c;

static void a_minority_leader_stops_and_the_majority_goes_on(void **state) {
    (void)state;
    cluster_init(&c, 5, 5, true);
    cluster_elect(&c, 1);
    for (int i = 3; i <= 5; i++)
        for (int j = 1; j <= 2; j++)
            c.cut[i][j] = c.cut[j][i] = true;
    uint64_t cut_at = c.now;
    cluster_pass(&c, 150 * MS);
    assert_false(muster_election_is_leader(&c.node[1], c.now));
    assert_int_equal(MUSTER_FOLLOWER, c.node[1].role);
    cluster_pass(&c, 700 * MS);
    int leader = cluster_leader(&c);
    assert_in_range(leader, 3, 5);
    assert_true(c.now - cut_at < 1000 * MS);
    memset(c.cut, 0, sizeof c.cut);
    cluster_pass(&c, 200 * MS);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(leader, muster_election_leader(&c.node[i], c.now, NULL));
}

static void a_cluster_of_two_that_is_cut_has_no_leader(void **state) {
    (void)state;
    cluster_init(&c, 2, 2, false);
    cluster_elect(&c, 1);
    c.cut[1][2] = c.cut[2][1] = true;
    cluster_pass(&c, 3000 * MS);
    assert_int_equal(0, cluster_leader(&c));
    assert_null(strstr(c.log, "leads"));
}

static void a_frozen_leader_knows_that_it_leads_no_longer(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    c.now += 146 * MS;
    assert_true(muster_election_is_leader(&c.node[1], c.now));
    c.now += 2 * MS; /* the lease is 150 ms x 0.99 / 1.01 */
    assert_false(muster_election_is_leader(&c.node[1], c.now));
    /* Nor does it act when it wakes: the acknowledgement that waited for it changes nothing. */
    struct muster_message reply = {.kind = MUSTER_MESSAGE_HEARTBEAT_REPLY,
                                   .term = 1,
                                   .election = c.node[1].election,
                                   .sent_at = c.now - 3 * MS,
                                   .granted = true,
                                   .supports = true};
    cluster_event(
        &c, 1, (struct muster_event){.kind = MUSTER_EVENT_MESSAGE, .member = 2, .message = &reply});
    cluster_expect(&c, "n1 knows no leader\n");
}

static void the_lease_counts_from_the_sending_of_what_was_acknowledged(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    uint64_t sent = c.now + 50 * MS;
    cluster_tick(&c, 1);
    assert_int_equal(sent, c.now);
    c.now += 80 * MS; /* the answers take that long */
    cluster_settle(&c);
    assert_int_equal(sent + 147029, c.node[1].lease_until);
}

static void a_closed_connection_starts_the_next_election_at_once(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    cluster_crash(&c, 1, true);
    cluster_expect(&c, "n2 knows no leader\n"
                       "n3 knows no leader\n");
    uint64_t closed = c.now;
    while (cluster_leader(&c) == 0)
        cluster_pass(&c, 1 * MS);
    assert_in_range(c.now - closed, 1, 31 * MS);
}

static void silence_starts_it_after_the_timeout(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    cluster_crash(&c, 1, false);
    uint64_t since = c.now;
    while (cluster_leader(&c) == 0)
        cluster_pass(&c, 1 * MS);
    assert_in_range(c.now - since, 150 * MS, 301 * MS);
}

/* The simulator's seed 2661435: nothing on disk, wrong wall clocks, and a heartbeat that a
 * partition had kept. Its sender has resigned since, and so seems free to release the voter. */
static void an_old_heartbeat_of_a_later_term_ends_no_loyalty(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, false);
    cluster_elect(&c, 1);
    struct muster_message old = {.kind = MUSTER_MESSAGE_HEARTBEAT, .term = 8, .election = 77};
    struct muster_message ask = {.kind = MUSTER_MESSAGE_PRE_VOTE,
                                 .term = 9,
                                 .election = 78,
                                 .consent = 77,
                                 .stamp = c.node[2].config.stamp};
    struct muster_event stale = {.kind = MUSTER_EVENT_MESSAGE, .member = 3, .message = &old};
    struct muster_event request = {.kind = MUSTER_EVENT_MESSAGE, .member = 3, .message = &ask};
    cluster_event(&c, 2, stale);
    cluster_event(&c, 2, request);
    cluster_settle(&c);
    cluster_expect(&c, "n2 knows no leader\n"
                       "n2 -> n3: PRE_VOTE_REPLY 8 no\n");
    assert_int_equal(1, cluster_leader(&c));
    c.now += 150 * MS;
    assert_int_equal(0, cluster_leader(&c));
    cluster_event(&c, 2, request);
    cluster_settle(&c);
    cluster_expect(&c, "n2 -> n3: PRE_VOTE_REPLY 9 yes\n");
}

static void one_voter_that_loses_its_link_disturbs_nobody(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    cluster_event(
        &c, 3,
        (struct muster_event){.kind = MUSTER_EVENT_LINK_CLOSED, .member = 1, .by_peer = true});
    c.cut[1][3] = c.cut[3][1] = true;
    cluster_pass(&c, 500 * MS);
    assert_int_equal(1, cluster_leader(&c));
    assert_int_equal(1, c.node[3].term);
}

static void a_link_this_side_gave_up_ends_no_loyalty(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    uint64_t loyal_until = c.node[2].loyal_until;
    cluster_event(&c, 2, (struct muster_event){.kind = MUSTER_EVENT_LINK_CLOSED, .member = 1});
    assert_int_equal(1, muster_election_leader(&c.node[2], c.now, NULL));
    assert_int_equal(loyal_until, c.node[2].loyal_until);
}

static void what_a_peer_acknowledged_is_void_when_its_link_closes(void **state) {
    (void)state;
    cluster_init(&c, 5, 5, true);
    cluster_elect(&c, 1);
    c.now += 40 * MS;
    cluster_tell(&c, 1, MUSTER_EVENT_LINK_CLOSED, 2);
    cluster_tell(&c, 1, MUSTER_EVENT_LINK_CLOSED, 3);
    assert_true(muster_election_is_leader(&c.node[1], c.now));
    c.log[0] = '\0';
    /* The third of four: no majority of connections is left, so it resigns at once. */
    cluster_tell(&c, 1, MUSTER_EVENT_LINK_CLOSED, 4);
    cluster_expect(&c, "n1 knows no leader\n");
}

static void a_forgetful_voter_holds_up_no_lease_while_it_abstains(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, false);
    cluster_elect(&c, 1);
    cluster_crash(&c, 2, true);
    cluster_start(&c, 2);
    cluster_crash(&c, 3, true);
    c.log[0] = '\0';
    cluster_pass(&c, 150 * MS);
    assert_int_equal(0, cluster_leader(&c));
    cluster_pass(&c, 1000 * MS);
    assert_int_not_equal(0, cluster_leader(&c));
}

static void leading_begins_with_a_majority_of_acknowledgements(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    c.now += 400 * MS;
    cluster_tick(&c, 1);
    for (int i = 0; i < 8; i++)
        cluster_deliver(&c);
    assert_int_equal(MUSTER_LEADER, c.node[1].role);
    assert_false(muster_election_is_leader(&c.node[1], c.now));
    assert_int_equal(MUSTER_NOBODY, muster_election_leader(&c.node[1], c.now, NULL));
    cluster_settle(&c);
    assert_true(muster_election_is_leader(&c.node[1], c.now));
}

static void everybody_has_the_same_fencing_token(void **state) {
    (void)state;
    cluster_init(&c, 3, 3, true);
    cluster_elect(&c, 1);
    struct muster_token first, other;
    muster_election_leader(&c.node[1], c.now, &first);
    muster_election_leader(&c.node[3], c.now, &other);
    assert_int_equal(first.term, other.term);
    assert_int_equal(first.election, other.election);
    cluster_crash(&c, 1, true);
    cluster_pass(&c, 500 * MS);
    muster_election_leader(&c.node[3], c.now, &other);
    assert_true(other.term > first.term);
    assert_int_not_equal(first.election, other.election);
}

static void the_status_says_what_is_missing(void **state) {
    (void)state;
    cluster_init(&c, 5, 5, true);
    cluster_elect(&c, 1);
    struct muster_election_status status;
    cluster_crash(&c, 4, true);
    cluster_crash(&c, 5, true);
    muster_election_status(&c.node[1], c.now, &status);
    assert_true(status.voter);
    assert_int_equal(5, status.voters);
    assert_int_equal(3, status.needed);
    assert_int_equal(3, status.linked);
    assert_in_range(status.lease_left, 1, 148 * MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minority_leader_stops_and_the_majority_goes_on),
        cmocka_unit_test(a_cluster_of_two_that_is_cut_has_no_leader),
        cmocka_unit_test(a_frozen_leader_knows_that_it_leads_no_longer),
        cmocka_unit_test(the_lease_counts_from_the_sending_of_what_was_acknowledged),
        cmocka_unit_test(a_closed_connection_starts_the_next_election_at_once),
        cmocka_unit_test(silence_starts_it_after_the_timeout),
        cmocka_unit_test(an_old_heartbeat_of_a_later_term_ends_no_loyalty),
        cmocka_unit_test(one_voter_that_loses_its_link_disturbs_nobody),
        cmocka_unit_test(a_link_this_side_gave_up_ends_no_loyalty),
        cmocka_unit_test(what_a_peer_acknowledged_is_void_when_its_link_closes),
        cmocka_unit_test(a_forgetful_voter_holds_up_no_lease_while_it_abstains),
        cmocka_unit_test(leading_begins_with_a_majority_of_acknowledgements),
        cmocka_unit_test(everybody_has_the_same_fencing_token),
        cmocka_unit_test(the_status_says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
