/* db/catalog_private.h: a snapshot of the catalog, and what is known while one is made
 *
 * The rows of the query `catalog_read` become tables (catalog_read.c), which learn of each other
 * (catalog_relate.c) and of their walls (catalog_walls.c); what requests ask for is kept as a
 * tn_snapshot (catalog_find.c).
 *
 * Threads: a snapshot is constant; everything else belongs to the thread that makes it.
 */
#ifndef TN_DB_CATALOG_PRIVATE_H
#define TN_DB_CATALOG_PRIVATE_H

#include "db/catalog.h"

#define TN_VIEWS_DEEP 64 /* views over views: more are not followed */

typedef struct tn_role_settings {
    const char *role, *settings, *isolation;
} tn_role_settings;

struct tn_snapshot {
    const tn_relation *const *relations; /* of the exposed schemas, by schema and name */
    size_t relation_count;
    const tn_function *functions; /* of the exposed schemas, by schema and name */
    const tn_function *const *all_functions;
    size_t function_count;
    const tn_type *types;
    size_t type_count;
    const tn_role_settings *roles;
    size_t role_count;
    const char *const *zones; /* names of time zones, sorted by their bytes */
    size_t zone_count;
};

/* Makes a snapshot in `arena` of the rows of `catalog_read`; `zones` are those of
 * `catalog_time_zones`, or NULL. */
const tn_error *tn_snapshot_make(tn_arena *arena, const tn_rows *rows, const tn_rows *zones,
                                 const tn_catalog_options *options,
                                 tn_snapshot **snapshot) TN_MUST_CHECK;

/* The parameter of `catalog_read`: an array of the schemas as PostgreSQL reads it. */
const char *tn_catalog_schemas(tn_arena *arena, const tn_catalog_options *options) TN_MUST_CHECK;

/* --- while it is made ------------------------------------------------------------------------- */

typedef struct tn_index { /* a unique one, by the numbers of its columns */
    const int16_t *columns;
    size_t count;
    bool is_primary, is_constraint, is_immediate;
} tn_index;

struct tn_origin;

typedef struct tn_table {
    tn_relation *relation;
    uint32_t row_type;
    bool is_exposed, is_forced, owner_is_unbound, owner_may_call;
    const char *owner, *quoted;
    bool is_gap_known[2]; /* of views, by whose rights they read: see find_view_gap() */
    const char *gap[2];
    const uint32_t *rests_on; /* of views: oids */
    size_t rests_on_count;
    const tn_index *indexes;
    size_t index_count;
    const struct tn_origin *origins; /* of views */
    size_t origin_count;
} tn_table;

typedef struct tn_key { /* a foreign key */
    const char *name;
    tn_table *from, *to;
    const int16_t *from_columns, *to_columns;
    size_t count;
} tn_key;

typedef struct tn_tables {
    tn_arena *arena, *scratch; /* what stays; what goes when the snapshot is made */
    tn_table *list;            /* by oid */
    size_t count;
    const tn_key *keys;
    size_t key_count;
} tn_tables;

tn_table *tn_tables_find(const tn_tables *tables, uint32_t oid);
const tn_attribute *tn_attribute_numbered(const tn_relation *relation, int16_t number);

/* Fills in keys of views, hidden columns, uniques and relationships of all. */
void tn_tables_relate(const tn_tables *tables);

/* Fills in closed_because. */
void tn_tables_close(const tn_tables *tables);

#endif
