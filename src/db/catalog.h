/* db/catalog.h: what the database has in the exposed schemas
 *
 * Relations with their columns and keys, the relationships between them, functions, comments and
 * privileges: read in one query into an immutable snapshot, which is swapped as a whole. A request
 * holds the snapshot it began with; a reload drops no request, and while the database is away the
 * last snapshot serves on.
 *
 * tn_catalog_expire() only marks the snapshot as old (NOTIFY does that). The next request reads a
 * new one; those that come meanwhile are served from the old one.
 *
 * Threads: tn_catalog any; a snapshot is constant.
 * Errors:  503 PGRST002 with Retry-After while no snapshot could be read yet.
 */
#ifndef TN_DB_CATALOG_H
#define TN_DB_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "db/database.h"

typedef struct tn_catalog tn_catalog;
typedef struct tn_snapshot tn_snapshot;
typedef struct tn_relation tn_relation;
typedef struct tn_function tn_function;

typedef struct tn_catalog_options {
    const char *const *schemas; /* exposed, in order; the first is the default */
    size_t schema_count;
    bool require_rls; /* fills tn_relation.closed_because */
} tn_catalog_options;

tn_catalog *tn_catalog_new(tn_db *db,
                           const tn_catalog_options *options) TN_NEVER_NULL TN_MUST_CHECK;
void tn_catalog_free(tn_catalog *catalog);
void tn_catalog_expire(tn_catalog *catalog);

/* The snapshot, held until the arena is freed. */
const tn_error *tn_catalog_take(tn_catalog *catalog, tn_arena *arena,
                                const tn_snapshot **snapshot) TN_MUST_CHECK;

/* The same after something was not found: reads a new one when the present one is older than a
 * second, because the notification may be on its way still. */
const tn_error *tn_catalog_take_fresh(tn_catalog *catalog, tn_arena *arena,
                                      const tn_snapshot *missed,
                                      const tn_snapshot **snapshot) TN_MUST_CHECK;

/* Reads a snapshot by a session of the operator's (`tenon types`), owned by the arena. */
const tn_error *tn_snapshot_read(tn_session *session, tn_arena *arena,
                                 const tn_catalog_options *options,
                                 const tn_snapshot **snapshot) TN_MUST_CHECK;

/* --- relations -------------------------------------------------------------------------------- */

typedef struct tn_attribute {
    const char *name;
    const char *type; /* as SQL writes it, with modifiers: "character varying(10)", "api.mood" */
    const char
        *base_type; /* without modifiers, domains resolved: "integer", "api.mood", "text[]" */
    const char *default_sql;   /* default expression, or NULL */
    const char *comment;       /* or NULL */
    const char *const *labels; /* of an enum (or an array of it), in order; else NULL */
    size_t label_count;
    int32_t max_length; /* of character and bit types; 0: none */
    int16_t number;     /* attnum */
    const char *type_schema,
        *type_name; /* pg_type of the base type, of an array: of its elements */
    char type_kind; /* of that type: 'b'ase, 'c'omposite, 'e'num, 'r'ange, 'm'ultirange,
                       'p'seudo; arrays: is_array */
    const char *to_json, *from_json, *from_text; /* functions, as SQL names them, of a domain's
                                                    implicit casts; or NULL */
    bool is_array, is_json;                      /* json, jsonb */
    bool is_domain;
    bool is_not_null;
    bool has_default;  /* identity included */
    bool is_generated; /* generated always as (…) stored */
    bool is_identity, is_identity_always;
    bool is_hidden; /* tenant_id of a protected table: not part of `*` */
} tn_attribute;

/* A unique index that ON CONFLICT can infer, or that a deferrable constraint has; of a view, the
 * one of its base. Hidden tenant_id is left out of `columns` when it is not alone: has_tenant. */
typedef struct tn_unique {
    const char *const *columns;
    size_t count;
    bool has_tenant;
    bool is_primary, is_constraint, is_immediate;
} tn_unique;

/* Which of the roles that tenon_authenticator may become may do what: privileges on the whole
 * relation, and those on at least one column. */
typedef struct tn_privileges {
    const char *role;
    bool select, insert, update, delete_;
    bool select_some, insert_some, update_some; /* of columns: at least one */
} tn_privileges;

struct tn_relation {
    uint32_t oid;
    const char *schema, *name;
    const char *comment; /* or NULL */
    char kind;           /* pg_class.relkind: r v m f p */
    const tn_attribute *attributes;
    size_t attribute_count;
    const char *const *key; /* primary key columns (a view's: of its base); tenant_id of a
                               protected table left out when it is hidden and not alone */
    size_t key_count;
    const tn_unique *uniques;
    size_t unique_count;
    const tn_attribute *const *by_name; /* the attributes, sorted */
    bool is_partition;
    bool is_protected;   /* has the policy tenon_tenant */
    bool has_tenant_key; /* its unique constraints may have tenant_id first: see
                            tn_relation_conflict() */
    bool has_row_security, is_security_invoker;
    bool can_insert, can_update, can_delete; /* by what it is, not by privileges */
    bool has_xmin;              /* a table whose rows carry a version: not views, not foreign */
    const char *closed_because; /* why it is not exposed (data.require_rls), or NULL */
    const char *closed_hint;    /* what opens it; NULL with closed_because */
    const tn_privileges *privileges;
    size_t privilege_count;
    const struct tn_relationship *const *relationships; /* from this relation, detected ones */
    size_t relationship_count;
    const tn_function *const *computed; /* computed relationships: one argument of its row type */
    size_t computed_count;
};

