/* The command line: what is read, and one line on stderr for each mistake, naming option and value.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"
#include "node/options.h"
#include "test/unit/unit.h"

#define ARGUMENTS_MAX 600

static char directory[] = "/tmp/muster-options-XXXXXX";
static char cookie_path[64], stderr_path[64];
static char complaint[4096];
static struct muster_options options;

static void write_cookie(const char *text, size_t len, mode_t mode) {
    FILE *file = fopen(cookie_path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    fclose(file);
}

/* stderr goes to a file meanwhile; what it got is in `complaint`. */
static int parse_vector(int argc, char **argv) {
    int saved = dup(STDERR_FILENO);
    int file = open(stderr_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    optind = 0; /* glibc: start anew */
    int error = muster_options_parse(&options, argc, argv);
    dup2(saved, STDERR_FILENO);
    ssize_t n = pread(file, complaint, sizeof complaint - 1, 0);
    complaint[n > 0 ? n : 0] = '\0';
    close(saved);
    close(file);
    return error;
}

/* Arguments separated by blanks; @ stands for the cookie file's option. */
static int parse(const char *line) {
    static char text[4096];
    char *argv[ARGUMENTS_MAX] = {"muster_node"};
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        if (strcmp(word, "@") == 0) {
            argv[argc++] = "--cookie-file";
            argv[argc++] = cookie_path;
        } else {
            argv[argc++] = word;
        }
    }
    return parse_vector(argc, argv);
}

static void assert_complaint(const char *line, const char *part) {
    assert_int_equal(parse(line), MUSTER_E_INVALID);
    if (strstr(complaint, part) == NULL) {
        fail_msg("%s: \"%s\" does not hold \"%s\"", line, complaint, part);
    }
    /* One line. */
    assert_ptr_equal(strchr(complaint, '\n'), complaint + strlen(complaint) - 1);
}

static int set_up(void **state) {
    (void)state;
    unsetenv("ERL_EPMD_PORT");
    write_cookie("secret\n", 7, 0600);
    return 0;
}

static void defaults(void **state) {
    (void)state;
    assert_int_equal(parse("--name x@127.0.0.1 @"), 0);
    assert_int_equal(options.mode, MUSTER_MODE_RUN);
    assert_string_equal(options.distribution.name.text, "x@127.0.0.1");
    assert_string_equal(options.distribution.cookie, "secret");
    assert_int_equal(options.distribution.epmd_port, 4369);
    assert_int_equal(options.distribution.family, AF_INET);
    assert_int_equal(options.distribution.ticktime_ms, 60000);
    assert_int_equal(options.priority, MUSTER_PRIORITY_RAISED);
    assert_int_equal(options.monitor.ping_interval_ms, 1000);
    assert_int_equal(options.monitor.thresholds.suspect_after_ms, 5000);
    assert_int_equal(options.monitor.thresholds.down_after_ms, 30000);
    assert_int_equal(options.peer_count, 0);
    assert_string_equal(complaint, "");
}

static void every_option(void **state) {
    (void)state;
    assert_int_equal(
        parse("--name x@h --peer a@h --peer=b@h --epmd-port 65535 --inet6 --listen ::1 "
              "--listen-ports 9000-9010 --ticktime 5 --priority normal --interval 10 "
              "--suspect-after 20 "
              "--down-after 30 @"),
        0);
    assert_int_equal(options.peer_count, 2);
    assert_string_equal(options.peers[1].text, "b@h");
    assert_int_equal(options.distribution.epmd_port, 65535);
    assert_int_equal(options.distribution.family, AF_INET6);
    assert_string_equal(options.distribution.listen_ip, "::1");
    assert_int_equal(options.distribution.listen_min, 9000);
    assert_int_equal(options.distribution.listen_max, 9010);
    assert_int_equal(options.distribution.ticktime_ms, 5000);
    assert_int_equal(options.priority, MUSTER_PRIORITY_NORMAL);
    assert_int_equal(options.monitor.thresholds.down_after_ms, 30);
}

static void ping_mode(void **state) {
    (void)state;
    assert_int_equal(parse("ping --interval 0 --count 5 --timeout 100 --json @ app@127.0.0.1"), 0);
    assert_int_equal(options.mode, MUSTER_MODE_PING);
    assert_string_equal(options.peers[0].text, "app@127.0.0.1");
    assert_int_equal(options.count, 5);
    assert_int_equal(options.timeout_ms, 100);
    assert_int_equal(options.json, 1);
    assert_non_null(strstr(options.distribution.name.text, "@127.0.0.1"));
    assert_int_equal(parse("ping --inet6 @ app@::1"), 0);
    assert_non_null(strstr(options.distribution.name.text, "@::1"));
    assert_complaint("ping @", "one node to ping, got 0");
    assert_complaint("ping @ a@h b@h", "got 2");
    assert_complaint("ping @ nonsense", "nonsense");
}

static void help_needs_nothing_else(void **state) {
    (void)state;
    assert_int_equal(parse("--help"), 0);
    assert_int_equal(options.mode, MUSTER_MODE_HELP);
    assert_int_equal(parse("--version"), 0);
    assert_int_equal(options.mode, MUSTER_MODE_VERSION);
}

