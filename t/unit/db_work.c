/* t/unit/db_work.c: what can be chosen about a transaction, and transactions of several round trips
 */
#include "t/unit/unit.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "t/unit/database.h"

/* libpq calls our send() instead of libc's, so that we can count. */
static atomic_int sends;

ssize_t
send(int fd, const void *bytes, size_t length, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "send");
    atomic_fetch_add(&sends, 1);
    return real(fd, bytes, length, flags);
}

static const tn_db_context nobody = {.role = NULL};
static const tn_statement add = {
    .name = "add", .sql = "insert into things (name) values ($1) returning id", .parameters = 1};
static const tn_statement add_late = {.name = "add_late",
                                      .sql = "insert into unique_later (n) values (1), (1)"};
static const tn_statement add_fine = {.name = "add_fine",
                                      .sql = "insert into unique_later (n) values (1), (2)"};
static const tn_statement setting = {
    .name = "setting", .sql = "select current_setting($1, true)", .parameters = 1};
static const tn_statement divide = {.name = "divide", .sql = "select 1 / $1::int", .parameters = 1};
static tn_arena *arena;
static tn_db *db;

static int
set_up(void **state)
{
    (void)state;
    arena = tn_arena_new();
    db = tn_db_new(&(tn_db_options){.url = scratch_url,
                                    .pool = "unit",
                                    .connections = 1,
                                    .wait_ms = 300,
                                    .statement_timeout_ms = 3000,
                                    .lock_timeout_ms = 500,
                                    .statements_max = 10});
    scratch_run("truncate things, unique_later");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tn_arena_free(arena);
    tn_db_free(db);
    return 0;
}

static const char *
code_of(const tn_error *error)
{
    return error == NULL ? "none" : error->code;
}

static tn_db_figures
figures(void)
{
    tn_db_figures now;

    tn_db_figures_read(db, &now);
    return now;
}

static int64_t
count_things(void)
{
    return scratch_number("select count(*) from things");
}

/* PostgreSQL's own words. */
static const tn_error *
translate(tn_arena *where, const tn_db_problem *problem)
{
    return tn_error_new(where, 418, problem->sqlstate, problem->statement, "%s", problem->message);
}

/* A setting as a transaction with this context sees it; or the error's code. */
static const char *
setting_under(const tn_db_context *context, const char *name)
{
    const tn_query query = {&setting, &name, 1, NULL, NULL};
    const tn_rows *rows;
    const tn_error *error = tn_db_transact(db, arena,
                                           &(tn_db_work){.context = context,
                                                         .queries = &query,
                                                         .count = 1,
                                                         .results = &rows,
                                                         .translate = translate});

    return error != NULL ? error->code : tn_rows_text(rows, 0, 0);
}

