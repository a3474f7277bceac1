/* The file of a durable member: read as written, damage and strangers refused, names for files. */
#include "test/unit/unit.h"

#include "node/election_image.h"

static struct muster_election_whose whose(const char *self, const char *group) {
    struct muster_election_whose w = {.group_len = (uint8_t)strlen(group)};
    assert_int_equal(muster_node_name_parse_cstr(&w.self, self), 0);
    memcpy(w.group, group, w.group_len);
    return w;
}

static const uint8_t record[] = {1, 2, 3};
static struct muster_election_image image; /* of the record, as a@host's of the group g */

static int build(void **state) {
    struct muster_election_whose w = whose("a@host", "g");
    (void)state;
    muster_election_image_build(&image, &w, muster_slice(record, sizeof record));
    return 0;
}

static void what_is_written_is_read(void **state) {
    struct muster_election_whose w = whose("a@host", "g");
    struct muster_slice read = {0};
    (void)state;
    assert_null(muster_election_image_parse(&image, &w, &read));
    assert_int_equal(read.len, sizeof record);
    assert_memory_equal(read.data, record, sizeof record);
}

static void the_largest_record_fits(void **state) {
    static uint8_t large[MUSTER_ELECTION_BYTES_MAX];
    struct muster_election_whose w = whose("a@host", "g");
    struct muster_slice read = {0};
    (void)state;
    w.group_len = 255;
    muster_election_image_build(&image, &w, muster_slice(large, sizeof large));
    assert_true(image.len <= sizeof image.data);
    assert_null(muster_election_image_parse(&image, &w, &read));
    assert_int_equal(read.len, sizeof large);
}

static void damage_is_found_wherever_it_is(void **state) {
    struct muster_election_whose w = whose("a@host", "g");
    struct muster_slice read = {0};
    (void)state;
    size_t whole = image.len;
    for (size_t i = 0; i < whole * 8; i++) {
        image.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        assert_non_null(muster_election_image_parse(&image, &w, &read));
        image.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (image.len = 0; image.len < whole; image.len++) {
        assert_non_null(muster_election_image_parse(&image, &w, &read));
    }
}

static void another_members_is_not_taken(void **state) {
    struct muster_election_whose b = whose("b@host", "g"), h = whose("a@host", "h");
    struct muster_slice read = {0};
    (void)state;
    assert_string_equal(muster_election_image_parse(&image, &b, &read),
                        "it belongs to another member or group");
    assert_non_null(muster_election_image_parse(&image, &h, &read));
}

static void names_are_plain_and_tell_members_apart(void **state) {
    char one[MUSTER_ELECTION_IMAGE_NAME_SIZE], two[MUSTER_ELECTION_IMAGE_NAME_SIZE];
    struct muster_election_whose w = whose("a@host", "my group/../x"),
                                 v = whose("b@host", "my group/../x");
    (void)state;
    muster_election_image_name(&w, one);
    muster_election_image_name(&v, two);
    assert_memory_equal(one, "my_group____x-", 14);
    assert_string_not_equal(one, two);
    memset(w.group, 'g', 255);
    w.group_len = 255;
    muster_election_image_name(&w, one);
    assert_int_equal(strlen(one), 60 + 1 + 16 + strlen(".election"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_written_is_read, build),
        cmocka_unit_test_setup(the_largest_record_fits, build),
        cmocka_unit_test_setup(damage_is_found_wherever_it_is, build),
        cmocka_unit_test_setup(another_members_is_not_taken, build),
        cmocka_unit_test(names_are_plain_and_tell_members_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
