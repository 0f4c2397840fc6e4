/* objects/backend_remote.c: a store that speaks S3 (AWS, MinIO, Ceph, Tenon itself)
 *
 * storage.backend_url is the URL of the bucket; an object of ours is <url>/<tn_blob_path()>.
 * libcurl signs. An upload is one PUT from the file, whose SHA-256 is in the signature, so that the
 * store refuses bytes that have changed on the way; then it is asked for the size. Names are used
 * once, so a request that may have been carried out can be made again.
 *
 * Not used: multipart uploads. One PUT takes 5 GiB (Amazon S3, "Object size limits"); what is
 * larger is refused with a clear error.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/text.h"
#include "objects/backend_private.h"
#include "objects/digest.h"

#define PUT_MAX (INT64_C(5) << 30)
#define BUFFER_SIZE ((size_t)256 * 1024)
#define ANSWER_MAX                                                                \
    ((size_t)8 << 20) /* of a list: 1,000 names with all that may be told of each \
                       */
#define CONNECT_TIMEOUT_MS 5000
#define FIRST_BYTE_TIMEOUT_MS 60000 /* a store that writes 5 GiB before it answers */
#define SILENCE_TIMEOUT_MS 30000
#define ATTEMPTS 3
#define PAUSE_MS 200 /* before the second attempt; four times that before the third */
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct remote {
    tn_backend backend;
    tn_arena *arena;    /* of the texts below */
    const char *url;    /* of the bucket, without a final slash */
    const char *bucket; /* NULL: its name is in the host's */
    tn_fetch_signature signature;
    const char *folder; /* for a file on the way through */
    bool allow_private;
};

static const struct remote *
remote_of(const tn_backend *backend)
{
    return (const struct remote *)backend;
}

/* --- requests --------------------------------------------------------------------------------- */

/* One request, and how it goes. */
struct call {
    const struct remote *remote;
    tn_arena *arena;
    const char *method, *url;
    const char *sha256; /* of the body, in hexadecimal */
    const char *range;  /* "bytes=0-9", or NULL */
    const char *copy_source;
    const tn_fetch_upload *upload;
    int expected;       /* status */
    tn_blob_sink *sink; /* of the bytes of an answer as expected; NULL: they are in result.body */
    void *context;
    bool is_stopped; /* by the sink */
    bool has_given;  /* something to the sink: it is too late to begin anew */
    size_t problem_length;
    char problem[512]; /* how an answer begins that is an error */
    tn_fetch_result result;
};

static bool
take_data(void *context, int status, const char *bytes, size_t length)
{
    struct call *call = context;
    const size_t room = sizeof(call->problem) - 1 - call->problem_length;

    if (status == call->expected) {
        call->has_given = true;
        call->is_stopped = !call->sink(call->context, bytes, length);
        return !call->is_stopped;
    }
    if (length > room)
        length = room;
    memcpy(call->problem + call->problem_length, bytes, length);
    call->problem_length += length;
    return true;
}

static void
run_once(struct call *call)
{
    const char *headers[4] = {tn_arena_printf(call->arena, "x-amz-content-sha256: %s",
                                              call->sha256 == NULL ? EMPTY_SHA256 : call->sha256)};
    /* What HEAD tells of counts as well, although it does not come. */
    const bool is_large = call->sink != NULL || strcmp(call->method, "HEAD") == 0;
    size_t count = 1;
    tn_fetch fetch = {
        .method = call->method,
        .url = call->url,
        .headers = headers,
        .upload = call->upload,
        .signature = &call->remote->signature,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .first_byte_timeout_ms = FIRST_BYTE_TIMEOUT_MS,
        .silence_timeout_ms = SILENCE_TIMEOUT_MS,
        .response_max = is_large ? (size_t)INT64_MAX : ANSWER_MAX,
        .buffer_size = BUFFER_SIZE,
        .allow_private = call->remote->allow_private,
        .context = call,
    };

    if (call->range != NULL)
        headers[count++] = tn_arena_printf(call->arena, "range: %s", call->range);
    if (call->copy_source != NULL)
        headers[count++] = tn_arena_printf(call->arena, "x-amz-copy-source: %s", call->copy_source);
    headers[count] = NULL;
    if (call->sink != NULL)
        fetch.on_data = take_data;
    call->problem_length = 0;
    tn_fetch_run(call->arena, &fetch, &call->result);
}

