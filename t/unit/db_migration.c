/* t/unit/db_migration.c: db/migration.c: each file once, in order, and nothing at all when
 * something is odd */
#include "t/unit/unit.h"

#include <pthread.h>
#include <sys/stat.h>

#include "db/migration.h"
#include "t/unit/database.h"

static char folder[64];
static tn_arena *arena;

static void
write_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (text == NULL) {
        (void)unlink(path);
        return;
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static tn_session *
open_session(void)
{
    const char *problem;
    tn_session *session = tn_session_open(scratch_url, arena, &problem);

    assert_non_null(session);
    return session;
}

/* "ok" or the error's code. */
static const char *
migrate(tn_migration_report *report)
{
    tn_session *session = open_session();
    const tn_error *error =
        tn_migrate(session, arena, &(tn_migrations){.folder = folder}, NULL, NULL, report);

    assert_false(tn_session_in_transaction(session));
    tn_session_close(session);
    return error == NULL ? "ok" : error->code;
}

static int
set_up(void **state)
{
    (void)state;
    arena = tn_arena_new();
    snprintf(folder, sizeof folder, "/tmp/tenon-migrations-XXXXXX");
    assert_non_null(mkdtemp(folder));
    scratch_run("drop schema if exists tenon cascade; drop table if exists a, b, c");
    return 0;
}

static int
tear_down(void **state)
{
    char command[128];

    (void)state;
    for (int i = 1; i <= 9; i++) {
        snprintf(command, sizeof command, "000%d_x.sql", i);
        write_file(command, NULL);
    }
    write_file("0002_y.sql", NULL);
    write_file("2_short.sql", NULL);
    write_file("README", NULL);
    rmdir(folder);
    tn_arena_free(arena);
    return 0;
}

static void
test_in_order(void **state)
{
    tn_migration_report report;

    (void)state;
    write_file("0002_x.sql",
               "alter table a add column n int; -- the first comes first\ncreate table b ();");
    write_file("0001_x.sql", "create table a ();");
    write_file("README", "is no migration");
    assert_string_equal(migrate(&report), "ok");
    assert_int_equal(report.applied, 2);
    assert_string_equal(report.last, "0002_x.sql");
    assert_string_equal(migrate(&report), "ok");
    assert_int_equal(report.applied, 0);
    assert_int_equal(report.already, 2);
    write_file("0003_x.sql", "create table c ();");
    assert_string_equal(migrate(&report), "ok");
    assert_int_equal(report.applied, 1);
    assert_int_equal(
        scratch_number("select count(*) from tenon.migrations where sha256 ~ '^[0-9a-f]{64}$'"), 3);
    assert_int_equal(scratch_number("select (relrowsecurity and relforcerowsecurity)::int from "
                                    "pg_class where oid = 'tenon.migrations'::regclass"),
                     1);
}

/* What is refused is refused before anything runs. */
static void
test_refused(void **state)
{
    static const struct {
        const char *name, *text, *code;
    } cases[] = {
        {"0002_y.sql", "select 1", "migration_twice"},
        {"0005_x.sql", "select 1", "migration_missing"},
        {"0001_x.sql", "create table a (); -- edited", "migration_changed"},
        {"0002_x.sql", NULL, "migration_missing"}, /* with 0003 still there */
        {"2_short.sql", "select 1", "migration_name"},
    };
    tn_migration_report report;

    (void)state;
    write_file("0001_x.sql", "create table a ();");
    write_file("0002_x.sql", "create table b ();");
    assert_string_equal(migrate(&report), "ok");
    write_file("0003_x.sql", "create table c ();");
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        TN_CASE("%s", cases[i].name);
        write_file(cases[i].name, cases[i].text);
        TN_CHECK_TEXT(migrate(&report), cases[i].code);
        TN_CHECK(scratch_number("select count(*) from pg_class where relname = 'c'") == 0);
        write_file(cases[i].name, NULL);
        write_file("0001_x.sql", "create table a ();");
        write_file("0002_x.sql", "create table b ();");
    }
    /* an older release meets a newer database */
    write_file("0003_x.sql", NULL);
    write_file("0002_x.sql", NULL);
    assert_string_equal(migrate(&report), "migration_unknown");
    write_file("0001_x.sql", NULL);
    assert_string_equal(migrate(&report), "migration_missing"); /* an empty folder */
}

