/* data/sql_private.h: what the files of the SQL stage share
 *
 *     sql_text.c    names, parameters, casts: the only places where text of the request is written
 *     sql_filter.c  fields, conditions, order
 *     sql_rows.c    the rows of a node with everything that is embedded in it
 *     sql_answer.c  what all answers share: body, counts, checks
 *     sql_write.c   insert, upsert, put, update, delete
 *     sql_call.c    functions
 *     sql.c         the door
 *
 * Names of ours begin with "tenon." and are quoted like all others; no name of the catalog is
 * likely to be one of them, and where one is, the statement fails or shows the wrong one of the
 * caller's own columns, no more.
 *
 * Threads: a writer belongs to its arena's thread.
 */
#ifndef TN_DATA_SQL_PRIVATE_H
#define TN_DATA_SQL_PRIVATE_H

#include "data/sql.h"

#define TN_SQL_SCALAR \
    "pgrst_scalar"     /* the column of values that are no rows, as PostgREST has it */
#define TN_SQL_KEYS 32 /* JSON keys that are remembered: see tn_sql_key() */

/* Where the rows of the root come from. */
typedef enum tn_sql_source {
    TN_SQL_RELATION, /* its relation */
    TN_SQL_COMMON,   /* "tenon.source", what a write returns or a function gave: has the names of
                        tn_sql_source_columns() */
    TN_SQL_CALL      /* its function */
} tn_sql_source;

typedef struct tn_sql_writer {
    tn_arena *arena;
    const tn_data_plan *plan;
    PQExpBuffer text;
    const char **parameters;
    int *lengths, *formats; /* NULL: all text */
    size_t count, capacity;
    struct {
        size_t number;
        bool is_index;
    } keys[TN_SQL_KEYS]; /* parameters that are JSON keys, a ring */
    size_t key_count;
    tn_sql_source source; /* of the root's rows */
} tn_sql_writer;

/* --- sql_text.c ------------------------------------------------------------------------------- */

void tn_sql_begin(tn_sql_writer *writer, tn_arena *arena, const tn_data_plan *plan);
void tn_sql_end(tn_sql_writer *writer, tn_data_sql *sql);

/* SQL of ours; never text of the request. */
void tn_sql_add(tn_sql_writer *writer, const char *sql);

/* "name", with quotes in it doubled. */
void tn_sql_name(tn_sql_writer *writer, const char *name);
/* "first"."second" */
void tn_sql_names(tn_sql_writer *writer, const char *first, const char *second);

/* $n for the value; NULL is SQL null. `type` is SQL of ours or the catalog's, or NULL: PostgreSQL
 * infers it. */
void tn_sql_value(tn_sql_writer *writer, const char *value, const char *type);
void tn_sql_number(tn_sql_writer *writer, int64_t value);

/* " limit 20": the number itself. A plan for any limit would be made for a tenth of all rows, and
 * be dearer than one for each request, which PostgreSQL would then plan anew each time (measured:
 * 180 instead of 67 microseconds for five rows with their embeds). */
void tn_sql_limit(tn_sql_writer *writer, int64_t limit);
/* $n for an array of texts, as PostgreSQL writes arrays. */
void tn_sql_array(tn_sql_writer *writer, const char *const *values, size_t count, const char *type);
/* $n for bytes, in binary. */
void tn_sql_bytes(tn_sql_writer *writer, const char *bytes, size_t length, const char *type);

/* $n for the key of a JSON step. The same key gives the same number (of the last TN_SQL_KEYS), so
 * that an expression in `group by` is the one in `select`. */
void tn_sql_key(tn_sql_writer *writer, const char *key, bool is_index);

/* The words of a cast out of the request. A word that could be anything but a name or keyword is
 * quoted. */
void tn_sql_cast_type(tn_sql_writer *writer, const char *cast);

/* tenon.fail(…); its value is never used, as it never returns. */
typedef struct tn_sql_failure {
    int status;
    const char *code, *message;
    const char *details; /* SQL of ours for a text, or NULL */
    const char *hint;    /* without quotes in it, or NULL */
} tn_sql_failure;
void tn_sql_fail(tn_sql_writer *writer, const tn_sql_failure *failure);
extern const tn_sql_failure tn_sql_changed; /* sql_answer.c: 412, If-Match */

