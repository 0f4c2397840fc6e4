/* t/unit/db_transaction.c: db/database.c: one transaction, one round trip */
#include "t/unit/unit.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/socket.h>

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
static const tn_db_context reader = {
    .role = "tenon_unit_reader", .tenant_id = "t1", .request_id = "r1"};
static tn_arena *arena;
static tn_db *db;

static tn_db *
new_pool(size_t connections)
{
    return tn_db_new(&(tn_db_options){.url = scratch_url,
                                      .pool = "unit",
                                      .connections = connections,
                                      .wait_ms = 2000,
                                      .statement_timeout_ms = 3000,
                                      .lock_timeout_ms = 500});
}

static int
set_up(void **state)
{
    (void)state;
    arena = tn_arena_new();
    db = new_pool(1);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tn_db_free(db);
    tn_arena_free(arena);
    return 0;
}

/* One query with up to three parameters. */
static const tn_error *
run(const tn_db_context *context, tn_access access, const tn_statement *statement,
    const char *const *parameters, const tn_rows **rows)
{
    const tn_query query = {statement, parameters, (size_t)statement->parameters, NULL, NULL};
    const tn_rows *result;
    const tn_error *error = tn_db_run(db, arena, context, access, &query, 1, &result);

    if (rows != NULL)
        *rows = result;
    return error;
}

static const char *
value(const tn_db_context *context, const char *name, const char *sql)
{
    const tn_statement statement = {name, sql, 0, false};
    const tn_rows *rows;
    const tn_error *error = run(context, TN_READ_ONLY, &statement, NULL, &rows);

    if (error != NULL)
        fail_msg("%s: %s (%s)", sql, error->message, error->code);
    return tn_rows_text(rows, 0, 0);
}

static const char *
code_of(const tn_error *error)
{
    return error == NULL ? "none" : error->code;
}

/* Counting happens here, so that nothing else is sent meanwhile. */
static tn_db_figures
figures(void)
{
    tn_db_figures now;

    tn_db_figures_read(db, &now);
    return now;
}

static void
test_results(void **state)
{
    static const tn_statement both = {"both", "select $1::text || $2::text, null, 7, true, -3", 2,
                                      false};
    static const tn_statement series = {"series", "select generate_series(1, 3)", 0, false};
    static const tn_statement add = {"add", "insert into things (name) values ($1), ($1)", 1,
                                     false};
    const tn_query queries[] = {{&both, TN_PARAMS("a", "b"), NULL, NULL},
                                {&series, TN_NO_PARAMS, NULL, NULL},
                                {&add, TN_PARAMS("x"), NULL, NULL}};
    const tn_rows *rows[3];

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_null(tn_db_run(db, arena, &nobody, TN_READ_WRITE, queries, 3, rows));
        assert_string_equal(tn_rows_text(rows[0], 0, 0), "ab");
        assert_int_equal(tn_rows_length(rows[0], 0, 0), 2);
        assert_null(tn_rows_text(rows[0], 0, 1));
        assert_int_equal(tn_rows_int(rows[0], 0, 1, 42), 42);
        assert_int_equal(tn_rows_int(rows[0], 0, 2, 0), 7);
        assert_true(tn_rows_bool(rows[0], 0, 3));
        assert_int_equal(tn_rows_int(rows[0], 0, 4, 0), -3);
        assert_int_equal(tn_rows_count(rows[1]), 3);
        assert_string_equal(tn_rows_text(rows[1], 2, 0), "3");
        assert_int_equal(tn_rows_affected(rows[2]), 2);
    }
    assert_int_equal(scratch_number("select count(*) from things"), 6);
    assert_int_equal(figures().transactions, 3);
    assert_int_equal(figures().in_use, 0);
    assert_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, NULL, 0, NULL));
}

