/* The command line of muster_node. */
#ifndef MUSTER_NODE_OPTIONS_H
#define MUSTER_NODE_OPTIONS_H

#include "node/monitor.h"
#include "node/node.h"
#include "node/priority.h"

#define MUSTER_OPTIONS_PEERS_MAX 256

enum muster_mode {
    MUSTER_MODE_RUN,  /* join, watch the peers, report until a signal */
    MUSTER_MODE_PING, /* measure round-trip times to one peer and end */
    MUSTER_MODE_HELP,
    MUSTER_MODE_VERSION,
};

struct muster_options {
    enum muster_mode mode;
    struct muster_distribution distribution;
    struct muster_monitor_options monitor;
    struct muster_node_name peers[MUSTER_OPTIONS_PEERS_MAX];
    unsigned peer_count;
    uint32_t count;      /* ping: round trips; 0: until a signal */
    uint32_t timeout_ms; /* ping: until the first answer */
    int json;            /* ping: one line of JSON in place of text */
    enum muster_priority priority;
};

/*
 * Reads the arguments and the cookie file. Returns 0, or MUSTER_E_INVALID after one line on stderr
 * that names the option, its value and what was expected.
 */
int muster_options_parse(struct muster_options *options, int argc, char *argv[]);

void muster_options_print_help(void);

#endif
