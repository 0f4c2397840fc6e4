/* t/unit/db_pool.c: db/pool.c: borrowing connections when there are few, dead ones, or none */
#include "t/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "t/unit/database.h"

static const tn_db_context nobody = {.role = NULL};
static const tn_statement one = {"one", "select 1", 0, false};
static const tn_statement sleep_for = {"sleep_for", "select pg_sleep($1::float8)", 1, false};

static tn_db *
new_pool(const char *url, size_t connections, int64_t wait_ms)
{
    return tn_db_new(&(tn_db_options){.url = url,
                                      .pool = "unit",
                                      .connections = connections,
                                      .wait_ms = wait_ms,
                                      .statement_timeout_ms = 5000});
}

/* Runs one statement; "ok" or the error's code. */
static const char *
run(tn_db *db, const tn_statement *statement, const char *parameter)
{
    static _Thread_local char code[64];
    tn_arena *arena = tn_arena_new();
    const tn_query query = {statement, &parameter, (size_t)statement->parameters, NULL, NULL};
    const tn_rows *rows;
    const tn_error *error = tn_db_run(db, arena, &nobody, TN_READ_ONLY, &query, 1, &rows);

    snprintf(code, sizeof code, "%s", error == NULL ? "ok" : error->code);
    if (error != NULL && error->status == 503)
        assert_true(error->retry_after_s > 0);
    tn_arena_free(arena);
    return code;
}

static tn_db_figures
figures(tn_db *db)
{
    tn_db_figures now;

    tn_db_figures_read(db, &now);
    return now;
}

static void
pause_ms(int ms)
{
    const struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};

    (void)nanosleep(&time, NULL);
}

struct sleeper {
    tn_db *db;
    const char *seconds;
    pthread_t thread;
};

static void *
sleep_on_connection(void *argument)
{
    const struct sleeper *sleeper = argument;

    assert_string_equal(run(sleeper->db, &sleep_for, sleeper->seconds), "ok");
    return NULL;
}

static void
test_exhaustion(void **state)
{
    tn_db *db = new_pool(scratch_url, 1, 150);
    struct sleeper sleeper = {.db = db, .seconds = "0.6"};
    int64_t start_ms;

    (void)state;
    assert_string_equal(run(db, &one, NULL), "ok");
    pthread_create(&sleeper.thread, NULL, sleep_on_connection, &sleeper);
    while (figures(db).in_use == 0)
        pause_ms(5);
    start_ms = tn_clock_ms();
    assert_string_equal(run(db, &one, NULL), "database_unavailable");
    assert_in_range(tn_clock_ms() - start_ms, 140, 400);
    assert_int_equal(figures(db).waits_given_up, 1);
    assert_int_equal(figures(db).waiting, 0);
    pthread_join(sleeper.thread, NULL);
    assert_string_equal(run(db, &one, NULL), "ok");
    assert_int_equal(figures(db).connects, 1);
    assert_int_equal(figures(db).in_use, 0);
    tn_db_free(db);
}

/* Many threads, few connections: all are served, none opens more. */
static void
test_waiting_in_line(void **state)
{
    tn_db *db = new_pool(scratch_url, 2, 5000);
    struct sleeper sleepers[16];

    (void)state;
    for (size_t i = 0; i < TN_COUNT(sleepers); i++) {
        sleepers[i] = (struct sleeper){.db = db, .seconds = "0.02"};
        pthread_create(&sleepers[i].thread, NULL, sleep_on_connection, &sleepers[i]);
    }
    for (size_t i = 0; i < TN_COUNT(sleepers); i++)
        pthread_join(sleepers[i].thread, NULL);
    assert_int_equal(figures(db).transactions, 16);
    assert_in_range(figures(db).connects, 1, 2);
    assert_int_equal(figures(db).failures, 0);
    tn_db_free(db);
}

static void
terminate_all(void)
{
    scratch_run("select pg_terminate_backend(pid, 1000) from pg_stat_activity where "
                "datname = current_database() and application_name like 'tenon/unit'");
}

/* Idle connections that the server has closed are noticed before use: nobody gets an error. */
static void
test_dead_connections(void **state)
{
    tn_db *db = new_pool(scratch_url, 3, 1000);
    struct sleeper sleepers[3];

    (void)state;
    for (size_t i = 0; i < TN_COUNT(sleepers); i++) {
        sleepers[i] = (struct sleeper){.db = db, .seconds = "0.2"};
        pthread_create(&sleepers[i].thread, NULL, sleep_on_connection, &sleepers[i]);
    }
    for (size_t i = 0; i < TN_COUNT(sleepers); i++)
        pthread_join(sleepers[i].thread, NULL);
    assert_int_equal(figures(db).open, 3);
    terminate_all();
    for (int i = 0; i < 6; i++)
        assert_string_equal(run(db, &one, NULL), "ok");
    assert_int_equal(figures(db).failures, 0);
    tn_db_free(db);
}

/* A connection that breaks while it is used frees its place for those who wait. */
static void
test_broken_in_use(void **state)
{
    tn_db *db = new_pool(scratch_url, 1, 3000);
    tn_arena *arena = tn_arena_new();
    pthread_t thread;
    struct sleeper waiter = {.db = db, .seconds = "0"};
    static const tn_statement die = {
        "die", "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)", 0, false};

    (void)state;
    assert_string_equal(run(db, &die, NULL), "database_unavailable");
    pthread_create(&thread, NULL, sleep_on_connection, &waiter);
    assert_string_equal(run(db, &die, NULL), "database_unavailable");
    pthread_join(thread, NULL);
    assert_string_equal(run(db, &one, NULL), "ok");
    assert_in_range(figures(db).open, 0, 1);
    tn_arena_free(arena);
    tn_db_free(db);
}

