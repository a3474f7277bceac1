#include "node/node_requests.h"

#include "core/errors.h"
#include "node/report.h"

/* Empty text stands for all interfaces. */
static int is_address(const char *ip, int family) {
    struct in6_addr address; /* room for either */
    return ip[0] == '\0' || uv_inet_pton(family, ip, &address) == 0;
}

static int distribute(struct muster_request *q) {
    static const char *const families[] = {"inet", "inet6", NULL};
    static const char *const transports[] = {"tcp", "tls", "other", NULL};
    struct muster_distribution d;
    int64_t epmd_port, listen_min = 0, listen_max = 0, ticktime_ms;
    int family = 0, transport = 0;
    muster_distribution_defaults(&d);
    epmd_port = d.epmd_port;
    ticktime_ms = (int64_t)d.ticktime_ms;
    struct muster_arg args[] = {
        {.name = "name", .type = MUSTER_ARG_NODE, .target = &d.name, .required = 1},
        {.name = "cookie",
         .type = MUSTER_ARG_TEXT,
         .target = d.cookie,
         .required = 1,
         .max = sizeof d.cookie - 1},
        {.name = "beam", .type = MUSTER_ARG_NODE, .target = &d.beam},
        {.name = "epmd_port",
         .type = MUSTER_ARG_INTEGER,
         .target = &epmd_port,
         .min = 1,
         .max = 65535},
        {.name = "family", .type = MUSTER_ARG_CHOICE, .target = &family, .choices = families},
        {.name = "listen_ip",
         .type = MUSTER_ARG_TEXT,
         .target = d.listen_ip,
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
         .max = MUSTER_DAY_MS},
        {.name = "transport",
         .type = MUSTER_ARG_CHOICE,
         .target = &transport,
         .choices = transports},
    };
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    if (q->node->distributed) {
        return muster_request_refuse(q, "already_distributed",
                                     q->node->peers.link_settings.self.text);
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

int muster_node_distribute_as_told(struct muster_node *node, struct muster_slice map,
                                   const char **error, struct muster_problem *problem) {
    struct muster_request q = {.node = node, .arg = map};
    int result = distribute(&q);
    *error = q.error;
    *problem = q.problem;
    return result;
}

int muster_node_request_distribute(struct muster_request *q) {
    int error = distribute(q);
    return error != 0 ? error : muster_request_succeed_empty(q);
}

int muster_node_request_set_cookie(struct muster_request *q) {
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
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    if (muster_cookies_set(&q->node->cookies, args[1].given ? &name : NULL, cookie) != 0) {
        return muster_request_refuse(q, "invalid_argument", "a cookie cannot hold a zero byte");
    }
    muster_peers_cookie_changed(&q->node->peers);
    return muster_request_succeed_empty(q);
}

int muster_node_request_info(struct muster_request *q) {
    muster_report_info(muster_request_succeed(q), q->node);
    return 0;
}

int muster_node_request_peers(struct muster_request *q) {
    muster_report_peers(muster_request_succeed(q), q->node);
    return 0;
}

int muster_node_request_peer(struct muster_request *q) {
    struct muster_node_name name;
    struct muster_arg args[] = {MUSTER_NODE_ARG(&name)};
    if (muster_request_args(q, args, MUSTER_COUNT(args)) != 0) {
        return MUSTER_E_INVALID;
    }
    const struct muster_peer *peer = muster_peers_find(&q->node->peers, &name);
    if (peer == NULL) {
        return muster_request_refuse(q, "unknown", "");
    }
    muster_report_peer(muster_request_succeed(q), peer);
    return 0;
}
