#include "core/name_list.h"

#include <stdlib.h>

#include "core/errors.h"

#define FIRST_CAPACITY 8

void muster_name_list_close(struct muster_name_list *list) {
    free(list->names);
    *list = (struct muster_name_list){0};
}

static int grow(struct muster_name_list *list) {
    unsigned capacity = list->capacity > 0 ? 2 * list->capacity : FIRST_CAPACITY;
    struct muster_node_name *names = realloc(list->names, capacity * sizeof *names);
    if (names == NULL) {
        return MUSTER_E_NOMEM;
    }
    list->names = names;
    list->capacity = capacity;
    return 0;
}

int muster_name_list_add(struct muster_name_list *list, const struct muster_node_name *name) {
    if (list->count == MUSTER_NAME_LIST_MAX) {
        return MUSTER_E_LIMIT;
    }
    int error = list->count == list->capacity ? grow(list) : 0;
    if (error == 0) {
        list->names[list->count++] = *name;
    }
    return error;
}

static int by_name(const void *a, const void *b) {
    return muster_node_name_compare(a, b);
}

void muster_name_list_sort(struct muster_name_list *list) {
    unsigned kept = 0;
    if (list->count > 0) {
        qsort(list->names, list->count, sizeof *list->names, by_name);
    }
    for (unsigned i = 0; i < list->count; i++) {
        if (kept == 0 || !muster_node_name_equal(&list->names[kept - 1], &list->names[i])) {
            list->names[kept++] = list->names[i];
        }
    }
    list->count = kept;
}

int muster_name_list_has(const struct muster_name_list *list, const struct muster_node_name *name) {
    return list->count > 0 &&
           bsearch(name, list->names, list->count, sizeof *list->names, by_name) != NULL;
}
