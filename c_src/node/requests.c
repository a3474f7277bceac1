#include "node/requests.h"

#include <stdio.h>

#include "core/errors.h"
#include "node/election_requests.h"
#include "node/report.h"
#include "node/request.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DAY_MS 86400000

/* --- Service node --- */

static int copy_text(char *to, size_t size, struct muster_slice from) {
    to[0] = '\0';
    if (from.len == 0) {
        return 0;
    }
    if (from.len >= size || memchr(from.data, 0, from.len) != NULL) {
        return MUSTER_E_INVALID;
    }
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
    return 0;
}

/* Empty text stands for all interfaces. */
static int is_address(const char *ip, int family) {
    struct in6_addr address; /* room for either */
    return ip[0] == '\0' || uv_inet_pton(family, ip, &address) == 0;
}

static int distribute(struct muster_request *q) {
    static const char *const families[] = {"inet", "inet6", NULL};
    static const char *const transports[] = {"tcp", "tls", "other", NULL};
    struct muster_distribution d;
    struct muster_slice cookie = {0}, listen_ip = {0};
    int64_t epmd_port, listen_min = 0, listen_max = 0, ticktime_ms;
    int family = 0, transport = 0;
    muster_distribution_defaults(&d);
    epmd_port = d.epmd_port;
    ticktime_ms = (int64_t)d.ticktime_ms;
    struct muster_arg args[] = {
        {.name = "name", .type = MUSTER_ARG_NODE, .target = &d.name, .required = 1},
        {.name = "cookie",
         .type = MUSTER_ARG_BINARY,
         .target = &cookie,
         .required = 1,
         .max = MUSTER_COOKIE_SIZE - 1},
        {.name = "beam", .type = MUSTER_ARG_NODE, .target = &d.beam},
        {.name = "epmd_port",
         .type = MUSTER_ARG_INTEGER,
         .target = &epmd_port,
         .min = 1,
         .max = 65535},
        {.name = "family", .type = MUSTER_ARG_CHOICE, .target = &family, .choices = families},
        {.name = "listen_ip",
         .type = MUSTER_ARG_BINARY,
         .target = &listen_ip,
         .max = sizeof d.listen_ip - 1},
        {.name = "listen_min",
         .type = MUSTER_ARG_INTEGER,
         .target = &listen_min,
         .min = 0,
         .max = 65535},
        {.name = "listen_max",
         .type = MUSTER_ARG_INTEGER,
         .target = &listen_max,
         .min = 0,
         .max = 65535},
        {.name = "ticktime_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &ticktime_ms,
         .min = 1000,
         .max = DAY_MS},
        {.name = "transport",
         .type = MUSTER_ARG_CHOICE,
         .target = &transport,
         .choices = transports},
    };
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    if (q->node->distributed) {
        return muster_request_refuse(q, "already_distributed",
                                     q->node->peers.link_settings.self.text);
    }
    if (copy_text(d.cookie, sizeof d.cookie, cookie) != 0 ||
        copy_text(d.listen_ip, sizeof d.listen_ip, listen_ip) != 0) {
        return muster_request_refuse(q, "invalid_argument",
                                     "cookie and listen_ip cannot hold a zero byte");
    }
    d.family = family == 0 ? AF_INET : AF_INET6;
    if (!is_address(d.listen_ip, d.family)) {
        return muster_request_refuse(q, "invalid_argument",
                                     "option listen_ip: not a numeric address of the family");
    }
    d.epmd_port = (uint16_t)epmd_port;
    d.listen_min = (uint16_t)listen_min;
    d.listen_max = listen_max > listen_min ? (uint16_t)listen_max : (uint16_t)listen_min;
    d.ticktime_ms = (uint64_t)ticktime_ms;
    d.transport = (enum muster_transport)transport;
    int status = muster_node_distribute(q->node, &d);
    return status != 0 ? muster_request_refuse(q, "cannot_listen", uv_strerror(status)) : 0;
}

int muster_requests_distribute(struct muster_node *node, struct muster_slice map,
                               const char **error, struct muster_problem *problem) {
    struct muster_request q = {.node = node, .arg = map};
    int result = distribute(&q);
    *error = q.error;
    *problem = q.problem;
    return result;
}

static int node_distribute(struct muster_request *q) {
    int error = distribute(q);
    return error != 0 ? error : muster_request_succeed_empty(q);
}

