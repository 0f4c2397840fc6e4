/* db/error.c: the one place where SQLSTATE becomes tn_error
 *
 * PostgreSQL's messages quote values, SQL and names of things that clients have no business with,
 * so clients get texts of this table. Only what SQL raised on purpose (PTnnn and P0001) passes
 * through.
 */
#include "db/error_private.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"

#define RETRY_AFTER_MAX_S 86400

struct rule {
    const char *sqlstate; /* or its first characters; the first rule that fits holds */
    int status;
    const char *code, *message;
};

static const char gone[] = "the database cannot be reached right now";
static const char ours[] = "the server could not do this, and it is not your fault";
static const char odd[] = "the database refused a value";

static const struct rule rules[] = {
    {"22001", 400, "string_data_right_truncation", "a text is too long"},
    {"22003", 400, "numeric_value_out_of_range", "a number is out of range"},
    {"22007", 400, "invalid_datetime_format", "a date or time has the wrong form"},
    {"22008", 400, "datetime_field_overflow", "a date or time is out of range"},
    {"22012", 400, "division_by_zero", "a division by zero"},
    {"22021", 400, "character_not_in_repertoire", "a text is not valid UTF-8"},
    {"22023", 400, "invalid_parameter_value", odd},
    {"22P02", 400, "invalid_text_representation", "a value has the wrong form for its type"},
    {"22P05", 400, "untranslatable_character", "a text has a character that cannot be stored"},
    {"22", 400, "data_exception", odd},
    {"23502", 400, "not_null_violation", "a value is missing"},
    {"23503", 409, "foreign_key_violation",
     "something this refers to, or that refers to this, stands in the way"},
    {"23505", 409, "unique_violation", "there is one with the same value already"},
    {"23514", 400, "check_violation", "a value breaks a rule"},
    {"23P01", 409, "exclusion_violation", "it overlaps with one that exists already"},
    {"23", 400, "integrity_constraint_violation", "a value breaks a rule"},
    {"25006", 405, "read_only_transaction", "this only reads, and cannot change anything"},
    {"40001", 503, "transaction_conflict", "others were changing the same at the same time"},
    {"40P01", 503, "transaction_conflict", "others were changing the same at the same time"},
    {"42501", 403, "insufficient_privilege", "you may not do this"},
    {"53", 503, "database_unavailable", gone}, /* out of connections, memory or disk */
    {"55P03", 503, "lock_timeout", "others held on to this for too long"},
    {"57014", 504, "statement_timeout", "the database needed too long for this"},
    {"57P", 503, "database_unavailable", gone}, /* being stopped, crashed, starting */
    {"08", 503, "database_unavailable", gone},
    {"P0001", 400, "raise_exception", odd},
    {"", 500, "internal_error", ours},
};

static const struct rule *
find_rule(const char *sqlstate)
{
    const struct rule *rule = rules;

    while (!tn_text_starts(sqlstate == NULL ? "" : sqlstate, rule->sqlstate))
        rule++;
    return rule;
}

tn_db_problem
tn_db_problem_read(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return (tn_db_problem){
        .sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE),
        .message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
        .detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL),
        .hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT),
        .schema = PQresultErrorField(result, PG_DIAG_SCHEMA_NAME),
        .table = PQresultErrorField(result, PG_DIAG_TABLE_NAME),
        .column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME),
        .datatype = PQresultErrorField(result, PG_DIAG_DATATYPE_NAME),
        .constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME),
        .context = PQresultErrorField(result, PG_DIAG_CONTEXT),
        .function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION),
        .is_fatal =
            severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0),
    };
}

/* The HTTP status of PTnnn; 0 for anything else. */
static int
raised_status(const char *sqlstate)
{
    int64_t status;

    if (sqlstate == NULL || !tn_text_starts(sqlstate, "PT") ||
        !tn_text_int(sqlstate + 2, 400, 599, &status))
        return 0;
    return (int)status;
}

/* What SQL said on purpose: see the top of database.h. */
static const tn_error *
raised_error(tn_arena *arena, const tn_db_problem *problem, int status, const char *code)
{
    tn_error *error = tn_error_new(arena, status, code, problem->hint, "%s",
                                   problem->message == NULL ? odd : problem->message);
    int64_t seconds;

    error->details = tn_arena_text(arena, problem->detail);
    if (problem->datatype != NULL && problem->datatype[0] == '"')
        error->members = tn_arena_text(arena, problem->datatype);
    if (problem->column != NULL && tn_text_int(problem->column, 0, RETRY_AFTER_MAX_S, &seconds))
        error->retry_after_s = (int)seconds;
    return error;
}

/* Where it happened, in names that the schema's owner chose: of a constraint or a column. */
static const char *
place_of(tn_arena *arena, const tn_db_problem *problem)
{
    const bool is_column = problem->constraint == NULL;
    const char *name = is_column ? problem->column : problem->constraint;

    if (name == NULL || problem->table == NULL)
        return NULL;
    return tn_arena_printf(arena, "%s %s of %s", is_column ? "column" : "constraint", name,
                           problem->table);
}

/* The words of PostgreSQL itself. What a function of the app raises may have values of rows in it,
 * and those are not for the log: `where` tells which function it was. */
static const char *
cause_of(const tn_db_problem *problem)
{
    const bool is_raised =
        problem->function != NULL && strcmp(problem->function, "exec_stmt_raise") == 0;

    return is_raised ? NULL : problem->message;
}

void
tn_db_problem_log(const tn_arena *arena, const tn_db_problem *problem, int status)
{
    tn_log(status == 500 ? TN_LOG_ERROR : TN_LOG_WARN, "db.query.failed",
           TN_STR("request_id", tn_arena_label_text(arena)), TN_STR("sqlstate", problem->sqlstate),
           TN_STR("statement", problem->statement), TN_STR("cause", cause_of(problem)),
           TN_STR("where", problem->context), TN_STR("function", problem->function));
}

const tn_error *
tn_db_error(tn_arena *arena, const tn_db_problem *problem)
{
    const struct rule *rule = find_rule(problem->sqlstate);
    const int raised = raised_status(problem->sqlstate);
    tn_error *error;

    if (raised != 0) {
        const bool has_code = problem->constraint != NULL && problem->constraint[0] != '\0';

        return raised_error(arena, problem, raised,
                            has_code ? problem->constraint : problem->sqlstate);
    }
    if (strcmp(rule->code, "raise_exception") == 0)
        return raised_error(arena, problem, rule->status, rule->code);

    error = tn_error_new(arena, rule->status, rule->code, NULL, "%s", rule->message);
    if (tn_text_starts(rule->sqlstate, "23"))
        error->details = place_of(arena, problem);
    if (rule->status == 503) {
        error->hint = "Try again in a moment.";
        error->retry_after_s = 1;
    }
    if (rule->status >= 500)
        tn_db_problem_log(arena, problem, rule->status);
    if (rule->status == 500)
        error->hint = "Try again; if it stays, give the request id to the operator.";
    return error;
}

const tn_error *
tn_db_error_plain(tn_arena *arena, const tn_db_problem *problem)
{
    const struct rule *rule = find_rule(problem->sqlstate);
    const int raised = raised_status(problem->sqlstate);
    tn_error *error;

    if (raised != 0)
        return tn_db_error(arena, problem);
    error = tn_error_new(arena, rule->status, rule->code, problem->hint, "%s",
                         problem->message == NULL ? "the connection to the database broke"
                                                  : problem->message);
    error->details = tn_arena_text(arena, problem->detail);
    return error;
}