/* Whether the same request may go better in a moment (Amazon S3: SlowDown and InternalError want
 * to be asked again). */
static bool
is_passing(const struct call *call)
{
    const int status = call->result.status;

    if (call->has_given)
        return false;
    switch (call->result.outcome) {
    case TN_FETCH_DONE:
        return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
    case TN_FETCH_CONNECT:
    case TN_FETCH_BROKEN:
        return true;
    default:
        return false;
    }
}

static void
run(struct call *call)
{
    int64_t pause_ms = PAUSE_MS;

    for (int attempt = 1;; attempt++) {
        const struct timespec pause = {.tv_sec = pause_ms / 1000,
                                       .tv_nsec = pause_ms % 1000 * 1000000};

        run_once(call);
        if (attempt == ATTEMPTS || !is_passing(call))
            return;
        (void)nanosleep(&pause, NULL);
        pause_ms *= 4;
    }
}

/* The store's own word for what is wrong: <Code>SlowDown</Code>. */
static const char *
code_of(const struct call *call)
{
    const char *text =
        call->sink == NULL && call->result.body != NULL ? call->result.body : call->problem;
    const char *code = strstr(text, "<Code>");
    const char *end = code == NULL ? NULL : strstr(code, "</Code>");

    if (end == NULL || end - code > 70)
        return "";
    return tn_arena_printf(call->arena, "%.*s", (int)(end - code - 6), code + 6);
}

static const tn_error *
unavailable(struct call *call)
{
    tn_error *error;

    call->problem[call->problem_length] = '\0';
    tn_log(TN_LOG_ERROR, "storage.backend.failed", TN_STR("method", call->method),
           TN_STR("url", call->url), TN_INT("status", call->result.status),
           TN_STR("code", code_of(call)),
           TN_STR("problem", call->result.problem == NULL ? "" : call->result.problem));
    error = tn_error_new(call->arena, 503, "storage_unavailable", "Try again in a moment.",
                         "the store of files does not answer as it should");
    error->retry_after_s = 1;
    return error;
}

static const tn_error *
not_there(tn_arena *arena)
{
    return tn_error_new(arena, 404, "NoSuchKey", NULL, "the bytes of this object are gone");
}

static bool
is_done(const struct call *call, int status)
{
    return call->result.outcome == TN_FETCH_DONE && call->result.status == status;
}

static struct call
call_of(tn_backend *backend, tn_arena *arena, const char *method, const tn_blob *blob)
{
    const struct remote *remote = remote_of(backend);

    return (struct call){
        .remote = remote,
        .arena = arena,
        .method = method,
        .url = blob == NULL
                   ? NULL
                   : tn_arena_printf(arena, "%s/%s", remote->url, tn_blob_path(arena, blob)),
    };
}

/* --- one object ------------------------------------------------------------------------------- */

static const tn_error *
remote_stat(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t *size)
{
    struct call call = call_of(backend, arena, "HEAD", blob);

    run(&call);
    if (is_done(&call, 404))
        return not_there(arena);
    if (!is_done(&call, 200) || call.result.content_length < 0)
        return unavailable(&call);
    if (size != NULL)
        *size = call.result.content_length;
    return NULL;
}

/* What has been put is there, as large as it should be. */
static const tn_error *
check_size(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t expected)
{
    struct call call = call_of(backend, arena, "HEAD", blob);
    int64_t size = 0;
    const tn_error *error = remote_stat(backend, arena, blob, &size);

    if (error != NULL && error->status != 404)
        return error;
    if (error == NULL && size == expected)
        return NULL;
    call.result.problem =
        tn_arena_printf(arena, "%" PRId64 " bytes are there instead of %" PRId64, size, expected);
    return unavailable(&call);
}

