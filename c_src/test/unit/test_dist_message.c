/* Frames of a connection taken apart: every operation, what breaks the protocol, gen_server calls.
 */
#include "core/errors.h"
#include "node/dist_message.h"
#include "node/mailbox.h"
#include "test/unit/term_text.h"

static erlang_pid pid_of(const char *node, unsigned num) {
    erlang_pid pid = {.num = num, .creation = 7};
    strcpy(pid.node, node);
    return pid;
}

static erlang_ref ref_of(const char *node) {
    erlang_ref ref = {.len = 3, .creation = 7, .n = {1, 2, 3}};
    strcpy(ref.node, node);
    return ref;
}

static void begin(struct muster_writer *w, int arity, int64_t operation) {
    muster_writer_init(w);
    muster_write_byte(w, 112);
    muster_write_version(w);
    muster_write_tuple(w, arity);
    muster_write_integer(w, operation);
}

static void write_pid(struct muster_writer *w, unsigned num) {
    erlang_pid pid = pid_of("a@b", num);
    muster_write_pid(w, &pid);
}

static void write_ref(struct muster_writer *w) {
    erlang_ref ref = ref_of("a@b");
    muster_write_ref(w, &ref);
}

/* How many fields each operation has after its number, and what comes with it. */
static const struct {
    int operation, fields, payload, from, to, id; /* the last three: which field, from 1; 0: none */
} operations[] = {
    {1, 2, 0, 1, 2, 0},  {2, 2, 1, 0, 2, 0},  {3, 3, 0, 1, 2, 0},  {4, 2, 0, 1, 2, 0},
    {6, 3, 1, 1, 3, 0},  {7, 2, 0, 1, 2, 0},  {8, 3, 0, 1, 2, 0},  {12, 3, 1, 0, 2, 0},
    {13, 4, 0, 1, 2, 0}, {16, 4, 1, 1, 3, 0}, {18, 4, 0, 1, 2, 0}, {19, 3, 0, 1, 2, 3},
    {20, 3, 0, 1, 2, 3}, {21, 4, 0, 1, 2, 3}, {22, 2, 1, 1, 2, 0}, {23, 3, 1, 1, 2, 0},
    {33, 2, 1, 1, 2, 0}, {34, 3, 1, 1, 2, 0}, {35, 3, 0, 2, 3, 1}, {36, 3, 0, 2, 3, 1},
};

/* Fields are integers that count from 1, so each slice tells where it came from. */
static void assert_field(struct muster_slice term, int field) {
    if (field == 0) {
        assert_int_equal(term.len, 0);
    } else {
        assert_int_equal(term.len, 2);
        assert_int_equal(term.data[1], field);
    }
}

static struct muster_slice frame_of(int operation, int fields, int payload) {
    struct muster_writer w;
    begin(&w, fields + 1, operation);
    for (int i = 1; i <= fields; i++) {
        muster_write_integer(&w, i);
    }
    if (payload) {
        muster_write_version(&w);
        muster_write_atom(&w, "hello");
    }
    return unit_term(&w);
}

static void every_operation(void **state) {
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(operations); i++) {
        struct muster_dist_message m;
        struct muster_slice frame =
            frame_of(operations[i].operation, operations[i].fields, operations[i].payload);
        assert_int_equal(muster_dist_message_parse(&m, frame), 0);
        assert_int_equal(m.operation, operations[i].operation);
        assert_field(m.from, operations[i].from);
        assert_field(m.to, operations[i].to);
        assert_field(m.id, operations[i].id);
        assert_string_equal(m.to_name, "");
        assert_true((m.payload.len > 0) == operations[i].payload);
        unit_free(frame);
        /* One field more or less is not that operation. */
        for (int more = -1; more <= 1; more += 2) {
            frame = frame_of(operations[i].operation, operations[i].fields + more, 1);
            assert_int_equal(muster_dist_message_parse(&m, frame), MUSTER_E_MALFORMED);
            unit_free(frame);
        }
    }
}

