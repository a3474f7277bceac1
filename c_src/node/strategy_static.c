/* The strategy `static`: a fixed list of nodes (libcluster's Epmd). Option: nodes, a list of names.
 */
#include "core/errors.h"
#include "node/strategy.h"
#include "node/topology.h"

#include <stdlib.h>

/* The list lives as long as the topology: it is reported again on each sync. */
struct static_list {
    struct muster_name_list nodes;
};

static void sync_static(struct muster_topology *topology) {
    struct static_list *list = muster_topology_state(topology);
    muster_topology_report(topology, &list->nodes);
}

static int start_static(struct muster_topology *topology, struct muster_slice options,
                        struct muster_problem *problem) {
    struct static_list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        return MUSTER_E_NOMEM;
    }
    struct muster_arg args[] = {
        {.name = "nodes", .type = MUSTER_ARG_NODES, .target = &list->nodes, .required = 1}};
    int error = muster_args_read(options, args, 1, problem);
    if (error != 0) {
        muster_name_list_close(&list->nodes);
        free(list);
        return error;
    }
    muster_topology_set_state(topology, list);
    sync_static(topology);
    return 0;
}

static void stop_static(struct muster_topology *topology) {
    struct static_list *list = muster_topology_state(topology);
    muster_name_list_close(&list->nodes);
    free(list);
}

const struct muster_strategy_type muster_strategy_static = {
    .name = "static", .start = start_static, .sync = sync_static, .stop = stop_static};
