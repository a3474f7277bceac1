/* When a BEAM counts as silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/beam_watch.h"

#define MS UINT64_C(1000)

static void silence_needs_the_timeout_and_three_unanswered_questions(void **state) {
    (void)state;
    struct muster_beam_watch watch;
    muster_beam_watch_init(&watch, 300 * MS, 0);
    for (uint64_t at = 50 * MS; at < 300 * MS; at += 50 * MS)
        assert_false(muster_beam_watch_asked(&watch, at, at));
    assert_true(muster_beam_watch_asked(&watch, 300 * MS, 300 * MS));
    assert_false(muster_beam_watch_asked(&watch, 350 * MS, 350 * MS)); /* said once */
    muster_beam_watch_init(&watch, 300 * MS, 0);
    assert_false(muster_beam_watch_asked(&watch, 200 * MS, 200 * MS));
    assert_false(muster_beam_watch_asked(&watch, 400 * MS, 400 * MS));
    assert_false(muster_beam_watch_asked(&watch, 600 * MS, 600 * MS));
    assert_true(muster_beam_watch_asked(&watch, 800 * MS, 800 * MS));
}

static void an_answer_ends_it(void **state) {
    (void)state;
    struct muster_beam_watch watch;
    muster_beam_watch_init(&watch, 300 * MS, 0);
    assert_false(muster_beam_watch_answered(&watch, 10 * MS));
    for (uint64_t at = 50 * MS; at <= 500 * MS; at += 50 * MS)
        muster_beam_watch_asked(&watch, at, at);
    assert_true(muster_beam_watch_answered(&watch, 510 * MS));
    assert_false(muster_beam_watch_asked(&watch, 550 * MS, 550 * MS));
}

static void ones_own_lateness_accuses_nobody(void **state) {
    (void)state;
    struct muster_beam_watch watch;
    muster_beam_watch_init(&watch, 300 * MS, 0);
    for (uint64_t at = 50 * MS; at <= 200 * MS; at += 50 * MS)
        assert_false(muster_beam_watch_asked(&watch, at, at));
    /* This process was stopped for ten seconds; the answers are still in the socket. */
    assert_false(muster_beam_watch_asked(&watch, 250 * MS, 10250 * MS));
    assert_true(muster_beam_watch_asked(&watch, 10300 * MS, 10300 * MS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_needs_the_timeout_and_three_unanswered_questions),
        cmocka_unit_test(an_answer_ends_it),
        cmocka_unit_test(ones_own_lateness_accuses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