/* --- a server that is away ----------------------------------------------------------------------
 */

static atomic_int accepted;

/* Accepts and hangs up, as a server that is starting does, and counts. */
static void *
hang_up(void *argument)
{
    const int listener = *(const int *)argument;
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        atomic_fetch_add(&accepted, 1);
        close(fd);
    }
    return NULL;
}

struct knocker {
    tn_db *db;
    pthread_t thread;
    int64_t longest_ms;
    int asked;
};

static void *
knock_for_a_second(void *argument)
{
    struct knocker *knocker = argument;
    const int64_t end_ms = tn_clock_ms() + 1000;

    while (tn_clock_ms() < end_ms) {
        const int64_t start_ms = tn_clock_ms();

        assert_string_equal(run(knocker->db, &one, NULL), "database_unavailable");
        if (tn_clock_ms() - start_ms > knocker->longest_ms)
            knocker->longest_ms = tn_clock_ms() - start_ms;
        knocker->asked++;
        pause_ms(1);
    }
    return NULL;
}

static void
test_no_storm(void **state)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct knocker knockers[8];
    char url[128];
    pthread_t thread;
    tn_db *db;
    int asked = 0;

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(url, sizeof url, "postgresql://u@127.0.0.1:%d/x?sslmode=disable",
             ntohs(address.sin_port));
    pthread_create(&thread, NULL, hang_up, &listener);
    db = new_pool(url, 8, 2000);
    for (size_t i = 0; i < TN_COUNT(knockers); i++) {
        knockers[i] = (struct knocker){.db = db};
        pthread_create(&knockers[i].thread, NULL, knock_for_a_second, &knockers[i]);
    }
    for (size_t i = 0; i < TN_COUNT(knockers); i++) {
        pthread_join(knockers[i].thread, NULL);
        TN_CASE("thread %zu: %lld ms", i, (long long)knockers[i].longest_ms);
        TN_CHECK(knockers[i].longest_ms < 500); /* nobody waits for a server that is away */
        asked += knockers[i].asked;
    }
    assert_true(asked > 200);
    assert_in_range(accepted, 2,
                    8 + 12); /* all may find out at once; then pauses of 25 to 500 ms */
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    tn_db_free(db);
}

/* The database refuses for a while, and is back: so are we, within a second. */
static void
test_recovery(void **state)
{
    tn_db *db = new_pool(scratch_url, 2, 200);
    char sql[256];
    int64_t start_ms;

    (void)state;
    assert_string_equal(run(db, &one, NULL), "ok");
    snprintf(sql, sizeof sql, "alter database %s with allow_connections false", scratch_name);
    scratch_run_on(scratch_server(), sql, NULL, 0);
    snprintf(sql, sizeof sql,
             "select pg_terminate_backend(pid, 1000) from pg_stat_activity where datname = '%s'",
             scratch_name);
    scratch_run_on(scratch_server(), sql, NULL, 0);
    start_ms = tn_clock_ms();
    while (tn_clock_ms() - start_ms < 1500) {
        assert_string_equal(run(db, &one, NULL), "database_unavailable");
        pause_ms(10);
    }
    snprintf(sql, sizeof sql, "alter database %s with allow_connections true", scratch_name);
    scratch_run_on(scratch_server(), sql, NULL, 0);
    start_ms = tn_clock_ms();
    while (strcmp(run(db, &one, NULL), "ok") != 0)
        pause_ms(5);
    assert_in_range(tn_clock_ms() - start_ms, 0, 1000);
    assert_true(figures(db).connect_failures < 12);
    tn_db_free(db);
}

/* A URL that cannot be read: an error, never a crash. */
static void
test_bad_urls(void **state)
{
    static const char *const urls[] = {"postgresql://u:p@[bad/x", "postgresql://127.0.0.1:1/x",
                                       "host=/nonexistent", "nonsense=1"};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(urls); i++) {
        tn_db *db = new_pool(urls[i], 1, 100);

        TN_CASE("%s", urls[i]);
        TN_CHECK_TEXT(run(db, &one, NULL), "database_unavailable");
        TN_CHECK(figures(db).open == 0);
        tn_db_free(db);
    }
}

static atomic_int most_in_use;

static void
note_use(void *context, int in_use)
{
    (void)context;
    if (in_use > most_in_use)
        most_in_use = in_use;
}

static void
test_on_borrow(void **state)
{
    tn_db *db = tn_db_new(&(tn_db_options){
        .url = scratch_url, .connections = 2, .wait_ms = 1000, .on_borrow = note_use});

    (void)state;
    assert_string_equal(run(db, &one, NULL), "ok");
    assert_int_equal(most_in_use, 1);
    tn_db_free(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exhaustion),       cmocka_unit_test(test_waiting_in_line),
        cmocka_unit_test(test_dead_connections), cmocka_unit_test(test_broken_in_use),
        cmocka_unit_test(test_no_storm),         cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_bad_urls),         cmocka_unit_test(test_on_borrow),
    };

    scratch_create();
    return tn_unit_run("db_pool", tests, TN_COUNT(tests));
}
