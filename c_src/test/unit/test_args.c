/* Maps of options: what is accepted, and refusals that name the option, the value, the expectation.
 */
#include "core/errors.h"
#include "node/args.h"
#include "test/unit/term_text.h"

struct targets {
    int64_t integer;
    struct muster_slice cookie, map;
    struct muster_node_name node;
    struct muster_name_list nodes;
    struct muster_arg_binaries texts, secrets;
    int choice;
    char atom[MUSTER_ATOM_SIZE];
    char text[5];
};

static struct muster_problem problem;

/* Reads the map that the writer holds; its bytes are gone afterwards, so targets that are slices
 * are only good for their lengths. */
static int read_map(struct muster_writer *w, struct targets *t, int required) {
    static const char *const choices[] = {"tcp", "tls", NULL};
    struct muster_arg args[] = {
        {.name = "integer",
         .type = MUSTER_ARG_INTEGER,
         .target = &t->integer,
         .min = -5,
         .max = 10,
         .required = required},
        {.name = "cookie", .type = MUSTER_ARG_BINARY, .target = &t->cookie, .max = 4},
        {.name = "node", .type = MUSTER_ARG_NODE, .target = &t->node},
        {.name = "nodes", .type = MUSTER_ARG_NODES, .target = &t->nodes},
        {.name = "choice", .type = MUSTER_ARG_CHOICE, .target = &t->choice, .choices = choices},
        {.name = "atom", .type = MUSTER_ARG_ATOM, .target = t->atom},
        {.name = "map", .type = MUSTER_ARG_MAP, .target = &t->map},
        {.name = "text", .type = MUSTER_ARG_TEXT, .target = t->text, .max = 4},
        {.name = "texts", .type = MUSTER_ARG_BINARIES, .target = &t->texts, .max = 4},
        {.name = "secrets", .type = MUSTER_ARG_BINARIES, .target = &t->secrets, .max = 4},
    };
    struct muster_slice term = unit_term(w);
    memset(&problem, 0, sizeof problem);
    int error = muster_args_read(term, args, UNIT_COUNT(args), &problem);
    assert_true(error == 0 || error == MUSTER_E_INVALID);
    assert_true((error == 0) == (problem.text[0] == '\0'));
    unit_free(term);
    return error;
}

static void begin(struct muster_writer *w, const char *option) {
    muster_writer_init(w);
    muster_write_map(w, 1);
    muster_write_atom(w, option);
}

static int read_integer(int64_t value, struct targets *t) {
    struct muster_writer w;
    begin(&w, "integer");
    muster_write_integer(&w, value);
    return read_map(&w, t, 0);
}

static int read_text(const char *option, const char *text, struct targets *t) {
    struct muster_writer w;
    begin(&w, option);
    muster_write_text(&w, text);
    return read_map(&w, t, 0);
}

static int read_atom(const char *option, const char *text, struct targets *t) {
    struct muster_writer w;
    begin(&w, option);
    muster_write_atom(&w, text);
    return read_map(&w, t, 0);
}

static void assert_problem(const char *part) {
    if (strstr(problem.text, part) == NULL) {
        fail_msg("\"%s\" does not hold \"%s\"", problem.text, part);
    }
}

static void integers_stay_in_their_range(void **state) {
    (void)state;
    struct targets t = {.integer = 3};
    assert_int_equal(read_integer(-5, &t), 0);
    assert_int_equal(t.integer, -5);
    assert_int_equal(read_integer(10, &t), 0);
    assert_int_equal(t.integer, 10);
    assert_int_equal(read_integer(11, &t), MUSTER_E_INVALID);
    assert_problem("option integer: 11 is not an integer from -5 to 10");
    assert_int_equal(read_integer(INT64_MIN, &t), MUSTER_E_INVALID);
    assert_problem("-9223372036854775808");
    assert_int_equal(t.integer, 10);
    assert_int_equal(read_text("integer", "7", &t), MUSTER_E_INVALID);
    assert_problem("<<\"7\">>");
}

static void binaries_are_neither_empty_nor_long(void **state) {
    (void)state;
    struct targets t = {0};
    assert_int_equal(read_text("cookie", "abcd", &t), 0);
    assert_int_equal(t.cookie.len, 4);
    assert_int_equal(read_text("cookie", "", &t), MUSTER_E_INVALID);
    assert_int_equal(read_text("cookie", "abcde", &t), MUSTER_E_INVALID);
    assert_problem("option cookie: its value is not a binary of 1 to 4 bytes");
}

