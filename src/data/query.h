/* data/query.h: the query string of the data API as a syntax tree
 *
 * The first of five stages: URL → tree (here) → plan (plan.h) → SQL (sql.h) → database → response.
 * The tree says what was asked for, in the words of the request; nothing in it has been looked up.
 * The grammar is PostgREST's (docs/compatibility.md); its three ways to write a value (plain
 * filter, `in` list, logic tree) are three functions.
 *
 * Threads: any; a tree is constant once parsed and lives in its arena. Texts are UTF-8 without NUL.
 * Errors:  400 PGRST100 for what the grammar does not have, naming the place; 400 with the code of
 *          the limit for what is too much (see tn_data_limits).
 */
#ifndef TN_DATA_QUERY_H
#define TN_DATA_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* `meta->owner->>name`: a column and the way into its JSON. */
typedef struct tn_json_step {
    const char *key; /* of an object, or the digits of an index: "-1" */
    bool is_index;   /* an element of an array */
    bool as_text;    /* ->> */
} tn_json_step;

typedef struct tn_data_field {
    const char *name;
    const tn_json_step *steps;
    size_t step_count;
} tn_data_field;

/* --- select ----------------------------------------------------------------------------------- */

typedef enum tn_aggregate {
    TN_AGGREGATE_NONE,
    TN_AGGREGATE_SUM,
    TN_AGGREGATE_AVG,
    TN_AGGREGATE_COUNT, /* without a field (field.name NULL): counts rows */
    TN_AGGREGATE_MAX,
    TN_AGGREGATE_MIN
} tn_aggregate;

typedef enum tn_select_kind {
    TN_SELECT_STAR,  /* * */
    TN_SELECT_FIELD, /* [alias:]field[::cast][.aggregate()[::cast]] */
    TN_SELECT_EMBED, /* [alias:]target[!hint][!inner](…) */
    TN_SELECT_SPREAD /* ...target[!hint][!inner](…) */
} tn_select_kind;

typedef enum tn_join { TN_JOIN_DEFAULT, TN_JOIN_LEFT, TN_JOIN_INNER } tn_join;

typedef struct tn_select_item tn_select_item;

typedef struct tn_select {
    const tn_select_item *items;
    size_t count; /* 0: `select=` or `beds()`: the root then means *, an embed nothing */
} tn_select;

struct tn_select_item {
    tn_select_kind kind;
    const char *alias; /* NULL: none */

    /* TN_SELECT_FIELD */
    tn_data_field field;
    const char *cast; /* before an aggregate; NULL: none */
    tn_aggregate aggregate;
    const char *aggregate_cast; /* after it */

    /* TN_SELECT_EMBED, TN_SELECT_SPREAD */
    const char *target, *hint; /* hint NULL: none */
    tn_join join;
    tn_select children;
};

/* --- filters ---------------------------------------------------------------------------------- */

typedef enum tn_operator {
    TN_OP_EQ,
    TN_OP_NEQ,
    TN_OP_GT,
    TN_OP_GTE,
    TN_OP_LT,
    TN_OP_LTE,
    TN_OP_LIKE,  /* `*` in the value is `%` already */
    TN_OP_ILIKE, /* likewise */
    TN_OP_MATCH,
    TN_OP_IMATCH,
    TN_OP_IN,
    TN_OP_IS,
    TN_OP_IS_DISTINCT,
    TN_OP_FTS,
    TN_OP_PLFTS,
    TN_OP_PHFTS,
    TN_OP_WFTS,
    TN_OP_CS,
    TN_OP_CD,
    TN_OP_OV,
    TN_OP_SL,
    TN_OP_SR,
    TN_OP_NXR,
    TN_OP_NXL,
    TN_OP_ADJ
} tn_operator;

typedef enum tn_quantifier {
    TN_QUANTIFIER_NONE,
    TN_QUANTIFIER_ANY,
    TN_QUANTIFIER_ALL
} tn_quantifier;

typedef enum tn_is { TN_IS_NULL, TN_IS_NOT_NULL, TN_IS_TRUE, TN_IS_FALSE, TN_IS_UNKNOWN } tn_is;

typedef struct tn_filter {
    tn_data_field field;
    bool is_negated; /* not. before the operator */
    tn_operator op;
    tn_quantifier quantifier;
    const char *config;        /* of full text search; NULL: the default */
    tn_is is;                  /* of TN_OP_IS */
    const char *value;         /* of all but TN_OP_IN and TN_OP_IS */
    const char *const *values; /* of TN_OP_IN; in.() and in.("") have none */
    size_t value_count;
} tn_filter;