static void
test_context(void **state)
{
    static const struct {
        const char *name;
        tn_db_context context;
        const char *setting, *wanted;
    } cases[] = {
        {"cookies", {.cookies = "{\"a\":\"b\"}"}, "request.cookies", "{\"a\":\"b\"}"},
        {"path", {.search_path = "\"a b\", public"}, "search_path", "\"a b\", public"},
        {"empty path", {.search_path = ""}, "search_path", ""},
        {"zone", {.time_zone = "America/Los_Angeles"}, "TimeZone", "America/Los_Angeles"},
        {"no such zone", {.time_zone = "Middle/Earth"}, "TimeZone", "22023"},
        {"setting", {.settings = "{\"work_mem\":\"8MB\",\"app.x\":\"y\"}"}, "work_mem", "8MB"},
        {"two settings", {.settings = "{\"work_mem\":\"8MB\",\"app.x\":\"y\"}"}, "app.x", "y"},
        {"no such setting", {.settings = "{\"work_man\":\"8MB\"}"}, "work_mem", "42704"},
        {"no JSON", {.settings = "{"}, "work_mem", "22P02"},
        {"a tenant out of settings",
         {.settings = "{\"tenon.tenant_id\":\"b\"}", .tenant_id = "a"},
         "tenon.tenant_id",
         "a"},
        {"no tenant out of settings",
         {.settings = "{\"tenon.tenant_id\":\"b\"}"},
         "tenon.tenant_id",
         ""},
        {"cookies out of settings",
         {.settings = "{\"request.cookies\":\"b\"}"},
         "request.cookies",
         ""},
        {"a role out of settings",
         {.settings = "{\"role\":\"tenon_unit_writer\"}", .role = "tenon_unit_reader"},
         "role",
         "tenon_unit_reader"},
        {"no role out of settings",
         {.settings = "{\"role\":\"tenon_unit_writer\"}"},
         "role",
         "none"},
        {"timeout", {.statement_timeout_ms = 1234}, "statement_timeout", "1234ms"},
        {"no timeout", {.lock_timeout_ms = 1}, "statement_timeout", "3s"},
        {"lock timeout", {.lock_timeout_ms = 4321}, "lock_timeout", "4321ms"},
        {"timeout out of settings",
         {.settings = "{\"statement_timeout\":\"1h\"}"},
         "statement_timeout",
         "3s"},
        {"role", {.role = "tenon_unit_reader"}, "role", "tenon_unit_reader"},
        {"no such role", {.role = "tenon_unit_nobody"}, "role", "22023"},
        {"empty role", {.role = ""}, "role", "22023"},
        {"the role none", {.role = "none"}, "role", "22023"},
        {"a role in capitals", {.role = "NONE"}, "role", "22023"},
        {"a role that is SQL", {.role = "x'; drop table things; --"}, "role", "22023"},
        {"a long role",
         {.role = "a_role_of_more_bytes_than_the_sixty_three_of_a_name_in_postgresql_______"},
         "role",
         "22023"},
        {"a role that is no UTF-8", {.role = "\xff"}, "role", "22021"},
    };

    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < TN_COUNT(cases); i++) {
            TN_CASE("%s", cases[i].name);
            TN_CHECK_TEXT(setting_under(&cases[i].context, cases[i].setting), cases[i].wanted);
            /* and nothing of it is left */
            TN_CHECK_TEXT(setting_under(&nobody, "search_path"), "\"$user\", public");
            TN_CHECK_TEXT(setting_under(&nobody, "work_mem"), "4MB");
            TN_CHECK_TEXT(setting_under(&nobody, "role"), "none");
            TN_CHECK_TEXT(setting_under(&nobody, "statement_timeout"), "3s");
        }
    assert_int_equal(figures().connects, 1);
}

/* A login that may not take the role. */
static void
test_forbidden_role(void **state)
{
    const char *login = tn_arena_printf(arena, "tenon_unit_login_%d", (int)getpid());

    (void)state;
    scratch_run(tn_arena_printf(arena, "create role %s login noinherit", login));
    tn_db_free(db);
    db = tn_db_new(&(tn_db_options){
        .url = tn_arena_printf(arena, "postgresql://%s%s", login, strchr(scratch_url, '@')),
        .connections = 1,
        .wait_ms = 2000});
    assert_string_equal(setting_under(&(tn_db_context){.role = "tenon_unit_reader"}, "role"),
                        "42501");
    assert_string_equal(setting_under(&nobody, "role"), "none");
    tn_db_free(db);
    db = tn_db_new(&(tn_db_options){.url = scratch_url, .connections = 1});
    scratch_run(tn_arena_printf(arena, "drop role %s", login));
}

/* Limits of the context hold, shorter and longer than the pool's. */
static void
test_timeouts(void **state)
{
    static const tn_statement nap = {
        .name = "nap", .sql = "select pg_sleep($1::float8)", .parameters = 1};
    static const struct {
        int64_t timeout_ms;
        const char *seconds, *code;
    } cases[] = {
        {100, "5", "statement_timeout"}, {0, "0.3", "statement_timeout"}, {2000, "0.3", "none"}};

    (void)state;
    tn_db_free(db);
    db = tn_db_new(&(tn_db_options){
        .url = scratch_url, .connections = 1, .wait_ms = 300, .statement_timeout_ms = 200});
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const tn_query query = {&nap, &cases[i].seconds, 1, NULL, NULL};
        const tn_db_context context = {.statement_timeout_ms = cases[i].timeout_ms};
        const tn_rows *rows;

        TN_CASE("%lld ms", (long long)cases[i].timeout_ms);
        TN_CHECK_TEXT(code_of(tn_db_transact(db, arena,
                                             &(tn_db_work){.context = &context,
                                                           .queries = &query,
                                                           .count = 1,
                                                           .results = &rows})),
                      cases[i].code);
    }
}