static void unknown_operations_come_with_their_number(void **state) {
    (void)state;
    static const int unknown[] = {0, 5, 9, 17, 24, 29, 32, 37, 255};
    for (size_t i = 0; i < UNIT_COUNT(unknown); i++) {
        struct muster_dist_message m;
        struct muster_slice frame = frame_of(unknown[i], 2, 1);
        assert_int_equal(muster_dist_message_parse(&m, frame), 0);
        assert_int_equal(m.operation, unknown[i]);
        assert_int_equal(m.from.len + m.to.len + m.id.len + m.payload.len, 0);
        unit_free(frame);
    }
}

static void each_prefix_is_refused(void **state) {
    (void)state;
    struct muster_slice whole = frame_of(6, 3, 1);
    for (size_t len = 0; len < whole.len; len++) {
        struct muster_dist_message m;
        struct muster_slice frame = unit_exact(whole.data, len);
        assert_true(muster_dist_message_parse(&m, frame) < 0);
        unit_free(frame);
    }
    unit_free(whole);
}

static void what_breaks_the_protocol(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        int error;
    } frames[] = {
        {"", MUSTER_E_UNSUPPORTED},
        {"83440003", MUSTER_E_UNSUPPORTED},            /* a distribution header */
        {"70", MUSTER_E_TRUNCATED},                    /* nothing */
        {"70836800", MUSTER_E_MALFORMED},              /* {} */
        {"708361 06", MUSTER_E_MALFORMED},             /* 6 (the blank is no digit) */
        {"70836801770161", MUSTER_E_MALFORMED},        /* {a} */
        {"7083680162ffffffff", MUSTER_E_MALFORMED},    /* {-1} */
        {"7083680162 00000100", MUSTER_E_MALFORMED},   /* {256} */
        {"7068016101", MUSTER_E_MALFORMED},            /* no version */
        {"70836c000000016101 6a", MUSTER_E_MALFORMED}, /* [1] */
        {"7083680361026101 6102", MUSTER_E_TRUNCATED}, /* a send without a message */
        {"70836803610261016102 83", MUSTER_E_TRUNCATED},
        {"70836803610261016102 6101", MUSTER_E_MALFORMED}, /* its message without a version */
        {"7083690fffffff", MUSTER_E_LIMIT},
    };
    for (size_t i = 0; i < UNIT_COUNT(frames); i++) {
        char hex[64];
        size_t n = 0;
        for (const char *c = frames[i].hex; *c != '\0'; c++) {
            if (*c != ' ') {
                hex[n++] = *c;
            }
        }
        hex[n] = '\0';
        struct muster_dist_message m;
        struct muster_slice frame = unit_unhex(hex);
        int error = muster_dist_message_parse(&m, frame);
        if (error != frames[i].error) {
            fail_msg("%s: %d instead of %d", frames[i].hex, error, frames[i].error);
        }
        unit_free(frame);
    }
}

static void control_terms_are_flat(void **state) {
    (void)state;
    for (int depth = 1; depth <= 20; depth++) {
        struct muster_dist_message m;
        struct muster_writer w;
        begin(&w, 4, 3);
        write_pid(&w, 1);
        write_pid(&w, 2);
        for (int i = 0; i < depth; i++) {
            muster_write_tuple(&w, 1);
        }
        muster_write_atom(&w, "reason");
        struct muster_slice frame = unit_term(&w);
        assert_int_equal(muster_dist_message_parse(&m, frame), depth < 8 ? 0 : MUSTER_E_TOO_DEEP);
        unit_free(frame);
    }
}

static void names_are_read(void **state) {
    (void)state;
    struct muster_dist_message m;
    struct muster_writer w;
    begin(&w, 4, MUSTER_DIST_REG_SEND);
    write_pid(&w, 1);
    muster_write_atom(&w, "");
    muster_write_atom(&w, "muster");
    muster_write_version(&w);
    muster_write_nil(&w);
    struct muster_slice frame = unit_term(&w);
    assert_int_equal(muster_dist_message_parse(&m, frame), 0);
    assert_string_equal(m.to_name, "muster");
    assert_int_equal(m.payload.len, 1);
    unit_free(frame);
}

