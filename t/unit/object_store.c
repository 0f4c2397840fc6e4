/* t/unit/object_store.c: objects/tree.c, incoming.c, backend_disk.c: files in a folder of ours, and
 * links that somebody has planted in it */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "base/metrics.h"
#include "identity/ctx.h"
#include "objects/backend.h"
#include "objects/incoming.h"
#include "objects/store.h"
#include "objects/tree.h"
#include "t/unit/unit.h"

#define TENANT "01a1ffad-20a4-710a-9eba-dab7a1236e54"
#define OTHER "01a1ffad-20a4-710a-9eba-dab7a1236e55"

/* A folder, and a request of a tenant in it. */
struct world {
    char outside[64], dir[80];
    tn_config config;
    tn_process process;
    tn_metrics metrics;
    tn_principal who;
    tn_request request;
    tn_arena *arena;
    tn_ctx c;
    tn_backend *backend;
    int root;
};

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int
begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    int spool;

    assert_non_null(w);
    (void)snprintf(w->outside, sizeof(w->outside), "/tmp/tenon-unit-XXXXXX");
    assert_non_null(mkdtemp(w->outside));
    (void)snprintf(w->dir, sizeof(w->dir), "%s/storage", w->outside);
    w->config.storage.dir = w->dir;
    w->config.storage.backend_url = "";
    w->arena = tn_arena_new();
    w->process = (tn_process){
        .config = &w->config, .store = tn_store_new(&w->config), .metrics = &w->metrics};
    assert_true(tn_uuid_parse(TENANT, &w->who.tenant_id));
    w->request = (tn_request){.method = "PUT", .content_length = -1, .phase = TN_PHASE_ADMITTED};
    w->c = (tn_ctx){.arena = w->arena,
                    .request = &w->request,
                    .who = &w->who,
                    .config = &w->config,
                    .process = &w->process};
    assert_null(tn_store_root(w->process.store, w->arena, &w->root));
    assert_null(tn_store_backend(w->process.store, w->arena, &w->backend));
    spool = mkdirat(w->root, "spool", 0700);
    assert_int_equal(spool, 0);
    *state = w;
    return 0;
}

