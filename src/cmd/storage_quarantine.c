/* cmd/storage_quarantine.c: `tenon storage quarantine …`: what a virus scanner has put aside */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "cmd/queries.h"
#include "cmd/storage.h"
#include "objects/backend.h"
#include "objects/cipher.h"
#include "objects/digest.h"
#include "objects/scan.h"
#include "objects/store.h"
#include "objects/tree.h"
#include "objects/vault.h"

#define SNIFFED 65536

enum { TENANT, BUCKET, NAME, OWNER, SIZE, SHA256, SEALED_KEY }; /* of storage_quarantine_find */

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"ID", "id"},
                                        {"TENANT", "tenant"},
                                        {"BUCKET", "bucket"},
                                        {"NAME", "name"},
                                        {"SIZE", "size"},
                                        {"SIGNATURE", "signature"},
                                        {"SENT BY", "owner_id"},
                                        {"WHEN", "created_at"},
                                        {.title = NULL}};
    const char *tenant = tn_command_option(line, "tenant");
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    if (tenant != NULL)
        TN_COMMAND_TRY(tn_command_tenant(line, config, session, tenant, &tenant));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_storage_quarantine_list,
                                    TN_PARAMS(tenant), NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

/* What both others begin with. */
struct quarantined {
    tn_command_line *line;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    const char *id;
    const char *path; /* beneath storage.dir */
    tn_store *store;
    int root;
};

static const char *
column(const struct quarantined *file, int wanted)
{
    return tn_rows_text(file->rows, 0, wanted);
}

static tn_exit
find(tn_command_line *line, struct quarantined *file)
{
    const tn_error *error;
    tn_uuid id;

    *file = (struct quarantined){.line = line};
    TN_COMMAND_TRY(tn_command_open(line, &file->config, &file->session));
    TN_COMMAND_TRY(tn_command_query(
        line, file->session, &tn_sql_storage_quarantine_find, TN_PARAMS(line->arguments[0]),
        tn_arena_printf(line->arena, "nothing in quarantine has the id %s", line->arguments[0]),
        &file->rows));
    if (!tn_uuid_parse(line->arguments[0], &id))
        return TN_EXIT_NOT_FOUND;
    file->id = tn_arena_text(line->arena, id.text);
    file->path = tn_quarantine_path(line->arena, column(file, TENANT), file->id);
    TN_COMMAND_TRY(tn_storage_as_owner(line, file->config));
    file->store = tn_store_new(file->config);
    error = tn_store_root(file->store, line->arena, &file->root);
    return error == NULL ? TN_EXIT_OK : tn_command_error(line, error);
}

/* Row and file. */
static tn_exit
remove_it(struct quarantined *file)
{
    TN_COMMAND_TRY(tn_command_query(file->line, file->session, &tn_sql_storage_quarantine_delete,
                                    TN_PARAMS(column(file, TENANT), file->id), NULL, NULL));
    if (tn_tree_remove(file->root, file->path) != 0)
        return tn_command_error(file->line, tn_tree_error(file->line->arena, file->path));
    tn_command_print(file->line, "{\"deleted\":true}", "deleted\n");
    return TN_EXIT_OK;
}

static tn_exit
run_delete(tn_command_line *line)
{
    struct quarantined file;
    tn_exit status = find(line, &file);

    if (status == TN_EXIT_OK)
        status = remove_it(&file);
    tn_store_free(file.store);
    return status;
}

/* --- release ---------------------------------------------------------------------------------- */

struct look {
    tn_digest *digest;
    char *first; /* of the content, for libmagic */
    size_t length;
};

static bool
look_at_piece(void *context, const char *bytes, size_t length)
{
    struct look *look = context;
    const size_t room = SNIFFED - look->length;

    tn_digest_add(look->digest, bytes, length);
    memcpy(look->first + look->length, bytes, length < room ? length : room);
    look->length += length < room ? length : room;
    return true;
}

static const tn_error *
find_data_key(const struct quarantined *file, tn_data_key *key)
{
    tn_arena *arena = file->line->arena;
    const char *sealed = column(file, SEALED_KEY);
    tn_tenant_key tenant = {.generation = tn_data_key_generation(sealed)};
    const tn_rows *keys;

    if (!tn_uuid_parse(column(file, TENANT), &tenant.tenant_id))
        return tn_error_internal(arena, "storage.row.invalid", "a tenant's id is no UUID");
    TN_TRY(tn_session_run(file->session, arena, tn_sql_storage_keys.sql,
                          TN_PARAMS(column(file, TENANT)), &keys));
    for (size_t i = 0; i < tn_rows_count(keys); i++)
        if (tn_rows_int(keys, i, 0, 0) == tenant.generation) {
            TN_TRY(
                tn_tenant_key_open(arena, file->config, tn_rows_text(keys, i, 1), &tenant, NULL));
            return tn_data_key_open(arena, &tenant, sealed, key);
        }
    return tn_error_new(arena, 503, "encryption_unavailable", NULL,
                        "the key of this file is not in the database");
}

