/* db/pool.c: the connections of one process
 *
 * A place is the right to have one connection open; `open` counts the places taken. Whoever finds
 * no idle connection and no free place waits in line, and is handed a connection, or a place, by
 * whoever gives one back, so nobody who came later overtakes. Idle connections are used newest
 * first: under little load the old ones go unused and are closed after a while.
 *
 * While the server is away (the last attempt to connect has failed) only one thread at a time tries
 * again, after a pause that doubles. Others do not wait for it: if a connection is in use they wait
 * for that (the server may only be out of connections), and otherwise they fail at once.
 */
#include "db/pool_private.h"

#include <assert.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/lock.h"
#include "base/log.h"

#define PAUSE_MIN_MS 25
#define PAUSE_MAX_MS 500
#define IDLE_MAX_MS INT64_C(300000)
#define PROBLEM_SIZE 512

/* What a thread that wants a connection has got. */
enum grant { NOTHING_YET, CONNECTION, PLACE, SERVER_AWAY };

struct waiter {
    struct waiter *next;
    pthread_cond_t woken;
    enum grant grant;
    tn_connection *connection;
};

struct tn_db {
    tn_db_options options;
    char *url, application[64];
    atomic_bool nameless;

    tn_lock lock;         /* of everything below */
    tn_connection **idle; /* oldest first */
    size_t idle_count, open;
    struct waiter *first, **last;
    int64_t pause_ms, try_at_ms, away_since_ms; /* pause_ms 0: the server is there */
    bool trying; /* a thread is connecting to a server that was away */
    tn_db_figures figures;
};

tn_db *
tn_db_new(const tn_db_options *options)
{
    tn_db *db = calloc(1, sizeof *db);

    assert(options->connections > 0);
    if (db == NULL || (db->idle = calloc(options->connections, sizeof(tn_connection *))) == NULL)
        tn_die("no memory for a pool of connections");
    db->options = *options;
    db->options.url = db->url = strdup(options->url);
    if (db->url == NULL)
        tn_die("no memory for a pool of connections");
    snprintf(db->application, sizeof db->application, "tenon%s%s", options->pool == NULL ? "" : "/",
             options->pool == NULL ? "" : options->pool);
    db->options.pool = db->application;
    db->last = &db->first;
    tn_lock_init(&db->lock);
    return db;
}

void
tn_db_free(tn_db *db)
{
    if (db == NULL)
        return;
    assert(db->open == db->idle_count); /* all are back */
    for (size_t i = 0; i < db->idle_count; i++)
        tn_connection_close(db->idle[i]);
    tn_lock_release(&db->lock);
    free(db->idle);
    free(db->url);
    free(db);
}

const tn_db_options *
tn_pool_options(const tn_db *db)
{
    return &db->options;
}

atomic_bool *
tn_pool_is_nameless(tn_db *db)
{
    return &db->nameless;
}

const tn_error *
tn_pool_unavailable(tn_arena *arena)
{
    tn_error *error = tn_error_new(arena, 503, "database_unavailable", "Try again in a moment.",
                                   "the database cannot be reached right now");

    error->retry_after_s = 1;
    return error;
}

static const tn_error *
exhausted(tn_arena *arena)
{
    tn_error *error = tn_error_new(arena, 503, "database_unavailable", "Try again in a moment.",
                                   "too many requests are waiting for the database");

    error->retry_after_s = 1;
    return error;
}

static void report_use(const tn_db *db) TN_REQUIRES(db->lock);
static bool is_away(const tn_db *db) TN_REQUIRES(db->lock);
static void wake_first(tn_db *db, enum grant grant, tn_connection *connection)
    TN_REQUIRES(db->lock);
static void free_place(tn_db *db) TN_REQUIRES(db->lock);
static void note_connected(tn_db *db) TN_REQUIRES(db->lock);
static void note_failure(tn_db *db, bool is_known) TN_REQUIRES(db->lock);
static bool nobody_holds(const tn_db *db) TN_REQUIRES(db->lock);
static bool wait_in_line(tn_db *db, struct waiter *self, int64_t deadline_ms) TN_REQUIRES(db->lock);
static enum grant choose(tn_db *db, int64_t deadline_ms, tn_connection **connection)
    TN_REQUIRES(db->lock);