static void
test_one_round_trip(void **state)
{
    static const tn_statement one = {"one", "select $1::int + 1", 1, false};
    static const tn_statement add = {"add_one", "insert into things (name) values ($1)", 1, false};
    const tn_query queries[] = {{&one, TN_PARAMS("1"), NULL, NULL},
                                {&add, TN_PARAMS("x"), NULL, NULL}};
    static const tn_access accesses[] = {TN_READ_WRITE, TN_READ_WRITE_ASYNC};
    const tn_rows *rows[2];

    (void)state;
    assert_string_equal(value(&reader, "first", "select 1"), "1"); /* connects */
    for (size_t i = 0; i < TN_COUNT(accesses); i++)
        for (int round = 0; round < 3; round++) { /* the first one prepares, in the same pipeline */
            sends = 0;
            assert_null(tn_db_run(db, arena, &nobody, accesses[i], queries, 2, rows));
            assert_int_equal(sends, 1);
        }
    sends = 0;
    assert_null(run(&reader, TN_READ_ONLY, &one, (const char *const[]){"2"}, NULL));
    assert_int_equal(sends, 1);
}

static void
test_binary_parameters(void **state)
{
    static const tn_statement hash = {"hash", "select encode($1::bytea, 'hex'), $2::text", 2,
                                      false};
    const char bytes[] = {0, 1, (char)0xff, 0};
    const int lengths[] = {4, 0}, formats[] = {1, 0};
    const char *const parameters[] = {bytes, "t"};
    const tn_query query = {&hash, parameters, 2, lengths, formats};
    const tn_rows *rows;

    (void)state;
    assert_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, &query, 1, &rows));
    assert_string_equal(tn_rows_text(rows, 0, 0), "0001ff00");
}

/* More than the socket's buffers hold, in both directions at once. */
static void
test_large(void **state)
{
    static const tn_statement echo = {"echo", "select $1::text", 1, false};
    const size_t size = 12 << 20;
    char *text = tn_arena_alloc(arena, size + 1, 1);
    const char *const parameters[] = {text};
    tn_query queries[4];
    const tn_rows *rows[4];

    (void)state;
    memset(text, 'x', size);
    for (size_t i = 0; i < 4; i++)
        queries[i] = (tn_query){&echo, parameters, 1, NULL, NULL};
    assert_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, queries, 4, rows));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tn_rows_length(rows[i], 0, 0), size);
}

static void
test_context(void **state)
{
    static const struct {
        const char *setting, *wanted;
    } cases[] = {
        {"role", "tenon_unit_reader"},
        {"tenon.tenant_id", "t1"},
        {"request.jwt.claims", "{\"sub\":\"s\"}"},
        {"request.headers", "{}"},
        {"request.method", "PATCH"},
        {"request.path", "/p"},
        {"tenon.key_id", "k"},
        {"tenon.scopes", "[]"},
        {"tenon.request_id", "r1"},
        {"statement_timeout", "3s"},
        {"lock_timeout", "500ms"},
        {"idle_in_transaction_session_timeout", "10s"},
        {"application_name", "tenon/unit"},
    };
    static const tn_db_context full = {.role = "tenon_unit_reader",
                                       .tenant_id = "t1",
                                       .claims = "{\"sub\":\"s\"}",
                                       .headers = "{}",
                                       .method = "PATCH",
                                       .path = "/p",
                                       .key_id = "k",
                                       .scopes = "[]",
                                       .request_id = "r1"};
    static const tn_statement setting = {"setting", "select current_setting($1)", 1, false};
    static const tn_statement broken = {"broken", "select 1 / $1::int", 1, false};
    const tn_rows *rows;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        TN_CASE("%s", cases[i].setting);
        assert_null(run(&full, TN_READ_WRITE, &setting, &cases[i].setting, &rows));
        TN_CHECK_TEXT(tn_rows_text(rows, 0, 0), cases[i].wanted);
    }
    /* nothing outlives the transaction: after a COMMIT of the test's own there is nothing set */
    for (size_t i = 0; i < 12; i++) {
        static const char *const defaults[] = {[9] = "0", [10] = "0", [11] = "0"};
        static const tn_statement commit = {NULL, "commit", 0, false};
        const tn_query queries[] = {{&commit, TN_NO_PARAMS, NULL, NULL},
                                    {&setting, &cases[i].setting, 1, NULL, NULL}};
        const tn_rows *both[2];

        TN_CASE("%s after commit", cases[i].setting);
        assert_null(tn_db_run(db, arena, &full, TN_READ_WRITE, queries, 2, both));
        TN_CHECK_TEXT(tn_rows_text(both[1], 0, 0), i == 0 ? "none" : i < 9 ? "" : defaults[i]);
    }
    /* and the next transaction begins from nothing, after success and after failure alike */
    for (int failed = 0; failed < 2; failed++) {
        if (failed)
            assert_string_equal(
                code_of(run(&full, TN_READ_WRITE, &broken, (const char *const[]){"0"}, NULL)),
                "division_by_zero");
        for (size_t i = 0; i < 9; i++) {
            TN_CASE("%s afterwards", cases[i].setting);
            assert_null(run(&nobody, TN_READ_WRITE, &setting, &cases[i].setting, &rows));
            TN_CHECK_TEXT(tn_rows_text(rows, 0, 0), i == 0 ? "none" : "");
        }
    }
    assert_int_equal(figures().connects, 1);
    assert_string_equal(value(&nobody, "who", "select current_user = session_user"), "t");
}

