/* data/sql.h: the third stage: plan → one SQL statement and its parameters
 *
 * The only place of the data area that writes SQL. Identifiers come from the catalog (or, where
 * PostgreSQL is to resolve a name, from the request) and are always quoted; values are only ever
 * parameters, of type unknown unless a cast is written, so that PostgreSQL infers their types from
 * the columns. Equal requests give equal texts, so that a statement is prepared once.
 *
 * The statement gives one row with the columns of tn_answer_column, but for TN_SQL_LINES: there
 * each row of the result is one line of the answer (column 0), and nothing else is told.
 *
 * Threads: any.
 */
#ifndef TN_DATA_SQL_H
#define TN_DATA_SQL_H

#include "data/plan.h"

typedef enum tn_answer_column {
    TN_ANSWER_TOTAL,    /* bigint, null: not counted */
    TN_ANSWER_ROWS,     /* bigint: rows of the page, or affected */
    TN_ANSWER_BODY,     /* text, null: none */
    TN_ANSWER_HEADERS,  /* text: setting response.headers, null: none */
    TN_ANSWER_STATUS,   /* text: setting response.status, null: none */
    TN_ANSWER_INSERTED, /* bigint: rows that an upsert has inserted */
    TN_ANSWER_LOCATION, /* text: JSON object of the key of the one row */
    TN_ANSWER_ETAG,     /* text: version of the single row */
    TN_ANSWER_COLUMNS
} tn_answer_column;

typedef struct tn_data_sql {
    const char *text;
    const char *const *parameters;
    const int *lengths, *formats; /* NULL: all text */
    size_t parameter_count;
} tn_data_sql;

/* The statement that does it all. */
void tn_data_sql_answer(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql);

/* Reads only: the result as lines of text, for exports: CSV (a row's text form without its
 * parentheses; the names of the columns are in `header`, a line of CSV without its end) or NDJSON.
 * Of a call each line begins with the settings response.headers and response.status,
 * TN_LINE_SETTING behind each: the function has run when its first row is there. */
#define TN_LINE_SETTING '\x1e'
void tn_data_sql_lines(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql,
                       const char **header);

/* What SQL has set for the response, in the columns of tn_answer_column. */
void tn_data_sql_settings(tn_arena *arena, tn_data_sql *sql);

/* count(*) of what matches, by itself; for exports with count=exact. */
void tn_data_sql_count(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql);

/* EXPLAIN (format json) of the rows that match, without limit: for count=planned and estimated. */
void tn_data_sql_estimate(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql);

/* EXPLAIN of the answer as the client wants it (application/vnd.pgrst.plan): one column of text, a
 * row per line (text) or one row (json). */
void tn_data_sql_explain(tn_arena *arena, const tn_data_plan *plan, tn_data_sql *sql);

#endif