static void texts_have_no_zero_byte(void **state) {
    (void)state;
    struct targets t = {.text = "old"};
    struct muster_writer w;
    assert_int_equal(read_text("text", "abcd", &t), 0);
    assert_string_equal(t.text, "abcd");
    assert_int_equal(read_text("text", "x", &t), 0);
    assert_string_equal(t.text, "x");
    assert_int_equal(read_text("text", "", &t), MUSTER_E_INVALID);
    assert_int_equal(read_text("text", "abcde", &t), MUSTER_E_INVALID);
    assert_problem(
        "option text: <<\"abcde\">> is not a binary of 1 to 4 bytes without a zero byte");
    assert_int_equal(read_atom("text", "abc", &t), MUSTER_E_INVALID);
    begin(&w, "text");
    muster_write_binary(&w, muster_slice("a\0b", 3));
    assert_int_equal(read_map(&w, &t, 0), MUSTER_E_INVALID);
    assert_string_equal(t.text, "x");
}

static void secrets_are_not_repeated(void **state) {
    (void)state;
    struct targets t = {0};
    assert_int_equal(read_atom("cookie", "geheim", &t), MUSTER_E_INVALID);
    assert_null(strstr(problem.text, "geheim"));
    assert_int_equal(read_text("cookie", "geheim", &t), MUSTER_E_INVALID);
    assert_null(strstr(problem.text, "geheim"));
}

static void nodes_are_checked(void **state) {
    (void)state;
    struct targets t = {0};
    assert_int_equal(read_text("node", "a@b", &t), 0);
    assert_string_equal(t.node.text, "a@b");
    assert_int_equal(read_text("node", "ab", &t), MUSTER_E_INVALID);
    assert_problem("option node: <<\"ab\">> is not a node's name");
    assert_string_equal(t.node.text, "a@b");
    assert_int_equal(read_atom("node", "a@b", &t), MUSTER_E_INVALID);
}

static void lists_of_nodes(void **state) {
    (void)state;
    struct targets t = {0};
    struct muster_writer w;
    for (int good = 0; good < 2; good++) {
        begin(&w, "nodes");
        muster_write_list(&w, 2);
        muster_write_text(&w, "a@b");
        muster_write_text(&w, good ? "c@d" : "no name");
        muster_write_nil(&w);
        assert_int_equal(read_map(&w, &t, 0), good ? 0 : MUSTER_E_INVALID);
        assert_int_equal(t.nodes.count, good ? 2 : 1);
        if (!good) {
            assert_problem("option nodes: <<\"no name\">> is not a node's name");
        }
        muster_name_list_close(&t.nodes);
    }
    begin(&w, "nodes");
    muster_write_nil(&w);
    assert_int_equal(read_map(&w, &t, 0), 0);
    assert_int_equal(t.nodes.count, 0);
    assert_int_equal(read_text("nodes", "a@b", &t), MUSTER_E_INVALID);
    assert_problem("option nodes: <<\"a@b\">> is not a list of at most 8192 nodes' names");
}

static int read_texts(const char *option, int count, const char *last, struct targets *t) {
    struct muster_writer w;
    begin(&w, option);
    muster_write_list(&w, count);
    for (int i = 1; i < count; i++) {
        muster_write_text(&w, "a");
    }
    muster_write_text(&w, last);
    muster_write_nil(&w);
    return read_map(&w, t, 0);
}

static void lists_of_binaries(void **state) {
    (void)state;
    struct targets t = {0};
    assert_int_equal(read_text("texts", "abcd", &t), 0);
    assert_int_equal(t.texts.count, 1);
    assert_int_equal(read_texts("texts", 3, "b", &t), 0);
    assert_int_equal(t.texts.count, 3);
    assert_int_equal(read_texts("texts", 2, "abcde", &t), MUSTER_E_INVALID);
    assert_problem("option texts: <<\"abcde\">> is not a binary of 1 to 4 bytes");
    assert_int_equal(read_text("texts", "abcde", &t), MUSTER_E_INVALID);
    assert_problem("option texts: <<\"abcde\">> is not a list of at most 16 binaries");
    assert_int_equal(read_texts("texts", MUSTER_ARG_BINARIES_MAX + 1, "a", &t), MUSTER_E_INVALID);
    assert_problem("a list of at most 16 binaries of 1 to 4 bytes");
    assert_int_equal(read_texts("secrets", 2, "geheim", &t), MUSTER_E_INVALID);
    assert_null(strstr(problem.text, "geheim"));
}

