/* objects/migrate.c: one row after the other, from one place to the other */
#include "objects/migrate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "objects/backend_private.h"
#include "objects/cipher.h"
#include "objects/digest.h"
#include "objects/queries.h"
#include "objects/tree.h"
#include "objects/vault.h"

#define PAGE "500"
#define NO_TENANT "00000000-0000-0000-0000-000000000000"

enum { TENANT, ID, BUCKET, NAME, VERSION, SIZE, SHA256, SEALED_KEY }; /* of objects_rows_page */

struct moving {
    tn_migration_move *move;
    tn_backend *source, *target;
    int root;
    tn_arena *arena; /* of one row */
    const tn_rows *rows;
    size_t row;
    tn_blob blob;
};

static const char *
column(const struct moving *moving, int wanted)
{
    return tn_rows_text(moving->rows, moving->row, wanted);
}

static int64_t
stored_size(const struct moving *moving)
{
    const int64_t size = tn_rows_int(moving->rows, moving->row, SIZE, 0);

    return column(moving, SEALED_KEY) == NULL ? size : tn_cipher_file_size(size);
}

static void
tell(const struct moving *moving, const char *why)
{
    moving->move->told(moving->move->context, column(moving, BUCKET), column(moving, NAME),
                       column(moving, VERSION), why);
}

/* --- what is there ---------------------------------------------------------------------------- */

static bool
add_piece(void *context, const char *bytes, size_t length)
{
    tn_digest_add(context, bytes, length);
    return true;
}

static const tn_error *
find_key(const struct moving *moving, tn_data_key *key)
{
    const char *sealed = column(moving, SEALED_KEY);
    tn_tenant_key tenant = {.tenant_id = moving->blob.tenant_id,
                            .generation = tn_data_key_generation(sealed)};
    const tn_rows *found;

    TN_TRY(tn_session_run(
        moving->move->session, moving->arena, tn_sql_objects_tenant_key.sql,
        TN_PARAMS(column(moving, TENANT), tn_arena_number(moving->arena, tenant.generation)),
        &found));
    if (tn_rows_count(found) == 0)
        return tn_error_new(moving->arena, 503, "encryption_unavailable", NULL,
                            "the key of tenant %s is not in the database", column(moving, TENANT));
    TN_TRY(tn_tenant_key_open(moving->arena, moving->move->config, tn_rows_text(found, 0, 0),
                              &tenant, NULL));
    return tn_data_key_open(moving->arena, &tenant, sealed, key);
}

/* SHA-256 of the content that a backend has, in hexadecimal. */
static const tn_error *
digest_content(const struct moving *moving, tn_backend *backend, const char **hex)
{
    tn_digest *digest = tn_digest_new(moving->arena, TN_DIGEST_SHA256);
    char *text = tn_arena_alloc(moving->arena, TN_SHA256_HEX, 1);
    tn_digests digests;
    tn_data_key key;

    if (column(moving, SEALED_KEY) == NULL) {
        TN_TRY(tn_backend_get(backend, moving->arena, &moving->blob, 0, -1, add_piece, digest));
    } else {
        TN_TRY(find_key(moving, &key));
        TN_TRY(tn_cipher_get(
            backend, moving->arena, &moving->blob,
            &(tn_cipher_source){
                .key = &key, .size = tn_rows_int(moving->rows, moving->row, SIZE, 0), .length = -1},
            add_piece, digest));
    }
    tn_digest_end(digest, &digests);
    tn_hex(digests.sha256, sizeof(digests.sha256), text);
    *hex = text;
    return NULL;
}

/* Whether a backend has what the row says; `why` not, else. */
static const tn_error *
check(const struct moving *moving, tn_backend *backend, const char **why)
{
    const char *wanted = column(moving, SHA256), *hex;
    const tn_error *error = digest_content(moving, backend, &hex);

    *why = NULL;
    if (error != NULL && error->status == 404)
        *why = "its bytes are gone";
    else if (error != NULL && error->status == 500)
        *why = "its bytes are damaged";
    else if (error != NULL)
        return error;
    else if (wanted != NULL && strcmp(hex, wanted) != 0)
        *why = "its bytes are not what the row says";
    return NULL;
}

/* Whether the destination has the bytes already; what is not whole is taken away. */
static const tn_error *
look_there(const struct moving *moving, bool *is_there)
{
    int64_t size = 0;
    const tn_error *error = tn_backend_stat(moving->target, moving->arena, &moving->blob, &size);

    *is_there = error == NULL && size == stored_size(moving);
    if (error != NULL)
        return error->status == 404 ? NULL : error;
    return *is_there ? NULL : tn_backend_remove(moving->target, moving->arena, &moving->blob);
}

/* --- moving ----------------------------------------------------------------------------------- */

/* What the row says may have changed since it was read. */
static const tn_error *
is_still_so(const struct moving *moving, bool *is)
{
    const tn_rows *found;

    TN_TRY(tn_session_run(
        moving->move->session, moving->arena, tn_sql_objects_row_is_there.sql,
        TN_PARAMS(column(moving, TENANT), column(moving, ID), column(moving, VERSION)), &found));
    *is = tn_rows_count(found) > 0;
    return NULL;
}

