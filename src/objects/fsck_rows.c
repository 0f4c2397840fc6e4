/* objects/fsck_rows.c: every row → its bytes */
#include <string.h>

#include "base/crypto.h"
#include "base/log.h"
#include "objects/backend.h"
#include "objects/cipher.h"
#include "objects/digest.h"
#include "objects/fsck_private.h"
#include "objects/queries.h"
#include "objects/vault.h"

#define PAGE "1000"

enum { TENANT, ID, BUCKET, NAME, VERSION, SIZE, SHA256, SEALED_KEY }; /* columns of a row */

struct rows_check {
    tn_fsck *fsck;
    tn_backend *backend;
    tn_arena *arena; /* of one page */
    const tn_rows *rows;
    size_t row;
    tn_blob blob;
};

static const char *
column(const struct rows_check *check, int wanted)
{
    return tn_rows_text(check->rows, check->row, wanted);
}

/* What the row says may have changed since it was read. */
static const tn_error *
is_still_so(const struct rows_check *check, bool *is)
{
    const tn_rows *found;

    TN_TRY(tn_session_run(
        check->fsck->session, check->arena, tn_sql_objects_row_is_there.sql,
        TN_PARAMS(column(check, TENANT), column(check, ID), column(check, VERSION)), &found));
    *is = tn_rows_count(found) > 0;
    return NULL;
}

/* False in `done` when the row has gone meanwhile, or something of the app's holds on to it. */
static const tn_error *
put_aside(const struct rows_check *check, tn_difference difference, bool *done)
{
    static const char *const reasons[] = {[TN_DIFFERENCE_MISSING] = "missing",
                                          [TN_DIFFERENCE_SIZE] = "size",
                                          [TN_DIFFERENCE_CONTENT] = "content"};
    const tn_rows *lost;
    const tn_error *error =
        tn_session_run(check->fsck->session, check->arena, tn_sql_objects_lose_object.sql,
                       TN_PARAMS(column(check, TENANT), column(check, ID), column(check, VERSION),
                                 reasons[difference]),
                       &lost);

    if (error != NULL && error->status >= 500)
        return error;
    *done = error == NULL && tn_rows_bool(lost, 0, 0);
    return NULL;
}

static const tn_error *
tell(const struct rows_check *check, tn_difference difference, const char *detail)
{
    bool is = false, is_mended = false;

    TN_TRY(is_still_so(check, &is));
    if (!is)
        return NULL;
    if (check->fsck->repairs)
        TN_TRY(put_aside(check, difference, &is_mended));
    tn_fsck_tell(check->fsck, &(tn_fsck_finding){.difference = difference,
                                                 .tenant_id = column(check, TENANT),
                                                 .bucket = column(check, BUCKET),
                                                 .name = column(check, NAME),
                                                 .what = column(check, VERSION),
                                                 .detail = detail,
                                                 .is_mended = is_mended});
    return NULL;
}

/* --- content ---------------------------------------------------------------------------------- */

static bool
add_piece(void *context, const char *bytes, size_t length)
{
    tn_digest_add(context, bytes, length);
    return true;
}

static const tn_error *
find_key(const struct rows_check *check, tn_data_key *key)
{
    const char *sealed = column(check, SEALED_KEY);
    tn_tenant_key tenant = {.tenant_id = check->blob.tenant_id,
                            .generation = tn_data_key_generation(sealed)};
    const tn_rows *found;

    TN_TRY(tn_session_run(
        check->fsck->session, check->arena, tn_sql_objects_tenant_key.sql,
        TN_PARAMS(column(check, TENANT), tn_arena_number(check->arena, tenant.generation)),
        &found));
    if (tn_rows_count(found) == 0)
        return tn_error_new(check->arena, 503, "encryption_unavailable", NULL,
                            "the key of this tenant is not in the database");
    TN_TRY(tn_tenant_key_open(check->arena, check->fsck->config, tn_rows_text(found, 0, 0), &tenant,
                              NULL));
    return tn_data_key_open(check->arena, &tenant, sealed, key);
}