/* Each file in one transaction: what fails leaves nothing, and what ran before it stays. */
static void
test_failure(void **state)
{
    tn_migration_report report;
    tn_session *session;
    const tn_error *error;

    (void)state;
    write_file("0001_x.sql", "create table a ();");
    write_file("0002_x.sql", "create table b (); select nonsense;");
    session = open_session();
    error = tn_migrate(session, arena, &(tn_migrations){.folder = folder}, NULL, NULL, &report);
    assert_non_null(error);
    assert_non_null(strstr(error->message, "0002_x.sql"));
    assert_non_null(strstr(error->message, "nonsense"));
    tn_session_close(session);
    assert_int_equal(scratch_number("select count(*) from tenon.migrations"), 1);
    assert_int_equal(scratch_number("select count(*) from pg_class where relname = 'b'"), 0);
    write_file("0002_x.sql", "create table b ();\n\nselect 'ä', 1 / 0;");
    session = open_session();
    error = tn_migrate(session, arena, &(tn_migrations){.folder = folder}, NULL, NULL, &report);
    assert_string_equal(error->message, "0002_x.sql:3: division by zero");
    write_file("0002_x.sql", "create table b ();\nselect 'ä',\n nonsense;");
    error = tn_migrate(session, arena, &(tn_migrations){.folder = folder}, NULL, NULL, &report);
    assert_string_equal(error->message, "0002_x.sql:3: column \"nonsense\" does not exist");
    write_file("0002_x.sql", "copy a from stdin;");
    error = tn_migrate(session, arena, &(tn_migrations){.folder = folder}, NULL, NULL, &report);
    assert_non_null(strstr(error->message, "0002_x.sql:1: COPY from stdin failed"));
    tn_session_close(session);
    write_file("0002_x.sql", "create table b ();\ncommit;");
    assert_string_equal(migrate(&report), "migration_commits");
    assert_int_equal(scratch_number("select count(*) from pg_class where relname = 'b'"), 0);
    write_file("0002_x.sql", "create table b ();");
    assert_string_equal(migrate(&report), "ok");
}

static void *
migrate_too(void *unused)
{
    tn_arena *own = tn_arena_new();
    const char *problem;
    tn_session *session = tn_session_open(scratch_url, own, &problem);
    tn_migration_report report;

    (void)unused;
    assert_non_null(session);
    assert_null(tn_migrate(session, own, &(tn_migrations){.folder = folder}, NULL, NULL, &report));
    tn_session_close(session);
    tn_arena_free(own);
    return NULL;
}

static void
test_at_once(void **state)
{
    pthread_t threads[4];

    (void)state;
    write_file("0001_x.sql", "create table a (); select pg_sleep(0.2);");
    write_file("0002_x.sql", "create table b ();");
    for (size_t i = 0; i < TN_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, migrate_too, NULL);
    for (size_t i = 0; i < TN_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(scratch_number("select count(*) from tenon.migrations"), 2);
}

static void
test_check(void **state)
{
    tn_migration_report report;
    tn_session *session = open_session();

    (void)state;
    write_file("0001_x.sql", "create table a ();");
    assert_null(tn_migrate_check(session, arena, &(tn_migrations){.folder = folder}, &report));
    assert_int_equal(report.missing, 1);
    assert_int_equal(
        scratch_number("select count(*) from pg_class where relname in ('a', 'migrations')"), 0);
    assert_string_equal(migrate(&report), "ok");
    write_file("0002_x.sql", "create table b ();");
    assert_null(tn_migrate_check(session, arena, &(tn_migrations){.folder = folder}, &report));
    assert_int_equal(report.missing, 1);
    assert_int_equal(report.already, 1);
    tn_session_close(session);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
    };

    scratch_create();
    scratch_run("do $$ begin create role tenon_owner nologin; exception when duplicate_object or "
                "unique_violation then null; end $$");
    return tn_unit_run("db_migration", tests, TN_COUNT(tests));
}