static const tn_error *
digest_file(tn_arena *arena, int fd, int64_t *size, const char **hex)
{
    tn_digest *digest = tn_digest_new(arena, TN_DIGEST_SHA256);
    char *piece = tn_arena_alloc(arena, BUFFER_SIZE, 1);
    char *text = tn_arena_alloc(arena, TN_SHA256_HEX, 1);
    tn_digests digests;

    for (*size = 0;;) {
        const ssize_t got = pread(fd, piece, BUFFER_SIZE, (off_t)*size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tn_error_internal(arena, "storage.file.read_failed", "%s", strerror(errno));
        if (got == 0)
            break;
        tn_digest_add(digest, piece, (size_t)got);
        *size += got;
    }
    tn_digest_end(digest, &digests);
    tn_hex(digests.sha256, sizeof(digests.sha256), text);
    *hex = text;
    return NULL;
}

static const tn_error *
remote_put(tn_backend *backend, tn_arena *arena, const tn_blob *blob, const char *staged, int fd)
{
    struct call call = call_of(backend, arena, "PUT", blob);
    tn_fetch_upload upload = {.fd = fd};

    (void)staged;
    TN_TRY(digest_file(arena, fd, &upload.length, &call.sha256));
    if (upload.length > PUT_MAX)
        return tn_error_new(arena, 413, "EntityTooLarge", NULL,
                            "the store of files takes objects of 5 GiB at most");
    call.upload = &upload;
    run(&call);
    if (!is_done(&call, 200))
        return unavailable(&call);
    return check_size(backend, arena, blob, upload.length);
}

/* NOLINTNEXTLINE(readability-function-size): as tn_backend_get() */
static const tn_error *
remote_get(tn_backend *backend, tn_arena *arena, const tn_blob *blob, int64_t offset,
           int64_t length, tn_blob_sink *sink, void *context)
{
    struct call call = call_of(backend, arena, "GET", blob);
    const bool is_part = offset > 0 || length >= 0;

    if (length == 0)
        return remote_stat(backend, arena, blob, NULL);
    call.expected = is_part ? 206 : 200; /* a store that knows no ranges gives nothing */
    call.sink = sink;
    call.context = context;
    if (is_part)
        call.range = length < 0 ? tn_arena_printf(arena, "bytes=%" PRId64 "-", offset)
                                : tn_arena_printf(arena, "bytes=%" PRId64 "-%" PRId64, offset,
                                                  offset + length - 1);
    run(&call);
    if (call.is_stopped || is_done(&call, call.expected))
        return NULL;
    if (is_done(&call, 404))
        return not_there(arena);
    if (is_done(&call, 416)) /* nothing is behind the end, as in a file */
        return NULL;
    return unavailable(&call);
}

static const tn_error *
remote_remove(tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    struct call call = call_of(backend, arena, "DELETE", blob);

    run(&call);
    if (is_done(&call, 204) || is_done(&call, 200) || is_done(&call, 404))
        return NULL;
    return unavailable(&call);
}

/* --- copies ----------------------------------------------------------------------------------- */

static bool
write_piece(void *context, const char *bytes, size_t length)
{
    const int *fd = context;

    while (length > 0) {
        const ssize_t written = write(*fd, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

/* By way of this machine: where the store cannot be told which bucket it is. */
static const tn_error *
copy_through(tn_backend *backend, tn_arena *arena, const tn_blob *from, const tn_blob *to,
             int64_t size)
{
    int fd = open(remote_of(backend)->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    const tn_error *error;

    if (fd < 0)
        return tn_error_internal(arena, "storage.file.write_failed", "%s", strerror(errno));
    error = remote_get(backend, arena, from, 0, -1, write_piece, &fd);
    if (error == NULL)
        error = remote_put(backend, arena, to, "", fd);
    if (error == NULL)
        error = check_size(backend, arena, to, size);
    (void)close(fd);
    return error;
}

static const tn_error *
remote_copy(tn_backend *backend, tn_arena *arena, const tn_blob *from, const tn_blob *to)
{
    const struct remote *remote = remote_of(backend);
    struct call call = call_of(backend, arena, "PUT", to);
    int64_t size = 0;

    TN_TRY(remote_stat(backend, arena, from, &size));
    if (remote->bucket == NULL)
        return copy_through(backend, arena, from, to, size);
    call.copy_source = tn_arena_printf(arena, "/%s/%s", remote->bucket, tn_blob_path(arena, from));
    run(&call);
    /* An error may come in an answer that began as a success (Amazon S3, CopyObject). */
    if (!is_done(&call, 200) || strstr(call.result.body, "<Error>") != NULL)
        return unavailable(&call);
    return check_size(backend, arena, to, size);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* What stands between <name> and </name>, before `end`. Names of ours need no decoding; what does
 * is none of ours. */
static const char *
element(tn_arena *arena, const char *from, const char *end, const char *name)
{
    const char *opening = tn_arena_printf(arena, "<%s>", name);
    const char *start = strstr(from, opening), *stop;

    if (start == NULL || start >= end)
        return NULL;
    start += strlen(opening);
    stop = strchr(start, '<');
    if (stop == NULL || stop > end)
        return NULL;
    return tn_arena_bytes(arena, start, (size_t)(stop - start));
}

/* "2026-11-21T19:40:59.324Z" */
static int64_t
read_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    return rest == NULL ? 0 : (int64_t)timegm(&tm);
}

static bool
give_entry(tn_arena *arena, const char *from, const char *end,
           bool (*each)(void *context, const tn_blob_entry *entry), void *context)
{
    const char *key = element(arena, from, end, "Key");
    const char *size = element(arena, from, end, "Size");
    tn_blob_entry entry = {.modified_s = read_time(element(arena, from, end, "LastModified"))};

    if (key == NULL || size == NULL || !tn_blob_parse(key, &entry.blob) ||
        !tn_text_int(size, 0, INT64_MAX, &entry.size))
        return true; /* something else in the bucket */
    return each(context, &entry);
}

/* false: no more. */
static bool
give_page(const char *page, bool (*each)(void *context, const tn_blob_entry *entry), void *context)
{
    for (const char *at = strstr(page, "<Contents>"); at != NULL; at = strstr(at, "<Contents>")) {
        const char *end = strstr(at, "</Contents>");
        tn_arena *arena = tn_arena_new();
        bool goes_on = end != NULL && give_entry(arena, at, end, each, context);

        tn_arena_free(arena);
        if (!goes_on)
            return false;
        at = end;
    }
    return true;
}

/* A token for the query: entities of XML read, and everything encoded but RFC 3986's unreserved. */
static const char *
encode_token(tn_arena *arena, const char *token)
{
    static const struct {
        const char *entity;
        char character;
    } entities[] = {{"&amp;", '&'},   {"&lt;", '<'},  {"&gt;", '>'},   {"&quot;", '"'},
                    {"&apos;", '\''}, {"&#34;", '"'}, {"&#39;", '\''}, {"&#43;", '+'}};
    PQExpBuffer text = tn_arena_buffer(arena);

    while (*token != '\0') {
        char c = *token;
        size_t length = 1;

        for (size_t i = 0; c == '&' && length == 1 && i < TN_COUNT(entities); i++)
            if (tn_text_starts(token, entities[i].entity)) {
                length = strlen(entities[i].entity);
                c = entities[i].character;
                break;
            }
        token += length;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL)
            appendPQExpBufferChar(text, c);
        else
            appendPQExpBuffer(text, "%%%02X", (unsigned char)c);
    }
    return tn_buffer_text(text);
}

/* One page, in memory by itself; `*token` is where the next one begins, NULL when there is none. */
static const tn_error *
list_page(tn_backend *backend, tn_arena *page,
          bool (*each)(void *context, const tn_blob_entry *entry), void *context, char **token)
{
    const struct remote *remote = remote_of(backend);
    struct call call = call_of(backend, page, "GET", NULL);
    const char *slash = remote->bucket == NULL ? "/" : "";
    const char *next;
    bool goes_on;

    call.url = *token == NULL ? tn_arena_printf(page, "%s%s?list-type=2", remote->url, slash)
                              : tn_arena_printf(page, "%s%s?continuation-token=%s&list-type=2",
                                                remote->url, slash, *token);
    run(&call);
    free(*token);
    *token = NULL;
    if (!is_done(&call, 200))
        return unavailable(&call);
    next = element(page, call.result.body, call.result.body + call.result.body_length,
                   "NextContinuationToken");
    goes_on = give_page(call.result.body, each, context);
    if (!goes_on || next == NULL || *next == '\0')
        return NULL;
    *token = strdup(encode_token(page, next));
    if (*token == NULL)
        tn_die("out of memory");
    return NULL;
}

/* `each` may do with the arena what it likes, so nothing of ours is in it. */
static const tn_error *
remote_list(tn_backend *backend, tn_arena *arena,
            bool (*each)(void *context, const tn_blob_entry *entry), void *context)
{
    char *token = NULL;

    do {
        tn_arena *page = tn_arena_new();
        const tn_error *error = list_page(backend, page, each, context, &token);

        if (error != NULL)
            error =
                tn_error_new(arena, error->status, error->code, error->hint, "%s", error->message);
        tn_arena_free(page);
        if (error != NULL)
            return error;
    } while (token != NULL);
    return NULL;
}

/* --- the store -------------------------------------------------------------------------------- */

static const char *
no_accel_path(const tn_backend *backend, tn_arena *arena, const tn_blob *blob)
{
    (void)backend;
    (void)arena;
    (void)blob;
    return NULL;
}

static void
remote_free(tn_backend *backend)
{
    struct remote *remote = (struct remote *)backend;

    tn_arena_free(remote->arena);
    free(remote);
}

static const tn_backend_ops remote_ops = {
    .free = remote_free,
    .put = remote_put,
    .copy = remote_copy,
    .get = remote_get,
    .stat = remote_stat,
    .remove = remote_remove,
    .list = remote_list,
    .accel_path = no_accel_path,
};

/* Nothing in it that would have to be encoded: libcurl 7.88 signs a path as it is. */
static const char *
problem_of_url(const char *url)
{
    const char *rest;

    if (!tn_text_starts(url, "https://") && !tn_text_starts(url, "http://"))
        return "storage.backend_url: expected https://host/bucket";
    rest = strstr(url, "://") + 3;
    if (strspn(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:[]") !=
            strlen(rest) ||
        *rest == '/' || *rest == '\0')
        return "storage.backend_url: expected https://host/bucket, in letters, digits and -._~";
    return NULL;
}

tn_backend *
tn_backend_remote_new(tn_arena *arena, const tn_config *config, const char **problem)
{
    struct remote *remote;
    char *url, *path;

    (void)arena;
    *problem = problem_of_url(config->storage.backend_url);
    if (*problem != NULL)
        return NULL;
    remote = calloc(1, sizeof(*remote));
    if (remote == NULL)
        tn_die("out of memory");
    remote->backend.ops = &remote_ops;
    remote->arena = tn_arena_new();
    url = tn_arena_text(remote->arena, config->storage.backend_url);
    while (url[strlen(url) - 1] == '/')
        url[strlen(url) - 1] = '\0';
    path = strchr(strstr(url, "://") + 3, '/');
    remote->url = url;
    remote->bucket = path == NULL ? NULL : strrchr(path, '/') + 1;
    remote->signature = (tn_fetch_signature){
        .key_id = tn_arena_text(remote->arena, config->storage.backend_key_id),
        .secret = tn_arena_text(remote->arena, config->storage.backend_secret),
        .region = tn_arena_text(remote->arena, config->storage.backend_region),
    };
    remote->folder = tn_arena_text(remote->arena, config->storage.dir);
    remote->allow_private = config->storage.backend_allow_private;
    return &remote->backend;
}
