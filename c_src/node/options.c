#include "node/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"

#define DAY_MS 86400000L

static const char help[] =
    "Usage: muster_node --name NODE [--peer NODE]...     join a cluster and watch its nodes\n"
    "       muster_node ping [--count N] NODE            measure round-trip times to a node\n"
    "       muster_node --port                           run as a port of the BEAM (muster does "
    "this)\n"
    "\n"
    "Joins a BEAM cluster as a hidden node over the Erlang distribution protocol.\n"
    "\n"
    "  --name NODE            own node name, such as x@127.0.0.1 (ping: default "
    "muster-PID@127.0.0.1)\n"
    "  --cookie-file FILE     file that holds the cookie; must not be readable by others\n"
    "                         (default ~/.erlang.cookie)\n"
    "  --peer NODE            a node to connect to and to watch; may be given more than once\n"
    "  --epmd-port PORT       epmd's port, here and on the peers (default $ERL_EPMD_PORT or 4369)\n"
    "  --inet6                use IPv6\n"
    "  --listen IP            numeric address to listen on (default: all interfaces)\n"
    "  --listen-ports MIN-MAX range of ports to listen on (default: any)\n"
    "  --ticktime S           a link silent for so long is closed, seconds (default 60)\n"
    "  --priority WHICH       raised (the default): run sooner on a busy machine, as far as the "
    "system\n"
    "                         lets it; normal: as other programs do; realtime: before all\n"
    "                         of them, where it may\n"
    "  --interval MS          time between pings (default 1000; ping takes 0: the next at once)\n"
    "  --suspect-after MS     a node silent for so long is suspect (default 5000)\n"
    "  --down-after MS        a node silent for so long is down (default 30000)\n"
    "  --count N              ping: stop after N round trips (default 10; 0: until a signal)\n"
    "  --timeout MS           ping: give up when nothing has come after so long (default 10000)\n"
    "  --json                 ping: print one line of JSON\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 left in order, or all pings answered; 1 failed (a peer does not answer, no port "
    "to\n"
    "listen on); 2 wrong arguments. SIGTERM and SIGINT make it leave the cluster and exit with "
    "0.\n";

void muster_options_print_help(void) {
    fputs(help, stdout);
}

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *format, ...) {
    va_list args;
    fputs("muster_node: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs(" (see --help)\n", stderr);
    return MUSTER_E_INVALID;
}

static int parse_number(const char *option, const char *text, long min, long max, uint64_t *value) {
    char *end;
    long n = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n < min || n > max) {
        return complain("--%s %s: expected a number from %ld to %ld", option, text, min, max);
    }
    *value = (uint64_t)n;
    return 0;
}

static int parse_node(const char *option, const char *text, struct muster_node_name *name) {
    if (muster_node_name_parse_cstr(name, text) != 0) {
        return complain("%s %s: expected a node name such as app@127.0.0.1, at most 255 characters",
                        option, text);
    }
    return 0;
}

static int parse_priority(const char *text, enum muster_priority *priority) {
    for (int i = 0; muster_priority_names[i] != NULL; i++) {
        if (strcmp(text, muster_priority_names[i]) == 0) {
            *priority = (enum muster_priority)i;
            return 0;
        }
    }
    return complain("--priority %s: expected raised, normal or realtime", text);
}

static int parse_port(const char *text, char end, const char **rest, uint16_t *port) {
    char *stop;
    unsigned long n = strtoul(text, &stop, 10);
    *rest = stop + 1;
    *port = (uint16_t)n;
    return stop != text && *stop == end && n <= 65535 ? 0 : MUSTER_E_INVALID;
}

static int parse_ports(const char *text, struct muster_distribution *d) {
    const char *rest;
    if (parse_port(text, '-', &rest, &d->listen_min) != 0 ||
        parse_port(rest, '\0', &rest, &d->listen_max) != 0 || d->listen_min > d->listen_max) {
        return complain("--listen-ports %s: expected MIN-MAX, both from 0 to 65535", text);
    }
    return 0;
}

static int parse_listen(const char *text, struct muster_distribution *d) {
    size_t len = strlen(text);
    if (len >= sizeof d->listen_ip) {
        return complain("--listen %s: expected a numeric address", text);
    }
    memcpy(d->listen_ip, text, len + 1);
    return 0;
}