static void mistakes_name_option_and_value(void **state) {
    (void)state;
    assert_complaint("@", "--name is missing");
    assert_complaint("--name x @", "--name x:");
    assert_complaint("--name x@h @ extra", "extra: unexpected argument");
    assert_complaint("--name x@h --peer a@b@c @", "--peer a@b@c");
    assert_complaint("--name x@h --colour @", "--colour");
    assert_complaint("--name x@h @ --peer", "--peer");
    static const char *const ports[] = {"0", "65536", "-1", "4369x", "x", "99999999999999999999"};
    for (size_t i = 0; i < UNIT_COUNT(ports); i++) {
        char line[128];
        snprintf(line, sizeof line, "--name x@h --epmd-port %s @", ports[i]);
        assert_complaint(line, ports[i]);
    }
    static const char *const ranges[] = {"9000", "9010-9000", "1-65536", "-1-5", "1-2-3", "a-b"};
    for (size_t i = 0; i < UNIT_COUNT(ranges); i++) {
        char line[128];
        snprintf(line, sizeof line, "--name x@h --listen-ports=%s @", ranges[i]);
        assert_complaint(line, ranges[i]);
    }
    assert_complaint("--name x@h --interval 0 @", "--interval 0");
    assert_complaint("--name x@h --interval 100 --suspect-after 100 @", "--suspect-after 100");
    assert_complaint("--name x@h --suspect-after 30000 @", "--down-after 30000");
    assert_complaint("--name x@h --ticktime 0 @", "--ticktime 0");
    assert_complaint("--name x@h --priority high @", "--priority high");
    assert_complaint("--name x@h --listen "
                     "1234567890123456789012345678901234567890123456789012345678901234 @",
                     "--listen 123");
}

static void too_many_peers(void **state) {
    (void)state;
    char *argv[ARGUMENTS_MAX] = {"muster_node", "--name", "x@h", "--cookie-file", cookie_path};
    int argc = 5;
    for (int i = 0; i < MUSTER_OPTIONS_PEERS_MAX; i++) {
        argv[argc++] = "--peer=a@h";
    }
    assert_int_equal(parse_vector(argc, argv), 0);
    argv[argc++] = "--peer=one@more";
    assert_int_equal(parse_vector(argc, argv), MUSTER_E_INVALID);
    assert_non_null(strstr(complaint, "one@more"));
}

static void epmd_port_from_the_environment(void **state) {
    (void)state;
    setenv("ERL_EPMD_PORT", "5000", 1);
    assert_int_equal(parse("--name x@h @"), 0);
    assert_int_equal(options.distribution.epmd_port, 5000);
    assert_int_equal(parse("--name x@h --epmd-port 6000 @"), 0);
    assert_int_equal(options.distribution.epmd_port, 6000);
    setenv("ERL_EPMD_PORT", "many", 1);
    assert_complaint("--name x@h @", "ERL_EPMD_PORT");
    unsetenv("ERL_EPMD_PORT");
}

static void cookie_files(void **state) {
    (void)state;
    char longest[MUSTER_COOKIE_SIZE + 1];
    memset(longest, 'c', sizeof longest);
    write_cookie("one\r\ntwo\n", 9, 0400);
    assert_int_equal(parse("--name x@h @"), 0);
    assert_string_equal(options.distribution.cookie, "one");
    unlink(cookie_path);
    write_cookie("", 0, 0600);
    assert_complaint("--name x@h @", "expected a cookie");
    write_cookie("\nsecond", 7, 0600);
    assert_complaint("--name x@h @", "expected a cookie");
    write_cookie(longest, MUSTER_COOKIE_SIZE - 1, 0600);
    assert_int_equal(parse("--name x@h @"), 0);
    assert_int_equal(strlen(options.distribution.cookie), MUSTER_COOKIE_SIZE - 1);
    write_cookie(longest, MUSTER_COOKIE_SIZE, 0600);
    assert_complaint("--name x@h @", "longer than 255");
    write_cookie(longest, sizeof longest, 0600);
    assert_complaint("--name x@h @", "longer than 255");
    static const mode_t shared[] = {0640, 0604, 0620, 0602};
    for (size_t i = 0; i < UNIT_COUNT(shared); i++) {
        write_cookie("secret", 6, shared[i]);
        assert_complaint("--name x@h @", "others may");
        assert_null(strstr(complaint, "secret"));
    }
    assert_complaint("--name x@h --cookie-file /nonexistent", "cannot be opened");
    assert_complaint("--name x@h --cookie-file /tmp", "not a regular file");
    assert_complaint("--name x@h --cookie-file /dev/null", "not a regular file");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults, set_up),
        cmocka_unit_test_setup(every_option, set_up),
        cmocka_unit_test_setup(ping_mode, set_up),
        cmocka_unit_test_setup(help_needs_nothing_else, set_up),
        cmocka_unit_test_setup(mistakes_name_option_and_value, set_up),
        cmocka_unit_test_setup(too_many_peers, set_up),
        cmocka_unit_test_setup(epmd_port_from_the_environment, set_up),
        cmocka_unit_test_setup(cookie_files, set_up),
    };
    if (mkdtemp(directory) == NULL) {
        return 1;
    }
    snprintf(cookie_path, sizeof cookie_path, "%s/cookie", directory);
    snprintf(stderr_path, sizeof stderr_path, "%s/stderr", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(cookie_path);
    unlink(stderr_path);
    rmdir(directory);
    return failed;
}