static void
report_use(const tn_db *db)
{
    if (db->options.on_borrow != NULL)
        db->options.on_borrow(db->options.on_borrow_context, (int)(db->open - db->idle_count));
}

static bool
is_away(const tn_db *db)
{
    return db->pause_ms > 0 && (db->trying || tn_clock_ms() < db->try_at_ms);
}

/* Is there no connection in use that will be given back? The one being tried does not count. */
static bool
nobody_holds(const tn_db *db)
{
    return db->open == (db->trying ? 1 : 0);
}

static void
wake_first(tn_db *db, enum grant grant, tn_connection *connection)
{
    struct waiter *first = db->first;

    db->first = first->next;
    if (db->first == NULL)
        db->last = &db->first;
    first->grant = grant;
    first->connection = connection;
    (void)pthread_cond_signal(&first->woken);
}

/* A place is free: for the first in line, unless the server is away. When nobody has a connection
 * any more that one could wait for, all are told. */
static void
free_place(tn_db *db)
{
    db->open--;
    if (db->first != NULL && !is_away(db)) {
        db->open++;
        wake_first(db, PLACE, NULL);
    }
    while (db->first != NULL && nobody_holds(db))
        wake_first(db, SERVER_AWAY, NULL);
    report_use(db);
}

static void
note_connected(tn_db *db)
{
    db->figures.connects++;
    if (db->pause_ms == 0)
        return;
    tn_log(TN_LOG_INFO, "db.back", TN_STR("pool", db->application),
           TN_INT("ms", tn_clock_ms() - db->away_since_ms));
    db->pause_ms = 0;
    db->trying = false;
    while (db->first != NULL && db->open < db->options.connections) {
        db->open++;
        wake_first(db, PLACE, NULL);
    }
}

/* Several threads may find out at the same moment: only a failure of one who knew doubles the
 * pause. It is shortened at random by up to a half, so that processes do not knock all at once. */
static void
note_failure(tn_db *db, bool is_known)
{
    const int64_t now_ms = tn_clock_ms();
    uint8_t random;

    db->figures.connect_failures++;
    if (db->pause_ms == 0) {
        db->away_since_ms = now_ms;
        db->pause_ms = PAUSE_MIN_MS;
    } else if (is_known) {
        db->pause_ms = db->pause_ms * 2 < PAUSE_MAX_MS ? db->pause_ms * 2 : PAUSE_MAX_MS;
    }
    tn_random(&random, sizeof random);
    db->try_at_ms = now_ms + db->pause_ms - db->pause_ms * random / 512;
    if (is_known)
        db->trying = false;
}

/* Waits until it is handed something; false when it was not in time, and then it is out of the
 * line. */
static bool
wait_in_line(tn_db *db, struct waiter *self, int64_t deadline_ms)
{
    *db->last = self;
    db->last = &self->next;
    db->figures.waiting++;
    while (self->grant == NOTHING_YET && tn_lock_wait(&db->lock, &self->woken, deadline_ms))
        ;
    db->figures.waiting--;
    if (self->grant != NOTHING_YET)
        return true;
    for (struct waiter **link = &db->first; *link != NULL; link = &(*link)->next)
        if (*link == self) {
            *link = self->next;
            if (db->last == &self->next)
                db->last = link;
            break;
        }
    return false;
}

/* What this thread gets; NOTHING_YET after waiting in vain. */
static enum grant
choose(tn_db *db, int64_t deadline_ms, tn_connection **connection)
{
    struct waiter self = {.grant = NOTHING_YET};

    if (db->idle_count > 0) {
        *connection = db->idle[--db->idle_count];
        return CONNECTION;
    }
    if (db->open < db->options.connections && !is_away(db)) {
        db->open++;
        return PLACE;
    }
    if (nobody_holds(db))
        return SERVER_AWAY;
    tn_condition_init(&self.woken);
    (void)wait_in_line(db, &self, deadline_ms);
    (void)pthread_cond_destroy(&self.woken);
    *connection = self.connection;
    return self.grant;
}