typedef enum tn_logic_kind { TN_LOGIC_FILTER, TN_LOGIC_AND, TN_LOGIC_OR } tn_logic_kind;

typedef struct tn_logic tn_logic;
struct tn_logic {
    tn_logic_kind kind;
    bool is_negated;       /* of AND and OR; a filter has its own */
    const tn_logic *terms; /* of AND and OR, at least one */
    size_t term_count;
    tn_filter filter;
};

/* The names from the root to an embed: `beds.plantings.qty=gt.5` has the path beds, plantings. A
 * name is the target or the alias of an embed. Empty: the root. */
typedef struct tn_embed_path {
    const char *const *names;
    size_t count;
} tn_embed_path;

typedef struct tn_condition {
    tn_embed_path path;
    tn_logic logic;
} tn_condition;

/* --- order, limit ----------------------------------------------------------------------------- */

typedef enum tn_direction {
    TN_DIRECTION_DEFAULT,
    TN_DIRECTION_ASC,
    TN_DIRECTION_DESC
} tn_direction;
typedef enum tn_nulls { TN_NULLS_DEFAULT, TN_NULLS_FIRST, TN_NULLS_LAST } tn_nulls;

typedef struct tn_order_term {
    const char *embed; /* `order=gardens(name)`: by a column of this to-one embed; NULL: its own */
    tn_data_field field;
    tn_direction direction;
    tn_nulls nulls;
} tn_order_term;

typedef struct tn_ordering {
    tn_embed_path path;
    const tn_order_term *terms;
    size_t count;
} tn_ordering;

typedef struct tn_window {
    tn_embed_path path;
    bool has_limit, has_offset;
    int64_t limit, offset; /* as given; a negative limit is refused later (416 PGRST103) */
} tn_window;

/* --- the whole -------------------------------------------------------------------------------- */

/* `name=value` of GET /rpc that is no filter: an argument of the function. */
typedef struct tn_argument {
    const char *name, *value;
} tn_argument;

typedef struct tn_data_query {
    tn_select select;
    bool has_select;
    const char *const *columns; /* of columns= */
    size_t column_count;
    bool has_columns;
    const char *const *on_conflict;
    size_t on_conflict_count;
    const tn_condition *conditions; /* all must hold; in the order of the request */
    size_t condition_count;
    const tn_ordering *orderings; /* one per path at most: the first of the request */
    size_t ordering_count;
    const tn_window *windows; /* one per path at most: the last of the request */
    size_t window_count;
    const tn_argument *arguments; /* TN_DIALECT_CALL only; repeated names stay, in order */
    size_t argument_count;
} tn_data_query;

/* How a value without an operator is read. */
typedef enum tn_dialect {
    TN_DIALECT_STRICT, /* an error */
    TN_DIALECT_CALL,   /* GET /rpc: an argument of the function, when it stands at the root */
    TN_DIALECT_PLAIN /* /api/db: equality with the whole value; select, order … stay as they are */
} tn_dialect;

typedef struct tn_data_limits {
    int64_t filters;     /* conditions and terms of logic: 400 too_many_filters */
    int64_t logic_depth; /* and/or within each other: 400 logic_too_deep */
    int64_t embed_depth; /* embeds within each other: 400 embeds_too_deep */
    int64_t items;       /* of select, order, columns, and of one `in` list: 400 too_many_items */
} tn_data_limits;

/* Reads the raw (still percent-encoded) query string. */
const tn_error *tn_data_query_parse(tn_arena *arena, const char *text, tn_dialect dialect,
                                    const tn_data_limits *limits,
                                    tn_data_query *query) TN_MUST_CHECK;

/* The parts, for tests and for callers that have decoded text. */
const tn_error *tn_select_parse(tn_arena *arena, const char *text, const tn_data_limits *limits,
                                tn_select *select) TN_MUST_CHECK;
const tn_error *tn_order_parse(tn_arena *arena, const char *text, const tn_data_limits *limits,
                               const tn_order_term **terms, size_t *count) TN_MUST_CHECK;

/* Prints select and conditions in the grammar they were parsed from, normalised: parsing what was
 * printed gives the same tree. For tests and logs. */
const char *tn_data_query_print(tn_arena *arena, const tn_data_query *query) TN_NEVER_NULL;

#endif
