/* cmd/storage_keys.c: `tenon storage …`: files encrypted, and the keys under which they are
 *
 * All of it while the server runs, and again from where it was after an interruption: each file and
 * each key is changed by one statement that looks at what it replaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/crypto_chunk.h"
#include "cmd/queries.h"
#include "cmd/storage.h"
#include "objects/backend.h"
#include "objects/cipher.h"
#include "objects/digest.h"
#include "objects/store.h"
#include "objects/tree.h"
#include "objects/vault.h"

#define PAGE "200"
#define FIRST_ID "00000000-0000-0000-0000-000000000000"

/* --- what the commands share ------------------------------------------------------------------ */

static tn_exit
need_master_key(tn_command_line *line, const tn_config *config)
{
    if (*config->storage.master_key != '\0')
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_CONFIG, "master_key_missing",
                           "Make one with: openssl rand -hex 32",
                           "storage.master_key is not set, so nothing can be encrypted");
}

/* Opens one key of a tenant; row `row` of storage_keys. */
static const tn_error *
open_key(tn_arena *arena, const tn_config *config, const char *tenant, const tn_rows *rows,
         size_t row, tn_tenant_key *key)
{
    *key = (tn_tenant_key){.generation = tn_rows_int(rows, row, 0, 0)};
    if (!tn_uuid_parse(tenant, &key->tenant_id))
        return tn_error_internal(arena, "storage.row.invalid", "a tenant's id is no UUID");
    return tn_tenant_key_open(arena, config, tn_rows_text(rows, row, 1), key, NULL);
}

/* Adds a key of that generation, unless somebody else just has. */
static tn_exit
add_key(tn_command_line *line, const tn_config *config, tn_session *session, const char *tenant,
        int64_t generation)
{
    tn_tenant_key key;
    tn_uuid id;
    const char *sealed;

    if (!tn_uuid_parse(tenant, &id))
        return TN_EXIT_FAILED;
    tn_tenant_key_make(&id, generation, &key);
    sealed = tn_tenant_key_seal(line->arena, config, &key);
    tn_wipe(&key, sizeof(key));
    return tn_command_query(line, session, &tn_sql_storage_key_add,
                            TN_PARAMS(tenant, tn_arena_number(line->arena, generation), sealed,
                                      tn_master_key_name(line->arena, config)),
                            NULL, NULL);
}

/* --- rotate-master ---------------------------------------------------------------------------- */

static tn_exit
reseal_key(tn_command_line *line, const tn_config *config, tn_session *session, const tn_rows *rows,
           size_t row)
{
    const char *tenant = tn_rows_text(rows, row, 0), *generation = tn_rows_text(rows, row, 1),
               *was = tn_rows_text(rows, row, 2), *sealed;
    tn_tenant_key key = {.generation = tn_rows_int(rows, row, 1, 0)};
    const tn_error *error;

    if (!tn_uuid_parse(tenant, &key.tenant_id))
        return TN_EXIT_FAILED;
    error = tn_tenant_key_open(line->arena, config, was, &key, NULL);
    if (error != NULL)
        return tn_command_fail(line, TN_EXIT_FAILED, "key_not_opened",
                               "Put the master key that has sealed it into "
                               "storage.old_master_keys.",
                               "no master key opens key %s of tenant %s", generation, tenant);
    sealed = tn_tenant_key_seal(line->arena, config, &key);
    tn_wipe(&key, sizeof(key));
    return tn_command_query(
        line, session, &tn_sql_storage_key_reseal,
        TN_PARAMS(tenant, generation, was, sealed, tn_master_key_name(line->arena, config)), NULL,
        NULL);
}

static tn_exit
run_rotate_master(tn_command_line *line)
{
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    size_t count;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(need_master_key(line, config));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_storage_keys_of_other_masters,
                                    TN_PARAMS(tn_master_key_name(line->arena, config)), NULL,
                                    &rows));
    count = tn_rows_count(rows);
    for (size_t i = 0; i < count; i++)
        TN_COMMAND_TRY(reseal_key(line, config, session, rows, i));
    tn_command_print(line, tn_arena_printf(line->arena, "{\"resealed\":%zu}", count),
                     "%zu keys sealed anew; storage.old_master_keys is not needed any more\n",
                     count);
    return TN_EXIT_OK;
}

/* --- rotate-tenant-key ------------------------------------------------------------------------ */

