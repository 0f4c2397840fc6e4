/* t/unit/db_stream.c: answers larger than the memory, row by row */
#include "t/unit/unit.h"

#include <stdatomic.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "t/unit/database.h"

#ifdef TN_ASAN /* keeps what was freed, 256 MB and more: the plain build is what measures */
#define GROWTH_MAX_KIB (1L << 20)
#else
#define GROWTH_MAX_KIB 2048L
#endif

static const tn_db_context nobody = {.role = NULL};
static const tn_statement series = {
    .name = "series", .sql = "select generate_series(1, $1::int)::text", .parameters = 1};
static const tn_statement wide = {.name = "wide",
                                  .sql = "select i || repeat('x', 100) from generate_series(1, "
                                         "$1::int) i",
                                  .parameters = 1};
static const tn_statement failing = {
    .name = "failing",
    .sql = "select (1 / ($1::int - i))::text from generate_series(1, 10) i",
    .parameters = 1};
static const tn_statement one = {.name = "one", .sql = "select 'one'"};
static tn_arena *arena;
static tn_db *db;

static tn_db *
new_pool(int64_t statement_timeout_ms)
{
    return tn_db_new(&(tn_db_options){.url = scratch_url,
                                      .pool = "unit",
                                      .connections = 1,
                                      .wait_ms = 300,
                                      .statement_timeout_ms = statement_timeout_ms,
                                      .statements_max = 10});
}

static int
set_up(void **state)
{
    (void)state;
    arena = tn_arena_new();
    db = new_pool(30000);
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

static tn_db_figures
figures(void)
{
    tn_db_figures now;

    tn_db_figures_read(db, &now);
    return now;
}

/* What a reader has seen. */
struct reader {
    const tn_rows *const *earlier; /* results that must be there at the first row; or NULL */
    int64_t rows, bytes, wrong;
    int64_t stop_at;  /* this row is the last; 0: never */
    int64_t sleep_ms; /* at each row */
    long first_rss_kib, last_rss_kib;
};

/* What this process has in memory now; the maximum says nothing about growth. */
static long
resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long size = 0, resident = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static bool
read_row(void *context, const char *text, size_t length)
{
    struct reader *reader = context;

    reader->rows++;
    reader->bytes += (int64_t)length;
    reader->wrong +=
        text == NULL || strlen(text) != length || strtol(text, NULL, 10) != reader->rows;
    if (reader->earlier != NULL)
        reader->wrong += reader->earlier[0] == NULL ||
                         strcmp(tn_rows_text(reader->earlier[0], 0, 0), "one") != 0;
    if (reader->rows == 1000)
        reader->first_rss_kib = resident_kib();
    if (reader->rows % 100000 == 0)
        reader->last_rss_kib = resident_kib();
    if (reader->sleep_ms > 0)
        (void)usleep((useconds_t)reader->sleep_ms * 1000);
    return reader->rows != reader->stop_at;
}

/* Streams so many rows; "ok" or the error's code. */
static const char *
stream(const tn_db_context *context, const tn_statement *statement, const char *parameter,
       struct reader *reader)
{
    const tn_query queries[] = {{.statement = &one}, {statement, &parameter, 1, NULL, NULL}};
    const tn_rows *rows[2];
    const tn_error *error;

    reader->earlier = rows;
    error = tn_db_stream(db, arena,
                         &(tn_db_work){.context = context,
                                       .access = TN_READ_ONLY,
                                       .queries = queries,
                                       .count = 2,
                                       .results = rows},
                         read_row, reader);
    assert_int_equal(figures().in_use, 0);
    if (error != NULL)
        return error->code;
    assert_string_equal(tn_rows_text(rows[0], 0, 0), "one");
    assert_null(rows[1]);
    return "ok";
}

static void
test_rows(void **state)
{
    static const char *const counts[] = {"0", "1", "2", "1000", "20000"};
    static const tn_statement null = {.name = "null_row", .sql = "select null::text"};
    const tn_query query = {.statement = &null};
    const tn_rows *rows;
    struct reader reader = {0};

    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < TN_COUNT(counts); i++) {
            reader = (struct reader){0};
            TN_CASE("%s rows", counts[i]);
            TN_CHECK_TEXT(stream(&nobody, &series, counts[i], &reader), "ok");
            TN_CHECK(reader.rows == strtol(counts[i], NULL, 10));
            TN_CHECK(reader.wrong == 0);
        }
    reader = (struct reader){0};
    assert_null(tn_db_stream(db, arena,
                             &(tn_db_work){.context = &nobody,
                                           .access = TN_READ_ONLY,
                                           .queries = &query,
                                           .count = 1,
                                           .results = &rows},
                             read_row, &reader));
    assert_int_equal(reader.rows, 1);
    assert_int_equal(reader.bytes, 0);
    assert_int_equal(reader.wrong, 1); /* NULL */
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().failures, 0);
}

