/* objects/store.c: what is opened once for a process, when it is first needed */
#include "objects/store.h"

#include <errno.h>
#include <magic.h>

#include "base/lock.h"
#include "base/log.h"
#include "objects/tree.h"

#define MAGIC_IDLE_MAX 4 /* one handle serves one thread at a time; more are made and not kept */

struct tn_store {
    const tn_config *config;
    tn_arena *arena; /* of the backend; guarded by lock */
    tn_lock lock;
    int root;            /* guarded by lock; -1: not open */
    tn_backend *backend; /* guarded by lock; NULL: not open */
    magic_t magic[MAGIC_IDLE_MAX];
    size_t magic_count; /* guarded by lock */
};

tn_store *
tn_store_new(const tn_config *config)
{
    tn_store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        tn_die("out of memory");
    store->config = config;
    store->arena = tn_arena_new();
    store->root = -1;
    tn_lock_init(&store->lock);
    return store;
}

void
tn_store_free(tn_store *store)
{
    if (store == NULL)
        return;
    tn_backend_free(store->backend);
    if (store->root >= 0)
        (void)close(store->root);
    while (store->magic_count > 0)
        magic_close(store->magic[--store->magic_count]);
    tn_arena_free(store->arena);
    tn_lock_release(&store->lock);
    free(store);
}

const tn_config *
tn_store_config(const tn_store *store)
{
    return store->config;
}

static const tn_error *
unavailable(tn_arena *arena, const char *what, const char *why)
{
    tn_error *error;

    tn_log(TN_LOG_ERROR, "storage.unavailable", TN_STR("what", what), TN_STR("error", why));
    error = tn_error_new(arena, 503, "storage_unavailable", "Try again in a moment.",
                         "files cannot be read or written now");
    error->retry_after_s = 1;
    return error;
}

const tn_error *
tn_store_root(tn_store *store, tn_arena *arena, int *root)
{
    int failed = 0;

    tn_lock_take(&store->lock);
    if (store->root < 0) {
        store->root = tn_tree_root(store->config->storage.dir);
        failed = store->root < 0 ? errno : 0;
    }
    *root = store->root;
    tn_lock_give(&store->lock);
    if (failed != 0)
        return unavailable(arena, store->config->storage.dir, strerror(failed));
    return NULL;
}

const tn_error *
tn_store_backend(tn_store *store, tn_arena *arena, tn_backend **backend)
{
    const char *problem = NULL;

    tn_lock_take(&store->lock);
    if (store->backend == NULL) {
        store->backend = tn_backend_new(store->arena, store->config, &problem);
        if (store->backend == NULL) {
            problem = tn_arena_text(arena, problem);
            tn_arena_reset(store->arena);
        }
    }
    *backend = store->backend;
    tn_lock_give(&store->lock);
    return *backend == NULL ? unavailable(arena, "backend", problem) : NULL;
}

/* --- libmagic --------------------------------------------------------------------------------- */

/* NULL: it cannot be opened; content is of no known type then. */
static magic_t
take_magic(tn_store *store)
{
    magic_t magic = NULL;

    tn_lock_take(&store->lock);
    if (store->magic_count > 0)
        magic = store->magic[--store->magic_count];
    tn_lock_give(&store->lock);
    if (magic != NULL)
        return magic;
    magic = magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF |
                       MAGIC_NO_CHECK_TOKENS);
    if (magic == NULL)
        return NULL;
    if (magic_load(magic, NULL) != 0) {
        tn_log(TN_LOG_ERROR, "storage.magic.unavailable", TN_STR("error", magic_error(magic)));
        magic_close(magic);
        return NULL;
    }
    return magic;
}

static void
give_magic(tn_store *store, magic_t magic)
{
    tn_lock_take(&store->lock);
    if (store->magic_count < MAGIC_IDLE_MAX) {
        store->magic[store->magic_count++] = magic;
        magic = NULL;
    }
    tn_lock_give(&store->lock);
    if (magic != NULL)
        magic_close(magic);
}

const char *
tn_store_sniff(tn_store *store, tn_arena *arena, const void *bytes, size_t length)
{
    magic_t magic = take_magic(store);
    const char *type;

    if (magic == NULL)
        return "application/octet-stream";
    type = tn_arena_text(arena, magic_buffer(magic, bytes, length));
    give_magic(store, magic);
    return type != NULL ? type : "application/octet-stream";
}
