/* A growing list of node names, such as a backend's answer. */
#ifndef MUSTER_CORE_NAME_LIST_H
#define MUSTER_CORE_NAME_LIST_H

#include "core/node_name.h"

/* More nodes than a full mesh of BEAMs could hold. */
#define MUSTER_NAME_LIST_MAX 8192

/* All zero is an empty list. */
struct muster_name_list {
    struct muster_node_name *names; /* owned */
    unsigned count, capacity;
};

/* Frees what it holds; it is empty again. */
void muster_name_list_close(struct muster_name_list *list);

/* Appends, without looking for duplicates. Returns 0, MUSTER_E_LIMIT or MUSTER_E_NOMEM. */
int muster_name_list_add(struct muster_name_list *list, const struct muster_node_name *name);

/* Sorts by name and drops duplicates. */
void muster_name_list_sort(struct muster_name_list *list);

/* Whether a sorted list has the name. */
int muster_name_list_has(const struct muster_name_list *list, const struct muster_node_name *name);

#endif