static void
test_constant_memory(void **state)
{
    struct reader reader = {0};

    (void)state;
    assert_string_equal(stream(&nobody, &wide, "1000000", &reader), "ok");
    assert_int_equal(reader.rows, 1000000);
    assert_int_equal(reader.wrong, 0);
    assert_true(reader.bytes > 100000000);
    print_message("# %ld KiB after 1,000 rows, %ld KiB after 1,000,000\n", reader.first_rss_kib,
                  reader.last_rss_kib);
    if (reader.last_rss_kib - reader.first_rss_kib >= GROWTH_MAX_KIB)
        fail_msg("%ld KiB after 1,000 rows, %ld KiB after 1,000,000: more than %ld KiB grown",
                 reader.first_rss_kib, reader.last_rss_kib, GROWTH_MAX_KIB);
}

/* The reader has had enough: the query ends, and the connection is as good as before. */
static void
test_stopping(void **state)
{
    static const int64_t stops[] = {1, 2, 999, 50000, 1000000};
    const int64_t start_ms = tn_clock_ms();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(stops); i++) {
        struct reader reader = {.stop_at = stops[i]};

        TN_CASE("after %lld rows", (long long)stops[i]);
        /* the last one stops at the very end, where the cancel comes too late */
        TN_CHECK_TEXT(
            stream(&nobody, &series, i + 1 == TN_COUNT(stops) ? "1000000" : "100000000", &reader),
            "ok");
        TN_CHECK(reader.rows == stops[i]);
        TN_CHECK(reader.wrong == 0);
        for (int after = 0; after < 20; after++) {
            reader = (struct reader){0};
            TN_CHECK_TEXT(stream(&nobody, &series, "3", &reader), "ok");
            TN_CHECK(reader.rows == 3);
        }
    }
    assert_true(tn_clock_ms() - start_ms < 15000);
    assert_int_equal(figures().connects, 1);
    assert_int_equal(figures().failures, 0);
}

static void
test_errors(void **state)
{
    static const tn_statement dies = {
        .name = "dies",
        .sql = "select i || repeat(' ', 9000) || case when i = 100 then "
               "(pg_terminate_backend(pg_backend_pid()), pg_sleep(1))::text else '' end"
               "  from generate_series(1, $1::int) i",
        .parameters = 1};
    static const tn_statement wrong = {.name = "wrong", .sql = "selekt $1", .parameters = 1};
    struct reader reader = {0};

    (void)state;
    assert_string_equal(stream(&nobody, &failing, "1", &reader), "division_by_zero");
    assert_int_equal(reader.rows, 0);
    assert_string_equal(stream(&nobody, &failing, "5", &reader), "division_by_zero");
    assert_int_equal(reader.rows, 4); /* an error may come late */
    assert_string_equal(stream(&nobody, &wrong, "5", &reader), "internal_error");
    assert_string_equal(
        stream(&(tn_db_context){.role = "tenon_unit_nobody"}, &series, "5", &reader),
        "invalid_parameter_value");
    assert_int_equal(figures().connects, 1);

    reader = (struct reader){0};
    assert_string_equal(stream(&nobody, &dies, "1000", &reader), "database_unavailable");
    assert_in_range(reader.rows, 50, 99); /* and is not tried again, though the connection is old */
    assert_int_equal(reader.wrong, 0);
    assert_int_equal(figures().retries, 0);
    reader = (struct reader){0};
    assert_string_equal(stream(&nobody, &series, "5", &reader), "ok");
}

/* A table changes under a prepared stream: it begins anew, unseen. */
static void
test_changed_table(void **state)
{
    static const tn_statement look = {
        .sql = "select * from changing where $1 <> ''", .parameters = 1, .is_dynamic = true};
    struct reader reader = {0};

    (void)state;
    assert_string_equal(stream(&nobody, &look, "x", &reader), "ok");
    assert_int_equal(reader.rows, 1);
    scratch_run("alter table changing add column b int");
    reader = (struct reader){0};
    assert_string_equal(stream(&nobody, &look, "x", &reader), "ok");
    assert_int_equal(reader.rows, 1);
    assert_int_equal(figures().retries, 1);
}

/* The time that the reader takes is its own: no limit of ours is shorter than the transaction's.
 * Enough rows that the server waits for us as well. */
static void
test_slow_reader(void **state)
{
    static const tn_db_context patient = {.statement_timeout_ms = 60000};
    struct reader reader = {.stop_at = 20, .sleep_ms = 50};

    (void)state;
    tn_db_free(db);
    db = new_pool(200);
    assert_string_equal(stream(&patient, &wide, "2000000", &reader), "ok");
    assert_int_equal(reader.rows, 20);
    assert_int_equal(figures().connects, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_constant_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stopping, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_reader, set_up, tear_down),
    };

    scratch_create();
    scratch_run("create table changing (a int); insert into changing values (1);");
    return tn_unit_run("db_stream", tests, TN_COUNT(tests));
}
