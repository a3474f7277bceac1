/* Frames between C nodes, the names of members, and what is no frame. */
#include "unit.h"

#include <sodium.h>
#include <stdio.h>

#include "core/errors.h"
#include "node/election_names.h"
#include "node/election_wire.h"

static struct muster_writer w;

static void write_frame(const struct muster_election_frame *frame,
                        struct muster_election_envelope *envelope) {
    struct muster_node_name sender;
    struct muster_slice out;
    muster_node_name_parse_cstr(&sender, "a@h");
    muster_writer_init(&w);
    muster_election_frame_write(&w, muster_slice("key", 3), &sender, frame);
    assert_int_equal(muster_writer_finish(&w, &out), 0);
    struct muster_slice term = muster_slice(out.data + 4, out.len - 4);
    assert_int_equal(muster_election_envelope_parse(envelope, term), 0);
    assert_true(muster_slice_is(envelope->group, "key"));
    assert_true(muster_slice_is(envelope->sender, "a@h"));
}

static void test_frames(void **state) {
    static const uint8_t some[] = {1, 2, 3};
    (void)state;
    for (int kind = MUSTER_FRAME_HELLO; kind <= MUSTER_FRAME_ANSWER; kind++) {
        struct muster_election_frame frame = {.kind = (enum muster_election_frame_kind)kind,
                                              .group_kind = 2,
                                              .answers = true,
                                              .observer = true,
                                              .incarnation = UINT64_MAX - 1,
                                              .bytes = muster_slice(some, sizeof some),
                                              .id = 77,
                                              .op = MUSTER_REQUEST_PROMOTE,
                                              .role = 3,
                                              .result = 8};
        struct muster_election_frame back;
        struct muster_election_envelope envelope;
        muster_node_name_parse_cstr(&frame.name, "name@host");
        write_frame(&frame, &envelope);
        for (size_t n = 0; n < envelope.bytes.len; n++) {
            struct muster_slice cut = unit_exact(envelope.bytes.data, n);
            (void)muster_election_frame_parse(&back, cut);
            unit_free(cut);
        }
        assert_int_equal(muster_election_frame_parse(&back, envelope.bytes), 0);
        assert_int_equal(back.kind, kind);
        if (kind == MUSTER_FRAME_HELLO) {
            assert_int_equal(back.group_kind, 2);
            assert_true(back.answers && back.observer);
            assert_true(back.incarnation == frame.incarnation);
        } else if (kind == MUSTER_FRAME_MESSAGE) {
            assert_int_equal(back.bytes.len, sizeof some);
        } else if (kind == MUSTER_FRAME_REQUEST || kind == MUSTER_FRAME_LEFT) {
            assert_true(muster_node_name_equal(&back.name, &frame.name));
        }
        muster_writer_free(&w);
    }
}

static void test_no_frames(void **state) {
    static const uint8_t unknown[] = {99, 1, 2};
    struct muster_election_frame frame;
    (void)state;
    assert_int_equal(muster_election_frame_parse(&frame, muster_slice(unknown, 0)),
                     MUSTER_E_TRUNCATED);
    assert_int_equal(muster_election_frame_parse(&frame, muster_slice(unknown, 3)),
                     MUSTER_E_UNSUPPORTED);
}

static void parse_other(int version, const char *tag, int expected) {
    struct muster_election_envelope envelope;
    struct muster_slice out;
    muster_writer_init(&w);
    muster_write_tuple(&w, 2);
    muster_write_atom(&w, tag);
    muster_write_integer(&w, version);
    assert_int_equal(muster_writer_finish(&w, &out), 0);
    assert_int_equal(
        muster_election_envelope_parse(&envelope, muster_slice(out.data + 4, out.len - 4)),
        expected);
    muster_writer_free(&w);
}

static void test_versions(void **state) {
    (void)state;
    parse_other(2, "muster_election", MUSTER_E_UNSUPPORTED);
    parse_other(1, "muster_election", MUSTER_E_MALFORMED);
    parse_other(1, "else", MUSTER_E_MALFORMED);
}

/* The numbers are part of the protocol: the same in every version. */
static void test_member_numbers(void **state) {
    struct muster_node_name a, b;
    (void)state;
    muster_node_name_parse_cstr(&a, "a@127.0.0.1");
    muster_node_name_parse_cstr(&b, "b@127.0.0.1");
    assert_true(muster_member_of(&a) == UINT64_C(0x9f912bd99e9de90f));
    assert_true(muster_member_of(&b) != muster_member_of(&a));
}

static void test_c_nodes(void **state) {
    struct muster_node_name beam, c_node, back;
    (void)state;
    muster_node_name_parse_cstr(&beam, "app@host.example");
    assert_int_equal(muster_election_c_node_of(&c_node, &beam), 0);
    assert_string_equal(c_node.text, "app-muster@host.example");
    assert_int_equal(muster_election_beam_of(&back, &c_node), 0);
    assert_true(muster_node_name_equal(&back, &beam));
    assert_int_not_equal(muster_election_beam_of(&back, &beam), 0);
    muster_node_name_parse_cstr(&c_node, "-muster@h");
    assert_int_not_equal(muster_election_beam_of(&back, &c_node), 0);
}

static muster_member kept;

static bool in_use(void *context, muster_member member) {
    (void)context;
    return member == kept;
}

static void test_names_make_room(void **state) {
    static struct muster_election_names names;
    struct muster_node_name name;
    char text[32];
    (void)state;
    names.in_use = in_use;
    for (unsigned i = 0; i < MUSTER_ELECTION_NAMES_MAX; i++) {
        snprintf(text, sizeof text, "n%u@h", i);
        muster_node_name_parse_cstr(&name, text);
        muster_member member = muster_election_names_learn(&names, &name);
        assert_true(member != MUSTER_NOBODY);
        assert_true(muster_election_names_learn(&names, &name) == member);
        kept = i == 5 ? member : kept;
    }
    muster_node_name_parse_cstr(&name, "more@h");
    assert_true(muster_election_names_learn(&names, &name) == MUSTER_NOBODY);
    muster_election_names_make_room(&names);
    assert_int_equal(names.count, 1);
    assert_string_equal(muster_election_names_get(&names, kept)->text, "n5@h");
    assert_true(muster_election_names_learn(&names, &name) != MUSTER_NOBODY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),   cmocka_unit_test(test_no_frames),
        cmocka_unit_test(test_versions), cmocka_unit_test(test_member_numbers),
        cmocka_unit_test(test_c_nodes),  cmocka_unit_test(test_names_make_room),
    };
    return sodium_init() < 0 || ei_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
