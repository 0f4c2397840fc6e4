/* objects/fsck_rows.c: every row → its bytes */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/log.h"
#include "objects/backend.h"
#include "objects/cipher.h"
#include "objects/digest.h"
#include "objects/fsck_private.h"
#include "objects/queries.h"
#include "objects/tree.h"
#include "objects/vault.h"

#define PAGE "1000"

enum { TENANT, ID, BUCKET, NAME, VERSION, SIZE, SHA256, SEALED_KEY }; /* columns of a row */

struct rows_check {
    tn_fsck *fsck;
    tn_backend *backend;
    int root;
    tn_arena *arena; /* of one page */
    const tn_statement *page;
    int behind; /* the column by which pages follow each other, within a tenant */
    const tn_error *(*each)(struct rows_check *check);
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

static void
tell_row(const struct rows_check *check, tn_difference difference, const char *detail,
         bool is_mended)
{
    tn_fsck_tell(check->fsck, &(tn_fsck_finding){.difference = difference,
                                                 .tenant_id = column(check, TENANT),
                                                 .bucket = column(check, BUCKET),
                                                 .name = column(check, NAME),
                                                 .what = column(check, VERSION),
                                                 .detail = detail,
                                                 .is_mended = is_mended});
}

static const tn_error *
tell(const struct rows_check *check, tn_difference difference, const char *detail)
{
    bool is = false, is_mended = false;

    TN_TRY(is_still_so(check, &is));
    if (!is)
        return NULL;
    if (check->fsck->repairs && difference != TN_DIFFERENCE_STRANGE &&
        difference != TN_DIFFERENCE_CLOSED) /* its bytes may be there all the same */
        TN_TRY(put_aside(check, difference, &is_mended));
    tell_row(check, difference, detail, is_mended);
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
read_content(const struct rows_check *check, const tn_data_key *key, tn_digest *digest)
{
    if (column(check, SEALED_KEY) == NULL)
        return tn_backend_get(check->backend, check->arena, &check->blob, 0, -1, add_piece, digest);
    return tn_cipher_get(check->backend, check->arena, &check->blob,
                         &(tn_cipher_source){.key = key,
                                             .size = tn_rows_int(check->rows, check->row, SIZE, 0),
                                             .length = -1},
                         add_piece, digest);
}

/* 0, or why not: of all its bytes. */
static int
read_through(int fd)
{
    char bytes[65536];
    off_t at = 0;
    ssize_t got;

    do {
        got = pread(fd, bytes, sizeof(bytes), at);
        at += got > 0 ? got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? errno : 0;
}

/* 0, or why the disk does not give the file. */
static int
try_file(const struct rows_check *check, bool reads)
{
    const char *path =
        tn_arena_printf(check->arena, "objects/%s", tn_blob_path(check->arena, &check->blob));
    const int fd = tn_tree_open(check->root, path, O_RDONLY | O_NONBLOCK);
    struct stat about;
    int failed;

    if (fd < 0)
        return errno;
    if (fstat(fd, &about) != 0)
        failed = errno;
    else if (!S_ISREG(about.st_mode))
        failed = EISDIR;
    else
        failed = reads ? read_through(fd) : 0;
    (void)close(fd);
    return failed;
}

/* Whether it is for this file alone that it could not be looked at: it is none, or may not be read.
 */
static bool
is_refused(const struct rows_check *check, bool reads, tn_difference *difference,
           const char **detail)
{
    const int failed = try_file(check, reads);

    if (failed == 0 || failed == ENOENT || failed == EMFILE || failed == ENFILE || failed == ENOMEM)
        return false;
    *difference = failed == ELOOP || failed == ENOTDIR || failed == EISDIR || failed == ENXIO
                      ? TN_DIFFERENCE_STRANGE
                      : TN_DIFFERENCE_CLOSED;
    *detail = *difference == TN_DIFFERENCE_STRANGE ? "no plain file"
                                                   : tn_arena_text(check->arena, strerror(failed));
    return true;
}

static const tn_error *
judge_content(const struct rows_check *check, tn_difference *difference, const char **detail)
{
    tn_digest *digest = tn_digest_new(check->arena, TN_DIGEST_SHA256);
    const char *said = column(check, SHA256);
    tn_data_key key;
    const tn_error *error;
    tn_digests digests;
    char hex[65];

    if (said == NULL)
        return NULL; /* a row that SQL of the app has written */
    if (column(check, SEALED_KEY) != NULL)
        TN_TRY(find_key(check, &key));
    error = read_content(check, &key, digest);
    if (error != NULL && error->status >= 500 && is_refused(check, true, difference, detail))
        return NULL;
    if (error != NULL && error->status == 503)
        return error;
    if (error != NULL) {
        *difference = error->status == 404 ? TN_DIFFERENCE_MISSING : TN_DIFFERENCE_CONTENT;
        *detail = error->message;
        return NULL;
    }
    tn_digest_end(digest, &digests);
    tn_hex(digests.sha256, sizeof(digests.sha256), hex);
    if (strcmp(hex, said) != 0) {
        *difference = TN_DIFFERENCE_CONTENT;
        *detail = tn_arena_printf(check->arena, "SHA-256 %s, and the row says %s", hex, said);
    }
    return NULL;
}

/* --- one row, a page of them, all ------------------------------------------------------------- */

/* What is the matter with its bytes; TN_DIFFERENCES: nothing. */
static const tn_error *
judge(struct rows_check *check, bool verifies, tn_difference *difference, const char **detail)
{
    const int64_t content = tn_rows_int(check->rows, check->row, SIZE, 0);
    const int64_t wanted =
        column(check, SEALED_KEY) == NULL ? content : tn_cipher_file_size(content);
    const tn_error *error;
    int64_t size = 0;

    *difference = TN_DIFFERENCES;
    *detail = NULL;
    if (!tn_uuid_parse(column(check, TENANT), &check->blob.tenant_id) ||
        !tn_uuid_parse(column(check, VERSION), &check->blob.version)) {
        *difference = TN_DIFFERENCE_MISSING;
        *detail = "a version that is none";
        return NULL;
    }
    error = tn_backend_stat(check->backend, check->arena, &check->blob, &size);
    if (error != NULL && error->status == 404)
        *difference = TN_DIFFERENCE_MISSING;
    else if (error != NULL)
        return is_refused(check, false, difference, detail) ? NULL : error;
    else if (size != wanted && !is_refused(check, false, difference, detail))
        *difference = TN_DIFFERENCE_SIZE;
    if (*difference == TN_DIFFERENCE_SIZE)
        *detail = tn_arena_printf(check->arena, "%lld bytes, and the row wants %lld",
                                  (long long)size, (long long)wanted);
    return *difference == TN_DIFFERENCES && verifies ? judge_content(check, difference, detail)
                                                     : NULL;
}

static const tn_error *
check_row(struct rows_check *check)
{
    tn_difference difference;
    const char *detail;

    check->fsck->rows++;
    check->fsck->bytes += tn_rows_int(check->rows, check->row, SIZE, 0);
    TN_TRY(judge(check, check->fsck->verifies, &difference, &detail));
    return difference == TN_DIFFERENCES ? NULL : tell(check, difference, detail);
}

/* Whole means by its SHA-256, whether the others are read or not. */
static const tn_error *
check_lost(struct rows_check *check)
{
    const tn_rows *restored;
    tn_difference difference;
    const char *detail;
    bool is_mended = false;

    TN_TRY(judge(check, true, &difference, &detail));
    if (difference != TN_DIFFERENCES)
        return NULL;
    if (check->fsck->repairs) {
        TN_TRY(tn_session_run(
            check->fsck->session, check->arena, tn_sql_objects_restore_object.sql,
            TN_PARAMS(column(check, TENANT), column(check, ID), column(check, VERSION)),
            &restored));
        is_mended = tn_rows_bool(restored, 0, 0);
    }
    tell_row(check, TN_DIFFERENCE_FOUND, NULL, is_mended);
    return NULL;
}

/* Behind the last one of the page before, whose place is in `tenant` and `last`. */
static const tn_error *
check_page(struct rows_check *check, tn_uuid *tenant, char **last, size_t *count)
{
    TN_TRY(tn_session_run(check->fsck->session, check->arena, check->page->sql,
                          TN_PARAMS(tenant->text, *last, check->fsck->tenant_id, PAGE),
                          &check->rows));
    *count = tn_rows_count(check->rows);
    for (check->row = 0; check->row < *count; check->row++)
        TN_TRY(check->each(check));
    free(*last);
    *last = NULL;
    if (*count > 0) {
        check->row = *count - 1;
        (void)!tn_uuid_parse(column(check, TENANT), tenant);
        *last = strdup(column(check, check->behind));
        if (*last == NULL)
            tn_die("out of memory");
    }
    return NULL;
}

static const tn_error *
check_pages(struct rows_check *check, tn_store *store, const char *first)
{
    tn_uuid tenant = {.text = "00000000-0000-0000-0000-000000000000"};
    const tn_error *error;
    size_t count = 1;
    char *last;

    TN_TRY(tn_store_backend(store, check->fsck->arena, &check->backend));
    TN_TRY(tn_store_root(store, check->fsck->arena, &check->root));
    last = strdup(first);
    if (last == NULL)
        tn_die("out of memory");
    do {
        tn_arena_reset(check->arena);
        error = check_page(check, &tenant, &last, &count);
    } while (error == NULL && count > 0);
    free(last);
    return error;
}

const tn_error *
tn_fsck_rows(tn_fsck *fsck, tn_store *store)
{
    struct rows_check check = {.fsck = fsck,
                               .arena = tn_fsck_arena(fsck),
                               .page = &tn_sql_objects_rows_page,
                               .behind = VERSION,
                               .each = check_row};

    return check_pages(&check, store, "");
}

const tn_error *
tn_fsck_lost(tn_fsck *fsck, tn_store *store)
{
    struct rows_check check = {.fsck = fsck,
                               .arena = tn_fsck_arena(fsck),
                               .page = &tn_sql_objects_lost_page,
                               .behind = ID,
                               .each = check_lost};

    return check_pages(&check, store, "00000000-0000-0000-0000-000000000000");
}