/* Writes " where " at first and " and " afterwards. */
void tn_sql_and(tn_sql_writer *writer, bool *has_where);

/* --- sql_filter.c ----------------------------------------------------------------------------- */

/* The field of the row that `alias` names, with its JSON steps. */
void tn_sql_field(tn_sql_writer *writer, const char *alias, const tn_plan_field *field);

/* The same as it is shown: a domain may have a function for that. */
void tn_sql_shown_field(tn_sql_writer *writer, const char *alias, const tn_plan_field *field);

/* All conditions of the node; `alias` names its rows. */
void tn_sql_conditions(tn_sql_writer *writer, const tn_plan_node *node, const char *alias,
                       bool *has_where);
void tn_sql_order(tn_sql_writer *writer, const tn_plan_node *node);

/* --- sql_rows.c ------------------------------------------------------------------------------- */

/* select … of a node's rows: members, embeds, conditions, order and window. With `has_version` two
 * columns: "tenon.row", the row of its members, and "tenon.version". */
typedef struct tn_sql_select {
    const tn_plan_node *node, *parent; /* parent NULL: the root */
    bool has_version;
} tn_sql_select;
void tn_sql_rows(tn_sql_writer *writer, const tn_sql_select *select);

/* select `what` from … of what matches at the root, without order and window. */
void tn_sql_matches(tn_sql_writer *writer, const char *what);

/* "schema"."name", with the alias where it is another name. */
void tn_sql_relation(tn_sql_writer *writer, const tn_relation *relation, const char *alias);

/* exists (…) for the rows of a child. */
void tn_sql_exists(tn_sql_writer *writer, const tn_plan_node *parent, const tn_plan_node *child);

/* Whether the child is joined to the rows of its parent, or is an expression among its columns. */
bool tn_sql_is_joined(const tn_plan_node *parent, const tn_plan_node *child);

/* "alias"."x" as "x", … for every name that the node's rows are asked for, each once. */
void tn_sql_source_columns(tn_sql_writer *writer, const tn_plan_node *node);

/* --- sql_answer.c ----------------------------------------------------------------------------- */

/* How the one row of the answer is made of "tenon.rows". */
typedef struct tn_sql_answer {
    bool has_body;
    bool is_one;       /* the body is one value, not an array of them */
    bool is_scalar;    /* the rows have one column, "pgrst_scalar" */
    bool has_version;  /* the rows have "tenon.version", and "tenon.row" where there is a body */
    bool has_location; /* the rows have the columns of the key as texts */
    bool is_checked;   /* is_single is to be enforced */
    bool has_source;   /* "tenon.source" has all that was written */
    bool counts_inserted;
    bool counts_updated; /* inserted = rows - those that do_update() has counted */
} tn_sql_answer;

/* select <the columns of tn_answer_column>, up to its from. */
void tn_sql_answer_columns(tn_sql_writer *writer, const tn_sql_answer *answer);
void tn_sql_answer_read(tn_sql_writer *writer);
/* One row as a line of CSV; `row` is SQL of ours that names it. */
void tn_sql_csv_line(tn_sql_writer *writer, const char *row, bool is_scalar);
/* The names of the columns as a line of CSV, without its end. */
const char *tn_sql_csv_header(tn_arena *arena, const tn_plan_node *node);

/* --- sql_write.c, sql_call.c ------------------------------------------------------------------ */

void tn_sql_answer_write(tn_sql_writer *writer);
void tn_sql_answer_call(tn_sql_writer *writer);
/* The function with its arguments and alias, as it stands behind `from`. */
void tn_sql_call_item(tn_sql_writer *writer);
/* What it gives as "tenon.rows"; of a scalar "tenon.rows"."pgrst_scalar". */
void tn_sql_call_rows(tn_sql_writer *writer);

/* An unread payload is an array when it begins like one. */
bool tn_sql_payload_is_array(const tn_payload *payload);

#endif