static void
test_access(void **state)
{
    static const tn_statement add = {"add", "insert into things (name) values ($1)", 1, false};
    static const tn_statement later = {"later", "select current_setting('synchronous_commit')", 0,
                                       false};
    const char *const name[] = {"y"};
    const tn_rows *rows;
    const tn_error *error = run(&nobody, TN_READ_ONLY, &add, name, NULL);

    (void)state;
    assert_string_equal(code_of(error), "read_only_transaction");
    assert_int_equal(error->status, 405);
    assert_null(run(&nobody, TN_READ_WRITE, &add, name, NULL));
    assert_null(run(&nobody, TN_READ_WRITE_ASYNC, &later, NULL, &rows));
    assert_string_equal(tn_rows_text(rows, 0, 0), "off");
    assert_null(run(&nobody, TN_READ_WRITE, &later, NULL, &rows));
    assert_string_equal(tn_rows_text(rows, 0, 0), "on");
}

/* The second query fails: the first has not happened, the third was never run, the connection
 * lives. */
static void
test_all_or_nothing(void **state)
{
    static const tn_statement add = {"add", "insert into things (name) values ($1)", 1, false};
    static const tn_statement fail_late = {"late", "insert into unique_later (n) values (1), (1)",
                                           0, false};
    const tn_query queries[] = {{&add, TN_PARAMS("first"), NULL, NULL},
                                {&add, TN_PARAMS("forbidden"), NULL, NULL},
                                {&add, TN_PARAMS("third"), NULL, NULL}};
    const tn_query deferred[] = {{&add, TN_PARAMS("first"), NULL, NULL},
                                 {&fail_late, TN_NO_PARAMS, NULL, NULL}};
    const tn_rows *rows[3];
    const char *pid = value(&nobody, "pid", "select pg_backend_pid()");

    (void)state;
    scratch_run("truncate things");
    for (int round = 0; round < 2; round++) {
        const tn_error *error = tn_db_run(db, arena, &nobody, TN_READ_WRITE, queries, 3, rows);

        assert_string_equal(code_of(error), "check_violation");
        assert_string_equal(error->details, "constraint things_name_allowed of things");
        assert_int_equal(error->status, 400);
        assert_int_equal(scratch_number("select count(*) from things"), 0);
    }
    /* at COMMIT itself */
    assert_string_equal(code_of(tn_db_run(db, arena, &nobody, TN_READ_WRITE, deferred, 2, rows)),
                        "unique_violation");
    assert_int_equal(scratch_number("select count(*) from things"), 0);
    assert_string_equal(value(&nobody, "pid", "select pg_backend_pid()"), pid);
    assert_int_equal(figures().failures, 3);
}

/* The same statement under two roles: each prepares it under its own rights. */
static void
test_roles(void **state)
{
    static const tn_statement look = {"look", "select count(*) from closed.secrets", 0, false};
    static const tn_db_context writer = {.role = "tenon_unit_writer"};

    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_string_equal(code_of(run(&reader, TN_READ_ONLY, &look, NULL, NULL)),
                            "insufficient_privilege");
        assert_null(run(&writer, TN_READ_ONLY, &look, NULL, NULL));
    }
    assert_int_equal(figures().connects, 1);
}