static void
test_isolation(void **state)
{
    static const struct {
        tn_isolation isolation;
        const char *wanted;
    } cases[] = {{TN_READ_COMMITTED, "read committed"},
                 {TN_REPEATABLE_READ, "repeatable read"},
                 {TN_SERIALIZABLE, "serializable"}};
    static const tn_access accesses[] = {TN_READ_ONLY, TN_READ_WRITE, TN_READ_WRITE_ASYNC};
    static const tn_statement isolation = {.name = "isolation",
                                           .sql =
                                               "select current_setting('transaction_isolation'), "
                                               "current_setting('transaction_read_only')"};
    const tn_query query = {.statement = &isolation};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases) * TN_COUNT(accesses) * 2; i++) {
        const tn_access access = accesses[i % TN_COUNT(accesses)];
        const size_t level = i / TN_COUNT(accesses) % TN_COUNT(cases);
        const tn_rows *rows;

        TN_CASE("%s, access %d", cases[level].wanted, access);
        sends = 0;
        TN_CHECK(tn_db_transact(db, arena,
                                &(tn_db_work){.context = &nobody,
                                              .access = access,
                                              .isolation = cases[level].isolation,
                                              .queries = &query,
                                              .count = 1,
                                              .results = &rows}) == NULL);
        TN_CHECK(sends == 1 || i == 0);
        TN_CHECK_TEXT(tn_rows_text(rows, 0, 0), cases[level].wanted);
        TN_CHECK_TEXT(tn_rows_text(rows, 0, 1), access == TN_READ_ONLY ? "on" : "off");
    }
}

/* All is done, answered and checked, and nothing has happened. */
static void
test_rolls_back(void **state)
{
    const tn_query fine[] = {{&add, TN_PARAMS("x"), NULL, NULL}, {.statement = &add_fine}};
    const tn_query late[] = {{&add, TN_PARAMS("x"), NULL, NULL}, {.statement = &add_late}};
    const tn_rows *rows[2];
    tn_db_work work = {.context = &nobody,
                       .access = TN_READ_WRITE,
                       .queries = fine,
                       .count = 2,
                       .results = rows,
                       .rolls_back = true,
                       .translate = translate};
    const tn_error *error;

    (void)state;
    for (int round = 0; round < 2; round++) {
        work.queries = fine;
        sends = 0;
        assert_null(tn_db_transact(db, arena, &work));
        assert_true(sends == 1 || round == 0);
        assert_int_equal(tn_rows_count(rows[0]), 1);
        assert_int_equal(tn_rows_affected(rows[1]), 2);
        assert_int_equal(count_things(), 0);
        assert_int_equal(scratch_number("select count(*) from unique_later"), 0);

        work.queries = late;
        error = tn_db_transact(db, arena, &work);
        assert_string_equal(code_of(error), "23505");
        assert_int_equal(error->status, 418);
        assert_int_equal(count_things(), 0);
    }
    assert_int_equal(figures().transactions, 2);
    assert_int_equal(figures().failures, 2);
    assert_int_equal(figures().connects, 1);
}