/* The first line of the file, as the BEAM reads ~/.erlang.cookie. */
static int read_cookie(FILE *file, const char *path, char *cookie) {
    struct stat info;
    char line[MUSTER_COOKIE_SIZE + 1];
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        return complain("--cookie-file %s: not a regular file", path);
    }
    if (info.st_mode & (S_IRWXG | S_IRWXO)) {
        return complain("--cookie-file %s: others may read or write it; expected mode 0600 or 0400",
                        path);
    }
    if (fgets(line, sizeof line, file) == NULL) {
        line[0] = '\0';
    }
    size_t len = strcspn(line, "\r\n");
    if (len >= MUSTER_COOKIE_SIZE) {
        return complain("--cookie-file %s: the cookie is longer than %d characters", path,
                        MUSTER_COOKIE_SIZE - 1);
    }
    memcpy(cookie, line, len);
    cookie[len] = '\0';
    return cookie[0] != '\0'
               ? 0
               : complain("--cookie-file %s: expected a cookie on the first line", path);
}

static int load_cookie(const char *path, char *cookie) {
    char home[512];
    if (path == NULL) {
        const char *dir = getenv("HOME");
        snprintf(home, sizeof home, "%s/.erlang.cookie", dir != NULL ? dir : "");
        path = home;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return complain("--cookie-file %s: cannot be opened", path);
    }
    int error = read_cookie(file, path, cookie);
    fclose(file);
    return error;
}

static int add_peer(struct muster_options *o, const char *option, const char *text) {
    if (o->peer_count == MUSTER_OPTIONS_PEERS_MAX) {
        return complain("%s %s: more than %d peers", option, text, MUSTER_OPTIONS_PEERS_MAX);
    }
    return parse_node(option, text, &o->peers[o->peer_count++]);
}

enum option_code {
    NAME = 1,
    COOKIE_FILE,
    PEER,
    EPMD_PORT,
    INET6,
    LISTEN,
    LISTEN_PORTS,
    TICKTIME,
    PRIORITY,
    INTERVAL,
    SUSPECT,
    DOWN,
    COUNT,
    TIMEOUT,
    JSON,
    HELP,
    VERSION
};

static const struct option table[] = {{"name", required_argument, NULL, NAME},
                                      {"cookie-file", required_argument, NULL, COOKIE_FILE},
                                      {"peer", required_argument, NULL, PEER},
                                      {"epmd-port", required_argument, NULL, EPMD_PORT},
                                      {"inet6", no_argument, NULL, INET6},
                                      {"listen", required_argument, NULL, LISTEN},
                                      {"listen-ports", required_argument, NULL, LISTEN_PORTS},
                                      {"ticktime", required_argument, NULL, TICKTIME},
                                      {"priority", required_argument, NULL, PRIORITY},
                                      {"interval", required_argument, NULL, INTERVAL},
                                      {"suspect-after", required_argument, NULL, SUSPECT},
                                      {"down-after", required_argument, NULL, DOWN},
                                      {"count", required_argument, NULL, COUNT},
                                      {"timeout", required_argument, NULL, TIMEOUT},
                                      {"json", no_argument, NULL, JSON},
                                      {"help", no_argument, NULL, HELP},
                                      {"version", no_argument, NULL, VERSION},
                                      {0}};