static const tn_error *
copy_row(const struct moving *moving, bool *is_there)
{
    tn_migration_move *move = moving->move;
    const char *why;
    bool is_named;

    TN_TRY(check(moving, moving->source, &why));
    if (why != NULL) {
        TN_TRY(is_still_so(moving, &is_named));
        if (!is_named)
            return NULL;
        if (strcmp(why, "its bytes are gone") == 0)
            move->missing++;
        else
            move->damaged++;
        tell(moving, why);
        return NULL;
    }
    TN_TRY(tn_blob_carry(moving->arena, moving->root, moving->source, &moving->blob, moving->target,
                         &moving->blob));
    TN_TRY(is_still_so(moving, &is_named));
    if (!is_named)
        return tn_backend_remove(moving->target, moving->arena, &moving->blob);
    move->copied++;
    move->copied_bytes += stored_size(moving);
    *is_there = true;
    return NULL;
}

/* Whether the destination, read back, has what the source has; `why` not, else. A row that SQL of
 * the app has written knows no SHA-256. */
static const tn_error *
compare(const struct moving *moving, const char **why)
{
    const char *here, *there;

    TN_TRY(check(moving, moving->target, why));
    if (*why != NULL || column(moving, SHA256) != NULL)
        return NULL;
    TN_TRY(digest_content(moving, moving->source, &here));
    TN_TRY(digest_content(moving, moving->target, &there));
    *why = strcmp(here, there) == 0 ? NULL : "the two copies differ";
    return NULL;
}

/* The source's bytes go when those at the destination have been read back. */
static const tn_error *
prune_row(const struct moving *moving)
{
    const tn_error *error = tn_backend_stat(moving->source, moving->arena, &moving->blob, NULL);
    const char *why = NULL;
    bool is_named;

    if (error != NULL)
        return error->status == 404 ? NULL : error;
    TN_TRY(compare(moving, &why));
    if (why == NULL) {
        TN_TRY(tn_backend_remove(moving->source, moving->arena, &moving->blob));
        moving->move->pruned++;
        return NULL;
    }
    TN_TRY(is_still_so(moving, &is_named));
    if (is_named) {
        moving->move->damaged++;
        tell(moving, tn_arena_printf(moving->arena, "at the destination: %s", why));
    }
    return NULL;
}

static const tn_error *
move_row(struct moving *moving)
{
    bool is_there;

    if (!tn_uuid_parse(column(moving, TENANT), &moving->blob.tenant_id) ||
        !tn_uuid_parse(column(moving, VERSION), &moving->blob.version)) {
        moving->move->missing++;
        tell(moving, "a version that is none");
        return NULL;
    }
    TN_TRY(look_there(moving, &is_there));
    if (is_there)
        moving->move->there++;
    else
        TN_TRY(copy_row(moving, &is_there));
    return is_there && moving->move->prunes ? prune_row(moving) : NULL;
}

/* An error outlives the arena of its row. */
static const tn_error *
keep_error(tn_arena *arena, const tn_error *error)
{
    return error == NULL
               ? NULL
               : tn_error_new(arena, error->status, error->code, error->hint, "%s", error->message);
}

static const tn_error *
move_page(struct moving *moving, tn_arena *page, tn_uuid *tenant, const char *version,
          size_t *count)
{
    tn_migration_move *move = moving->move;
    const tn_error *error = NULL;

    TN_TRY(tn_session_run(move->session, page, tn_sql_objects_rows_page.sql,
                          TN_PARAMS(tenant->text, version, move->tenant_id, PAGE), &moving->rows));
    *count = tn_rows_count(moving->rows);
    for (moving->row = 0; error == NULL && moving->row < *count; moving->row++) {
        moving->arena = tn_arena_new();
        error = keep_error(page, move_row(moving));
        tn_arena_free(moving->arena);
    }
    return error;
}

static const tn_error *
move_all(struct moving *moving, tn_arena *arena)
{
    tn_uuid tenant = {NO_TENANT};
    char version[64] = "";
    const tn_error *error = NULL;
    size_t count = 1;

    while (error == NULL && count > 0) {
        tn_arena *page = tn_arena_new();

        error = keep_error(arena, move_page(moving, page, &tenant, version, &count));
        if (error == NULL && count > 0) {
            moving->row = count - 1;
            (void)!tn_uuid_parse(column(moving, TENANT), &tenant);
            (void)snprintf(version, sizeof(version), "%s", column(moving, VERSION));
        }
        tn_arena_free(page);
    }
    return error;
}

const tn_error *
tn_objects_migrate(tn_migration_move *move, tn_arena *arena)
{
    const char *problem = NULL;
    tn_backend *disk = tn_backend_disk_new(arena, move->config, &problem);
    tn_backend *remote = disk == NULL ? NULL : tn_backend_remote_new(arena, move->config, &problem);
    struct moving moving = {.move = move,
                            .source = move->to_remote ? disk : remote,
                            .target = move->to_remote ? remote : disk,
                            .root = tn_tree_root(move->config->storage.dir)};
    const tn_error *error;

    if (remote == NULL || moving.root < 0)
        error = tn_error_new(arena, 500, "storage_unavailable", NULL, "%s",
                             problem == NULL ? "storage.dir cannot be opened" : problem);
    else
        error = move_all(&moving, arena);
    tn_backend_free(disk);
    tn_backend_free(remote);
    if (moving.root >= 0)
        (void)close(moving.root);
    return error;
}
