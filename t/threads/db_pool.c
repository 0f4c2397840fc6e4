/* t/threads/db_pool.c: one pool and many threads, for the thread sanitizer
 *
 * Each thread asks in its own name, with static and dynamic statements, in one round trip, in
 * several, or as a stream, and now and then does something wrong: an error, a conflict, the end of
 * its own connection. However they mix, everyone is answered in their own name and nothing is left
 * over.
 */
#include "t/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "db/listen.h"
#include "t/unit/database.h"

#define THREADS 16
#define CONNECTIONS 4
#define RUN_MS 2000

static const tn_statement who = {
    "who",
    "select current_setting('tenon.tenant_id'), current_setting('request.jwt.claims'), $1::text", 1,
    false};
static const tn_statement divide = {"divide", "select 1 / $1::int", 1, false};
static const tn_statement die = {
    "die", "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1), $1", 1, false};
static const tn_statement conflict = {"conflict", "select conflict(), $1", 1, false};

static tn_db *db;
static atomic_int answered, refused, wrong, notified, borrowed;

/* Whether the row is the answer to `who`. */
static bool
is_own(const tn_rows *rows, const char *name, const char *claims)
{
    return strcmp(tn_rows_text(rows, 0, 0), name) == 0 &&
           strcmp(tn_rows_text(rows, 0, 1), claims) == 0 &&
           strcmp(tn_rows_text(rows, 0, 2), name) == 0;
}

struct reader {
    const char *name;
    int rows;
    bool is_wrong;
};

static bool
read_row(void *context, const char *text, size_t length)
{
    struct reader *reader = context;

    reader->is_wrong =
        reader->is_wrong || strlen(text) != length || strcmp(text, reader->name) != 0;
    return ++reader->rows < 50;
}

static const tn_error *
read_stream(tn_arena *arena, const tn_db_context *context, const char *name)
{
    static const tn_statement names = {
        .sql = "select current_setting('tenon.tenant_id') from generate_series(1, 1000)",
        .is_dynamic = true};
    const tn_query query = {.statement = &names};
    const tn_rows *rows;
    struct reader reader = {.name = name};
    const tn_error *error = tn_db_stream(db, arena,
                                         &(tn_db_work){.context = context,
                                                       .access = TN_READ_ONLY,
                                                       .queries = &query,
                                                       .count = 1,
                                                       .results = &rows},
                                         read_row, &reader);

    if (reader.is_wrong || (error == NULL && reader.rows != 50))
        atomic_fetch_add(&wrong, 1);
    return error;
}

/* Two round trips; every third time the arena ends what nobody has ended. */
static const tn_error *
ask_twice(tn_arena *arena, const tn_db_context *context, const tn_query *query, unsigned round)
{
    tn_transaction *transaction;
    const tn_rows *rows;

    TN_TRY(tn_db_begin(db, arena, &(tn_db_work){.context = context, .access = TN_READ_WRITE},
                       &transaction));
    for (int i = 0; i < 2; i++) {
        TN_TRY(tn_transaction_run(transaction, query, 1, &rows));
        if (!is_own(rows, context->tenant_id, context->claims))
            atomic_fetch_add(&wrong, 1);
    }
    return round % 3 == 0 ? NULL : tn_transaction_commit(transaction);
}

/* A dynamic statement, of which there are more than a connection keeps. */
static const tn_error *
ask_anew(tn_arena *arena, const tn_db_context *context, const tn_query *query, unsigned round)
{
    const tn_statement statement = {
        .sql = tn_arena_printf(arena, "%s, %u", query->statement->sql, round % 9),
        .parameters = 1,
        .is_dynamic = true};
    const tn_query anew = {&statement, query->parameters, 1, NULL, NULL};
    const tn_rows *rows;

    TN_TRY(tn_db_run(db, arena, context, TN_READ_ONLY, &anew, 1, &rows));
    if (!is_own(rows, context->tenant_id, context->claims))
        atomic_fetch_add(&wrong, 1);
    return NULL;
}