/* Wherever the error comes from, the dialect words it. */
static void
test_translate(void **state)
{
    static const tn_db_context no_role = {.role = "tenon_unit_nobody"};
    const tn_query zero = {&divide, TN_PARAMS("0"), NULL, NULL};
    const tn_query late = {.statement = &add_late};
    const tn_rows *rows;
    const struct {
        const tn_db_context *context;
        const tn_query *query;
        const char *code, *message, *statement;
    } cases[] = {
        {&nobody, &zero, "22012", "division by zero", "divide"},
        {&nobody, &late, "23505",
         "duplicate key value violates unique constraint \"unique_later_n_key\"", "commit"},
        {&no_role, &zero, "22023", "role \"tenon_unit_nobody\" does not exist", "context"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const tn_error *error = tn_db_transact(db, arena,
                                               &(tn_db_work){.context = cases[i].context,
                                                             .access = TN_READ_WRITE,
                                                             .queries = cases[i].query,
                                                             .count = 1,
                                                             .results = &rows,
                                                             .translate = translate});

        TN_CASE("%s", cases[i].code);
        TN_CHECK_TEXT(code_of(error), cases[i].code);
        TN_CHECK_TEXT(error->message, cases[i].message);
        TN_CHECK_TEXT(error->hint, cases[i].statement);
    }
}

/* --- several round trips -------------------------------------------------------------------------
 */

static tn_transaction *
begin(bool rolls_back)
{
    tn_transaction *transaction;

    assert_null(tn_db_begin(db, arena,
                            &(tn_db_work){.context = &nobody,
                                          .access = TN_READ_WRITE,
                                          .rolls_back = rolls_back,
                                          .translate = translate},
                            &transaction));
    return transaction;
}

static const tn_error *
add_thing(tn_transaction *transaction, const char *name)
{
    const tn_query query = {&add, &name, 1, NULL, NULL};
    const tn_rows *rows;

    return tn_transaction_run(transaction, &query, 1, &rows);
}

static void
test_steps(void **state)
{
    const tn_query last = {&add, TN_PARAMS("last"), NULL, NULL};
    const tn_rows *rows;
    tn_transaction *transaction;

    (void)state;
    for (int round = 0; round < 2; round++) {
        sends = 0;
        transaction = begin(false);
        assert_int_equal(figures().in_use, 0);
        assert_int_equal(sends, 0);
        assert_null(add_thing(transaction, "first"));
        assert_int_equal(figures().in_use, 1);
        assert_null(add_thing(transaction, "second"));
        if (round == 0) {
            assert_null(tn_transaction_commit(transaction));
        } else {
            assert_int_equal(sends, 2);
            assert_null(tn_transaction_run_last(transaction, &last, 1, &rows));
            assert_int_equal(tn_rows_count(rows), 1);
            assert_int_equal(sends, 3);
        }
        assert_int_equal(figures().in_use, 0);
        assert_int_equal(figures().transactions, round + 1);
        tn_transaction_roll_back(transaction); /* too late, and harmless */
    }
    assert_int_equal(count_things(), 5);

    transaction = begin(false); /* the first is the last */
    sends = 0;
    assert_null(tn_transaction_run_last(transaction, &last, 1, &rows));
    assert_int_equal(sends, 1);
    assert_int_equal(count_things(), 6);
    sends = 0;
    assert_null(tn_transaction_commit(begin(false)));
    tn_transaction_roll_back(begin(false));
    assert_int_equal(sends, 0);
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().failures, 0);
}

static void
test_steps_rolled_back(void **state)
{
    const tn_query late = {.statement = &add_late};
    const tn_rows *rows;
    tn_transaction *transaction = begin(false);

    (void)state;
    assert_null(add_thing(transaction, "x"));
    tn_transaction_roll_back(transaction);
    assert_int_equal(figures().in_use, 0);
    assert_int_equal(count_things(), 0);

    transaction = begin(true); /* only tried */
    assert_null(add_thing(transaction, "x"));
    assert_null(tn_transaction_commit(transaction));
    assert_int_equal(count_things(), 0);
    transaction = begin(true);
    assert_null(add_thing(transaction, "x"));
    assert_string_equal(code_of(tn_transaction_run_last(transaction, &late, 1, &rows)), "23505");
    assert_string_equal(code_of(tn_transaction_commit(transaction)), "23505");

    transaction = begin(false); /* an error ends it, and is not forgotten */
    assert_null(add_thing(transaction, "x"));
    assert_string_equal(code_of(add_thing(transaction, "forbidden")), "23514");
    assert_int_equal(figures().in_use, 0);
    assert_string_equal(code_of(add_thing(transaction, "y")), "23514");
    assert_string_equal(code_of(tn_transaction_commit(transaction)), "23514");
    tn_transaction_roll_back(transaction);

    transaction = begin(false); /* an error at the first step */
    assert_string_equal(code_of(add_thing(transaction, "forbidden")), "23514");
    assert_int_equal(count_things(), 0);

    transaction = begin(false); /* nobody ends it */
    assert_null(add_thing(transaction, "x"));
    tn_arena_reset(arena);
    assert_int_equal(figures().in_use, 0);
    assert_int_equal(count_things(), 0);
    assert_int_equal(figures().connects, 1);
}