static int
end(void **state)
{
    struct world *w = *state;

    tn_arena_free(w->arena);
    tn_store_free(w->process.store);
    assert_int_equal(nftw(w->outside, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(w);
    return 0;
}

static bool
is_there(const struct world *w, const char *path)
{
    struct stat status;

    return fstatat(w->root, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static tn_blob
new_blob(const struct world *w)
{
    return (tn_blob){.tenant_id = w->who.tenant_id, .version = tn_uuid_new()};
}

static const char *
staged_path(const struct world *w, const tn_incoming *incoming)
{
    return tn_arena_printf(w->arena, "staging/%s/%s", TENANT, tn_incoming_id(incoming)->text);
}

static bool
collect(void *context, const char *bytes, size_t length)
{
    appendBinaryPQExpBuffer(context, bytes, length);
    return true;
}

static const char *
content_of(struct world *w, const tn_blob *blob, int64_t offset, int64_t length)
{
    PQExpBuffer text = tn_arena_buffer(w->arena);

    assert_null(tn_backend_get(w->backend, w->arena, blob, offset, length, collect, text));
    return tn_buffer_text(text);
}

static tn_blob
put(struct world *w, const char *text)
{
    const tn_blob blob = new_blob(w);
    tn_incoming *incoming;

    assert_null(tn_incoming_new(&w->c, &incoming));
    assert_null(tn_incoming_append(incoming, text, strlen(text)));
    assert_null(tn_backend_put(w->backend, w->arena, &blob, staged_path(w, incoming),
                               tn_incoming_fd(incoming)));
    tn_incoming_drop(incoming);
    return blob;
}

/* --- what arrives ----------------------------------------------------------------------------- */

static void
a_spooled_body_is_renamed(void **state)
{
    struct world *w = *state;
    const char *spooled = tn_arena_printf(w->arena, "%s/spool/0000000001", w->dir);
    tn_incoming *incoming;
    struct stat before, after;

    write_file(spooled, "hello");
    assert_int_equal(stat(spooled, &before), 0);
    w->request.body_file = spooled;
    w->request.content_length = 5;
    assert_null(tn_incoming_body(&w->c, 0, &incoming));
    assert_int_equal(tn_incoming_size(incoming), 5);
    assert_false(is_there(w, "spool/0000000001"));
    assert_int_equal(fstat(tn_incoming_fd(incoming), &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(after.st_mode & 07777, 0640);
    assert_true(is_there(w, staged_path(w, incoming)));
}

/* Something went wrong between nginx and the worker: such a body is no object. */
static void
a_body_of_another_length_is_refused(void **state)
{
    struct world *w = *state;
    const char *spooled = tn_arena_printf(w->arena, "%s/spool/0000000001", w->dir);
    tn_incoming *incoming;
    const tn_error *error;

    write_file(spooled, "hello");
    w->request.body_file = spooled;
    w->request.content_length = 6;
    error = tn_incoming_body(&w->c, 0, &incoming);
    assert_non_null(error);
    assert_string_equal(error->code, "body_incomplete");

    w->request.body_file = NULL; /* nginx spools everything but nothing */
    error = tn_incoming_body(&w->c, 0, &incoming);
    assert_non_null(error);
    assert_string_equal(error->code, "body_incomplete");
}

static void
a_body_that_is_too_large_is_refused(void **state)
{
    struct world *w = *state;
    const char *spooled = tn_arena_printf(w->arena, "%s/spool/0000000001", w->dir);
    tn_incoming *incoming;
    const tn_error *error;

    write_file(spooled, "hello");
    w->request.body_file = spooled;
    error = tn_incoming_body(&w->c, 4, &incoming);
    assert_non_null(error);
    assert_int_equal(error->status, 413);
    assert_string_equal(error->code, "EntityTooLarge");
}

static void
no_body_is_an_empty_one(void **state)
{
    struct world *w = *state;
    tn_incoming *incoming;

    assert_null(tn_incoming_body(&w->c, 0, &incoming));
    assert_int_equal(tn_incoming_size(incoming), 0);
    w->request.content_length = 0;
    assert_null(tn_incoming_body(&w->c, 0, &incoming));
    assert_int_equal(tn_incoming_size(incoming), 0);
}

/* A spool elsewhere: another filesystem, or a path that is written in another way. */
static void
a_body_from_elsewhere_is_copied(void **state)
{
    struct world *w = *state;
    const char *spooled = tn_arena_printf(w->arena, "%s/elsewhere", w->outside);
    char bytes[8] = "";
    tn_incoming *incoming;
    size_t got;

    write_file(spooled, "hello");
    w->request.body_file = spooled;
    w->request.content_length = 5;
    assert_null(tn_incoming_body(&w->c, 0, &incoming));
    assert_null(tn_incoming_read(incoming, 0, bytes, sizeof(bytes), &got));
    assert_int_equal(got, 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(access(spooled, F_OK), 0); /* nginx removes it */
}

static void
what_is_not_taken_goes_with_the_request(void **state)
{
    struct world *w = *state;
    const char *dropped, *kept;
    tn_incoming *one, *other, *again;
    tn_uuid id;

    assert_null(tn_incoming_new(&w->c, &one));
    assert_null(tn_incoming_new(&w->c, &other));
    assert_null(tn_incoming_append(other, "hello", 5));
    assert_null(tn_incoming_keep(other));
    id = *tn_incoming_id(other);
    dropped = strdup(staged_path(w, one));
    kept = strdup(staged_path(w, other));
    assert_true(is_there(w, dropped) && is_there(w, kept));
    tn_arena_reset(w->arena);
    assert_false(is_there(w, dropped));
    assert_true(is_there(w, kept));

    assert_null(tn_incoming_open(&w->c, &id, 4, &again)); /* the row knows of four */
    assert_int_equal(tn_incoming_size(again), 4);
    assert_null(tn_incoming_append(again, "!", 1));
    assert_int_equal(tn_incoming_size(again), 5);
    tn_arena_reset(w->arena);
    assert_true(is_there(w, kept));
    assert_non_null(tn_incoming_open(&w->c, &id, 6, &again)); /* bytes are missing */
    tn_staging_remove(&w->process, &w->who.tenant_id, &id);
    assert_false(is_there(w, kept));
    assert_non_null(tn_incoming_open(&w->c, &id, 0, &again));
    free((void *)(uintptr_t)dropped);
    free((void *)(uintptr_t)kept);
}

static void
parts_are_put_together(void **state)
{
    struct world *w = *state;
    tn_incoming *source, *whole;
    char bytes[16] = "";
    size_t got;

    assert_null(tn_incoming_new(&w->c, &source));
    assert_null(tn_incoming_append(source, "0123456789", 10));
    assert_null(tn_incoming_new(&w->c, &whole));
    assert_null(tn_incoming_append(whole, "ab", 2));
    assert_null(tn_incoming_append_file(whole, source, 3, 4));
    assert_null(tn_incoming_append_file(whole, source, 8, -1));
    assert_null(tn_incoming_append(whole, "c", 1));
    assert_int_equal(tn_incoming_size(whole), 9);
    assert_null(tn_incoming_read(whole, 0, bytes, sizeof(bytes), &got));
    assert_int_equal(got, 9);
    assert_memory_equal(bytes, "ab345689c", 9);
    assert_non_null(tn_incoming_append_file(whole, source, 8, 5)); /* there are two more */
}

/* --- what is kept ----------------------------------------------------------------------------- */

static void
bytes_are_put_read_copied_and_removed(void **state)
{
    struct world *w = *state;
    const tn_blob blob = put(w, "0123456789"), copy = new_blob(w);
    struct stat status;
    int64_t size;

    assert_string_equal(content_of(w, &blob, 0, -1), "0123456789");
    assert_string_equal(content_of(w, &blob, 3, 4), "3456");
    assert_string_equal(content_of(w, &blob, 9, -1), "9");
    assert_null(tn_backend_stat(w->backend, w->arena, &blob, &size));
    assert_int_equal(size, 10);
    assert_null(tn_backend_copy(w->backend, w->arena, &blob, &copy));
    assert_null(tn_backend_remove(w->backend, w->arena, &blob));
    assert_null(tn_backend_remove(w->backend, w->arena, &blob)); /* twice does no harm */
    assert_string_equal(tn_backend_stat(w->backend, w->arena, &blob, NULL)->code, "NoSuchKey");
    assert_string_equal(content_of(w, &copy, 0, -1), "0123456789");
    assert_int_equal(fstatat(w->root,
                             tn_arena_printf(w->arena, "objects/%s", tn_blob_path(w->arena, &copy)),
                             &status, 0),
                     0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(fstatat(w->root, "objects/" TENANT, &status, 0), 0);
    assert_int_equal(status.st_mode & 07777, 0750);
}

static void
nothing_is_ever_replaced(void **state)
{
    struct world *w = *state;
    const tn_blob blob = put(w, "first"), other = put(w, "other");
    tn_incoming *incoming;

    assert_null(tn_incoming_new(&w->c, &incoming));
    assert_non_null(tn_backend_put(w->backend, w->arena, &blob, staged_path(w, incoming),
                                   tn_incoming_fd(incoming)));
    assert_non_null(tn_backend_copy(w->backend, w->arena, &other, &blob));
    assert_string_equal(content_of(w, &blob, 0, -1), "first");
}

struct found {
    size_t count;
    int64_t bytes;
};

static bool
count(void *context, const tn_blob_entry *entry)
{
    struct found *found = context;

    found->count++;
    found->bytes += entry->size;
    return true;
}

static void
everything_is_listed(void **state)
{
    struct world *w = *state;
    struct found found = {0};
    tn_blob blob;

    assert_null(tn_backend_list(w->backend, w->arena, count, &found));
    assert_int_equal(found.count, 0);
    (void)put(w, "one");
    blob = put(w, "three");
    assert_int_equal(mkdirat(w->root, "objects/lost+found", 0700), 0);
    assert_int_equal(symlinkat("/etc", w->root, "objects/" OTHER), 0);
    assert_int_equal(symlinkat("/etc/passwd", w->root,
                               tn_arena_printf(w->arena, "objects/%.42s/%s",
                                               tn_blob_path(w->arena, &blob), tn_uuid_new().text)),
                     0);
    assert_null(tn_backend_list(w->backend, w->arena, count, &found));
    assert_int_equal(found.count, 2);
    assert_int_equal(found.bytes, 8);
}

/* --- links that somebody has planted ---------------------------------------------------------- */

static void
links_lead_nowhere(void **state)
{
    struct world *w = *state;
    tn_blob blob = new_blob(w);
    const char *secret = tn_arena_printf(w->arena, "%s/secret", w->outside);
    const char *path, *name;
    tn_incoming *incoming;
    int fd;

    write_file(secret, "secret");
    (void)put(w, "x"); /* so that the tenant's folder is there */

    /* the file itself */
    path = tn_arena_printf(w->arena, "objects/%s", tn_blob_path(w->arena, &blob));
    fd = tn_tree_open_folder(w->root, path, true, &name);
    assert_true(fd >= 0);
    assert_int_equal(symlinkat(secret, fd, name), 0);
    (void)close(fd);
    assert_non_null(
        tn_backend_get(w->backend, w->arena, &blob, 0, -1, collect, tn_arena_buffer(w->arena)));
    assert_true(tn_tree_open(w->root, path, O_RDONLY) < 0);
    assert_int_equal(errno, ELOOP);

    /* a folder on the way */
    assert_true(tn_uuid_parse(OTHER, &blob.tenant_id));
    assert_int_equal(symlinkat(w->outside, w->root, "objects/" OTHER), 0);
    assert_null(tn_incoming_new(&w->c, &incoming));
    assert_non_null(tn_backend_put(w->backend, w->arena, &blob, staged_path(w, incoming),
                                   tn_incoming_fd(incoming)));
    assert_int_equal(symlinkat(w->outside, w->root, "staging/" OTHER), 0);
    w->who.tenant_id = blob.tenant_id;
    assert_non_null(tn_incoming_new(&w->c, &incoming));

    /* the spooled body */
    assert_int_equal(symlinkat(secret, w->root, "spool/0000000002"), 0);
    assert_true(tn_uuid_parse(TENANT, &w->who.tenant_id));
    w->request.body_file = tn_arena_printf(w->arena, "%s/spool/0000000002", w->dir);
    assert_non_null(tn_incoming_body(&w->c, 0, &incoming));
}

static void
paths_stay_beneath(void **state)
{
    struct world *w = *state;
    const char *const paths[] = {"../secret", "/etc/passwd", "spool/../../secret",
                                 "/proc/self/root/etc/passwd"};

    write_file(tn_arena_printf(w->arena, "%s/secret", w->outside), "secret");
    for (size_t i = 0; i < TN_COUNT(paths); i++) {
        TN_CASE("%s", paths[i]);
        TN_CHECK(tn_tree_open(w->root, paths[i], O_RDONLY) < 0);
        TN_CHECK(tn_tree_rename(w->root, paths[i], "spool/mine") != 0);
    }
    assert_true(tn_tree_rename(w->root, "../secret", "spool/mine") != 0);
    assert_true(tn_tree_link(w->root, "../secret", "spool/mine") != 0);
    assert_true(tn_tree_remove(w->root, "../secret") != 0);
    assert_int_equal(access(tn_arena_printf(w->arena, "%s/secret", w->outside), F_OK), 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_spooled_body_is_renamed),
        IN_WORLD(a_body_of_another_length_is_refused),
        IN_WORLD(a_body_that_is_too_large_is_refused),
        IN_WORLD(no_body_is_an_empty_one),
        IN_WORLD(a_body_from_elsewhere_is_copied),
        IN_WORLD(what_is_not_taken_goes_with_the_request),
        IN_WORLD(parts_are_put_together),
        IN_WORLD(bytes_are_put_read_copied_and_removed),
        IN_WORLD(nothing_is_ever_replaced),
        IN_WORLD(everything_is_listed),
        IN_WORLD(links_lead_nowhere),
        IN_WORLD(paths_stay_beneath),
    };

    return tn_unit_run("object_store", tests, TN_COUNT(tests));
}