typedef enum tn_cardinality {
    TN_MANY_TO_ONE,
    TN_ONE_TO_MANY,
    TN_ONE_TO_ONE,
    TN_MANY_TO_MANY,
    TN_COMPUTED
} tn_cardinality;

/* As seen from `from`. Every key gives two: there and back. tenant_id is left out of the columns
 * (and joined all the same by `is_tenant_bound`). */
typedef struct tn_relationship {
    tn_cardinality cardinality;
    const tn_relation *from, *to;
    bool is_self;
    bool is_to_one;         /* many-to-one, one-to-one, computed with one row */
    bool is_parent;         /* one-to-one: `from` is the side that is referred to */
    const char *constraint; /* of the key; many-to-many: of junction → from */
    const char *const *from_columns, *const *to_columns; /* pairwise; many-to-many: empty */
    size_t column_count;
    bool is_tenant_bound; /* both sides have a hidden tenant_id that the key includes */

    /* many-to-many */
    const tn_relation *junction;
    const char *to_constraint;                          /* of junction → to */
    const char *const *junction_from, *const *from_key; /* junction.x = from.y, pairwise */
    size_t junction_from_count;
    const char *const *junction_to, *const *to_key;
    size_t junction_to_count;

    const tn_function *function; /* TN_COMPUTED */
} tn_relationship;

/* --- functions -------------------------------------------------------------------------------- */

typedef struct tn_parameter {
    const char *name;       /* "" when it has none */
    const char *type;       /* as SQL writes it */
    const tn_attribute *as; /* its type, as that of a column without a name */
    bool is_required;       /* no default */
    bool is_variadic;
    bool is_array, is_json;
} tn_parameter;

typedef enum tn_returns {
    TN_RETURNS_VOID,
    TN_RETURNS_SCALAR,
    TN_RETURNS_COMPOSITE /* a row: of a table, a type, or OUT parameters */
} tn_returns;

struct tn_function {
    const char *schema, *name;
    const char *comment;
    const tn_relation *takes;       /* an exposed relation whose row is the only parameter: it
                                       computes a field or a relationship of it; or NULL */
    const tn_parameter *parameters; /* IN, INOUT, VARIADIC */
    size_t parameter_count;
    tn_returns returns;
    bool returns_set;
    bool is_single_row;         /* a set of at most one (ROWS 1), or no set */
    const char *return_type;    /* as SQL writes it */
    const tn_attribute *result; /* the same, as the type of a column without a name */
    const char *return_schema,
        *return_name;            /* of its type: finds the relation whose rows these are */
    const tn_attribute *columns; /* of the row when it is no relation's of the exposed schemas:
                                    OUT parameters, TABLE, a type's */
    size_t column_count;
    char volatility;               /* pg_proc.provolatile: i s v */
    const char *isolation;         /* `set default_transaction_isolation`, or NULL */
    const char *statement_timeout; /* `set statement_timeout`, or NULL */
    bool is_security_definer;
    bool is_exposed;          /* false: only found as a computed relationship */
    const char *const *roles; /* that may execute it */
    size_t role_count;
};

/* --- questions -------------------------------------------------------------------------------- */

const tn_relation *tn_snapshot_relation(const tn_snapshot *snapshot, const char *schema,
                                        const char *name);
const tn_attribute *tn_relation_attribute(const tn_relation *relation, const char *name);
const tn_privileges *tn_relation_privileges(const tn_relation *relation, const char *role);

/* Overloads stand together; NULL and 0 when there is none. */
const tn_function *tn_snapshot_functions(const tn_snapshot *snapshot, const char *schema,
                                         const char *name, size_t *count);
bool tn_function_allows(const tn_function *function, const char *role);

/* The relation whose rows a function returns, or NULL. */
const tn_relation *tn_snapshot_returned(const tn_snapshot *snapshot, const tn_function *function);

/* The columns of a unique constraint that ON CONFLICT must name when the client names `columns`:
 * themselves, or with tenant_id in front where the constraint of a protected table has it. NULL:
 * no constraint fits, PostgreSQL will say so. */
const char *const *tn_relation_conflict(const tn_relation *relation, tn_arena *arena,
                                        const char *const *columns, size_t count,
                                        size_t *conflict_count);

/* All of them, sorted by schema and name. */
const tn_relation *const *tn_snapshot_relations(const tn_snapshot *snapshot, size_t *count);
const tn_function *const *tn_snapshot_all_functions(const tn_snapshot *snapshot, size_t *count);

/* Enums (with their labels) and composite types (with fields) of the exposed schemas, by schema and
 * name. */
typedef struct tn_type {
    const tn_attribute *as;
    const tn_attribute *fields;
    size_t field_count;
} tn_type;
const tn_type *tn_snapshot_types(const tn_snapshot *snapshot, size_t *count);

/* `alter role … set`: JSON object text of settings for transactions of that role, or NULL. */
const char *tn_snapshot_role_settings(const tn_snapshot *snapshot, const char *role,
                                      const char **isolation);

bool tn_snapshot_has_time_zone(const tn_snapshot *snapshot, const char *name);

/* The name among the relations of the schema that is most like this one, for hints;
 * NULL when none is near. */
const char *tn_snapshot_similar_relation(const tn_snapshot *snapshot, const char *schema,
                                         const char *name);

#endif