static void
test_statements_come_and_go(void **state)
{
    static const tn_statement wrong = {"wrong", "selekt", 0, false};
    static const tn_statement later = {"later_table", "select * from born_later", 0, false};
    static const tn_statement forget = {NULL, "deallocate all", 0, false};
    static const tn_statement taken = {NULL, "prepare \"none/clash\" as select 1", 0, false};
    static const tn_statement clash = {"clash", "select 2", 0, false};
    const tn_rows *rows;

    (void)state;
    for (int round = 0; round < 2; round++) /* a failed preparation is not remembered as done */
        assert_string_equal(code_of(run(&nobody, TN_READ_ONLY, &wrong, NULL, NULL)),
                            "internal_error");
    assert_string_equal(code_of(run(&nobody, TN_READ_ONLY, &later, NULL, NULL)), "internal_error");
    scratch_run("create table born_later (a int); insert into born_later values (1)");
    assert_null(run(&nobody, TN_READ_ONLY, &later, NULL, &rows));
    assert_int_equal(figures().connects, 1);

    /* a migration changes what the statement gives */
    scratch_run("alter table born_later add column b int");
    assert_null(run(&nobody, TN_READ_ONLY, &later, NULL, &rows));
    assert_int_equal(tn_rows_count(rows), 1);
    assert_null(tn_rows_text(rows, 0, 1));
    assert_int_equal(figures().retries, 1);

    /* somebody throws them away, COMMIT's too, in the middle of a transaction */
    assert_null(run(&nobody, TN_READ_ONLY, &later, NULL, NULL));
    assert_null(run(&nobody, TN_READ_ONLY, &forget, NULL, NULL));
    assert_int_equal(figures().retries, 2);
    assert_null(run(&nobody, TN_READ_ONLY, &later, NULL, &rows));
    assert_int_equal(figures().retries, 3);

    /* the name is taken, as behind a pooler: names are given up */
    assert_null(run(&nobody, TN_READ_ONLY, &taken, NULL, NULL));
    assert_null(run(&nobody, TN_READ_ONLY, &clash, NULL, &rows));
    assert_string_equal(tn_rows_text(rows, 0, 0), "2");
    assert_null(run(&nobody, TN_READ_ONLY, &forget, NULL, NULL));
    assert_null(run(&nobody, TN_READ_ONLY, &clash, NULL, &rows));
    assert_int_equal(figures().retries, 4);
}

static void
test_conflicts(void **state)
{
    static const struct {
        const char *sqlstate, *times;
        const char *code;
        int retries;
    } cases[] = {{"40001", "0", "none", 0},
                 {"40001", "1", "none", 1},
                 {"40P01", "2", "none", 2},
                 {"40001", "9", "transaction_conflict", 2}};
    static const tn_statement conflict = {"conflict", "select conflict($1, $2::int)", 2, false};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const tn_db_figures before = figures();
        const tn_error *error;

        TN_CASE("%s %s times", cases[i].sqlstate, cases[i].times);
        scratch_run("alter sequence attempts restart");
        error = run(&nobody, TN_READ_WRITE, &conflict,
                    (const char *const[]){cases[i].sqlstate, cases[i].times}, NULL);
        TN_CHECK_TEXT(code_of(error), cases[i].code);
        TN_CHECK(figures().retries - before.retries == cases[i].retries);
        TN_CHECK(error == NULL || (error->status == 503 && error->retry_after_s > 0));
    }
}