static void choices_atoms_and_maps(void **state) {
    (void)state;
    struct targets t = {0};
    struct muster_writer w;
    assert_int_equal(read_atom("choice", "tls", &t), 0);
    assert_int_equal(t.choice, 1);
    assert_int_equal(read_atom("choice", "udp", &t), MUSTER_E_INVALID);
    assert_problem("option choice: udp is not one of tcp tls");
    assert_int_equal(read_text("choice", "tls", &t), MUSTER_E_INVALID);
    assert_int_equal(read_atom("atom", "anything", &t), 0);
    assert_string_equal(t.atom, "anything");
    begin(&w, "map");
    muster_write_map(&w, 0);
    assert_int_equal(read_map(&w, &t, 0), 0);
    assert_int_equal(t.map.len, 5);
    assert_int_equal(read_atom("map", "x", &t), MUSTER_E_INVALID);
    assert_problem("is not a map");
}

static void unknown_and_missing_options_are_named(void **state) {
    (void)state;
    struct targets t = {0};
    struct muster_writer w;
    assert_int_equal(read_atom("colour", "red", &t), MUSTER_E_INVALID);
    assert_problem(
        "option colour is not known here, only: integer, cookie, node, nodes, choice, atom");
    muster_writer_init(&w);
    muster_write_map(&w, 0);
    assert_int_equal(read_map(&w, &t, 1), MUSTER_E_INVALID);
    assert_problem("option integer is missing");
    muster_writer_init(&w);
    muster_write_map(&w, 1);
    muster_write_integer(&w, 1);
    muster_write_integer(&w, 1);
    assert_int_equal(read_map(&w, &t, 0), MUSTER_E_INVALID);
    assert_problem("name is not an atom");
    muster_writer_init(&w);
    muster_write_nil(&w);
    assert_int_equal(read_map(&w, &t, 0), MUSTER_E_INVALID);
    assert_problem("not a map");
}

/* ei_s_print_term would print them into a buffer of fixed size. */
static void big_values_are_not_printed(void **state) {
    (void)state;
    struct targets t = {0};
    struct muster_writer w;
    static uint8_t big[5 + 1 + 5000] = {111, 0, 0, 5000 >> 8, 5000 & 255};
    memset(big + 6, 0xff, 5000);
    begin(&w, "integer");
    muster_write_raw(&w, muster_slice(big, sizeof big));
    assert_int_equal(read_map(&w, &t, 0), MUSTER_E_INVALID);
    assert_problem("option integer: its value is not an integer");
    static uint8_t atom[3 + 4 * 255] = {118, 4 * 255 >> 8, 4 * 255 & 255};
    memset(atom + 3, 'x', 4 * 255);
    begin(&w, "choice");
    muster_write_raw(&w, muster_slice(atom, sizeof atom));
    assert_int_equal(read_map(&w, &t, 0), MUSTER_E_INVALID);
    assert_problem("option choice: xxx");
}

static void basenames_are_checked(void **state) {
    (void)state;
    problem.text[0] = '\0';
    assert_int_equal(muster_args_check_basename("node_basename", "app", &problem), 0);
    assert_string_equal(problem.text, "");
    assert_int_equal(muster_args_check_basename("node_basename", "a@b", &problem),
                     MUSTER_E_INVALID);
    assert_string_equal(
        problem.text,
        "option node_basename: <<\"a@b\">> cannot be the part of a node's name before the @");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_stay_in_their_range),
        cmocka_unit_test(binaries_are_neither_empty_nor_long),
        cmocka_unit_test(texts_have_no_zero_byte),
        cmocka_unit_test(secrets_are_not_repeated),
        cmocka_unit_test(nodes_are_checked),
        cmocka_unit_test(lists_of_nodes),
        cmocka_unit_test(lists_of_binaries),
        cmocka_unit_test(choices_atoms_and_maps),
        cmocka_unit_test(unknown_and_missing_options_are_named),
        cmocka_unit_test(big_values_are_not_printed),
        cmocka_unit_test(basenames_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
