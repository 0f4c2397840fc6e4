/* data/grammar.h: what the parts of the query grammar have in common: reading on, names, fields
 *
 * A reader stands in a text that has been decoded: valid UTF-8 that ends with NUL. Functions that
 * return a tn_error move on over what they have read; what they return goes into the arena.
 *
 * Threads: one at a time.
 * Errors:  400 PGRST100 with line and column; the codes of tn_data_limits for what is too much.
 */
#ifndef TN_DATA_GRAMMAR_H
#define TN_DATA_GRAMMAR_H

#include "data/query.h"

typedef struct tn_reader {
    tn_arena *arena;
    const tn_data_limits *limits;
    const char *kind; /* for messages: "filter" */
    const char *text; /* all of it */
    const char *at;   /* what comes next */
} tn_reader;

tn_reader tn_reader_start(tn_arena *arena, const tn_data_limits *limits, const char *kind,
                          const char *text);

/* What stands at `at` is not what was `expected`: "\",\" or \")\"". */
const tn_error *tn_reader_unexpected(const tn_reader *reader,
                                     const char *expected) TN_NEVER_NULL TN_MUST_CHECK;

bool tn_reader_take(tn_reader *reader, const char *word); /* moves over it, when it comes next */
void tn_reader_skip_blanks(tn_reader *reader);

/* Whether a name can begin here: a quote, letter of any script, digit, _, $ or blank. */
bool tn_reader_is_at_name(const tn_reader *reader);

/* "quoted" with \ before any character, or letters, digits, _, $ and inner blanks, joined by single
 * dashes; a - before > ends it. */
const tn_error *tn_reader_name(tn_reader *reader, const char **name) TN_MUST_CHECK;

/* Letters, digits, _, $ and inner blanks: of a cast, of a text search configuration. */
const tn_error *tn_reader_word(tn_reader *reader, const char **word) TN_MUST_CHECK;

/* The text between double quotes that comes next; NULL, and nothing read, when it has no end. */
char *tn_reader_quoted(tn_reader *reader);

/* The JSON path behind the name of a field: ->key->>key, or nothing. */
const tn_error *tn_reader_steps(tn_reader *reader, tn_data_field *field) TN_MUST_CHECK;
const tn_error *tn_reader_field(tn_reader *reader, tn_data_field *field) TN_MUST_CHECK;

/* Names with a `separator` (and blanks) between them; what comes behind is not looked at. */
const tn_error *tn_reader_names(tn_reader *reader, char separator, const char *const **names,
                                size_t *count) TN_MUST_CHECK;

/* 400 too_many_items when `count` is more than the limit. */
const tn_error *tn_reader_check_items(const tn_reader *reader, size_t count) TN_MUST_CHECK;

/* A whole decimal, 0x, 0o or 0b number, with blanks and parentheses around it as PostgREST takes
 * them. What is none is *is_integer false and no error; what is above bigint is 400 22003. */
const tn_error *tn_integer_read(tn_arena *arena, const char *text, bool *is_integer,
                                int64_t *value) TN_MUST_CHECK;

/* --- filter.c, logic.c ------------------------------------------------------------------------ */

/* Reads one value, in one of the grammar's ways to write it. */
typedef const tn_error *tn_value_read(tn_reader *reader, const char **value);

tn_value_read tn_value_read_plain;    /* all that is left, as it stands */
tn_value_read tn_value_read_in_logic; /* up to , or ) unless quoted, or an array literal {…} */

const char *tn_operator_name(tn_operator op); /* "eq" */

/* [not.]operator.value into `filter`. When no operator comes, nothing is read and *is_operation is
 * false; what begins as an operation and goes wrong (`in.x`, `not.x`) is an error. */
const tn_error *tn_operation_read(tn_reader *reader, tn_value_read *read_value, tn_filter *filter,
                                  bool *is_operation) TN_MUST_CHECK;
const tn_error *tn_operation_missing(const tn_reader *reader) TN_NEVER_NULL TN_MUST_CHECK;

/* and(…), or(…), not.and(…), or field.operation. *filters counts terms up to the limit. */
const tn_error *tn_logic_read(tn_reader *reader, int64_t *filters, tn_logic *logic) TN_MUST_CHECK;

/* One more condition or term: 400 too_many_filters. */
const tn_error *tn_filters_count(const tn_reader *reader, int64_t *filters) TN_MUST_CHECK;

#endif
