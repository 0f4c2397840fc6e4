/* db/catalog.c: the snapshot that serves, and when it is read anew
 *
 * One thread at a time reads; it draws the number of expirations before it begins, so that one that
 * arrives while it reads makes the new snapshot old at once. Others take the old snapshot
 * meanwhile, or, where there is none yet, wait.
 */
#include "db/catalog.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "db/catalog_private.h"
#include "db/error_private.h"
#include "db/queries.h"

#define FIRST_WAIT_MS 5000 /* for the first snapshot, while another thread reads it */
#define RETRY_MS 500       /* after a failure, when there is an old one */
#define FRESH_MS 1000      /* so young a snapshot is believed when it does not know a name */
#define FRESH_SHARE 20     /* and misses shall not keep the database busy: 1/20 of the time */

struct holder { /* a snapshot and those who hold it */
    atomic_int holders;
    tn_arena *arena; /* of the snapshot, and of this */
    tn_snapshot *snapshot;
    int64_t read_at_ms, read_ms;
};

struct tn_catalog {
    tn_db *db;
    tn_arena *arena; /* of the options */
    tn_catalog_options options;
    const char *schemas;          /* the parameter of the query */
    atomic_uint_least64_t wanted; /* number of expirations */

    tn_lock lock; /* of everything below */
    pthread_cond_t read;
    struct holder *current;
    uint64_t present; /* number of expirations when `current` was read */
    bool is_reading;
    int64_t retry_at_ms;
};

/* --- life ------------------------------------------------------------------------------------- */

const char *
tn_catalog_schemas(tn_arena *arena, const tn_catalog_options *options)
{
    PQExpBuffer array = tn_arena_buffer(arena);

    tn_buffer_array(array, options->schemas, options->schema_count);
    return tn_buffer_text(array);
}

tn_catalog *
tn_catalog_new(tn_db *db, const tn_catalog_options *options)
{
    tn_catalog *catalog = calloc(1, sizeof *catalog);
    const char **schemas;

    if (catalog == NULL)
        tn_die("no memory for a catalog");
    catalog->db = db;
    catalog->arena = tn_arena_new();
    catalog->options = *options;
    catalog->options.schemas = schemas =
        tn_arena_alloc(catalog->arena, options->schema_count + 1, sizeof *schemas);
    for (size_t i = 0; i < options->schema_count; i++)
        schemas[i] = tn_arena_text(catalog->arena, options->schemas[i]);
    catalog->schemas = tn_catalog_schemas(catalog->arena, options);
    atomic_init(&catalog->wanted, 1);
    tn_lock_init(&catalog->lock);
    tn_condition_init(&catalog->read);
    return catalog;
}

static void
drop(void *held)
{
    struct holder *holder = held;

    if (atomic_fetch_sub(&holder->holders, 1) == 1)
        tn_arena_free(holder->arena);
}

void
tn_catalog_free(tn_catalog *catalog)
{
    if (catalog == NULL)
        return;
    if (catalog->current != NULL)
        drop(catalog->current);
    (void)pthread_cond_destroy(&catalog->read);
    tn_lock_release(&catalog->lock);
    tn_arena_free(catalog->arena);
    free(catalog);
}