struct rotation {
    tn_command_line *line;
    const tn_config *config;
    tn_session *session;
    const char *tenant;
    const tn_rows *keys; /* newest first */
    int64_t resealed;
};

static tn_exit
find_key(struct rotation *rotation, tn_arena *arena, const char *sealed, tn_tenant_key *key)
{
    const int64_t generation = tn_data_key_generation(sealed);

    for (size_t i = 0; i < tn_rows_count(rotation->keys); i++)
        if (tn_rows_int(rotation->keys, i, 0, 0) == generation) {
            const tn_error *error =
                open_key(arena, rotation->config, rotation->tenant, rotation->keys, i, key);

            return error == NULL ? TN_EXIT_OK : tn_command_error(rotation->line, error);
        }
    return tn_command_fail(rotation->line, TN_EXIT_FAILED, "key_missing", NULL,
                           "tenant %s has no key %lld", rotation->tenant, (long long)generation);
}

static tn_exit
reseal_row(struct rotation *rotation, tn_arena *arena, const tn_statement *update, const char *id,
           const char *sealed)
{
    tn_tenant_key newest, older;
    tn_data_key key;
    const tn_error *error;
    const char *anew;

    TN_COMMAND_TRY(find_key(rotation, arena, sealed, &older));
    error = open_key(arena, rotation->config, rotation->tenant, rotation->keys, 0, &newest);
    if (error != NULL)
        return tn_command_error(rotation->line, error);
    error = tn_data_key_open(arena, &older, sealed, &key);
    if (error != NULL)
        return tn_command_error(rotation->line, error);
    anew = tn_data_key_seal(arena, &newest, &key);
    tn_wipe(&key, sizeof(key));
    tn_wipe(&older, sizeof(older));
    tn_wipe(&newest, sizeof(newest));
    error = tn_session_run(rotation->session, arena, update->sql,
                           TN_PARAMS(rotation->tenant, id, sealed, anew), NULL);
    return error == NULL ? TN_EXIT_OK : tn_command_error(rotation->line, error);
}

/* Every row of one table whose key is sealed under an older key of the tenant. */
static tn_exit
reseal_table(struct rotation *rotation, const tn_statement *page, const tn_statement *update)
{
    tn_uuid last = {FIRST_ID};
    size_t count;

    do {
        tn_arena *arena = tn_arena_new();
        const tn_rows *rows;
        const tn_error *error = tn_session_run(
            rotation->session, arena, page->sql,
            TN_PARAMS(rotation->tenant, tn_rows_text(rotation->keys, 0, 0), last.text, PAGE),
            &rows);
        tn_exit status = error == NULL ? TN_EXIT_OK : tn_command_error(rotation->line, error);

        count = status == TN_EXIT_OK ? tn_rows_count(rows) : 0;
        for (size_t i = 0; status == TN_EXIT_OK && i < count; i++) {
            status = reseal_row(rotation, arena, update, tn_rows_text(rows, i, 0),
                                tn_rows_text(rows, i, 1));
            if (!tn_uuid_parse(tn_rows_text(rows, i, 0), &last))
                status = TN_EXIT_FAILED;
            rotation->resealed++;
        }
        tn_arena_free(arena);
        TN_COMMAND_TRY(status);
    } while (count > 0);
    return TN_EXIT_OK;
}

static tn_exit
read_keys(struct rotation *rotation)
{
    return tn_command_query(rotation->line, rotation->session, &tn_sql_storage_keys,
                            TN_PARAMS(rotation->tenant), NULL, &rotation->keys);
}

/* A key of the next generation, under which new files are sealed from now on. */
static tn_exit
add_newest(struct rotation *rotation)
{
    int64_t newest;

    TN_COMMAND_TRY(read_keys(rotation));
    newest = tn_rows_count(rotation->keys) == 0 ? 0 : tn_rows_int(rotation->keys, 0, 0, 0);
    TN_COMMAND_TRY(
        add_key(rotation->line, rotation->config, rotation->session, rotation->tenant, newest + 1));
    return read_keys(rotation);
}

