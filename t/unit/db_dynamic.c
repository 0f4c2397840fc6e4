/* t/unit/db_dynamic.c: statements made at run time: prepared once, forgotten in order, right for
 * every identity */
#include "t/unit/unit.h"

#include "db/prepared_private.h"
#include "t/unit/database.h"

#define STATEMENTS_MAX 4

static const tn_db_context nobody = {.role = NULL};
static const tn_db_context writer = {.role = "tenon_unit_writer", .tenant_id = "a"};
static tn_arena *arena;
static tn_db *db;

static tn_db *
new_pool(size_t connections, size_t statements_max)
{
    return tn_db_new(&(tn_db_options){.url = scratch_url,
                                      .pool = "unit",
                                      .connections = connections,
                                      .wait_ms = 2000,
                                      .statement_timeout_ms = 5000,
                                      .statements_max = statements_max});
}

static int
set_up(void **state)
{
    (void)state;
    arena = tn_arena_new();
    db = new_pool(1, STATEMENTS_MAX);
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

/* The first value that the SQL text gives, as a dynamic statement; or the error's code. */
static const char *
ask(const tn_db_context *context, const char *sql)
{
    const tn_statement statement = {.name = "asked", .sql = sql, .is_dynamic = true};
    const tn_query query = {.statement = &statement};
    const tn_rows *rows;
    const tn_error *error = tn_db_run(db, arena, context, TN_READ_WRITE, &query, 1, &rows);

    if (error != NULL)
        return error->code;
    return tn_rows_count(rows) == 0 ? "no rows" : tn_rows_text(rows, 0, 0);
}

/* What the server has prepared, oldest first: their texts, separated by commas. Not dynamic itself.
 */
static const char *
prepared(void)
{
    static const tn_statement look = {
        .sql = "select coalesce(string_agg(statement, ',' order by prepare_time), '') from "
               "pg_prepared_statements where name like '=%'"};
    const tn_query query = {.statement = &look};
    const tn_rows *rows;

    assert_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, &query, 1, &rows));
    return tn_rows_text(rows, 0, 0);
}

static tn_db_figures
figures(void)
{
    tn_db_figures now;

    tn_db_figures_read(db, &now);
    return now;
}

static void
test_prepared_once(void **state)
{
    tn_db_context in_path = nobody;

    (void)state;
    in_path.search_path = "pg_catalog";
    for (int round = 0; round < 3; round++) {
        assert_string_equal(ask(&nobody, "select 1"), "1");
        assert_string_equal(prepared(), "select 1");
    }
    assert_string_equal(ask(&writer, "select 1"), "1"); /* another role */
    assert_string_equal(prepared(), "select 1,select 1");
    assert_string_equal(ask(&in_path, "select 1"), "1"); /* another search path */
    assert_string_equal(prepared(), "select 1,select 1,select 1");
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().retries, 0);
}

static void
test_least_recently_used(void **state)
{
    (void)state;
    for (char digit = '1'; digit <= '4'; digit++)
        (void)ask(&nobody, tn_arena_printf(arena, "select %c", digit));
    assert_string_equal(prepared(), "select 1,select 2,select 3,select 4");
    assert_string_equal(ask(&nobody, "select 1"), "1");
    assert_string_equal(ask(&nobody, "select 5"), "5");
    assert_string_equal(prepared(), "select 1,select 3,select 4,select 5");
    assert_string_equal(ask(&nobody, "select 2"), "2");
    assert_string_equal(prepared(), "select 1,select 4,select 5,select 2");
    for (int i = 0; i < 100; i++)
        assert_string_equal(ask(&nobody, tn_arena_printf(arena, "select %d", 100 + i)),
                            tn_arena_printf(arena, "%d", 100 + i));
    assert_string_equal(prepared(), "select 196,select 197,select 198,select 199");
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().retries, 0);
}

