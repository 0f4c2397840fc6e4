/* t/unit/db_error.c: db/error.c: what PostgreSQL says, and what of it clients get to know */
#include "t/unit/unit.h"

#include "db/error_private.h"
#include "t/unit/database.h"

static const struct {
    const char *sqlstate;
    int status;
    const char *code;
} mapping[] = {
    {"08006", 503, "database_unavailable"},
    {"22001", 400, "string_data_right_truncation"},
    {"22003", 400, "numeric_value_out_of_range"},
    {"22007", 400, "invalid_datetime_format"},
    {"22008", 400, "datetime_field_overflow"},
    {"22012", 400, "division_by_zero"},
    {"22021", 400, "character_not_in_repertoire"},
    {"22023", 400, "invalid_parameter_value"},
    {"22032", 400, "data_exception"},
    {"22P02", 400, "invalid_text_representation"},
    {"22P05", 400, "untranslatable_character"},
    {"23000", 400, "integrity_constraint_violation"},
    {"23502", 400, "not_null_violation"},
    {"23503", 409, "foreign_key_violation"},
    {"23505", 409, "unique_violation"},
    {"23514", 400, "check_violation"},
    {"23P01", 409, "exclusion_violation"},
    {"25006", 405, "read_only_transaction"},
    {"25P02", 500, "internal_error"},
    {"28P01", 500, "internal_error"},
    {"40001", 503, "transaction_conflict"},
    {"40P01", 503, "transaction_conflict"},
    {"42501", 403, "insufficient_privilege"},
    {"42601", 500, "internal_error"},
    {"42P01", 500, "internal_error"},
    {"53100", 503, "database_unavailable"},
    {"53300", 503, "database_unavailable"},
    {"55P03", 503, "lock_timeout"},
    {"57014", 504, "statement_timeout"},
    {"57P01", 503, "database_unavailable"},
    {"57P03", 503, "database_unavailable"},
    {"P0001", 400, "raise_exception"},
    {"P0002", 500, "internal_error"},
    {"P0004", 500, "internal_error"},
    {"XX000", 500, "internal_error"},
    {"PT400", 400, "PT400"},
    {"PT404", 404, "PT404"},
    {"PT599", 599, "PT599"},
    {"PT200", 500, "internal_error"},
    {"PT600", 500, "internal_error"},
    {"PT4x4", 500, "internal_error"},
    {NULL, 500, "internal_error"},
};

/* Texts that PostgreSQL fills with values, SQL and names. */
static const tn_db_problem leaky = {.message = "SECRET message",
                                    .detail = "SECRET detail",
                                    .hint = "SECRET hint",
                                    .context = "SECRET context",
                                    .datatype = "\"SECRET\":1",
                                    .function = "SECRET_function"};

static void
test_mapping(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(mapping); i++) {
        tn_arena *arena = tn_arena_new();
        tn_db_problem problem = leaky;
        const tn_error *error;
        const bool is_raised = mapping[i].sqlstate != NULL && mapping[i].status != 500 &&
                               (mapping[i].sqlstate[0] == 'P');

        TN_CASE("%s", mapping[i].sqlstate == NULL ? "none" : mapping[i].sqlstate);
        problem.sqlstate = mapping[i].sqlstate;
        error = tn_db_error(arena, &problem);
        TN_CHECK(error->status == mapping[i].status);
        TN_CHECK_TEXT(error->code, mapping[i].code);
        TN_CHECK(error->message[0] != '\0');
        if (!is_raised) {
            TN_CHECK(strstr(error->message, "SECRET") == NULL);
            TN_CHECK(error->details == NULL && error->members == NULL);
            TN_CHECK(error->hint == NULL || strstr(error->hint, "SECRET") == NULL);
        }
        TN_CHECK((error->status == 503) == (error->retry_after_s > 0));
        tn_arena_free(arena);
    }
}

static void
test_plain(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_db_problem problem = leaky;
    const tn_error *error;

    (void)state;
    problem.sqlstate = "42P01";
    error = tn_db_error_plain(arena, &problem);
    assert_string_equal(error->message, "SECRET message");
    assert_string_equal(error->details, "SECRET detail");
    assert_string_equal(error->hint, "SECRET hint");
    assert_int_equal(error->status, 500);
    problem.message = problem.detail = problem.hint = NULL;
    assert_non_null(tn_db_error_plain(arena, &problem)->message);
    tn_arena_free(arena);
}

/* From a real server, all the way: SQL that raises, and constraints. */
static void
test_raised(void **state)
{
    static const struct {
        const char *sql;
        int status;
        const char *code, *message, *details, *hint, *members;
        int retry_after_s;
    } cases[] = {
        {"do $$ begin raise exception using errcode = 'PT409', message = 'busy', detail = 'd', "
         "hint = 'h',"
         " constraint = 'run_in_progress', datatype = '\"run_id\":\"x\"', column = '5'; end $$",
         409, "run_in_progress", "busy", "d", "h", "\"run_id\":\"x\"", 5},
        {"do $$ begin raise exception using errcode = 'PT402', message = 'pay'; end $$", 402,
         "PT402", "pay", NULL, NULL, NULL, 0},
        {"do $$ begin raise exception using errcode = 'PT404', message = 'm', datatype = 'text', "
         "column = 'x'; end $$",
         404, "PT404", "m", NULL, NULL, NULL, 0},
        {"do $$ begin raise exception 'by %', 'trigger' using hint = 'h'; end $$", 400,
         "raise_exception", "by trigger", NULL, "h", NULL, 0},
        {"insert into t values (1, 'a'), (1, 'b')", 409, "unique_violation",
         "there is one with the same value already", "constraint t_pkey of t", NULL, NULL, 0},
        {"insert into t values (null, 'a')", 400, "not_null_violation", "a value is missing",
         "column id of t", NULL, NULL, 0},
        {"insert into t values (2, 'bad')", 400, "check_violation", "a value breaks a rule",
         "constraint t_name_check of t", NULL, NULL, 0},
        {"select 'secret'::uuid", 400, "invalid_text_representation",
         "a value has the wrong form for its type", NULL, NULL, NULL, 0},
        {"select * from no_such_table", 500, "internal_error",
         "the server could not do this, and it is not your fault", NULL,
         "Try again; if it stays, give the request id to the operator.", NULL, 0},
    };
    tn_db *db = tn_db_new(&(tn_db_options){.url = scratch_url, .connections = 1, .wait_ms = 1000});
    const tn_db_context nobody = {.role = NULL};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_statement statement = {NULL, cases[i].sql, 0, false};
        const tn_query query = {&statement, TN_NO_PARAMS, NULL, NULL};
        const tn_rows *rows;
        const tn_error *error = tn_db_run(db, arena, &nobody, TN_READ_WRITE, &query, 1, &rows);

        TN_CASE("%s", cases[i].sql);
        TN_CHECK(error != NULL && error->status == cases[i].status);
        TN_CHECK_TEXT(error->code, cases[i].code);
        TN_CHECK_TEXT(error->message, cases[i].message);
        TN_CHECK_TEXT(error->details, cases[i].details);
        TN_CHECK_TEXT(error->hint, cases[i].hint);
        TN_CHECK_TEXT(error->members, cases[i].members);
        TN_CHECK(error->retry_after_s == cases[i].retry_after_s);
        tn_arena_free(arena);
    }
    tn_db_free(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_raised),
    };

    scratch_create();
    scratch_run("create table t (id int primary key, name text check (name <> 'bad'))");
    return tn_unit_run("db_error", tests, TN_COUNT(tests));
}
