/* db/script.h: a file of SQL seen as statements, without running it
 *
 * For telling where in a file something is: PostgreSQL gets the file whole, and its answers say
 * which statement failed, not in which line that stands. Knows strings, quoted names, dollar
 * quotes, nested comments, parentheses, and the bodies of functions in standard SQL, as psql does.
 *
 * Threads: any.
 */
#ifndef TN_DB_SCRIPT_H
#define TN_DB_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#define TN_SCRIPT_WORDS 4

typedef struct tn_script {
    const char *text; /* the caller's */
    size_t offset;    /* where the next statement is looked for; begin with 0 */
} tn_script;

typedef struct tn_script_statement {
    size_t start;                    /* of its first word, in bytes */
    char words[TN_SCRIPT_WORDS][16]; /* its first ones, in lower case, cut off; "" for none */
} tn_script_statement;

/* The next statement; false at the end. Empty ones are none, as for PostgreSQL. */
bool tn_script_next(tn_script *script, tn_script_statement *statement);

/* Whether it begins or ends a transaction, and does not only go back to a savepoint. */
bool tn_script_ends_transaction(const tn_script_statement *statement);

/* The line of a place in a text, from 1. */
size_t tn_script_line(const char *text, size_t offset);

#endif