/* More in one transaction than are kept: some go unprepared, and all are answered. */
static void
test_more_than_are_kept(void **state)
{
    tn_statement statements[TN_QUERIES_MAX];
    tn_query queries[TN_QUERIES_MAX];
    const tn_rows *rows[TN_QUERIES_MAX];

    (void)state;
    assert_string_equal(ask(&nobody, "select 'before'"), "before");
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < TN_QUERIES_MAX; i++) {
            statements[i] = (tn_statement){
                .sql = tn_arena_printf(arena, "select %zu", i / 2 * 2 + (size_t)round),
                .is_dynamic = true};
            queries[i] = (tn_query){.statement = &statements[i]};
        }
        assert_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, queries, TN_QUERIES_MAX, rows));
        for (size_t i = 0; i < TN_QUERIES_MAX; i++)
            assert_int_equal(tn_rows_int(rows[i], 0, 0, -1), i / 2 * 2 + (size_t)round);
        assert_string_equal(prepared(),
                            tn_arena_printf(arena, "select %d,select %d,select %d,select %d", round,
                                            round + 2, round + 4, round + 6));
    }
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().retries, 0);
}

static void
test_not_prepared(void **state)
{
    char *sql = tn_arena_alloc(arena, 40001, 1);

    (void)state;
    memset(sql, ' ', 40000);
    memcpy(sql, "select 1", 8);
    assert_string_equal(ask(&nobody, sql), "1"); /* too long to keep */
    assert_string_equal(prepared(), "");
    tn_db_free(db);
    db = new_pool(1, 0);
    assert_string_equal(ask(&nobody, "select 1"), "1");
    assert_string_equal(prepared(), "");
}

/* Preparing and forgetting outlive a transaction that fails: what was done before the error is
 * known, what was skipped is not taken for done. */
static void
test_failures(void **state)
{
    static const tn_statement fine = {.sql = "select 'fine'", .is_dynamic = true};
    static const tn_statement failing = {.sql = "select 1 / (random() * 0)::int",
                                         .is_dynamic = true};
    static const tn_statement skipped = {.sql = "select 'skipped'", .is_dynamic = true};
    static const tn_statement wrong = {.sql = "selekt", .is_dynamic = true};
    const tn_query queries[] = {
        {.statement = &fine}, {.statement = &failing}, {.statement = &skipped}};
    const tn_query bad = {.statement = &wrong};
    const tn_rows *rows[3];

    (void)state;
    for (int round = 0; round < 3; round++) {
        const tn_error *error = tn_db_run(db, arena, &nobody, TN_READ_ONLY, queries, 3, rows);

        assert_string_equal(error->code, "division_by_zero");
        assert_string_equal(prepared(), "select 'fine',select 1 / (random() * 0)::int");
        assert_string_equal(tn_db_run(db, arena, &nobody, TN_READ_ONLY, &bad, 1, rows)->code,
                            "internal_error");
        assert_string_equal(prepared(), "select 'fine',select 1 / (random() * 0)::int");
    }
    /* full: now each failure also forgets */
    for (char digit = '1'; digit <= '4'; digit++)
        (void)ask(&nobody, tn_arena_printf(arena, "select %c", digit));
    for (int round = 0; round < 3; round++) {
        assert_non_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, &bad, 1, rows));
        assert_non_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, queries, 3, rows));
        assert_string_equal(ask(&nobody, "select 1"), "1");
        assert_string_equal(ask(&nobody, "select 'skipped'"), "skipped");
    }
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().retries, 0);
}

/* One connection, one text, one plan that PostgreSQL has cached (it does so at the sixth use): each
 * identity sees its own rows, whoever came before. */