static int node_set_cookie(struct muster_request *q) {
    struct muster_slice cookie = {0};
    struct muster_node_name name;
    struct muster_arg args[] = {
        {.name = "cookie",
         .type = MUSTER_ARG_BINARY,
         .target = &cookie,
         .required = 1,
         .max = MUSTER_COOKIE_SIZE - 1},
        {.name = "node", .type = MUSTER_ARG_NODE, .target = &name},
    };
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    if (muster_cookies_set(&q->node->cookies, args[1].given ? &name : NULL, cookie) != 0) {
        return muster_request_refuse(q, "invalid_argument", "a cookie cannot hold a zero byte");
    }
    muster_peers_cookie_changed(&q->node->peers);
    return muster_request_succeed_empty(q);
}

static int node_info(struct muster_request *q) {
    muster_report_info(muster_request_succeed(q), q->node);
    return 0;
}

static int node_peers(struct muster_request *q) {
    muster_report_peers(muster_request_succeed(q), q->node);
    return 0;
}

static int node_peer(struct muster_request *q) {
    struct muster_node_name name;
    struct muster_arg args[] = {
        {.name = "node", .type = MUSTER_ARG_NODE, .target = &name, .required = 1}};
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    const struct muster_peer *peer = muster_peers_find(&q->node->peers, &name);
    if (peer == NULL) {
        return muster_request_refuse(q, "unknown", "");
    }
    muster_report_peer(muster_request_succeed(q), peer);
    return 0;
}

/* --- Service monitor --- */

#define MONITOR_ARG(target_)                                                                       \
    {                                                                                              \
        .name = "monitor", .type = MUSTER_ARG_BINARY, .target = (target_), .required = 1,          \
        .max = MUSTER_MONITOR_KEY_MAX                                                              \
    }
#define NODE_ARG(target_)                                                                          \
    { .name = "node", .type = MUSTER_ARG_NODE, .target = (target_), .required = 1 }

static int monitor_start(struct muster_request *q) {
    struct muster_slice key;
    int64_t interval = 1000, suspect = 5000, down = 30000;
    struct muster_arg args[] = {
        MONITOR_ARG(&key),
        {.name = "ping_interval_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &interval,
         .min = 1,
         .max = DAY_MS},
        {.name = "suspect_after_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &suspect,
         .min = 1,
         .max = DAY_MS},
        {.name = "down_after_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &down,
         .min = 1,
         .max = DAY_MS},
    };
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    if (down <= suspect || suspect <= interval) {
        snprintf(q->problem.text, sizeof q->problem.text,
                 "ping_interval_ms (%lld) < suspect_after_ms (%lld) < down_after_ms (%lld) does "
                 "not hold",
                 (long long)interval, (long long)suspect, (long long)down);
        return MUSTER_E_INVALID;
    }
    struct muster_monitor_options options = {
        .ping_interval_ms = (uint64_t)interval,
        .thresholds = {.suspect_after_ms = (uint64_t)suspect, .down_after_ms = (uint64_t)down}};
    int error = muster_monitor_start(&q->node->monitors, key, &options);
    return error != 0 ? muster_request_refuse(q, "system_limit", muster_strerror(error))
                      : muster_request_succeed_empty(q);
}

/* The monitor that the arguments name. */
static int find_monitor(struct muster_request *q, struct muster_slice key,
                        struct muster_monitor **monitor) {
    *monitor = muster_monitor_find(&q->node->monitors, key);
    return *monitor != NULL
               ? 0
               : muster_request_refuse(q, "unknown_monitor", "no monitor of this key was started");
}

static int monitor_only(struct muster_request *q, struct muster_monitor **monitor) {
    struct muster_slice key;
    struct muster_arg args[] = {MONITOR_ARG(&key)};
    int error = muster_request_args(q, args, COUNT(args));
    return error != 0 ? error : find_monitor(q, key, monitor);
}

static int monitor_and_watch(struct muster_request *q, struct muster_watch **watch) {
    struct muster_slice key;
    struct muster_node_name name;
    struct muster_monitor *monitor;
    struct muster_arg args[] = {MONITOR_ARG(&key), NODE_ARG(&name)};
    int error = muster_request_args(q, args, COUNT(args));
    if (error == 0) {
        error = find_monitor(q, key, &monitor);
    }
    if (error != 0) {
        return error;
    }
    *watch = muster_watch_find(monitor, &name);
    return *watch != NULL ? 0 : muster_request_refuse(q, "unknown", "");
}

static int monitor_stop(struct muster_request *q) {
    struct muster_monitor *monitor;
    int error = monitor_only(q, &monitor);
    if (error != 0) {
        return error;
    }
    muster_monitor_stop(monitor);
    return muster_request_succeed_empty(q);
}

