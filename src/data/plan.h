/* data/plan.h: the second stage: syntax tree and catalog → what has to be done
 *
 * Every name of the request has been looked up here: relations, relationships, functions and
 * columns are pointers into the snapshot, embeds are a tree of nodes, filters and orders hang at
 * the node they belong to. What PostgreSQL itself resolves stays a name (`attribute` NULL):
 * computed fields and its functional notation (`beds(count)`); sql.c writes them quoted behind an
 * alias.
 *
 * Threads: any; a plan is constant and lives in the request's arena, the snapshot with it.
 * Errors:  in PostgREST's codes and words: PGRST103 105 106 108 114 116 118 119 123 200 to 205;
 * ours for what is not exposed (404 PGRST205 with why and how).
 */
#ifndef TN_DATA_PLAN_H
#define TN_DATA_PLAN_H

#include "data/accept.h"
#include "data/body.h"
#include "data/prefer.h"
#include "data/query.h"
#include "db/catalog.h"

typedef enum tn_plan_kind {
    TN_PLAN_READ,
    TN_PLAN_INSERT, /* upsert included: see resolution */
    TN_PLAN_UPDATE,
    TN_PLAN_PUT,
    TN_PLAN_DELETE,
    TN_PLAN_CALL
} tn_plan_kind;

typedef struct tn_plan_node tn_plan_node;

typedef struct tn_plan_field {
    const char *name;              /* of the column; NULL: of no column (count()) */
    const tn_attribute *attribute; /* NULL: PostgreSQL resolves the name */
    const tn_json_step *steps;
    size_t step_count;
} tn_plan_field;

/* One member of a result row. */
typedef struct tn_plan_column {
    tn_plan_field field;
    const char *cast; /* as in the request: checked to be letters, digits, _ $ and spaces only */
    tn_aggregate aggregate;
    const char *aggregate_cast;
    const char *member; /* its name in the answer */
} tn_plan_column;

typedef enum tn_plan_logic_kind {
    TN_PLAN_FILTER,
    TN_PLAN_AND,
    TN_PLAN_OR,
    TN_PLAN_EMBED_IS_NULL /* `beds=is.null`: no such rows; negated: not.is.null */
} tn_plan_logic_kind;

typedef struct tn_plan_logic tn_plan_logic;
struct tn_plan_logic {
    tn_plan_logic_kind kind;
    bool is_negated; /* a filter's own `not.` included */
    const tn_plan_logic *terms;
    size_t term_count;
    const tn_filter *filter; /* operator and values */
    tn_plan_field field;
    const tn_plan_node *embed;
};

typedef struct tn_plan_order {
    const tn_plan_node *embed; /* a to-one child whose column it is; NULL: the node's own */
    tn_plan_field field; /* of an embed: a member of its object, or a column of a hidden one */
    tn_direction direction;
    tn_nulls nulls;
} tn_plan_order;

/* The rows of one relation (or function) at one place of the answer. */
struct tn_plan_node {
    const tn_relation *relation; /* NULL: rows of a function that are no relation's */
    const char *alias;        /* in SQL, unique within the statement; the root's is the name of its
                                 relation, so that errors of PostgreSQL read as PostgREST's do */
    const char *joined_alias; /* of its rows where they are joined to the parent's, unique too;
                                 NULL: the root */
    const char *target;       /* what the request calls it; NULL: the root */
    const char *member;       /* in the answer: alias or target; NULL: the root */
    const tn_relationship *via; /* how it hangs at its parent; NULL: the root */
    const char *junction_alias; /* many-to-many: of the table between, unique too */
    bool is_inner;              /* parents without it are left out */
    bool is_to_one, is_spread;
    bool is_hidden;                /* `beds()`: not in the answer, but for filters and order */
    bool is_whole;                 /* `*` of rows whose columns only PostgreSQL knows, and scalars:
                                      everything, besides what `columns` names */
    bool is_aggregated;            /* the columns without an aggregate are what rows are grouped by.
                                      Those of spread children count with them: their aggregates are
                                      computed here, and the spread node itself is not aggregated */
    const tn_plan_column *columns; /* `*` is expanded, without hidden columns */
    size_t column_count;
    const tn_plan_logic *conditions; /* all must hold */
    size_t condition_count;
    const tn_plan_order *order;
    size_t order_count;
    bool has_limit;
    int64_t limit, offset; /* limit with data.max_rows taken into account. Those of an embed may be
                              negative: PostgreSQL says so */
    tn_plan_node *const *children;
    size_t child_count;
};

/* One argument of a call that came as text (GET): bound and cast to the parameter's type. */
typedef struct tn_plan_argument {
    const tn_parameter *parameter;
    const char *value;         /* of a parameter that is not variadic */
    const char *const *values; /* of a variadic one */
    size_t value_count;
} tn_plan_argument;