static tn_exit
rotate(struct rotation *rotation)
{
    tn_command_line *line = rotation->line;
    const tn_rows *rows;

    TN_COMMAND_TRY(add_newest(rotation));
    TN_COMMAND_TRY(
        reseal_table(rotation, &tn_sql_storage_sealed_objects, &tn_sql_storage_reseal_object));
    TN_COMMAND_TRY(reseal_table(rotation, &tn_sql_storage_sealed_quarantine,
                                &tn_sql_storage_reseal_quarantine));
    TN_COMMAND_TRY(tn_command_query(line, rotation->session, &tn_sql_storage_keys_drop,
                                    TN_PARAMS(rotation->tenant), NULL, &rows));
    tn_command_print(line,
                     tn_arena_printf(line->arena,
                                     "{\"generation\":%s,\"resealed\":%lld,\"dropped\":%s}",
                                     tn_rows_text(rotation->keys, 0, 0),
                                     (long long)rotation->resealed, tn_rows_text(rows, 0, 0)),
                     "key %s is in use; %lld keys of files sealed under it; %s old keys dropped\n",
                     tn_rows_text(rotation->keys, 0, 0), (long long)rotation->resealed,
                     tn_rows_text(rows, 0, 0));
    return TN_EXIT_OK;
}

static tn_exit
run_rotate_tenant_key(tn_command_line *line)
{
    struct rotation rotation = {.line = line};

    TN_COMMAND_TRY(tn_command_open(line, &rotation.config, &rotation.session));
    TN_COMMAND_TRY(need_master_key(line, rotation.config));
    TN_COMMAND_TRY(tn_command_tenant(line, rotation.config, rotation.session, line->arguments[0],
                                     &rotation.tenant));
    TN_COMMAND_TRY(tn_command_query(line, rotation.session, &tn_sql_storage_work_in,
                                    TN_PARAMS(rotation.tenant), NULL, NULL));
    return rotate(&rotation);
}

/* --- encrypt-bucket --------------------------------------------------------------------------- */

enum { ID, VERSION, SIZE, SHA256, NAME }; /* columns of storage_plain_objects */

struct encryption {
    tn_command_line *line;
    const tn_config *config;
    tn_session *session;
    const char *tenant;
    tn_tenant_key key;
    tn_store *store;
    tn_backend *backend;
    int root;
    int64_t encrypted, gone, damaged;
};

struct copy {
    tn_arena *arena;
    tn_digest *digest;
    int fd;
    bool failed;
};

static bool
take_piece(void *context, const char *bytes, size_t length)
{
    struct copy *copy = context;

    tn_digest_add(copy->digest, bytes, length);
    copy->failed = tn_tree_write(copy->fd, bytes, length) != 0;
    return !copy->failed;
}

static const tn_error *
put_piece(void *context, const void *bytes, size_t length)
{
    const struct copy *copy = context;

    return tn_tree_write(copy->fd, bytes, length) == 0 ? NULL
                                                       : tn_tree_error(copy->arena, "encryption");
}

/* The content in a file without a name; 404 when it is gone, 422 when it is not what the row says.
 */