static void
test_identities(void **state)
{
    static const struct {
        const char *role, *tenant, *seen;
    } cases[] = {
        {"tenon_unit_reader", "a", "a-open"}, {"tenon_unit_writer", "a", "a-closed,a-open"},
        {"tenon_unit_reader", "b", "b-open"}, {"tenon_unit_writer", "b", "b-closed,b-open"},
        {"tenon_unit_reader", "", "nothing"}, {NULL, "a", "insufficient_privilege"},
    };
    static const char sql[] =
        "select coalesce(string_agg(name, ',' order by name), 'nothing') from kept";
    const char *login;

    (void)state;
    login = tn_arena_printf(arena, "tenon_unit_login_%d", (int)getpid());
    scratch_run(tn_arena_printf(arena,
                                "create role %s login noinherit;"
                                "grant tenon_unit_reader, tenon_unit_writer to %s",
                                login, login));
    tn_db_free(db);
    db = tn_db_new(&(tn_db_options){
        .url = tn_arena_printf(arena, "postgresql://%s%s", login, strchr(scratch_url, '@')),
        .connections = 1,
        .wait_ms = 2000,
        .statements_max = STATEMENTS_MAX});
    for (int round = 0; round < 12; round++)
        for (size_t i = 0; i < TN_COUNT(cases); i++) {
            const tn_db_context context = {.role = cases[i].role, .tenant_id = cases[i].tenant};

            TN_CASE("round %d: %s of %s", round, cases[i].role, cases[i].tenant);
            TN_CHECK_TEXT(ask(&context, sql), cases[i].seen);
        }
    assert_int_equal(figures().connects, 1);
    assert_string_equal(prepared(), tn_arena_printf(arena, "%s,%s,%s", sql, sql, sql));
    scratch_run(tn_arena_printf(arena, "drop role %s", login));
}

/* A table changes under statements that every connection has prepared: nobody notices, and it ends.
 */
static void
test_changed_tables(void **state)
{
    static const tn_statement nap = {.sql = "select *, pg_sleep(0.3) from changing",
                                     .is_dynamic = true};
    const tn_query query = {.statement = &nap};
    const tn_rows *rows;

    (void)state;
    for (int round = 0; round < 5; round++) {
        assert_string_equal(ask(&nobody, "select * from changing"), "1");
        scratch_run(tn_arena_printf(arena, "alter table changing add column c%d int", round));
        assert_string_equal(ask(&nobody, "select * from changing"), "1");
        assert_string_equal(ask(&nobody, "select * from changing"), "1");
        assert_int_equal(figures().retries, round + 1);
    }
    scratch_run("alter table changing alter column a type text using 'x' || a");
    assert_string_equal(ask(&nobody, "select * from changing"), "x1");
    assert_null(tn_db_run(db, arena, &nobody, TN_READ_ONLY, &query, 1, &rows));
    assert_int_equal(figures().failures, figures().retries);
    assert_string_equal(ask(&nobody, "select 'still prepared'"), "still prepared");
    assert_string_equal(prepared(),
                        "select *, pg_sleep(0.3) from changing,select 'still prepared'");
}

/* The same on several connections, all of them stale at once. */
static void
test_all_connections_stale(void **state)
{
    static const tn_statement look = {.sql = "select * from shared", .is_dynamic = true};
    const tn_query query = {.statement = &look};
    const tn_db_work work = {.context = &nobody, .access = TN_READ_ONLY};
    tn_transaction *transactions[6];
    const tn_rows *rows;

    (void)state;
    tn_db_free(db);
    db = new_pool(TN_COUNT(transactions), STATEMENTS_MAX);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < TN_COUNT(transactions); i++) {
            assert_null(tn_db_begin(db, arena, &work, &transactions[i]));
            assert_null(tn_transaction_run(transactions[i], &query, 1, &rows));
            assert_string_equal(tn_rows_text(rows, 0, 0), "1");
        }
        for (size_t i = 0; i < TN_COUNT(transactions); i++)
            assert_null(tn_transaction_commit(transactions[i]));
        assert_int_equal(figures().open, TN_COUNT(transactions));
        assert_int_equal(figures().retries, round * 3); /* each goes to another stale one then */
        if (round == 0)
            scratch_run("alter table shared add column b int");
    }
    for (int i = 0; i < 6; i++)
        assert_string_equal(ask(&nobody, "select * from shared"), "1");
    assert_string_equal(prepared(), "select * from shared");
}