static const tn_error *
read_content(const struct rows_check *check, tn_digest *digest)
{
    tn_data_key key;

    if (column(check, SEALED_KEY) == NULL)
        return tn_backend_get(check->backend, check->arena, &check->blob, 0, -1, add_piece, digest);
    TN_TRY(find_key(check, &key));
    return tn_cipher_get(check->backend, check->arena, &check->blob,
                         &(tn_cipher_source){.key = &key,
                                             .size = tn_rows_int(check->rows, check->row, SIZE, 0),
                                             .length = -1},
                         add_piece, digest);
}

static const tn_error *
check_content(struct rows_check *check)
{
    tn_digest *digest = tn_digest_new(check->arena, TN_DIGEST_SHA256);
    const char *said = column(check, SHA256);
    const tn_error *error;
    tn_digests digests;
    char hex[65];

    if (said == NULL)
        return NULL; /* a row that SQL of the app has written */
    error = read_content(check, digest);
    if (error != NULL && error->status == 503)
        return error;
    if (error != NULL)
        return tell(check, error->status == 404 ? TN_DIFFERENCE_MISSING : TN_DIFFERENCE_CONTENT,
                    error->message);
    tn_digest_end(digest, &digests);
    tn_hex(digests.sha256, sizeof(digests.sha256), hex);
    if (strcmp(hex, said) == 0)
        return NULL;
    return tell(check, TN_DIFFERENCE_CONTENT,
                tn_arena_printf(check->arena, "SHA-256 %s, and the row says %s", hex, said));
}

/* --- one row, a page of them, all ------------------------------------------------------------- */

static const tn_error *
check_row(struct rows_check *check)
{
    const int64_t content = tn_rows_int(check->rows, check->row, SIZE, 0);
    const int64_t wanted =
        column(check, SEALED_KEY) == NULL ? content : tn_cipher_file_size(content);
    const tn_error *error;
    int64_t size = 0;

    check->fsck->rows++;
    check->fsck->bytes += content;
    if (!tn_uuid_parse(column(check, TENANT), &check->blob.tenant_id) ||
        !tn_uuid_parse(column(check, VERSION), &check->blob.version))
        return tell(check, TN_DIFFERENCE_MISSING, "a version that is none");
    error = tn_backend_stat(check->backend, check->arena, &check->blob, &size);
    if (error != NULL && error->status == 404)
        return tell(check, TN_DIFFERENCE_MISSING, NULL);
    if (error != NULL)
        return error;
    if (size != wanted)
        return tell(check, TN_DIFFERENCE_SIZE,
                    tn_arena_printf(check->arena, "%lld bytes, and the row wants %lld",
                                    (long long)size, (long long)wanted));
    return check->fsck->verifies ? check_content(check) : NULL;
}

/* Behind the last one of the page before, whose place is in `tenant` and `version`. */
static const tn_error *
check_page(struct rows_check *check, tn_uuid *tenant, char **version, size_t *count)
{
    TN_TRY(tn_session_run(check->fsck->session, check->arena, tn_sql_objects_rows_page.sql,
                          TN_PARAMS(tenant->text, *version, check->fsck->tenant_id, PAGE),
                          &check->rows));
    *count = tn_rows_count(check->rows);
    for (check->row = 0; check->row < *count; check->row++)
        TN_TRY(check_row(check));
    free(*version);
    *version = NULL;
    if (*count > 0) {
        check->row = *count - 1;
        (void)!tn_uuid_parse(column(check, TENANT), tenant);
        *version = strdup(column(check, VERSION));
        if (*version == NULL)
            tn_die("out of memory");
    }
    return NULL;
}

const tn_error *
tn_fsck_rows(tn_fsck *fsck, tn_store *store)
{
    struct rows_check check = {.fsck = fsck, .arena = tn_fsck_arena(fsck)};
    tn_uuid tenant = {.text = "00000000-0000-0000-0000-000000000000"};
    char *version = strdup("");
    const tn_error *error = tn_store_backend(store, fsck->arena, &check.backend);
    size_t count = 1;

    while (error == NULL && count > 0) {
        tn_arena_reset(check.arena);
        error = check_page(&check, &tenant, &version, &count);
    }
    free(version);
    return error;
}