static void
test_limits(void **state)
{
    static const tn_statement sleep_long = {"sleep", "select pg_sleep(2)", 0, false};
    static const tn_statement locked = {"locked", "lock table things in access exclusive mode", 0,
                                        false};
    const tn_error *error;
    const char *problem;
    tn_session *session = tn_session_open(scratch_url, arena, &problem);

    (void)state;
    tn_db_free(db);
    db = tn_db_new(&(tn_db_options){.url = scratch_url,
                                    .connections = 1,
                                    .wait_ms = 100,
                                    .statement_timeout_ms = 200,
                                    .lock_timeout_ms = 50});
    error = run(&nobody, TN_READ_ONLY, &sleep_long, NULL, NULL);
    assert_string_equal(code_of(error), "statement_timeout");
    assert_int_equal(error->status, 504);

    assert_null(tn_session_run(session, arena, "begin; lock table things", NULL, 0, NULL));
    error = run(&nobody, TN_READ_WRITE, &locked, NULL, NULL);
    tn_session_close(session);
    assert_string_equal(code_of(error), "lock_timeout");
    assert_int_equal(error->status, 503);
    assert_int_equal(figures().connects, 1);
}

/* The server ends the connection: before COMMIT nothing has happened, during COMMIT nobody knows.
 */
static void
test_broken_connections(void **state)
{
    static const tn_statement add = {"add", "insert into things (name) values ($1)", 1, false};
    static const tn_statement die = {"die", "select die_at($1::int)", 1, false};
    static const tn_statement die_late = {"die_late", "insert into dies_at_commit values (1)", 0,
                                          false};
    const tn_query middle[] = {{&add, TN_PARAMS("middle"), NULL, NULL},
                               {&die, TN_PARAMS("1"), NULL, NULL}};
    const tn_query end[] = {{&add, TN_PARAMS("end"), NULL, NULL},
                            {&die_late, TN_NO_PARAMS, NULL, NULL}};
    const tn_rows *rows[2];
    const tn_error *error;

    (void)state;
    scratch_run("truncate things; alter sequence attempts restart");
    /* a fresh connection breaks: 503, not tried again */
    error = tn_db_run(db, arena, &nobody, TN_READ_WRITE, middle, 2, rows);
    assert_string_equal(code_of(error), "database_unavailable");
    assert_int_equal(error->status, 503);
    assert_true(error->retry_after_s > 0);
    assert_int_equal(scratch_number("select count(*) from things"), 0);
    /* one from the pool breaks: tried once more on a new one */
    scratch_run("alter sequence attempts restart");
    assert_string_equal(value(&nobody, "one", "select 1"), "1");
    assert_null(tn_db_run(db, arena, &nobody, TN_READ_WRITE, middle, 2, rows));
    assert_int_equal(scratch_number("select count(*) from things"), 1);

    error = tn_db_run(db, arena, &nobody, TN_READ_WRITE, end, 2, rows);
    assert_string_equal(code_of(error), "commit_unknown");
    assert_int_equal(error->status, 503);
    assert_int_equal(figures().in_use, 0);
    assert_string_equal(value(&nobody, "one", "select 1"), "1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_results, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_binary_parameters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_access, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_or_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_statements_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_conflicts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_connections, set_up, tear_down),
    };

    scratch_create();
    scratch_run("do $$ begin execute format('alter database %I set synchronous_commit = on',"
                " current_database()); end $$"); /* whatever the cluster has */
    scratch_run(
        "create table things (id serial, name text constraint things_name_allowed check (name <> "
        "'forbidden'));"
        "create table unique_later (n int unique deferrable initially deferred);"
        "create schema closed; create table closed.secrets (a int);"
        "grant usage on schema closed to tenon_unit_writer; grant select on closed.secrets to "
        "tenon_unit_writer;"
        "create sequence attempts;"
        "create function conflict(state text, times int) returns void language plpgsql as $$ begin"
        "  if nextval('attempts') <= times then raise exception 'no' using errcode = state; end "
        "if; end $$;"
        "create function die_at(n int) returns void language plpgsql as $$ begin"
        "  if nextval('attempts') = n then perform pg_terminate_backend(pg_backend_pid()); perform "
        "pg_sleep(1); end if; end $$;"
        "create table dies_at_commit (n int);"
        "create function die() returns trigger language plpgsql as $$ begin"
        "  perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1); return null; end "
        "$$;"
        "create constraint trigger die after insert on dies_at_commit deferrable initially deferred"
        "  for each row execute function die();");
    return tn_unit_run("db_transaction", tests, TN_COUNT(tests));
}