/* Roles and names longer than PostgreSQL's names stay apart. */
static void
test_names(void **state)
{
    static const tn_statement plain = {.name = "conversation_update", .sql = "select 1"};
    static const tn_statement other = {.name = "conversation_updated", .sql = "select 1"};
    static const tn_statement dynamic = {.name = "x", .sql = "select 1", .is_dynamic = true};
    static const char long_role[] =
        "a_role_of_just_as_many_bytes_as_a_name_in_postgresql_may_have__";
    static const char longer_role[] =
        "a_role_of_just_as_many_bytes_as_a_name_in_postgresql_may_have__and_more";
    char names[9][TN_PREPARED_NAME_SIZE];
    size_t count = 0;

    (void)state;
    assert_int_equal(strlen(long_role), 63);
    tn_prepared_name(&plain, "anon", NULL, names[count++]);
    assert_string_equal(names[0], "anon/conversation_update");
    tn_prepared_name(&plain, long_role, NULL, names[count++]);
    tn_prepared_name(&other, long_role, NULL, names[count++]);
    tn_prepared_name(&plain, longer_role, NULL, names[count++]);
    tn_prepared_name(&dynamic, "anon", NULL, names[count++]);
    tn_prepared_name(&dynamic, "anon", "", names[count++]);
    tn_prepared_name(&dynamic, "anon", "public", names[count++]);
    tn_prepared_name(&dynamic, "anonp", "ublic", names[count++]);
    tn_prepared_name(&dynamic, long_role, NULL, names[count++]);
    for (size_t i = 0; i < count; i++) {
        TN_CASE("name %zu", i);
        TN_CHECK(strlen(names[i]) < TN_PREPARED_NAME_SIZE);
        for (size_t j = 0; j < i; j++)
            TN_CHECK(strcmp(names[i], names[j]) != 0);
    }
}

/* A role with a name as long as it gets, in both kinds of statements. */
static void
test_long_role(void **state)
{
    static const char role[] = "tenon_unit_role_with_a_name_of_as_many_bytes_as_there_may_be___";
    const tn_db_context context = {.role = role};
    static const tn_statement one = {.name = "one_of_long_role", .sql = "select current_user"};
    static const tn_statement two = {.name = "two_of_long_role", .sql = "select 2"};
    const tn_query queries[] = {{.statement = &one}, {.statement = &two}};
    const tn_rows *rows[2];

    (void)state;
    assert_int_equal(strlen(role), 63);
    scratch_run(tn_arena_printf(arena,
                                "do $$ begin create role %s; exception when duplicate_object or "
                                "unique_violation then null; end $$",
                                role));
    for (int round = 0; round < 3; round++) {
        assert_null(tn_db_run(db, arena, &context, TN_READ_ONLY, queries, 2, rows));
        assert_string_equal(tn_rows_text(rows[0], 0, 0), role);
        assert_string_equal(tn_rows_text(rows[1], 0, 0), "2");
        assert_string_equal(ask(&context, "select 3"), "3");
    }
    assert_int_equal(figures().retries, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_prepared_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_least_recently_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_prepared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_identities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_connections_stale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_role, set_up, tear_down),
    };

    scratch_create();
    scratch_run(
        "create table changing (a int); insert into changing values (1);"
        "create table shared (a int); insert into shared values (1);"
        "create table kept (tenant text, name text, is_open bool);"
        "insert into kept select t, t || '-' || case when o then 'open' else 'closed' end, o"
        "  from unnest('{a,b}'::text[]) t, unnest('{t,f}'::bool[]) o;"
        "create index on kept (tenant);"
        "alter table kept enable row level security, force row level security;"
        "create policy tenant on kept as restrictive using (tenant = (select "
        "current_setting('tenon.tenant_id', true)));"
        "create policy reader on kept to tenon_unit_reader using (is_open);"
        "create policy writer on kept to tenon_unit_writer using (true);"
        "grant select on kept to tenon_unit_reader, tenon_unit_writer");
    return tn_unit_run("db_dynamic", tests, TN_COUNT(tests));
}