void
tn_catalog_expire(tn_catalog *catalog)
{
    atomic_fetch_add(&catalog->wanted, 1);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Names of time zones belong to the server and never change: they are taken over. */
static void
inherit_zones(tn_arena *arena, const tn_snapshot *from, tn_snapshot *to)
{
    const char **zones = tn_arena_alloc(arena, from->zone_count + 1, sizeof *zones);

    for (size_t i = 0; i < from->zone_count; i++)
        zones[i] = tn_arena_text(arena, from->zones[i]);
    to->zones = zones;
    to->zone_count = from->zone_count;
}

/* A query that no connection remembers: prepared, it would stay in the memory of each. */
static tn_statement
nameless(const tn_statement *statement)
{
    return (tn_statement){.sql = statement->sql, .parameters = statement->parameters};
}

/* In a transaction of the login's, which may look at the system's catalogs and at nothing else. */
static const tn_error *
query_catalog(const tn_catalog *catalog, tn_arena *arena, bool with_zones, const tn_rows **rows,
              const tn_rows **zones)
{
    static const tn_db_context nobody = {.role = NULL};
    const tn_statement begin = nameless(&tn_sql_catalog_begin);
    const tn_statement read = nameless(&tn_sql_catalog_read);
    const tn_statement list_zones = nameless(&tn_sql_catalog_time_zones);
    const tn_query queries[] = {{&begin, TN_NO_PARAMS, NULL, NULL},
                                {&read, TN_PARAMS(catalog->schemas), NULL, NULL},
                                {&list_zones, TN_NO_PARAMS, NULL, NULL}};
    const tn_rows *results[] = {NULL, NULL, NULL};
    const tn_db_work work = {.context = &nobody,
                             .access = TN_READ_ONLY,
                             .queries = queries,
                             .count = with_zones ? 3 : 2,
                             .results = results,
                             .translate = tn_db_error_plain}; /* for the log */

    TN_TRY(tn_db_transact(catalog->db, arena, &work));
    *rows = results[1];
    *zones = results[2];
    return NULL;
}

/* A new snapshot, held once; NULL when it could not be read, which is logged. */
static struct holder *
read_catalog(const tn_catalog *catalog, const tn_snapshot *old)
{
    const int64_t start_ms = tn_clock_ms();
    tn_arena *results = tn_arena_new(), *kept = tn_arena_new();
    struct holder *made = tn_arena_alloc(kept, 1, sizeof *made);
    const tn_rows *rows = NULL, *zones = NULL;
    const tn_error *error = query_catalog(catalog, results, old == NULL, &rows, &zones);

    if (error == NULL)
        error = tn_snapshot_make(kept, rows, zones, &catalog->options, &made->snapshot);
    if (error != NULL) {
        tn_log(TN_LOG_WARN, "catalog.read.failed", TN_STR("code", error->code),
               TN_STR("error", error->message));
        tn_arena_free(kept);
        tn_arena_free(results);
        return NULL;
    }
    tn_arena_free(results);
    if (old != NULL)
        inherit_zones(kept, old, made->snapshot);
    made->arena = kept;
    made->read_at_ms = tn_clock_ms();
    made->read_ms = made->read_at_ms - start_ms;
    atomic_init(&made->holders, 1);
    tn_log(TN_LOG_INFO, "catalog.read", TN_INT("relations", made->snapshot->relation_count),
           TN_INT("functions", made->snapshot->function_count), TN_INT("ms", made->read_ms));
    return made;
}

/* --- taking ----------------------------------------------------------------------------------- */

static bool
is_old(const tn_catalog *catalog) TN_REQUIRES(catalog->lock)
{
    return catalog->current == NULL || catalog->present != atomic_load(&catalog->wanted);
}

/* Reads a new snapshot, with the lock given back meanwhile. When that fails the old one stays. */
static void
renew(tn_catalog *catalog) TN_REQUIRES(catalog->lock)
{
    const uint64_t wanted = atomic_load(&catalog->wanted);
    struct holder *old = catalog->current, *made;

    assert(!catalog->is_reading);
    catalog->is_reading = true; /* only who reads replaces `current`, so `old` stays */
    tn_lock_give(&catalog->lock);
    made = read_catalog(catalog, old == NULL ? NULL : old->snapshot);
    tn_lock_take(&catalog->lock);
    catalog->is_reading = false;
    if (made != NULL) {
        catalog->current = made;
        catalog->present = wanted;
        if (old != NULL)
            drop(old);
    } else {
        catalog->retry_at_ms = tn_clock_ms() + RETRY_MS;
    }
    (void)pthread_cond_broadcast(&catalog->read);
}

/* Waits for what is being read, to have another snapshot than `missed` (NULL: to have one). Not for
 * what is read after that: while a migration runs, one reading follows on the other. */
static void
await_reader(tn_catalog *catalog, const tn_snapshot *missed) TN_REQUIRES(catalog->lock)
{
    const int64_t deadline_ms = tn_clock_ms() + FIRST_WAIT_MS;

    while (catalog->is_reading &&
           (catalog->current == NULL || catalog->current->snapshot == missed))
        if (!tn_lock_wait(&catalog->lock, &catalog->read, deadline_ms))
            return;
}

static const tn_error *
not_loaded(tn_arena *arena)
{
    tn_error *error = tn_error_new(arena, 503, "PGRST002", NULL,
                                   "Could not query the database for the schema cache. Retrying.");

    error->retry_after_s = 1;
    return error;
}

/* Holds the present snapshot until the arena is freed. */
static const tn_snapshot *
hold(tn_catalog *catalog, tn_arena *arena) TN_REQUIRES(catalog->lock)
{
    struct holder *holder = catalog->current;

    atomic_fetch_add(&holder->holders, 1);
    tn_arena_defer(arena, drop, holder);
    return holder->snapshot;
}

static const tn_error *
take(tn_catalog *catalog, tn_arena *arena, const tn_snapshot **snapshot) TN_REQUIRES(catalog->lock)
{
    await_reader(catalog, NULL);
    if (is_old(catalog) && !catalog->is_reading && tn_clock_ms() >= catalog->retry_at_ms)
        renew(catalog);
    if (catalog->current == NULL)
        return not_loaded(arena);
    *snapshot = hold(catalog, arena); /* after a failure: the old one */
    return NULL;
}

const tn_error *
tn_catalog_take(tn_catalog *catalog, tn_arena *arena, const tn_snapshot **snapshot)
{
    const tn_error *error;

    tn_lock_take(&catalog->lock);
    error = take(catalog, arena, snapshot);
    tn_lock_give(&catalog->lock);
    return error;
}

/* Whether the snapshot that did not know a name may be behind the database. */
static bool
may_be_stale(const tn_catalog *catalog) TN_REQUIRES(catalog->lock)
{
    const struct holder *current = catalog->current;
    int64_t age_ms = FRESH_SHARE * current->read_ms;

    if (age_ms < FRESH_MS)
        age_ms = FRESH_MS;
    return tn_clock_ms() - current->read_at_ms >= age_ms;
}

const tn_error *
tn_catalog_take_fresh(tn_catalog *catalog, tn_arena *arena, const tn_snapshot *missed,
                      const tn_snapshot **snapshot)
{
    const tn_error *error;

    tn_lock_take(&catalog->lock);
    if (catalog->current != NULL && catalog->current->snapshot == missed) {
        if (catalog->is_reading)
            await_reader(catalog, missed);
        else if (!is_old(catalog) && may_be_stale(catalog))
            tn_catalog_expire(catalog);
    }
    error = take(catalog, arena, snapshot);
    tn_lock_give(&catalog->lock);
    return error;
}

/* --- the operator's command ------------------------------------------------------------------- */

const tn_error *
tn_snapshot_read(tn_session *session, tn_arena *arena, const tn_catalog_options *options,
                 const tn_snapshot **snapshot)
{
    const char *schemas = tn_catalog_schemas(arena, options);
    const tn_rows *rows;
    tn_snapshot *made;
    const tn_error *error;

    TN_TRY(tn_session_run(session, arena, tn_sql_begin_read_only.sql, TN_NO_PARAMS, NULL));
    error = tn_session_run(session, arena, tn_sql_catalog_begin.sql, TN_NO_PARAMS, NULL);
    if (error == NULL)
        error = tn_session_run(session, arena, tn_sql_catalog_read.sql, TN_PARAMS(schemas), &rows);
    if (error == NULL)
        error = tn_snapshot_make(arena, rows, NULL, options, &made);
    if (error == NULL)
        *snapshot = made;
    if (tn_session_in_transaction(session)) {
        const tn_error *ended =
            tn_session_run(session, arena, tn_sql_rollback.sql, TN_NO_PARAMS, NULL);

        error = error == NULL ? ended : error;
    }
    return error;
}
