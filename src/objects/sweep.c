/* objects/sweep.c: files that are old and that no row names */
#include "objects/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "objects/backend.h"
#include "objects/queries.h"
#include "objects/tree.h"
#include "objects/walk.h"

#define BATCH 500
#define SLICES 256

/* Files that are asked about together. */
struct batch {
    tn_sweep *sweep;
    tn_arena *arena;
    int root;
    int64_t before_s; /* older ones only */
    size_t count;
    PQExpBuffer tenants, names; /* arrays of PostgreSQL, not closed yet */
    const tn_error *error;
    const tn_error *(*settle)(struct batch *batch, const char *tenants, const char *names);
};

static const tn_error *
run_query(tn_sweep *sweep, tn_arena *arena, const tn_query *query, const tn_rows **rows)
{
    const tn_db_context as_worker = {.role = "tenon_worker"};

    return tn_db_run(sweep->process->db, arena, &as_worker, TN_READ_WRITE, query, 1, rows);
}

static void
begin_batch(struct batch *batch)
{
    batch->count = 0;
    batch->tenants = tn_arena_buffer(batch->arena);
    batch->names = tn_arena_buffer(batch->arena);
    appendPQExpBufferChar(batch->tenants, '{');
    appendPQExpBufferChar(batch->names, '{');
}

static void
settle_batch(struct batch *batch)
{
    if (batch->count == 0 || batch->error != NULL)
        return;
    appendPQExpBufferChar(batch->tenants, '}');
    appendPQExpBufferChar(batch->names, '}');
    batch->error =
        batch->settle(batch, tn_buffer_text(batch->tenants), tn_buffer_text(batch->names));
    begin_batch(batch);
}

/* Both are UUIDs, so nothing in them needs quotes. */
static void
add_to_batch(struct batch *batch, const char *tenant, const char *name)
{
    const char *comma = batch->count > 0 ? "," : "";

    appendPQExpBuffer(batch->tenants, "%s%s", comma, tenant);
    appendPQExpBuffer(batch->names, "%s%s", comma, name);
    if (++batch->count == BATCH)
        settle_batch(batch);
}

static bool
goes_on(const struct batch *batch)
{
    return batch->error == NULL && !batch->sweep->is_stopping(batch->sweep->context);
}

static struct batch
new_batch(tn_sweep *sweep, tn_arena *arena, int root,
          const tn_error *(*settle)(struct batch *, const char *, const char *))
{
    struct batch batch = {
        .sweep = sweep,
        .arena = arena,
        .root = root,
        .before_s = tn_clock_unix() - sweep->process->config->storage.orphan_age_s,
        .settle = settle,
    };

    begin_batch(&batch);
    return batch;
}

static void
remove_file(struct batch *batch, const char *path, const char *event)
{
    if (tn_tree_remove(batch->root, path) != 0) {
        tn_log(TN_LOG_ERROR, "storage.sweep.failed", TN_STR("path", path),
               TN_STR("error", strerror(errno)));
        return;
    }
    atomic_fetch_add(&batch->sweep->process->metrics->storage_orphans, 1);
    tn_log(TN_LOG_INFO, event, TN_STR("path", path));
}

/* What cannot be looked at is named, and the rest is swept. */
static bool
pass_over(const struct batch *batch, const char *path, const char *why)
{
    tn_log(TN_LOG_ERROR, "storage.sweep.failed", TN_STR("path", path), TN_STR("error", why));
    return goes_on(batch);
}

static bool
pass_over_closed(const struct batch *batch, const tn_walk_entry *entry)
{
    return pass_over(batch, entry->path, "it cannot be looked at");
}

/* --- staging and spool ------------------------------------------------------------------------ */

static const tn_error *
remove_unstaged(struct batch *batch, const char *tenants, const char *ids)
{
    const tn_query query = {.statement = &tn_sql_objects_unstaged_files,
                            .parameters = (const char *const[]){tenants, ids},
                            .parameter_count = 2};
    const tn_rows *rows;

    TN_TRY(run_query(batch->sweep, batch->arena, &query, &rows));
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        remove_file(batch,
                    tn_arena_printf(batch->arena, "staging/%s/%s", tn_rows_text(rows, i, 0),
                                    tn_rows_text(rows, i, 1)),
                    "storage.staging.swept");
    return NULL;
}