typedef enum tn_call_form {
    TN_CALL_NAMED_TEXT, /* GET: `arguments` */
    TN_CALL_NAMED_JSON, /* POST: members of payload.json, those of `parameters` */
    TN_CALL_SINGLE_RAW  /* the whole body is the one unnamed argument */
} tn_call_form;

typedef struct tn_data_plan {
    tn_plan_kind kind;
    const tn_snapshot *snapshot;
    const char *schema; /* of the request */
    tn_plan_node *root;

    /* the answer */
    tn_accepted media;
    bool is_single; /* anything but exactly one row is 406 PGRST116 and nothing has happened */
    bool has_body;  /* false: HEAD, or a write that returns nothing */
    tn_prefer_count count;
    int64_t max_rows;          /* data.max_rows; 0: none */
    int64_t answer_max;        /* bytes of the body; 0: any number */
    bool is_limited_by_client; /* limit or Range was given */
    bool has_etag; /* the answer is one row of a table, nothing else, and the caller may read its
                      version */

    /* writes */
    tn_prefer_return returning;
    const tn_attribute *const *columns; /* that are written, in order */
    size_t column_count;
    const tn_payload *payload;
    bool missing_default;            /* keys that are missing take the column's default */
    tn_prefer_resolution resolution; /* effective: NONE when there is nothing to conflict with */
    const char *const *conflict;     /* columns of ON CONFLICT, tenant_id included where needed */
    size_t conflict_count;
    const char
        *if_match; /* version (etag without quotes) that the rows must have; "*": any row; NULL */
    bool must_be_new; /* PUT: a row that is there already is 412 */
    bool has_max_affected;
    int64_t max_affected;

    /* calls */
    const tn_function *function;
    tn_call_form call_form;
    const tn_plan_argument *arguments;
    size_t argument_count;
    const tn_parameter *const *parameters; /* TN_CALL_NAMED_JSON: those that the body names */
    size_t parameter_count;
    const char *raw; /* TN_CALL_SINGLE_RAW */
    size_t raw_length;

    int64_t aggregate_max_rows; /* rows that an aggregate may read; 0: any number */
} tn_data_plan;

/* What planning needs to know of the request. */
typedef struct tn_plan_request {
    const char *method; /* "GET" … ; HEAD is its own */
    bool is_call;       /* /rpc/NAME */
    const char *schema, *name;
    const tn_data_query *query;
    const tn_prefer *prefer;
    tn_accepted media;
    const tn_data_body *body;        /* NULL: none was read */
    bool has_range;                  /* header Range, GET only */
    int64_t range_first, range_last; /* range_last INT64_MAX: open */
    const char *role;                /* database role, for privileges */
    const char *if_match;            /* or NULL */
    const char *if_none_match;       /* the field as it came, or NULL */
    bool allows_aggregates;
    bool tells_estimates; /* PostgreSQL's statistics, which are of all tenants, may be told */
    bool names_objects;   /* casts may turn numbers into names of tables, roles and functions */
    int64_t max_rows, aggregate_max_rows, answer_max;
} tn_plan_request;

const tn_error *tn_data_plan_make(tn_arena *arena, const tn_snapshot *snapshot,
                                  const tn_plan_request *request, tn_data_plan *plan) TN_MUST_CHECK;

/* Whether the column is among those that are written. */
bool tn_plan_writes(const tn_data_plan *plan, const char *column);

/* The relation of that name, or 404 PGRST205 with the nearest name, or why it is not exposed. */
const tn_error *tn_plan_relation(tn_arena *arena, const tn_snapshot *snapshot, const char *schema,
                                 const char *name, const tn_relation **relation) TN_MUST_CHECK;

/* relate.c: the one relationship that `target!hint` means, seen from `from`: 400 PGRST200 none, 300
 * PGRST201 several. */
const tn_error *tn_plan_relate(tn_arena *arena, const tn_snapshot *snapshot,
                               const tn_relation *from, const tn_select_item *embed,
                               const tn_relationship **relationship) TN_MUST_CHECK;

/* call.c: the function that these argument names mean: 404 PGRST202 none, 300 PGRST203 several. */
typedef struct tn_call_shape {
    const char *schema, *name;
    const char *const *names; /* of the arguments */
    size_t name_count;
    const char *raw_type;  /* media type of the body: "application/json", "text/plain"; or NULL */
    bool may_be_raw;       /* POST: a function with one unnamed parameter takes the whole body */
    bool is_raw;           /* the body is no object: only such a function can take it */
    bool is_single_object; /* params=single-object: one json parameter takes the whole body */
} tn_call_shape;
const tn_error *tn_plan_choose(tn_arena *arena, const tn_snapshot *snapshot,
                               const tn_call_shape *shape, const tn_function **function,
                               bool *is_raw) TN_MUST_CHECK;

#endif