static int take_option(struct muster_options *o, int code, const char *value,
                       const char **cookie_file) {
    struct muster_distribution *d = &o->distribution;
    uint64_t n = 0;
    int error = 0;
    switch (code) {
    case NAME:
        return parse_node("--name", value, &d->name);
    case COOKIE_FILE:
        *cookie_file = value;
        return 0;
    case PEER:
        return add_peer(o, "--peer", value);
    case EPMD_PORT:
        error = parse_number("epmd-port", value, 1, 65535, &n);
        d->epmd_port = (uint16_t)n;
        return error;
    case INET6:
        d->family = AF_INET6;
        return 0;
    case LISTEN:
        return parse_listen(value, d);
    case LISTEN_PORTS:
        return parse_ports(value, d);
    case TICKTIME:
        error = parse_number("ticktime", value, 1, DAY_MS / 1000, &n);
        d->ticktime_ms = n * 1000;
        return error;
    case PRIORITY:
        return parse_priority(value, &o->priority);
    case INTERVAL:
        return parse_number("interval", value, o->mode == MUSTER_MODE_PING ? 0 : 1, DAY_MS,
                            &o->monitor.ping_interval_ms);
    case SUSPECT:
        return parse_number("suspect-after", value, 1, DAY_MS,
                            &o->monitor.thresholds.suspect_after_ms);
    case DOWN:
        return parse_number("down-after", value, 1, DAY_MS, &o->monitor.thresholds.down_after_ms);
    case COUNT:
        error = parse_number("count", value, 0, 1000000, &n);
        o->count = (uint32_t)n;
        return error;
    case TIMEOUT:
        error = parse_number("timeout", value, 1, DAY_MS, &n);
        o->timeout_ms = (uint32_t)n;
        return error;
    case JSON:
        o->json = 1;
        return 0;
    case HELP:
        o->mode = MUSTER_MODE_HELP;
        return 0;
    default:
        o->mode = MUSTER_MODE_VERSION;
        return 0;
    }
}

static int set_defaults(struct muster_options *o) {
    const char *port = getenv("ERL_EPMD_PORT");
    uint64_t n = MUSTER_EPMD_PORT;
    memset(o, 0, sizeof *o);
    muster_distribution_defaults(&o->distribution);
    o->monitor = (struct muster_monitor_options){
        .ping_interval_ms = 1000, .thresholds = {.suspect_after_ms = 5000, .down_after_ms = 30000}};
    o->count = 10;
    o->timeout_ms = 10000;
    int error =
        port != NULL ? parse_number("epmd-port (from ERL_EPMD_PORT)", port, 1, 65535, &n) : 0;
    o->distribution.epmd_port = (uint16_t)n;
    return error;
}

static int check_run(const struct muster_options *o) {
    if (o->distribution.name.len == 0) {
        return complain("--name is missing: expected the node's own name, such as x@127.0.0.1");
    }
    const struct muster_health_thresholds *t = &o->monitor.thresholds;
    if (t->suspect_after_ms <= o->monitor.ping_interval_ms ||
        t->down_after_ms <= t->suspect_after_ms) {
        return complain("--interval %llu, --suspect-after %llu, --down-after %llu: expected each "
                        "greater than the "
                        "one before",
                        (unsigned long long)o->monitor.ping_interval_ms,
                        (unsigned long long)t->suspect_after_ms,
                        (unsigned long long)t->down_after_ms);
    }
    return 0;
}

static int check_ping(struct muster_options *o) {
    char name[64];
    if (o->peer_count != 1) {
        return complain("ping: expected one node to ping, got %u", o->peer_count);
    }
    if (o->distribution.name.len == 0) {
        snprintf(name, sizeof name, "muster-%ld@%s", (long)getpid(),
                 o->distribution.family == AF_INET6 ? "::1" : "127.0.0.1");
        return parse_node("--name", name, &o->distribution.name);
    }
    return 0;
}

int muster_options_parse(struct muster_options *o, int argc, char *argv[]) {
    const char *cookie_file = NULL;
    int code;
    int error = set_defaults(o);
    if (argc > 1 && strcmp(argv[1], "ping") == 0) {
        o->mode = MUSTER_MODE_PING;
        argc--;
        argv++;
    }
    while (error == 0 && (code = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (code == '?') {
            return MUSTER_E_INVALID; /* getopt has said what is wrong */
        }
        error = take_option(o, code, optarg, &cookie_file);
    }
    if (error != 0 || o->mode == MUSTER_MODE_HELP || o->mode == MUSTER_MODE_VERSION) {
        return error;
    }
    for (; error == 0 && optind < argc; optind++) {
        error = o->mode == MUSTER_MODE_PING ? add_peer(o, "ping", argv[optind])
                                            : complain("%s: unexpected argument", argv[optind]);
    }
    if (error == 0) {
        error = o->mode == MUSTER_MODE_PING ? check_ping(o) : check_run(o);
    }
    return error == 0 ? load_cookie(cookie_file, o->distribution.cookie) : error;
}