static void
kill_connections(void)
{
    scratch_run("select pg_terminate_backend(pid, 1000) from pg_stat_activity where "
                "datname = current_database() and application_name like 'tenon/unit'");
}

static void
test_steps_and_connections(void **state)
{
    static const tn_statement die = {
        .name = "die", .sql = "select die_at($1::int)", .parameters = 1};
    static const tn_statement look = {.sql = "select * from changing", .is_dynamic = true};
    const tn_query query = {&die, TN_PARAMS("1"), NULL, NULL};
    const tn_query looking = {.statement = &look};
    const tn_rows *rows;
    tn_transaction *transaction;

    (void)state;
    /* the first step is tried again when a used connection has died */
    assert_null(tn_transaction_commit(begin(false)));
    transaction = begin(false);
    assert_null(tn_transaction_run_last(transaction, &looking, 1, &rows));
    scratch_run("alter sequence attempts restart");
    transaction = begin(false);
    assert_null(tn_transaction_run(transaction, &query, 1, &rows));
    assert_int_equal(figures().retries, 1);
    assert_null(add_thing(transaction, "x"));

    /* later ones are not: nothing has happened, and the pool has its place back */
    kill_connections();
    assert_string_equal(code_of(add_thing(transaction, "y")), "database_unavailable");
    assert_string_equal(code_of(tn_transaction_commit(transaction)), "database_unavailable");
    assert_int_equal(figures().in_use, 0);
    assert_int_equal(count_things(), 0);

    /* dying between the last step and the commit: that it was not there to commit is certain only
     * when it said so, and here it does */
    transaction = begin(false);
    assert_null(add_thing(transaction, "x"));
    kill_connections();
    assert_non_null(tn_transaction_commit(transaction));
    assert_int_equal(count_things(), 0);

    /* a table has changed: unseen at the first step, a conflict at a later one */
    transaction = begin(false);
    assert_null(tn_transaction_run_last(transaction, &looking, 1, &rows));
    scratch_run("alter table changing add column b int");
    transaction = begin(false);
    assert_null(tn_transaction_run(transaction, &looking, 1, &rows));
    assert_null(tn_transaction_commit(transaction));
    transaction = begin(false);
    assert_null(tn_transaction_run_last(transaction, &looking, 1, &rows));
    transaction = begin(false);
    assert_null(add_thing(transaction, "x"));
    scratch_run("alter table changing add column c int");
    assert_string_equal(code_of(tn_transaction_run(transaction, &looking, 1, &rows)), "40001");
    assert_int_equal(figures().in_use, 0);
    assert_int_equal(count_things(), 0);
}

/* The only connection is held: whoever comes waits for it in vain, and is told. */
static void
test_steps_and_others(void **state)
{
    tn_transaction *first = begin(false), *second = begin(false);

    (void)state;
    assert_null(add_thing(first, "x"));
    assert_string_equal(code_of(add_thing(second, "x")), "database_unavailable");
    assert_null(tn_transaction_commit(first));
    assert_string_equal(code_of(add_thing(second, "x")), "database_unavailable");
    assert_int_equal(count_things(), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forbidden_role, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_isolation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rolls_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_translate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_steps_rolled_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_steps_and_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_steps_and_others, set_up, tear_down),
    };

    scratch_create();
    scratch_run(
        "create table things (id serial, name text constraint things_name_allowed check (name <> "
        "'forbidden'));"
        "create table unique_later (n int unique deferrable initially deferred);"
        "create table changing (a int);"
        "create sequence attempts;"
        "create function die_at(n int) returns void language plpgsql as $$ begin"
        "  if nextval('attempts') = n then perform pg_terminate_backend(pg_backend_pid()); perform "
        "pg_sleep(1); end if; end $$;");
    return tn_unit_run("db_work", tests, TN_COUNT(tests));
}
