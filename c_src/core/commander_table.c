#include "core/commander_table.h"

#include "core/errors.h"

#include <stddef.h>
#include <string.h>

/* No honest age is larger, ms; keeps sums in range. */
#define STARTED_MAX (INT64_C(1) << 61)

static uint32_t position(const struct muster_role_table *table, muster_member member) {
    uint32_t at = 0;
    while (at < table->count && table->rows[at].id < member)
        at++;
    return at;
}

const struct muster_role_row *muster_table_look(const struct muster_role_table *table,
                                                muster_member member) {
    uint32_t at = position(table, member);
    return at < table->count && table->rows[at].id == member ? &table->rows[at] : NULL;
}

struct muster_role_row *muster_table_find(struct muster_role_table *table, muster_member member) {
    uint32_t at = position(table, member);
    return at < table->count && table->rows[at].id == member ? &table->rows[at] : NULL;
}

struct muster_role_row *muster_table_add(struct muster_role_table *table, muster_member member) {
    if (table->count == MUSTER_MEMBERS_MAX)
        return NULL;
    uint32_t at = position(table, member);
    memmove(&table->rows[at + 1], &table->rows[at], (table->count - at) * sizeof table->rows[0]);
    table->count++;
    table->rows[at] = (struct muster_role_row){.id = member, .role = MUSTER_ROLE_WINGMATE};
    return &table->rows[at];
}

void muster_table_remove(struct muster_role_table *table, muster_member member) {
    uint32_t at = position(table, member);
    if (at == table->count || table->rows[at].id != member)
        return;
    table->count--;
    memmove(&table->rows[at], &table->rows[at + 1], (table->count - at) * sizeof table->rows[0]);
    if (table->pin == member)
        table->pin = MUSTER_NOBODY;
}

bool muster_table_senior(const struct muster_role_row *a, const struct muster_role_row *b) {
    return a->started != b->started ? a->started < b->started : a->id < b->id;
}

int muster_table_check(const struct muster_role_table *table) {
    if (table->count > MUSTER_MEMBERS_MAX)
        return MUSTER_E_MALFORMED;
    muster_member previous = MUSTER_NOBODY;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct muster_role_row *row = &table->rows[i];
        if (row->id <= previous || row->role < MUSTER_ROLE_WINGMATE ||
            row->role > MUSTER_ROLE_RELAY || row->started < -STARTED_MAX ||
            row->started > STARTED_MAX)
            return MUSTER_E_MALFORMED;
        previous = row->id;
    }
    return 0;
}

const char *muster_role_name(enum muster_cluster_role role) {
    switch (role) {
#define X(name, number, text)                                                                      \
    case MUSTER_ROLE_##name:                                                                       \
        return text;
        MUSTER_CLUSTER_ROLES(X)
#undef X
    }
    return "?";
}