/* Fills a place with a new connection; NULL gives the place up. */
static tn_connection *
fill_place(tn_db *db)
{
    char problem[PROBLEM_SIZE] = "";
    tn_connection *connection;
    bool is_known;

    tn_lock_take(&db->lock);
    if (is_away(db)) { /* found out since this place was given */
        free_place(db);
        tn_lock_give(&db->lock);
        return NULL;
    }
    is_known = db->trying = db->pause_ms > 0;
    tn_lock_give(&db->lock);

    connection = tn_connection_open(db->options.url, db->application, problem, sizeof problem);

    tn_lock_take(&db->lock);
    if (connection != NULL) {
        note_connected(db);
    } else {
        note_failure(db, is_known);
        free_place(db);
    }
    tn_lock_give(&db->lock);
    if (connection == NULL && !is_known)
        tn_log(TN_LOG_ERROR, "db.away", TN_STR("pool", db->application), TN_STR("cause", problem));
    return connection;
}

const tn_error *
tn_pool_take(tn_db *db, tn_arena *arena, tn_connection **taken)
{
    const int64_t deadline_ms = tn_clock_ms() + db->options.wait_ms;

    do {
        tn_connection *connection = NULL;
        enum grant grant;

        tn_lock_take(&db->lock);
        grant = choose(db, deadline_ms, &connection);
        if (grant == NOTHING_YET)
            db->figures.waits_given_up++;
        report_use(db);
        tn_lock_give(&db->lock);

        if (grant == SERVER_AWAY)
            return tn_pool_unavailable(arena);
        if (grant == NOTHING_YET)
            return exhausted(arena);
        if (connection != NULL && !tn_connection_is_quiet(connection)) {
            tn_connection_close(connection); /* and its place stays ours */
            connection = NULL;
        }
        if (connection == NULL)
            connection = fill_place(db);
        if (connection != NULL) {
            *taken = connection;
            return NULL;
        }
    } while (tn_clock_ms() < deadline_ms);
    return tn_pool_unavailable(arena);
}

void
tn_pool_give(tn_db *db, tn_connection *connection, tn_verdict verdict)
{
    tn_connection *old = NULL;

    if (verdict == TN_GIVE_BROKEN || connection->is_bloated) {
        tn_connection_close(connection);
        tn_lock_take(&db->lock);
        free_place(db);
        tn_lock_give(&db->lock);
        return;
    }
    connection->idle_since_ms = tn_clock_ms();
    tn_lock_take(&db->lock);
    if (db->first != NULL) {
        wake_first(db, CONNECTION, connection);
    } else {
        if (db->idle_count > 0 &&
            db->idle[0]->idle_since_ms < connection->idle_since_ms - IDLE_MAX_MS) {
            old = db->idle[0];
            memmove(db->idle, db->idle + 1, --db->idle_count * sizeof(tn_connection *));
            db->open--;
        }
        db->idle[db->idle_count++] = connection;
        report_use(db);
    }
    tn_lock_give(&db->lock);
    tn_connection_close(old);
}

void
tn_pool_count(tn_db *db, tn_count what)
{
    tn_lock_take(&db->lock);
    switch (what) {
    case TN_COUNT_TRANSACTION:
        db->figures.transactions++;
        break;
    case TN_COUNT_FAILURE:
        db->figures.failures++;
        break;
    case TN_COUNT_RETRY:
        db->figures.retries++;
        break;
    }
    tn_lock_give(&db->lock);
}

void
tn_db_figures_read(tn_db *db, tn_db_figures *figures)
{
    tn_lock_take(&db->lock);
    *figures = db->figures;
    figures->open = (int64_t)db->open;
    figures->in_use = (int64_t)(db->open - db->idle_count);
    tn_lock_give(&db->lock);
}
