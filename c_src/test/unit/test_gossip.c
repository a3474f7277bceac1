/* libcluster's packet: recorded ones, every form of atom, more keys, and all that is none. */
#include "unit.h"

#include "core/errors.h"
#include "core/gossip.h"

/* "heartbeat::" */
#define PREFIX "6865617274626561743a3a"
/* The beginning of #{node => …}, with the key as OTP 25 and as OTP 26 write it. */
#define MAP_OTP_25                                                                                 \
    "837400000001"                                                                                 \
    "6400046e6f6465"
#define MAP_OTP_26                                                                                 \
    "837400000001"                                                                                 \
    "77046e6f6465"

static struct muster_node_name name_of(const char *text) {
    struct muster_node_name name;
    assert_int_equal(muster_node_name_parse_cstr(&name, text), 0);
    return name;
}

static void parses_to(const char *hex, const char *expected) {
    struct muster_slice packet = unit_unhex(hex);
    struct muster_node_name name = {.len = 0};
    assert_int_equal(muster_gossip_parse(packet, &name), 0);
    assert_string_equal(name.text, expected);
    unit_free(packet);
}

static void is_malformed(const char *hex) {
    struct muster_slice packet = unit_unhex(hex);
    struct muster_node_name name;
    assert_int_equal(muster_gossip_parse(packet, &name), MUSTER_E_MALFORMED);
    unit_free(packet);
}

/* Recorded: <<"heartbeat::", (term_to_binary(#{node => 'a@h'}))/binary>> on OTP 25. */
static const char recorded[] = PREFIX MAP_OTP_25 "640003614068";

static void test_built_as_recorded(void **state) {
    struct muster_slice expected = unit_unhex(recorded);
    struct muster_node_name name = name_of("a@h");
    uint8_t out[MUSTER_GOSSIP_BUILT_MAX];
    (void)state;
    assert_int_equal(muster_gossip_build(out, &name), expected.len);
    assert_memory_equal(out, expected.data, expected.len);
    unit_free(expected);
}

static void test_longest_name(void **state) {
    char text[256];
    uint8_t *out = malloc(MUSTER_GOSSIP_BUILT_MAX);
    struct muster_node_name read;
    (void)state;
    assert_non_null(out);
    memset(text, 'x', 255);
    text[100] = '@';
    text[255] = '\0';
    struct muster_node_name name = name_of(text);
    size_t len = muster_gossip_build(out, &name);
    assert_int_equal(len, MUSTER_GOSSIP_BUILT_MAX);
    assert_int_equal(muster_gossip_parse(muster_slice(out, len), &read), 0);
    assert_string_equal(read.text, text);
    free(out);
}

static void test_every_form_of_atom(void **state) {
    (void)state;
    parses_to(recorded, "a@h");
    parses_to(PREFIX MAP_OTP_26 "7703614068", "a@h");
    parses_to(PREFIX MAP_OTP_26 "7303614068", "a@h");
    parses_to(PREFIX MAP_OTP_26 "760003614068", "a@h");
    parses_to(PREFIX "837400000001"
                     "7600046e6f6465"
                     "7703614068",
              "a@h");
}

static void test_more_keys(void **state) {
    (void)state;
    /* #{x => [1, {}], node => 'a@h', 2 => <<"b">>} */
    parses_to(PREFIX "837400000003"
                     "770178"
                     "6c0000000261016800"
                     "6a"
                     "77046e6f6465"
                     "7703614068"
                     "6102"
                     "6d0000000162",
              "a@h");
}

static void test_malformed(void **state) {
    (void)state;
    is_malformed("");
    is_malformed("00");
    is_malformed(PREFIX);
    is_malformed("4865617274626561743a3a" MAP_OTP_25 "640003614068"); /* another prefix */
    is_malformed(PREFIX "82"
                        "7400000000");                  /* another version */
    is_malformed(PREFIX "837400000000");                /* an empty map */
    is_malformed(PREFIX "836a");                        /* no map */
    is_malformed(PREFIX MAP_OTP_26 "6d00000003614068"); /* a binary */
    is_malformed(PREFIX MAP_OTP_26 "770161");           /* no node's name */
    is_malformed(PREFIX MAP_OTP_26 "7700");             /* an empty atom */
    is_malformed(PREFIX MAP_OTP_26 "77046140c3a4");     /* not ASCII */
    is_malformed(PREFIX MAP_OTP_26 "770361400a");       /* a line break */
    is_malformed(PREFIX "837400000001"
                        "6d000000046e6f6465"
                        "7703614068"); /* the key a binary */
    is_malformed(PREFIX "837400000001"
                        "77046e6f6461"
                        "7703614068"); /* another key */
    is_malformed(PREFIX "837400000002"
                        "77046e6f6465"
                        "7703614068"
                        "77046e6f6465"
                        "7703624068");
    is_malformed(PREFIX "83500000001078"); /* compressed */
}

static void test_every_truncation_and_one_more(void **state) {
    struct muster_slice whole = unit_unhex(recorded);
    struct muster_node_name name;
    (void)state;
    for (size_t n = 0; n < whole.len; n++) {
        struct muster_slice part = unit_exact(whole.data, n);
        assert_int_equal(muster_gossip_parse(part, &name), MUSTER_E_MALFORMED);
        unit_free(part);
    }
    uint8_t more[64];
    memcpy(more, whole.data, whole.len);
    more[whole.len] = 0;
    assert_int_equal(muster_gossip_parse(muster_slice(more, whole.len + 1), &name),
                     MUSTER_E_MALFORMED);
    unit_free(whole);
}

/* What would cost time to look at is not looked at. */
static void test_huge_maps(void **state) {
    static const uint8_t head[] = {131, 116, 0xff, 0xff, 0xff, 0xff};
    uint8_t packet[2000] = "heartbeat::";
    struct muster_node_name name;
    (void)state;
    memcpy(packet + 11, head, sizeof head);
    memset(packet + 17, 106, sizeof packet - 17);
    assert_int_equal(muster_gossip_parse(muster_slice(packet, sizeof packet), &name),
                     MUSTER_E_MALFORMED);
    muster_put32(packet + 13, 500);
    assert_int_equal(muster_gossip_parse(muster_slice(packet, 17 + 1000), &name),
                     MUSTER_E_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_as_recorded),
        cmocka_unit_test(test_longest_name),
        cmocka_unit_test(test_every_form_of_atom),
        cmocka_unit_test(test_more_keys),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_every_truncation_and_one_more),
        cmocka_unit_test(test_huge_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
