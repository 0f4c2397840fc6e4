/* db/view_private.h: which columns of tables the columns of a view are
 *
 * PostgreSQL keeps a view as a parsed query, and shows it as text (pg_rewrite.ev_action). Each
 * column that is nothing but a column of a relation names that relation and column there, also when
 * it has come through joins, subqueries and WITH. That relation may be a view again.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TN_DB_VIEW_PRIVATE_H
#define TN_DB_VIEW_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct tn_origin {
    int16_t column;       /* of the view */
    int16_t table_column; /* of the relation */
    uint32_t table;       /* oid of the relation */
} tn_origin;

/* The columns that have an origin, in the order of the view, at most `max` of them. Text that is no
 * node tree gives none. */
size_t tn_view_origins(const char *tree, size_t length, tn_origin *origins, size_t max);

#endif
