/* objects/open.c: from an object to a descriptor */
#include "objects/open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "objects/cipher.h"
#include "objects/store.h"
#include "objects/tree.h"
#include "objects/vault.h"

struct fetch {
    int fd, failed; /* errno */
};

static void
close_fd(void *fd)
{
    (void)close((int)(intptr_t)fd);
}

static const tn_error *
keep(tn_ctx *c, int fd, const char *what)
{
    if (fd < 0 && errno == ENOENT)
        return tn_error_new(c->arena, 404, "NoSuchKey", NULL, "the bytes of this object are gone");
    if (fd < 0)
        return tn_tree_error(c->arena, what);
    tn_arena_defer(c->arena, close_fd, (void *)(intptr_t)fd); // NOLINT(performance-no-int-to-ptr)
    return NULL;
}

const tn_error *
tn_scratch_open(tn_ctx *c, bool in_memory, int *fd)
{
    const char *name;
    int root, folder;

    if (in_memory) {
        *fd = memfd_create("tenon", MFD_CLOEXEC);
        return keep(c, *fd, "memory");
    }
    TN_TRY(tn_store_root(c->process->store, c->arena, &root));
    folder = tn_tree_open_folder(root, "staging/-", true, &name);
    if (folder < 0)
        return tn_tree_error(c->arena, "staging");
    *fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        *fd = memfd_create("tenon", MFD_CLOEXEC);
    (void)close(folder);
    return keep(c, *fd, "a file without a name");
}

static bool
take(void *context, const char *bytes, size_t length)
{
    struct fetch *fetch = context;

    if (tn_tree_write(fetch->fd, bytes, length) != 0)
        fetch->failed = errno;
    return fetch->failed == 0;
}

static const tn_error *
fetch(tn_ctx *c, tn_backend *backend, const tn_blob *blob, const tn_object *object, int fd)
{
    struct fetch state = {.fd = fd};
    tn_data_key key;

    if (object->sealed_key != NULL) {
        TN_TRY(tn_vault_open(c, object->sealed_key, &key));
        TN_TRY(tn_cipher_get(
            backend, c->arena, blob,
            &(tn_cipher_source){.key = &key, .size = object->size, .offset = 0, .length = -1}, take,
            &state));
    } else {
        TN_TRY(tn_backend_get(backend, c->arena, blob, 0, -1, take, &state));
    }
    errno = state.failed;
    if (errno != 0 || lseek(fd, 0, SEEK_SET) != 0)
        return tn_tree_error(c->arena, "a file without a name");
    return NULL;
}

const tn_error *
tn_object_open(tn_ctx *c, const tn_object *object, int *fd)
{
    const tn_blob blob = {.tenant_id = c->who->tenant_id, .version = object->version};
    tn_backend *backend;
    int root;

    if (object->version.text[0] == '\0')
        return tn_error_new(c->arena, 404, "NoSuchKey", NULL, "Object not found");
    TN_TRY(tn_store_backend(c->process->store, c->arena, &backend));
    if (object->sealed_key == NULL && tn_backend_accel_path(backend, c->arena, &blob) != NULL) {
        TN_TRY(tn_store_root(c->process->store, c->arena, &root));
        *fd = tn_tree_open(
            root, tn_arena_printf(c->arena, "objects/%s", tn_blob_path(c->arena, &blob)), O_RDONLY);
        return keep(c, *fd, "an object");
    }
    TN_TRY(tn_scratch_open(c, object->sealed_key != NULL, fd));
    return fetch(c, backend, &blob, object, *fd);
}
