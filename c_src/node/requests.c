#include "node/requests.h"

#include <stdio.h>

#include "node/discovery_requests.h"
#include "node/election_requests.h"
#include "node/monitor_requests.h"
#include "node/node_requests.h"
#include "node/report.h"
#include "node/request.h"

static const struct {
    const char *service, *op;
    int (*handle)(struct muster_request *q);
} handlers[] = {
    {"node", "distribute", muster_node_request_distribute},
    {"node", "set_cookie", muster_node_request_set_cookie},
    {"node", "info", muster_node_request_info},
    {"node", "peers", muster_node_request_peers},
    {"node", "peer", muster_node_request_peer},
    {"monitor", "start", muster_monitor_request_start},
    {"monitor", "stop", muster_monitor_request_stop},
    {"monitor", "watch", muster_monitor_request_watch},
    {"monitor", "pause", muster_monitor_request_pause},
    {"monitor", "forget", muster_monitor_request_forget},
    {"monitor", "health", muster_monitor_request_health},
    {"monitor", "list", muster_monitor_request_list},
    {"discovery", "start", muster_discovery_request_start},
    {"discovery", "stop", muster_discovery_request_stop},
    {"discovery", "sync", muster_discovery_request_sync},
    {"discovery", "status", muster_discovery_request_status},
    {"discovery", "set_metadata", muster_discovery_request_set_metadata},
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
    for (size_t i = 0; i < MUSTER_COUNT(handlers); i++) {
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