static bool
look_at_staged(void *context, const tn_walk_entry *entry)
{
    struct batch *batch = context;
    tn_uuid tenant, id;
    char first[37] = "";

    if (entry->kind == TN_WALK_CLOSED)
        return pass_over_closed(batch, entry);
    if (entry->kind == TN_WALK_FILE && entry->changed_s < batch->before_s) {
        const char *rest = entry->path + strlen("staging/");

        (void)snprintf(first, sizeof(first), "%.36s", rest);
        if (strlen(rest) == 73 && rest[36] == '/' && tn_uuid_parse(first, &tenant) &&
            tn_uuid_parse(rest + 37, &id))
            add_to_batch(batch, tenant.text, id.text);
    }
    return goes_on(batch);
}

/* nginx removes what it has spooled when the request is over, unless it was killed. */
static bool
look_at_spooled(void *context, const tn_walk_entry *entry)
{
    struct batch *batch = context;

    if (entry->kind == TN_WALK_CLOSED)
        return pass_over_closed(batch, entry);
    if (entry->kind == TN_WALK_FILE && entry->changed_s < batch->before_s)
        remove_file(batch, entry->path, "storage.spool.swept");
    return goes_on(batch);
}

const tn_error *
tn_sweep_staging(tn_sweep *sweep, tn_arena *arena)
{
    struct batch batch;
    int root;

    TN_TRY(tn_store_root(sweep->store, arena, &root));
    batch = new_batch(sweep, arena, root, remove_unstaged);
    if (tn_walk(root, "staging", look_at_staged, &batch) != 0)
        (void)pass_over(&batch, "staging", strerror(errno));
    if (tn_walk(root, "spool", look_at_spooled, &batch) != 0)
        (void)pass_over(&batch, "spool", strerror(errno));
    settle_batch(&batch);
    return batch.error;
}

/* --- objects ---------------------------------------------------------------------------------- */

static const tn_error *
throw_away(struct batch *batch, const char *tenants, const char *versions)
{
    const tn_query query = {.statement = &tn_sql_objects_throw_away_unnamed,
                            .parameters = (const char *const[]){tenants, versions},
                            .parameter_count = 2};
    const tn_rows *rows;

    TN_TRY(run_query(batch->sweep, batch->arena, &query, &rows));
    if (tn_rows_int(rows, 0, 0, 0) > 0)
        tn_log(TN_LOG_WARN, "storage.orphans.found", TN_INT("files", tn_rows_int(rows, 0, 0, 0)));
    return NULL;
}

static void
look_at_blob(struct batch *batch, const tn_blob *blob, int64_t changed_s)
{
    if (changed_s < batch->before_s)
        add_to_batch(batch, blob->tenant_id.text, blob->version.text);
}

static bool
look_at_file(void *context, const tn_walk_entry *entry)
{
    struct batch *batch = context;
    tn_blob blob;

    if (entry->kind == TN_WALK_CLOSED)
        return pass_over_closed(batch, entry);
    if (entry->kind == TN_WALK_FILE && tn_blob_parse(entry->path + strlen("objects/"), &blob))
        look_at_blob(batch, &blob, entry->changed_s);
    return goes_on(batch);
}

static bool
look_at_entry(void *context, const tn_blob_entry *entry)
{
    look_at_blob(context, &entry->blob, entry->modified_s);
    return goes_on(context);
}

/* The folders that the objects of tenants are in, by name. */
struct tenants {
    tn_arena *arena;
    size_t count, size;
    const char **names;
};

static bool
add_tenant(void *context, const tn_walk_entry *entry)
{
    struct tenants *tenants = context;
    const char *name = entry->path + strlen("objects/");

    if (entry->kind != TN_WALK_FOLDER || strchr(name, '/') != NULL)
        return true;
    if (tenants->count == tenants->size) {
        const char **names = tn_arena_alloc(tenants->arena, tenants->size * 2 + 16, sizeof(*names));

        if (tenants->count > 0)
            memcpy(names, tenants->names, tenants->count * sizeof(*names));
        tenants->names = names;
        tenants->size = tenants->size * 2 + 16;
    }
    tenants->names[tenants->count++] = tn_arena_printf(tenants->arena, "%s", name);
    return true;
}

/* What begins with these two digits, of every tenant. */
static void
walk_slice(struct batch *batch, const struct tenants *tenants, int slice)
{
    for (size_t i = 0; i < tenants->count && goes_on(batch); i++) {
        const char *folder =
            tn_arena_printf(batch->arena, "objects/%s/%02x", tenants->names[i], (unsigned)slice);

        if (tn_walk(batch->root, folder, look_at_file, batch) != 0)
            (void)pass_over(batch, folder, strerror(errno));
    }
}

