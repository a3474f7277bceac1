/* The codec: what is written is read back, a wrong type moves nothing, failures are remembered. */
#include "core/errors.h"
#include "test/unit/term_text.h"

static void writes_what_it_reads(void **state) {
    (void)state;
    static const int64_t integers[] = {0,         1,         255,       256,       -1,
                                       INT32_MAX, INT32_MIN, 1LL << 40, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < UNIT_COUNT(integers); i++) {
        struct muster_writer w;
        int64_t read = 42;
        muster_writer_init(&w);
        muster_write_integer(&w, integers[i]);
        struct muster_slice term = unit_term(&w);
        struct muster_reader r = muster_reader(term);
        unit_check_term(term);
        assert_int_equal(muster_read_integer(&r, &read), 0);
        assert_true(read == integers[i]);
        assert_int_equal(r.at, term.len);
        unit_free(term);
    }
}

static void reads_a_structure(void **state) {
    (void)state;
    struct muster_writer w;
    struct muster_node_name name;
    muster_node_name_parse_cstr(&name, "app@127.0.0.1");
    muster_writer_init(&w);
    muster_write_tuple(&w, 3);
    muster_write_atom(&w, "z\xc3\xbcrich");
    muster_write_map(&w, 1);
    muster_write_name(&w, &name);
    muster_write_double(&w, 1.5);
    muster_write_list(&w, 2);
    muster_write_text(&w, "");
    muster_write_binary(&w, muster_slice("a\0b", 3));
    muster_write_nil(&w);
    struct muster_slice term = unit_term(&w), bytes, raw;
    struct muster_reader r = muster_reader(term);
    char atom[MUSTER_ATOM_SIZE];
    int arity;
    unit_check_term(term);
    assert_int_equal(muster_read_tuple(&r, &arity), 0);
    assert_int_equal(arity, 3);
    assert_int_equal(muster_read_atom(&r, atom), 0);
    assert_string_equal(atom, "z\xc3\xbcrich");
    assert_int_equal(muster_read_map(&r, &arity), 0);
    assert_int_equal(arity, 1);
    assert_int_equal(muster_read_binary(&r, &bytes), 0);
    assert_true(muster_slice_is(bytes, "app@127.0.0.1"));
    assert_int_equal(muster_read_raw(&r, &raw), 0);
    assert_int_equal(raw.len, 9);
    assert_int_equal(muster_read_raw(&r, &raw), 0);
    assert_ptr_equal(raw.data + raw.len, term.data + term.len);
    unit_free(term);
}

static void an_empty_list_is_nil(void **state) {
    (void)state;
    struct muster_writer w;
    muster_writer_init(&w);
    muster_write_list(&w, 0);
    muster_write_nil(&w);
    struct muster_slice term = unit_term(&w);
    assert_int_equal(term.len, 1);
    unit_check_term(term);
    unit_free(term);
}

static void a_wrong_type_moves_nothing(void **state) {
    (void)state;
    struct muster_writer w;
    muster_writer_init(&w);
    muster_write_double(&w, 2);
    struct muster_slice term = unit_term(&w), bytes;
    struct muster_reader r = muster_reader(term);
    char atom[MUSTER_ATOM_SIZE];
    int64_t integer;
    int arity;
    assert_int_equal(muster_read_tuple(&r, &arity), MUSTER_E_MALFORMED);
    assert_int_equal(muster_read_map(&r, &arity), MUSTER_E_MALFORMED);
    assert_int_equal(muster_read_atom(&r, atom), MUSTER_E_MALFORMED);
    assert_int_equal(muster_read_integer(&r, &integer), MUSTER_E_MALFORMED);
    assert_int_equal(muster_read_binary(&r, &bytes), MUSTER_E_MALFORMED);
    assert_int_equal(r.at, 0);
    unit_free(term);
}

static void integers_beyond_64_bits_are_refused(void **state) {
    (void)state;
    static const char *const big[] = {"6e080000000000000000ff" /* 2^64 - 2^56 */,
                                      "6e08010100000000000080" /* -2^63 - 1 */,
                                      "6e0900000000000000000001"};
    for (size_t i = 0; i < UNIT_COUNT(big); i++) {
        struct muster_slice term = unit_unhex(big[i]);
        struct muster_reader r = muster_reader(term);
        int64_t value;
        unit_check_term(term);
        assert_int_equal(muster_read_integer(&r, &value), MUSTER_E_MALFORMED);
        unit_free(term);
    }
}

static void the_longest_atoms_fit(void **state) {
    (void)state;
    static uint8_t utf8[3 + 4 * 255], latin1[3 + 255];
    char atom[MUSTER_ATOM_SIZE];
    utf8[0] = 118;
    muster_put16(utf8 + 1, 4 * 255);
    latin1[0] = 100;
    muster_put16(latin1 + 1, 255);
    memset(latin1 + 3, 0xe9, 255);
    for (int i = 0; i < 255; i++) {
        memcpy(utf8 + 3 + 4 * i, "\xf0\x9f\x98\x80", 4);
    }
    struct muster_reader r = muster_reader(muster_slice(utf8, sizeof utf8));
    assert_int_equal(muster_read_atom(&r, atom), 0);
    assert_int_equal(strlen(atom), 4 * 255);
    r = muster_reader(muster_slice(latin1, sizeof latin1));
    assert_int_equal(muster_read_atom(&r, atom), 0);
    assert_int_equal(strlen(atom), 2 * 255);
}

static void frames_have_their_length(void **state) {
    (void)state;
    struct muster_writer w;
    struct muster_slice frame;
    muster_writer_init(&w);
    muster_write_byte(&w, 112);
    muster_write_version(&w);
    muster_write_atom(&w, "ok");
    assert_int_equal(muster_writer_finish(&w, &frame), 0);
    assert_int_equal(muster_get32(frame.data), frame.len - 4);
    assert_int_equal(frame.data[4], 112);
    assert_int_equal(frame.data[5], 131);
    muster_writer_free(&w);
}

static void a_failure_is_remembered(void **state) {
    (void)state;
    struct muster_writer w;
    struct muster_slice frame;
    muster_writer_init(&w);
    w.failed = 1;
    muster_write_atom(&w, "ok");
    assert_int_equal(muster_writer_finish(&w, &frame), MUSTER_E_NOMEM);
    muster_writer_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(reads_a_structure),
        cmocka_unit_test(an_empty_list_is_nil),
        cmocka_unit_test(a_wrong_type_moves_nothing),
        cmocka_unit_test(integers_beyond_64_bits_are_refused),
        cmocka_unit_test(the_longest_atoms_fit),
        cmocka_unit_test(frames_have_their_length),
        cmocka_unit_test(a_failure_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
