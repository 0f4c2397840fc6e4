/* objects/sweeper.c: the service: what is swept how often; the trash, and uploads that stand still
 */
#include "objects/sweeper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "objects/backend.h"
#include "objects/folder.h"
#include "objects/queries.h"
#include "objects/sweep.h"
#include "objects/tree.h"

#define STACK_SIZE ((size_t)512 * 1024)
#define BATCH "200"
#define LEASE_S "600" /* removing a batch takes less, also from a remote store */
#define MINUTE_MS 60000
#define SLICES 256

struct sweeper {
    const tn_process *process;
    tn_lock lock;
    pthread_cond_t changed;
    bool stopping; /* guarded by lock */
    pthread_t thread;
    /* of the thread */
    bool has_looked; /* at which folder it is */
    tn_sweep sweep;
    int64_t staging_due_ms, minute_due_ms; /* of what is done less often */
    int64_t slices_from_ms;                /* the walk over the objects has come so far in time */
};

static bool
is_stopping(void *context)
{
    struct sweeper *sweeper = context;
    bool stopping;

    tn_lock_take(&sweeper->lock);
    stopping = sweeper->stopping;
    tn_lock_give(&sweeper->lock);
    return stopping || atomic_load(sweeper->process->draining);
}

static const tn_error *
run_query(struct sweeper *sweeper, tn_arena *arena, const tn_statement *statement,
          const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_db_context as_worker = {.role = "tenon_worker"};
    const tn_query query = {
        .statement = statement, .parameters = parameters, .parameter_count = count};

    return tn_db_run(sweeper->process->db, arena, &as_worker, TN_READ_WRITE, &query, 1, rows);
}

/* --- the trash -------------------------------------------------------------------------------- */

/* Whether the bytes are gone, or stay because a row names them again. */
static bool
empty_out(struct sweeper *sweeper, tn_arena *arena, tn_backend *backend, const tn_rows *rows,
          size_t row)
{
    const tn_error *error;
    tn_blob blob;

    if (tn_rows_bool(rows, row, 2))
        return true;
    if (!tn_uuid_parse(tn_rows_text(rows, row, 0), &blob.tenant_id) ||
        !tn_uuid_parse(tn_rows_text(rows, row, 1), &blob.version))
        return true; /* SQL of the app has made up a version: such bytes have never been there */
    error = tn_backend_remove(backend, arena, &blob);
    if (error != NULL) {
        tn_log(TN_LOG_ERROR, "storage.sweep.failed", TN_STR("tenant_id", blob.tenant_id.text),
               TN_STR("version", blob.version.text), TN_STR("error", error->message));
        return false;
    }
    tn_sweep_images_of(&sweeper->sweep, &blob);
    atomic_fetch_add(&sweeper->process->metrics->storage_swept, 1);
    return true;
}

/* What has been removed, as two arrays. A version that SQL of the app has made up may need quotes.
 */