/* --- Calls --- */

enum tag { PLAIN, ALIAS, NESTED_ALIAS, ALIAS_OF_ATOM, OTHER_LIST };

static void write_tag(struct muster_writer *w, enum tag tag) {
    if (tag == PLAIN) {
        write_ref(w);
        return;
    }
    muster_write_list(w, 1);
    if (tag == NESTED_ALIAS) {
        muster_write_list(w, 1);
    }
    muster_write_atom(w, tag == OTHER_LIST ? "other" : "alias");
    if (tag == ALIAS_OF_ATOM) {
        muster_write_atom(w, "foo");
    } else {
        write_ref(w);
    }
    if (tag == NESTED_ALIAS) {
        muster_write_nil(w);
    }
}

static int parse_call(struct muster_gen_call *call, enum tag tag, int with_pid,
                      struct muster_slice *payload) {
    struct muster_writer w;
    muster_writer_init(&w);
    muster_write_tuple(&w, 3);
    muster_write_atom(&w, "$gen_call");
    muster_write_tuple(&w, 2);
    if (with_pid) {
        write_pid(&w, 1);
    } else {
        muster_write_atom(&w, "foo");
    }
    write_tag(&w, tag);
    muster_write_atom(&w, "ping");
    *payload = unit_term(&w);
    return muster_gen_call_parse(call, *payload);
}

static void calls_and_their_aliases(void **state) {
    (void)state;
    struct muster_gen_call call;
    struct muster_slice payload;
    for (enum tag tag = PLAIN; tag <= OTHER_LIST; tag++) {
        assert_int_equal(parse_call(&call, tag, 1, &payload), 0);
        assert_true((call.alias.len > 0) == (tag == ALIAS || tag == NESTED_ALIAS));
        assert_int_equal(call.alias.len > 0 ? call.alias.data[0] : 90, 90);
        assert_true(call.tag.len > 0 && call.request.len > 0);
        unit_free(payload);
    }
}

/* A BEAM closes the connection over a message whose receiver is no pid. */
static void a_caller_is_a_pid(void **state) {
    (void)state;
    struct muster_gen_call call;
    struct muster_slice payload;
    assert_int_equal(parse_call(&call, PLAIN, 0, &payload), MUSTER_E_MALFORMED);
    unit_free(payload);
    assert_int_equal(muster_gen_call_parse(&call, muster_slice(NULL, 0)), MUSTER_E_MALFORMED);
}

static void answers(void **state) {
    (void)state;
    for (int words = 1; words <= 5; words++) {
        struct muster_writer w;
        uint32_t ref_words[3] = {0};
        struct muster_slice reply;
        erlang_ref ref = ref_of("a@b");
        ref.len = words;
        muster_writer_init(&w);
        muster_write_tuple(&w, 2);
        muster_write_ref(&w, &ref);
        muster_write_atom(&w, "yes");
        struct muster_slice message = unit_term(&w);
        assert_int_equal(muster_mailbox_parse_answer(message, ref_words, &reply),
                         words == 3 ? 0 : MUSTER_E_MALFORMED);
        if (words == 3) {
            assert_int_equal(ref_words[0], 1);
            assert_int_equal(ref_words[2], 3);
            assert_ptr_equal(reply.data + reply.len, message.data + message.len);
        }
        unit_free(message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation),
        cmocka_unit_test(unknown_operations_come_with_their_number),
        cmocka_unit_test(each_prefix_is_refused),
        cmocka_unit_test(what_breaks_the_protocol),
        cmocka_unit_test(control_terms_are_flat),
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(calls_and_their_aliases),
        cmocka_unit_test(a_caller_is_a_pid),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
