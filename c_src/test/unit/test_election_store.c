/* A durable member's file: what is written is found again, in order; damage is refused. */
#include "unit.h"

#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"
#include "node/election_store.h"

static uv_loop_t loop;
static struct muster_election_stores stores;
static struct muster_election_store *store;
static char directory[] = "/tmp/muster-store-XXXXXX";
static char made[64];
static uint64_t saved_up_to;
static unsigned problems, readies;
static uint8_t record[MUSTER_ELECTION_BYTES_MAX];
static size_t record_len;
static struct muster_problem problem;

static void on_ready(void *context) {
    (void)context;
    readies++;
}

static void on_saved(void *context, uint64_t sequence) {
    (void)context;
    assert_true(sequence > saved_up_to);
    saved_up_to = sequence;
}

static void on_problem(void *context, const char *text) {
    (void)context;
    problems += text != NULL;
}

static const struct muster_election_store_user user = {
    .context = &loop, .on_ready = on_ready, .on_saved = on_saved, .on_problem = on_problem};

static int open_as(const char *self, const char *group) {
    struct muster_node_name name;
    muster_node_name_parse_cstr(&name, self);
    return muster_election_store_open(&stores, muster_slice(made, strlen(made)),
                                      muster_slice(group, strlen(group)), &name, &user, &store,
                                      record, &record_len, &problem);
}

static void close_and_run(void) {
    muster_election_store_close(store);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void save(uint64_t sequence, const char *text) {
    muster_election_store_save(store, sequence, (const uint8_t *)text, strlen(text));
}

static void assert_record(const char *text) {
    assert_int_equal(record_len, strlen(text));
    assert_memory_equal(record, text, record_len);
}

static int set_up(void **state) {
    (void)state;
    saved_up_to = problems = readies = 0;
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(made, sizeof made, "%s/new", directory);
    assert_true(sodium_init() >= 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    muster_election_stores_init(&stores, &loop);
    return 0;
}

static int tear_down(void **state) {
    char command[128];
    (void)state;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command); /* NOLINT: a path of our own */
}

static void test_round_trip(void **state) {
    (void)state;
    assert_int_equal(open_as("a@h", "g"), 0);
    assert_int_equal(record_len, 0);
    assert_true(muster_election_store_is_ready(store));
    save(1, "one");
    save(2, "two");
    save(3, "three");
    while (saved_up_to < 3) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    close_and_run();
    assert_int_equal(open_as("a@h", "g"), 0);
    assert_record("three");
    close_and_run();
    assert_int_equal(open_as("b@h", "g"), 0); /* another member, another group: other files */
    assert_int_equal(record_len, 0);
    close_and_run();
    assert_int_equal(open_as("a@h", "g2"), 0);
    assert_int_equal(record_len, 0);
    close_and_run();
}

/* A group that is replaced finds what its predecessor wanted, and knows when it is on the disk. */
static void test_taken_over(void **state) {
    (void)state;
    assert_int_equal(open_as("a@h", "g"), 0);
    save(7, "old");
    muster_election_store_close(store);
    assert_int_equal(open_as("a@h", "g"), 0);
    assert_record("old");
    assert_false(muster_election_store_is_ready(store));
    save(1, "new");
    while (saved_up_to < 1) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(saved_up_to, 1);
    assert_true(muster_election_store_is_ready(store));
    assert_int_equal(readies, 1);
    close_and_run();
    assert_int_equal(open_as("a@h", "g"), 0);
    assert_record("new");
    close_and_run();
}

static void file_of_group(char *path, size_t size) {
    char command[160];
    snprintf(command, sizeof command, "ls %s/*.election", made);
    FILE *list = popen(command, "r"); /* NOLINT: a path of our own */
    assert_non_null(list);
    assert_non_null(fgets(path, (int)size, list));
    path[strcspn(path, "\n")] = '\0';
    pclose(list);
}

static void test_damage(void **state) {
    (void)state;
    static uint8_t content[4096];
    char path[256];
    assert_int_equal(open_as("a@h", "g"), 0);
    save(1, "record");
    close_and_run();
    file_of_group(path, sizeof path);
    FILE *f = fopen(path, "rb");
    size_t len = fread(content, 1, sizeof content, f);
    fclose(f);
    for (size_t i = 0; i < 2 * len; i++) { /* each byte changed, then each truncation */
        f = fopen(path, "wb");
        content[i % len] ^= i < len;
        assert_true(fwrite(content, 1, i < len ? len : i - len, f) < sizeof content);
        content[i % len] ^= i < len;
        fclose(f);
        assert_int_equal(open_as("a@h", "g"), MUSTER_E_INVALID);
        assert_non_null(strstr(problem.text, "data_dir"));
    }
}

static void test_failing_disk(void **state) {
    (void)state;
    char moved[80];
    snprintf(moved, sizeof moved, "%s/moved", directory);
    assert_int_equal(open_as("a@h", "g"), 0);
    assert_int_equal(rename(made, moved), 0);
    save(1, "lost");
    while (problems == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(saved_up_to, 0); /* never reported as done */
    assert_int_equal(rename(moved, made), 0);
    while (saved_up_to == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    close_and_run();
}

static void test_refused(void **state) {
    (void)state;
    snprintf(made, sizeof made, "%s/none/such", directory);
    assert_int_equal(open_as("a@h", "g"), MUSTER_E_INVALID);
    assert_non_null(strstr(problem.text, "No such file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        TEST(test_round_trip),   TEST(test_taken_over), TEST(test_damage),
        TEST(test_failing_disk), TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