static const tn_error *
forget(struct sweeper *sweeper, tn_arena *arena, const tn_rows *rows, const bool *done)
{
    PQExpBuffer tenants = tn_arena_buffer(arena), versions = tn_arena_buffer(arena);
    const tn_rows *forgotten;

    for (size_t i = 0; i < tn_rows_count(rows); i++) {
        if (!done[i])
            continue;
        appendPQExpBuffer(tenants, "%c%s", tenants->len == 0 ? '{' : ',', tn_rows_text(rows, i, 0));
        appendPQExpBufferStr(versions, versions->len == 0 ? "{\"" : ",\"");
        for (const char *c = tn_rows_text(rows, i, 1); *c != '\0'; c++)
            appendPQExpBuffer(versions, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        appendPQExpBufferChar(versions, '"');
    }
    if (tenants->len == 0)
        return NULL;
    appendPQExpBufferChar(tenants, '}');
    appendPQExpBufferChar(versions, '}');
    return run_query(sweeper, arena, &tn_sql_objects_forget_trash,
                     TN_PARAMS(tn_buffer_text(tenants), tn_buffer_text(versions)), &forgotten);
}

/* One batch; `count` tells how large it was. */
static const tn_error *
sweep_batch(struct sweeper *sweeper, tn_arena *arena, size_t *count)
{
    const char *grace = tn_arena_number(arena, sweeper->process->config->storage.trash_grace_s);
    tn_backend *backend;
    const tn_rows *rows;
    bool *done;

    TN_TRY(run_query(sweeper, arena, &tn_sql_objects_claim_trash, TN_PARAMS(BATCH, grace, LEASE_S),
                     &rows));
    *count = tn_rows_count(rows);
    if (*count == 0)
        return NULL;
    TN_TRY(tn_store_backend(sweeper->sweep.store, arena, &backend));
    done = tn_arena_alloc(arena, *count, sizeof(*done));
    for (size_t i = 0; i < *count && !is_stopping(sweeper); i++)
        done[i] = empty_out(sweeper, arena, backend, rows, i);
    tn_log(TN_LOG_INFO, "storage.trash.swept", TN_INT("files", *count));
    return forget(sweeper, arena, rows, done);
}

static const tn_error *
sweep_trash(struct sweeper *sweeper, tn_arena *arena)
{
    size_t count = 1;

    while (count > 0 && !is_stopping(sweeper)) {
        TN_TRY(sweep_batch(sweeper, arena, &count));
        tn_arena_reset(arena);
    }
    return NULL;
}

/* --- uploads in parts ------------------------------------------------------------------------- */

/* The rows have gone by then: should the process end before the files do, they are orphans. */
static const tn_error *
sweep_uploads(struct sweeper *sweeper, tn_arena *arena)
{
    const tn_rows *rows;
    const char *path;
    size_t count = 0;
    int root;

    TN_TRY(run_query(sweeper, arena, &tn_sql_objects_expire_staged, TN_PARAMS(BATCH), &rows));
    count = tn_rows_count(rows);
    if (count == 0)
        return NULL;
    TN_TRY(tn_store_root(sweeper->sweep.store, arena, &root));
    for (size_t i = 0; i < count; i++) {
        if (tn_rows_text(rows, i, 1) == NULL)
            continue;
        path = tn_arena_printf(arena, "staging/%s/%s", tn_rows_text(rows, i, 0),
                               tn_rows_text(rows, i, 1));
        if (tn_tree_remove(root, path) != 0)
            tn_log(TN_LOG_ERROR, "storage.sweep.failed", TN_STR("path", path),
                   TN_STR("error", strerror(errno)));
    }
    tn_log(TN_LOG_INFO, "storage.uploads.expired", TN_INT("files", count));
    return NULL;
}

/* --- what is done less often ------------------------------------------------------------------ */

/* Once in an hour, and oftener where the age is shorter than a day. */
static const tn_error *
sweep_staging(struct sweeper *sweeper, tn_arena *arena)
{
    const int64_t age_ms = sweeper->process->config->storage.orphan_age_s * 1000;

    if (tn_clock_ms() < sweeper->staging_due_ms)
        return NULL;
    TN_TRY(tn_sweep_staging(&sweeper->sweep, arena));
    sweeper->staging_due_ms =
        tn_clock_ms() + (age_ms / 24 < 60 * MINUTE_MS ? age_ms / 24 : 60 * MINUTE_MS);
    return NULL;
}

/* As many slices as the time that has passed is of storage.orphan_age_s. */
static const tn_error *
sweep_objects(struct sweeper *sweeper, tn_arena *arena)
{
    const int64_t slice_ms =
        sweeper->process->config->storage.orphan_age_s * 1000 / SLICES; /* at least 3 */
    const int64_t passed = (tn_clock_ms() - sweeper->slices_from_ms) / slice_ms;

    if (passed == 0)
        return NULL;
    sweeper->slices_from_ms += passed * slice_ms;
    return tn_sweep_objects(&sweeper->sweep, arena, passed > SLICES ? SLICES : (int)passed);
}

static const tn_error *
each_minute(struct sweeper *sweeper, tn_arena *arena)
{
    tn_metrics *metrics = sweeper->process->metrics;
    const tn_rows *rows;

    if (tn_clock_ms() < sweeper->minute_due_ms)
        return NULL;
    TN_TRY(run_query(sweeper, arena, &tn_sql_objects_figures, TN_NO_PARAMS, &rows));
    atomic_store(&metrics->storage_trash, tn_rows_int(rows, 0, 0, 0));
    atomic_store(&metrics->storage_bytes, tn_rows_int(rows, 0, 1, 0));
    atomic_store(&metrics->storage_objects, tn_rows_int(rows, 0, 2, 0));
    TN_TRY(tn_sweep_images(&sweeper->sweep, arena));
    sweeper->minute_due_ms = tn_clock_ms() + MINUTE_MS;
    return NULL;
}

/* --- whether it is the right folder ----------------------------------------------------------- */

/* A wrong one stays so for as long as the processes live: some may have it open. */
static bool
is_right(struct sweeper *sweeper, tn_arena *arena, const char *id, tn_folder folder)
{
    atomic_bool *wrong = &sweeper->process->metrics->storage_wrong_folder;

    if (!sweeper->has_looked || tn_folder_problem(folder) != NULL)
        atomic_store(wrong, tn_folder_problem(folder) != NULL);
    sweeper->has_looked = true;
    if (!atomic_load(wrong))
        return true;
    tn_log(TN_LOG_ERROR, "storage.folder.wrong",
           TN_STR("folder", sweeper->process->config->storage.dir),
           TN_STR("error", tn_folder_problem(folder) != NULL ? tn_folder_problem(folder)
                                                             : "it was wrong: tenon reload"),
           TN_STR("hint", tn_folder_hint(arena, sweeper->process->config, id, folder)));
    return false;
}

/* Nothing is swept, and no upload taken, in a folder that is not ours. */
static const tn_error *
look_at_folder(struct sweeper *sweeper, tn_arena *arena, bool *right)
{
    const tn_config *config = sweeper->process->config;
    const tn_rows *rows, *marked;
    tn_folder folder;
    const char *id;

    *right = false;
    TN_TRY(run_query(sweeper, arena, &tn_sql_objects_find_folder, TN_NO_PARAMS, &rows));
    id = tn_rows_text(rows, 0, 0);
    folder = tn_folder_look(config, id, tn_rows_bool(rows, 0, 1));
    if (folder == TN_FOLDER_NEW && access(config->storage.dir, F_OK) == 0) {
        if (!tn_folder_mark(config, id) && errno != EEXIST)
            return tn_tree_error(arena, TN_FOLDER_FILE);
        folder = tn_folder_look(config, id, true);
    }
    *right = is_right(sweeper, arena, id, folder);
    if (folder == TN_FOLDER_OURS && config->storage.backend_url[0] == '\0' &&
        !tn_rows_bool(rows, 0, 1))
        TN_TRY(run_query(sweeper, arena, &tn_sql_objects_mark_folder, TN_NO_PARAMS, &marked));
    return NULL;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* One thing that fails (and has said so in the log) does not keep the others from being done. */
static void
sweep(struct sweeper *sweeper, tn_arena *arena)
{
    static const tn_error *(*const all[])(struct sweeper *, tn_arena *) = {
        sweep_trash, sweep_uploads, each_minute, sweep_staging, sweep_objects};
    bool right;

    (void)!look_at_folder(sweeper, arena, &right);
    tn_arena_reset(arena);
    right = right && access(sweeper->process->config->storage.dir, F_OK) == 0;
    for (size_t i = 0; i < TN_COUNT(all) && right && !is_stopping(sweeper); i++) {
        (void)!all[i](sweeper, arena);
        tn_arena_reset(arena);
    }
}

static void
wait_for_next(struct sweeper *sweeper, int64_t until_ms)
{
    tn_lock_take(&sweeper->lock);
    while (!sweeper->stopping && tn_lock_wait(&sweeper->lock, &sweeper->changed, until_ms))
        continue;
    tn_lock_give(&sweeper->lock);
}

static void *
run_thread(void *context)
{
    struct sweeper *sweeper = context;
    tn_arena *arena = tn_arena_new();

    while (!is_stopping(sweeper)) {
        sweep(sweeper, arena);
        wait_for_next(sweeper,
                      tn_clock_ms() + sweeper->process->config->storage.sweep_interval_s * 1000);
    }
    tn_arena_free(arena);
    tn_crypto_thread_end();
    return NULL;
}

/* --- the service ------------------------------------------------------------------------------ */

static void
start_thread(struct sweeper *sweeper)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int failed;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    failed = pthread_create(&sweeper->thread, &attributes, run_thread, sweeper);
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        tn_die("no thread to sweep files: error %d", failed);
}

static void *
start(const tn_process *process)
{
    struct sweeper *sweeper = calloc(1, sizeof(*sweeper));
    uint8_t random;

    if (sweeper == NULL)
        tn_die("out of memory");
    tn_random(&random, sizeof(random)); /* the walk goes on somewhere, not always at the start */
    sweeper->process = process;
    sweeper->slices_from_ms = tn_clock_ms();
    sweeper->sweep = (tn_sweep){.process = process,
                                .store = process->store,
                                .is_stopping = is_stopping,
                                .context = sweeper,
                                .slice = random};
    tn_lock_init(&sweeper->lock);
    tn_condition_init(&sweeper->changed);
    start_thread(sweeper);
    return sweeper;
}

/* What is being removed is removed; nothing new is begun. */
static void
stop(void *state)
{
    struct sweeper *sweeper = state;

    tn_lock_take(&sweeper->lock);
    sweeper->stopping = true;
    (void)pthread_cond_broadcast(&sweeper->changed);
    tn_lock_give(&sweeper->lock);
    (void)pthread_join(sweeper->thread, NULL);
    (void)pthread_cond_destroy(&sweeper->changed);
    tn_lock_release(&sweeper->lock);
    free(sweeper);
}

const tn_service tn_objects_service = {.name = "objects", .start = start, .stop = stop};