/* The other ways of asking. */
static void
ask_otherwise(int number, unsigned round)
{
    tn_arena *arena = tn_arena_new();
    const char *name = tn_arena_printf(arena, "tenant-%d", number);
    const tn_db_context context = {.role = number % 2 ? "tenon_unit_reader" : "tenon_unit_writer",
                                   .tenant_id = name,
                                   .claims = tn_arena_printf(arena, "{\"other\":%u}", round)};
    const tn_query query = {&who, &name, 1, NULL, NULL};
    const tn_error *error = round % 3 == 0   ? read_stream(arena, &context, name)
                            : round % 3 == 1 ? ask_twice(arena, &context, &query, round / 3)
                                             : ask_anew(arena, &context, &query, round);

    atomic_fetch_add(error == NULL ? &answered : &refused, 1);
    if (error != NULL && error->status != 503)
        atomic_fetch_add(&wrong, 1);
    tn_arena_free(arena);
}

static void
ask(int number, unsigned round)
{
    tn_arena *arena = tn_arena_new();
    const char *name = tn_arena_printf(arena, "tenant-%d", number);
    const char *claims = tn_arena_printf(arena, "{\"round\":%u}", round);
    const tn_db_context context = {.role = number % 2 ? "tenon_unit_reader" : "tenon_unit_writer",
                                   .tenant_id = name,
                                   .claims = claims};
    const tn_statement *statement = round % 97 == 96   ? &die
                                    : round % 31 == 30 ? &conflict
                                    : round % 7 == 6   ? &divide
                                                       : &who;
    const char *const parameters[] = {statement == &divide ? "0" : name};
    const tn_query query = {statement, parameters, 1, NULL, NULL};
    const tn_rows *rows = NULL;
    const tn_error *error =
        tn_db_run(db, arena, &context, round % 2 ? TN_READ_ONLY : TN_READ_WRITE, &query, 1, &rows);

    if (error != NULL) {
        atomic_fetch_add(&refused, 1);
        if (statement == &who && error->status != 503)
            atomic_fetch_add(&wrong, 1);
    } else {
        atomic_fetch_add(&answered, 1);
        if (statement == &who && !is_own(rows, name, claims))
            atomic_fetch_add(&wrong, 1);
    }
    tn_arena_free(arena);
}

static void *
run_thread(void *argument)
{
    const int number = *(const int *)argument;
    const int64_t end_ms = tn_clock_ms() + RUN_MS;

    for (unsigned round = (unsigned)number; tn_clock_ms() < end_ms; round++) {
        ask(number, round);
        ask_otherwise(number, round);
    }
    return NULL;
}

static void
on_notify(void *context, const char *channel, const char *payload)
{
    (void)context, (void)channel, (void)payload;
    atomic_fetch_add(&notified, 1);
}

static void
on_borrow(void *context, int in_use)
{
    (void)context;
    atomic_store(&borrowed, in_use);
}

static void
test_many_threads(void **state)
{
    const tn_listen_options options = {.url = scratch_url, .on_notify = on_notify};
    pthread_t threads[THREADS];
    int numbers[THREADS];
    tn_listen *listen;
    tn_db_figures figures;

    (void)state;
    db = tn_db_new(&(tn_db_options){.url = scratch_url,
                                    .pool = "threads",
                                    .connections = CONNECTIONS,
                                    .wait_ms = 5000,
                                    .statement_timeout_ms = 5000,
                                    .statements_max = 5,
                                    .on_borrow = on_borrow});
    listen = tn_listen_start(&options);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, run_thread, &numbers[i]);
    }
    while (!tn_listen_is_connected(listen))
        (void)usleep(1000);
    scratch_run("notify tenon, 'x'");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    tn_listen_stop(listen);

    tn_db_figures_read(db, &figures);
    assert_int_equal(wrong, 0);
    assert_true(answered > 100 && refused > 10);
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(figures.waiting, 0);
    assert_int_equal(figures.waits_given_up, 0);
    assert_in_range(figures.open, 1, CONNECTIONS);
    assert_int_equal(borrowed, 0);
    assert_int_equal(notified, 1);
    tn_db_free(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_threads)};

    scratch_create();
    scratch_run(
        "create function conflict() returns void language plpgsql as $$ begin"
        "  if random() < 0.5 then raise exception 'no' using errcode = '40001'; end if; end $$");
    return tn_unit_run("db_pool", tests, TN_COUNT(tests));
}