static int monitor_watch(struct muster_request *q) {
    static const char *const statuses[] = {"healthy", "suspect", "down", NULL};
    struct muster_slice key;
    struct muster_node_name name;
    int status = 0;
    int64_t silent_ms = 0;
    struct muster_monitor *monitor;
    struct muster_arg args[] = {
        MONITOR_ARG(&key),
        NODE_ARG(&name),
        {.name = "status", .type = MUSTER_ARG_CHOICE, .target = &status, .choices = statuses},
        {.name = "silent_ms",
         .type = MUSTER_ARG_INTEGER,
         .target = &silent_ms,
         .min = 0,
         .max = INT64_MAX / 2},
    };
    int error = muster_request_args(q, args, COUNT(args));
    if (error == 0) {
        error = find_monitor(q, key, &monitor);
    }
    if (error != 0) {
        return error;
    }
    error =
        muster_watch_start(monitor, &name, (enum muster_health_status)status, (uint64_t)silent_ms);
    if (error == MUSTER_E_INVALID) {
        return muster_request_refuse(
            q, "invalid_argument", "option node: a node cannot watch itself or the BEAM beside it");
    }
    return error != 0 ? muster_request_refuse(q, "system_limit", muster_strerror(error))
                      : muster_request_succeed_empty(q);
}

static int monitor_pause(struct muster_request *q) {
    struct muster_watch *watch;
    int error = monitor_and_watch(q, &watch);
    if (error != 0) {
        return error;
    }
    muster_watch_pause(watch);
    return muster_request_succeed_empty(q);
}

static int monitor_forget(struct muster_request *q) {
    struct muster_watch *watch;
    int error = monitor_and_watch(q, &watch);
    if (error != 0) {
        return error;
    }
    muster_watch_forget(watch);
    return muster_request_succeed_empty(q);
}

static int monitor_health(struct muster_request *q) {
    struct muster_watch *watch;
    int error = monitor_and_watch(q, &watch);
    if (error == 0) {
        muster_report_health(muster_request_succeed(q), watch);
    }
    return error;
}

static int monitor_list(struct muster_request *q) {
    struct muster_monitor *monitor;
    int error = monitor_only(q, &monitor);
    if (error == 0) {
        muster_report_monitor(muster_request_succeed(q), monitor);
    }
    return error;
}

/* --- Service discovery --- */

#define TOPOLOGY_ARG(target_)                                                                      \
    {                                                                                              \
        .name = "topology", .type = MUSTER_ARG_BINARY, .target = (target_), .required = 1,         \
        .max = MUSTER_TOPOLOGY_KEY_MAX                                                             \
    }

static int discovery_start(struct muster_request *q) {
    struct muster_slice key, options;
    char strategy[MUSTER_ATOM_SIZE];
    struct muster_arg args[] = {
        TOPOLOGY_ARG(&key),
        {.name = "strategy", .type = MUSTER_ARG_ATOM, .target = strategy, .required = 1},
        {.name = "options", .type = MUSTER_ARG_MAP, .target = &options, .required = 1},
    };
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    const struct muster_strategy_type *type = muster_strategy_find(strategy);
    if (type == NULL) {
        q->error = "unknown_strategy";
        snprintf(q->problem.text, sizeof q->problem.text,
                 "option strategy: %.200s is not one of %s", strategy, muster_strategy_names());
        return MUSTER_E_INVALID;
    }
    int error = muster_topology_start(&q->node->topologies, key, type, options, &q->problem);
    return error != 0 ? error : muster_request_succeed_empty(q);
}

static int find_topology(struct muster_request *q, struct muster_topology **topology) {
    struct muster_slice key;
    struct muster_arg args[] = {TOPOLOGY_ARG(&key)};
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    *topology = muster_topology_find(&q->node->topologies, key);
    return *topology != NULL ? 0
                             : muster_request_refuse(q, "unknown_topology",
                                                     "no topology of this key was started");
}

static int discovery_stop(struct muster_request *q) {
    struct muster_topology *topology;
    int error = find_topology(q, &topology);
    if (error != 0) {
        return error;
    }
    muster_topology_stop(topology);
    return muster_request_succeed_empty(q);
}

static int discovery_sync(struct muster_request *q) {
    struct muster_topology *topology;
    int error = find_topology(q, &topology);
    if (error != 0) {
        return error;
    }
    if (topology->type->needs_name && muster_topology_own_name(topology)->len == 0) {
        return muster_request_refuse(q, "not_distributed",
                                     "this node is not distributed: it has no name yet");
    }
    topology->type->sync(topology);
    return muster_request_succeed_empty(q);
}

