/* objects/backend.c: which backend there is, and the names of bytes in all of them */
#include "objects/backend_private.h"

tn_backend *
tn_backend_new(tn_arena *arena, const tn_config *config, const char **problem)
{
    return *config->storage.backend_url != '\0' ? tn_backend_both_new(arena, config, problem)
                                                : tn_backend_disk_new(arena, config, problem);
}

void
tn_backend_free(tn_backend *backend)
{
    if (backend != NULL)
        backend->ops->free(backend);
}

const tn_error *
tn_backend_put(tn_backend *backend, tn_arena *arena, const tn_blob *blob, const char *staged,
               int fd)
{
    return backend->ops->put(backend, arena, blob, staged, fd);
}

const tn_error *
tn_backend_copy(tn_backend *backend, tn_arena *arena, const tn_blob *from, const tn_blob *to)
{
    return backend->ops->copy(backend, arena, from, to);
}

const tn_error *
tn_backend_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t offset,
               int64_t length, tn_blob_sink *sink, void *context)
{
    return backend->ops->get(backend, arena, blob, offset, length, sink, context);
}

const tn_error *
tn_backend_stat(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t *size)
{
    return backend->ops->stat(backend, arena, blob, size);
}

const tn_error *
tn_backend_remove(tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    return backend->ops->remove(backend, arena, blob);
}

const tn_error *
tn_backend_list(tn_backend *backend, tn_arena *arena,
                bool (*each)(void *context, const tn_blob_entry *entry), void *context)
{
    return backend->ops->list(backend, arena, each, context);
}

const char *
tn_backend_accel_path(const tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    return backend->ops->accel_path != NULL ? backend->ops->accel_path(backend, arena, blob) : NULL;
}

/* --- names ------------------------------------------------------------------------------------ */

const char *
tn_blob_path(tn_arena *arena, const tn_blob *blob)
{
    const char *tenant = blob->tenant_id.text, *version = blob->version.text;

    return tn_arena_printf(arena, "%s/%.2s/%.2s/%s", tenant, version + 32, version + 34, version);
}

bool
tn_blob_parse(const char *path, tn_blob *blob)
{
    char tenant[37], version[37];
    const size_t length = strlen(path);

    if (length != 36 + 7 + 36 || path[36] != '/' || path[39] != '/' || path[42] != '/')
        return false;
    (void)snprintf(tenant, sizeof(tenant), "%.36s", path);
    (void)snprintf(version, sizeof(version), "%s", path + 43);
    return tn_uuid_parse(tenant, &blob->tenant_id) && tn_uuid_parse(version, &blob->version) &&
           strcmp(blob->tenant_id.text, tenant) == 0 && strcmp(blob->version.text, version) == 0 &&
           memcmp(path + 37, version + 32, 2) == 0 && memcmp(path + 40, version + 34, 2) == 0;
}