/* A remote store gives its list in pages; it is read once for each time around. */
static const tn_error *
sweep_remote(tn_sweep *sweep, struct batch *batch, int slices)
{
    tn_backend *backend;

    if (sweep->slice + slices < SLICES) {
        sweep->slice += slices;
        return NULL;
    }
    sweep->slice = 0;
    TN_TRY(tn_store_backend(sweep->store, batch->arena, &backend));
    TN_TRY(tn_backend_list(backend, batch->arena, look_at_entry, batch));
    settle_batch(batch);
    return batch->error;
}

const tn_error *
tn_sweep_objects(tn_sweep *sweep, tn_arena *arena, int slices)
{
    struct tenants tenants = {.arena = arena};
    struct batch batch;
    int root;

    TN_TRY(tn_store_root(sweep->store, arena, &root));
    batch = new_batch(sweep, arena, root, throw_away);
    if (sweep->process->config->storage.backend_url[0] != '\0')
        return sweep_remote(sweep, &batch, slices);
    if (tn_walk_folder(root, "objects", add_tenant, &tenants) != 0)
        return tn_tree_error(arena, "sweep");
    for (int i = 0; i < slices && i < SLICES && goes_on(&batch); i++) {
        walk_slice(&batch, &tenants, sweep->slice);
        sweep->slice = (sweep->slice + 1) % SLICES;
    }
    settle_batch(&batch);
    return batch.error;
}

/* --- images ----------------------------------------------------------------------------------- */

struct images_of {
    int root;
    const char *version;
};

/* images/<tenant>/<2 hex>/<version>.<digest> */
static bool
remove_image_of(void *context, const tn_walk_entry *entry)
{
    const struct images_of *of = context;
    const char *name = strrchr(entry->path, '/') + 1;

    if (strncmp(name, of->version, strlen(of->version)) == 0)
        (void)tn_tree_remove(of->root, entry->path); /* what stays is never asked for again */
    return true;
}

void
tn_sweep_images_of(tn_sweep *sweep, const tn_blob *blob)
{
    struct images_of of = {.version = blob->version.text};
    tn_arena *arena = tn_arena_new();

    if (tn_store_root(sweep->store, arena, &of.root) == NULL)
        (void)!tn_walk_folder(of.root,
                              tn_arena_printf(arena, "images/%s/%s", blob->tenant_id.text,
                                              of.version + strlen(of.version) - 2),
                              remove_image_of, &of);
    tn_arena_free(arena);
}

struct image {
    const char *path;
    int64_t size, changed_s;
};

struct images {
    tn_arena *arena;
    size_t count, size;
    int64_t bytes;
    struct image *all;
};

static bool
add_image(void *context, const tn_walk_entry *entry)
{
    struct images *images = context;

    if (entry->kind != TN_WALK_FILE)
        return true;
    if (images->count == images->size) {
        struct image *all = tn_arena_alloc(images->arena, images->size * 2 + 256, sizeof(*all));

        if (images->count > 0)
            memcpy(all, images->all, images->count * sizeof(*all));
        images->all = all;
        images->size = images->size * 2 + 256;
    }
    images->all[images->count++] = (struct image){
        .path = tn_arena_printf(images->arena, "%s", entry->path),
        .size = entry->size,
        .changed_s = entry->changed_s,
    };
    images->bytes += entry->size;
    return true;
}

static int
by_age(const void *a, const void *b)
{
    const struct image *left = a, *right = b;

    return (left->changed_s > right->changed_s) - (left->changed_s < right->changed_s);
}

const tn_error *
tn_sweep_images(tn_sweep *sweep, tn_arena *arena)
{
    const int64_t most = sweep->process->config->storage.image_cache_max;
    struct images images = {.arena = arena};
    int64_t removed = 0;
    int root;

    TN_TRY(tn_store_root(sweep->store, arena, &root));
    if (tn_walk(root, "images", add_image, &images) != 0)
        return tn_tree_error(arena, "sweep");
    if (images.bytes <= most)
        return NULL;
    qsort(images.all, images.count, sizeof(*images.all), by_age);
    for (size_t i = 0; i < images.count && images.bytes > most / 10 * 9; i++) {
        if (tn_tree_remove(root, images.all[i].path) != 0) {
            tn_log(TN_LOG_ERROR, "storage.sweep.failed", TN_STR("path", images.all[i].path),
                   TN_STR("error", strerror(errno)));
            continue;
        }
        images.bytes -= images.all[i].size;
        removed++;
    }
    tn_log(TN_LOG_INFO, "storage.images.swept", TN_INT("files", removed),
           TN_INT("bytes_left", images.bytes));
    return NULL;
}