static int discovery_status(struct muster_request *q) {
    struct muster_topology *topology;
    int error = find_topology(q, &topology);
    if (error == 0) {
        muster_report_topology(muster_request_succeed(q), topology);
    }
    return error;
}

static int discovery_set_metadata(struct muster_request *q) {
    struct muster_slice metadata;
    int64_t version;
    struct muster_arg args[] = {
        {.name = "version",
         .type = MUSTER_ARG_INTEGER,
         .target = &version,
         .required = 1,
         .max = INT64_MAX},
        {.name = "metadata", .type = MUSTER_ARG_MAP, .target = &metadata, .required = 1},
    };
    if (muster_request_args(q, args, COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    int error = muster_topologies_set_metadata(&q->node->topologies, version, metadata);
    if (error != 0) {
        return muster_request_refuse(q, "invalid_argument",
                                     error == MUSTER_E_LIMIT
                                         ? "option metadata: more than 1024 bytes as a term"
                                         : "option metadata: not a map of binaries to binaries");
    }
    return muster_request_succeed_empty(q);
}

/* --- Dispatch --- */

static const struct {
    const char *service, *op;
    int (*handle)(struct muster_request *q);
} handlers[] = {
    {"node", "distribute", node_distribute},
    {"node", "set_cookie", node_set_cookie},
    {"node", "info", node_info},
    {"node", "peers", node_peers},
    {"node", "peer", node_peer},
    {"monitor", "start", monitor_start},
    {"monitor", "stop", monitor_stop},
    {"monitor", "watch", monitor_watch},
    {"monitor", "pause", monitor_pause},
    {"monitor", "forget", monitor_forget},
    {"monitor", "health", monitor_health},
    {"monitor", "list", monitor_list},
    {"discovery", "start", discovery_start},
    {"discovery", "stop", discovery_stop},
    {"discovery", "sync", discovery_sync},
    {"discovery", "status", discovery_status},
    {"discovery", "set_metadata", discovery_set_metadata},
    {"election", "start", muster_election_request_start},
    {"election", "stop", muster_election_request_stop},
    {"election", "status", muster_election_request_status},
    {"election", "join", muster_election_request_join},
    {"election", "leave", muster_election_request_leave},
    {"election", "transfer", muster_election_request_transfer},
    {"election", "resign", muster_election_request_resign},
    {"election", "promote", muster_election_request_promote},
    {"election", "node_joined", muster_election_request_node_joined},
    {"election", "node_left", muster_election_request_node_left},
};

void muster_requests_write_error(struct muster_writer *w, const char *error, const char *text) {
    muster_write_tuple(w, 2);
    muster_write_atom(w, "error");
    if (text[0] != '\0') {
        muster_write_tuple(w, 2);
        muster_write_atom(w, error);
        muster_write_text(w, text);
    } else {
        muster_write_atom(w, error);
    }
}

int muster_requests_from_beam(struct muster_node *node, int64_t id, const char *service,
                              const char *op, struct muster_slice arg, struct muster_writer *w) {
    struct muster_request q = {
        .node = node, .id = id, .arg = arg, .w = w, .error = "unknown_request"};
    for (size_t i = 0; i < COUNT(handlers); i++) {
        if (strcmp(handlers[i].service, service) == 0 && strcmp(handlers[i].op, op) == 0) {
            int result = handlers[i].handle(&q);
            if (result < 0) {
                muster_requests_write_error(w, q.error, q.problem.text);
            }
            return result == MUSTER_REQUEST_LATER ? MUSTER_REQUEST_LATER : 0;
        }
    }
    snprintf(q.problem.text, sizeof q.problem.text, "service %.200s has no operation %.200s",
             service, op);
    muster_requests_write_error(w, q.error, q.problem.text);
    return 0;
}

void muster_requests_from_peer(struct muster_node *node, struct muster_slice request,
                               struct muster_writer *w) {
    struct muster_reader r = muster_reader(request);
    char atom[MUSTER_ATOM_SIZE];
    if (muster_read_atom(&r, atom) != 0) {
        atom[0] = '\0';
    }
    if (strcmp(atom, "ping") == 0) {
        muster_write_atom(w, "pong");
    } else if (strcmp(atom, "info") == 0) {
        muster_report_info(w, node);
    } else if (strcmp(atom, "peers") == 0) {
        muster_report_peers(w, node);
    } else if (strcmp(atom, "health") == 0) {
        muster_report_all_health(w, node);
    } else {
        muster_requests_write_error(w, "unknown_request",
                                    "muster answers ping, info, peers and health");
    }
}