static const tn_error *
fetch_plain(struct encryption *work, tn_arena *arena, const tn_blob *blob, const char *sha256,
            int *fd)
{
    struct copy copy = {.arena = arena,
                        .digest = tn_digest_new(arena, TN_DIGEST_SHA256),
                        .fd = openat(work->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    tn_digests digests;
    char hex[TN_SHA256_HEX];
    const tn_error *error;

    *fd = copy.fd;
    if (copy.fd < 0)
        return tn_tree_error(arena, "a scratch file");
    error = tn_backend_get(work->backend, arena, blob, 0, -1, take_piece, &copy);
    if (error == NULL && copy.failed)
        error = tn_tree_error(arena, "a scratch file");
    if (error != NULL)
        return error;
    tn_digest_end(copy.digest, &digests);
    tn_hex(digests.sha256, sizeof(digests.sha256), hex);
    if (sha256 != NULL && strcmp(hex, sha256) != 0)
        return tn_error_new(arena, 422, "object_damaged", NULL, "not what its row says");
    return NULL;
}

/* Encrypts `plain` into a staged file and puts that in place under a version of its own. */
static const tn_error *
put_encrypted(struct encryption *work, tn_arena *arena, int plain, int64_t size,
              const tn_blob *blob, const char **sealed_key)
{
    struct copy copy = {.arena = arena};
    const tn_uuid id = tn_uuid_new();
    const char *path = tn_arena_printf(arena, "staging/%s/%s", work->tenant, id.text), *name;
    const int folder = tn_tree_open_folder(work->root, path, true, &name);
    tn_data_key key;
    const tn_error *error;

    if (folder < 0)
        return tn_tree_error(arena, "staging folder");
    copy.fd = tn_tree_open(folder, name, O_RDWR | O_CREAT | O_EXCL);
    (void)close(folder);
    if (copy.fd < 0)
        return tn_tree_error(arena, "staged file");
    tn_data_key_make(&key);
    *sealed_key = tn_data_key_seal(arena, &work->key, &key);
    error = tn_cipher_encrypt(arena, &key, plain, size, put_piece, &copy);
    tn_wipe(&key, sizeof(key));
    if (error == NULL)
        error = tn_backend_put(work->backend, arena, blob, path, copy.fd);
    (void)close(copy.fd);
    if (tn_tree_remove(work->root, path) != 0 && error == NULL)
        error = tn_tree_error(arena, "staged file"); /* it is swept */
    return error;
}

static tn_uuid
new_version(void)
{
    uint8_t bytes[16];

    tn_random(bytes, sizeof(bytes));
    return tn_uuid_of_random(bytes);
}

/* One object: its bytes, encrypted, under a new version, which the row names from then on. The old
 * ones go by way of the trash. */
static const tn_error *
encrypt_object(struct encryption *work, tn_arena *arena, const tn_rows *rows, size_t row)
{
    tn_blob old = {.tenant_id = work->key.tenant_id},
            anew = {.tenant_id = work->key.tenant_id, .version = new_version()};
    const char *sealed_key;
    const tn_rows *result;
    const tn_error *error;
    int plain;

    if (!tn_uuid_parse(tn_rows_text(rows, row, VERSION), &old.version))
        return tn_error_new(arena, 404, "NoSuchKey", NULL, "a version that is none");
    error = fetch_plain(work, arena, &old, tn_rows_text(rows, row, SHA256), &plain);
    if (error == NULL)
        error =
            put_encrypted(work, arena, plain, tn_rows_int(rows, row, SIZE, 0), &anew, &sealed_key);
    if (plain >= 0)
        (void)close(plain);
    TN_TRY(error);
    error = tn_session_run(work->session, arena, tn_sql_storage_object_encrypted.sql,
                           TN_PARAMS(work->tenant, tn_rows_text(rows, row, ID), old.version.text,
                                     anew.version.text, sealed_key),
                           &result);
    if (error == NULL && tn_rows_affected(result) > 0) {
        work->encrypted++;
        return NULL;
    }
    TN_TRY(tn_backend_remove(work->backend, arena, &anew)); /* it has gone, or been replaced */
    return error;
}

/* Goes on behind what cannot be read, and says so. */
static tn_exit
encrypt_row(struct encryption *work, tn_arena *arena, const tn_rows *rows, size_t row)
{
    const tn_error *error = encrypt_object(work, arena, rows, row);

    if (error == NULL)
        return TN_EXIT_OK;
    if (error->status != 404 && error->status != 422)
        return tn_command_error(work->line, error);
    if (error->status == 404)
        work->gone++;
    else
        work->damaged++;
    (void)fprintf(stderr, "%s: %s\n", tn_rows_text(rows, row, VERSION), error->message);
    return TN_EXIT_OK;
}

static tn_exit
encrypt_all(struct encryption *work, const char *bucket)
{
    tn_uuid last = {FIRST_ID};
    size_t count;

    do {
        tn_arena *arena = tn_arena_new();
        const tn_rows *rows;
        const tn_error *error =
            tn_session_run(work->session, arena, tn_sql_storage_plain_objects.sql,
                           TN_PARAMS(work->tenant, bucket, last.text, "20"), &rows);
        tn_exit status = error == NULL ? TN_EXIT_OK : tn_command_error(work->line, error);

        count = status == TN_EXIT_OK ? tn_rows_count(rows) : 0;
        for (size_t i = 0; status == TN_EXIT_OK && i < count; i++) {
            status = encrypt_row(work, arena, rows, i);
            if (!tn_uuid_parse(tn_rows_text(rows, i, ID), &last))
                status = TN_EXIT_FAILED;
        }
        tn_arena_free(arena);
        TN_COMMAND_TRY(status);
    } while (count > 0);
    return TN_EXIT_OK;
}

/* The newest key of the tenant; the first one when there is none. */
static tn_exit
take_key(struct encryption *work)
{
    const tn_rows *rows;
    const tn_error *error;

    TN_COMMAND_TRY(tn_command_query(work->line, work->session, &tn_sql_storage_keys,
                                    TN_PARAMS(work->tenant), NULL, &rows));
    if (tn_rows_count(rows) == 0) {
        TN_COMMAND_TRY(add_key(work->line, work->config, work->session, work->tenant, 1));
        TN_COMMAND_TRY(tn_command_query(work->line, work->session, &tn_sql_storage_keys,
                                        TN_PARAMS(work->tenant), NULL, &rows));
    }
    error = open_key(work->line->arena, work->config, work->tenant, rows, 0, &work->key);
    return error == NULL ? TN_EXIT_OK : tn_command_error(work->line, error);
}

static tn_exit
open_store(struct encryption *work)
{
    const tn_error *error;

    TN_COMMAND_TRY(tn_storage_as_owner(work->line, work->config));
    work->store = tn_store_new(work->config);
    error = tn_store_root(work->store, work->line->arena, &work->root);
    if (error == NULL)
        error = tn_store_backend(work->store, work->line->arena, &work->backend);
    return error == NULL ? TN_EXIT_OK : tn_command_error(work->line, error);
}

static tn_exit
encrypt_bucket(struct encryption *work, const char *bucket)
{
    TN_COMMAND_TRY(tn_command_query(
        work->line, work->session, &tn_sql_storage_bucket_encrypt, TN_PARAMS(work->tenant, bucket),
        tn_arena_printf(work->line->arena, "there is no bucket %s", bucket), NULL));
    TN_COMMAND_TRY(encrypt_all(work, bucket));
    tn_command_print(work->line,
                     tn_arena_printf(work->line->arena,
                                     "{\"encrypted\":%lld,\"missing\":%lld,\"damaged\":%lld}",
                                     (long long)work->encrypted, (long long)work->gone,
                                     (long long)work->damaged),
                     "%s is encrypted: %lld files have been encrypted now\n", bucket,
                     (long long)work->encrypted);
    if (work->gone + work->damaged == 0)
        return TN_EXIT_OK;
    if (!work->line->json)
        printf("%lld files are gone and %lld damaged: see `tenon storage fsck --verify`\n",
               (long long)work->gone, (long long)work->damaged);
    return TN_EXIT_FAILED;
}

static tn_exit
run_encrypt_bucket(tn_command_line *line)
{
    struct encryption work = {.line = line};
    tn_exit status;

    TN_COMMAND_TRY(tn_command_open(line, &work.config, &work.session));
    TN_COMMAND_TRY(need_master_key(line, work.config));
    TN_COMMAND_TRY(tn_command_tenant(line, work.config, work.session,
                                     tn_command_option(line, "tenant"), &work.tenant));
    TN_COMMAND_TRY(tn_command_query(line, work.session, &tn_sql_storage_work_in,
                                    TN_PARAMS(work.tenant), NULL, NULL));
    TN_COMMAND_TRY(take_key(&work));
    status = open_store(&work);
    if (status == TN_EXIT_OK)
        status = encrypt_bucket(&work, line->arguments[0]);
    tn_wipe(&work.key, sizeof(work.key));
    tn_store_free(work.store);
    return status;
}

/* ---------------------------------------------------------------------------------------------- */

static const tn_option encrypt_options[] = {
    {"tenant", "NAME", "whose bucket, by name or id"},
    {.name = NULL},
};

const tn_command tn_storage_key_commands[] = {
    {"storage encrypt-bucket", "BUCKET", 1, 1, "Encrypt the files of a bucket, and those to come",
     "Needs storage.master_key. The server may run; whoever interrupts this begins it again.\n",
     encrypt_options, run_encrypt_bucket},
    {"storage rotate-master", .summary = "Seal all tenants' keys under storage.master_key anew",
     .help = "First put the new key into storage.master_key and the one before into "
             "storage.old_master_keys, and reload.\n"
             "Afterwards the old one can go. Bytes of files are not touched.\n",
     .run = run_rotate_master},
    {"storage rotate-tenant-key", "TENANT", 1, 1,
     "Give a tenant a new key, and seal the keys of its files under it",
     "Bytes of files are not touched. Old keys that seal nothing any more are deleted.\n", NULL,
     run_rotate_tenant_key},
    {.name = NULL},
};