/* Reads the content; a plain file is one whose size is the content's. */
static const tn_error *
read_content(const struct quarantined *file, int fd, struct look *look)
{
    tn_arena *arena = file->line->arena;
    const int64_t size = tn_rows_int(file->rows, 0, SIZE, 0);
    tn_data_key key;

    if (column(file, SEALED_KEY) != NULL) {
        TN_TRY(find_data_key(file, &key));
        return tn_cipher_get_file(arena, fd,
                                  &(tn_cipher_source){.key = &key, .size = size, .length = -1},
                                  look_at_piece, look);
    }
    for (int64_t offset = 0;;) {
        char *piece = tn_arena_alloc(arena, SNIFFED, 1);
        const ssize_t got = pread(fd, piece, SNIFFED, (off_t)offset);

        if (got < 0)
            return tn_tree_error(arena, file->path);
        if (got == 0)
            return NULL;
        (void)look_at_piece(look, piece, (size_t)got);
        offset += got;
    }
}

/* objects.metadata, from what is in the file. */
static const tn_error *
describe(const struct quarantined *file, int fd, const char **metadata)
{
    tn_arena *arena = file->line->arena;
    struct look look = {.digest = tn_digest_new(arena, TN_DIGEST_MD5 | TN_DIGEST_SHA256),
                        .first = tn_arena_alloc(arena, SNIFFED, 1)};
    PQExpBuffer json = tn_arena_buffer(arena);
    tn_digests digests;
    char md5[2 * sizeof(digests.md5) + 1];

    TN_TRY(read_content(file, fd, &look));
    tn_digest_end(look.digest, &digests);
    if (strcmp(tn_bytea(arena, digests.sha256, sizeof(digests.sha256)), column(file, SHA256)) != 0)
        return tn_error_new(arena, 422, "object_damaged", NULL,
                            "the file is not what its row says");
    tn_hex(digests.md5, sizeof(digests.md5), md5);
    appendPQExpBuffer(json, "{\"eTag\":\"\\\"%s\\\"\",\"size\":%s,\"contentLength\":%s,", md5,
                      column(file, SIZE), column(file, SIZE));
    appendPQExpBufferStr(json,
                         "\"httpStatusCode\":200,\"cacheControl\":\"no-cache\",\"mimetype\":");
    tn_buffer_json_string(json, tn_store_sniff(file->store, arena, look.first, look.length));
    appendPQExpBufferChar(json, '}');
    *metadata = tn_buffer_text(json);
    return NULL;
}

/* The bytes where bytes of files are, then the row, then not in quarantine any more. */
static const tn_error *
release(struct quarantined *file, int fd)
{
    tn_arena *arena = file->line->arena;
    uint8_t random[16];
    tn_blob blob;
    tn_backend *backend;
    const char *metadata;
    const tn_error *error;

    tn_random(random, sizeof(random));
    blob.version = tn_uuid_of_random(random);
    if (!tn_uuid_parse(column(file, TENANT), &blob.tenant_id))
        return tn_error_internal(arena, "storage.row.invalid", "a tenant's id is no UUID");
    TN_TRY(describe(file, fd, &metadata));
    TN_TRY(tn_store_backend(file->store, arena, &backend));
    TN_TRY(tn_backend_put(backend, arena, &blob, file->path, fd));
    error = tn_session_run(file->session, arena, tn_sql_storage_quarantine_release.sql,
                           TN_PARAMS(column(file, TENANT), file->id, blob.version.text, metadata),
                           NULL);
    if (error != NULL) {
        TN_TRY(tn_backend_remove(backend, arena, &blob));
        return error;
    }
    return tn_tree_remove(file->root, file->path) == 0 ? NULL : tn_tree_error(arena, file->path);
}

static tn_exit
run_release(tn_command_line *line)
{
    struct quarantined file;
    const tn_error *error;
    tn_exit status = find(line, &file);
    int fd;

    if (status == TN_EXIT_OK)
        status = tn_command_query(line, file.session, &tn_sql_storage_work_in,
                                  TN_PARAMS(column(&file, TENANT)), NULL, NULL);
    if (status == TN_EXIT_OK) {
        fd = tn_tree_open(file.root, file.path, O_RDONLY);
        error = fd < 0 ? tn_tree_error(line->arena, file.path) : release(&file, fd);
        if (fd >= 0)
            (void)close(fd);
        if (error != NULL)
            status = tn_command_error(line, error);
        else
            tn_command_print(line, "{\"released\":true}", "%s/%s is a file now\n",
                             column(&file, BUCKET), column(&file, NAME));
    }
    tn_store_free(file.store);
    return status;
}

static const tn_option list_options[] = {
    {"tenant", "NAME", "of one tenant only, by name or id"},
    {.name = NULL},
};

const tn_command tn_storage_quarantine_commands[] = {
    {"storage quarantine list", .summary = "What a virus scanner has put aside",
     .options = list_options, .run = run_list},
    {"storage quarantine release", "ID", 1, 1, "Make a file of it after all, where it was to be",
     "Refused when there is a file of that name.\n", NULL, run_release},
    {"storage quarantine delete", "ID", 1, 1, "Delete it for good", NULL, NULL, run_delete},
    {.name = NULL},
};
