/* storage/tus_write.c: bytes as they come, onto the disk, and how far into the row
 *
 * While nothing goes wrong, the row is written every few seconds or mebibytes: a worker that is
 * killed costs what came since. A connection that breaks costs nothing. So often the quota is asked
 * as well, where nobody has said how much will come.
 */
#include <string.h>

#include "base/clock.h"
#include "storage/queries.h"
#include "storage/tus.h"

#define PIECE ((size_t)256 << 10)
#define NOTE_BYTES ((int64_t)16 << 20)
#define NOTE_MS 5000
#define NOTE_LEAVING_MS \
    1000 /* of a worker that is to end: what it is killed for is nearly nothing */
#define PACE_MS                                                                      \
    60000 /* in such a time a client brings at least PACE_BYTES, or has to come back \
           */
#define PACE_BYTES 4096

struct writing {
    tn_ctx *c;
    tn_tus *upload;
    tn_tus_writer *writer;
    tn_incoming *incoming;
    tn_digest *digest; /* NULL: no checksum was sent */
    int64_t start, size_max;
    char *bytes; /* PIECE */
    size_t filled;
    int64_t received; /* bytes of the body */
    int64_t noted;    /* what the row says, and since when */
    int64_t noted_ms;
    int64_t held;   /* bytes that the row counts towards the quota, with or without a checksum */
    bool is_unsure; /* the row may say more than `noted`: the database has not answered */
    int64_t pace_bytes, pace_ms; /* where the present time of that length has begun */
    const tn_error *error;       /* why it does not go on */
};

/* --- the row ---------------------------------------------------------------------------------- */

static const tn_error *
copy_error(tn_arena *arena, const tn_error *error)
{
    tn_error *copy = tn_error_new(arena, error->status, error->code, NULL, "%s", error->message);

    copy->retry_after_s = error->retry_after_s;
    return copy;
}

static const tn_error *
interrupted(tn_ctx *c)
{
    return tn_error_new(c->arena, 400, "upload_interrupted", NULL,
                        "another request goes on with this upload");
}

static const tn_error *
flush(struct writing *w)
{
    const size_t filled = w->filled;

    w->filled = 0; /* what cannot be written is not tried again */
    if (filled == 0)
        return NULL;
    if (w->digest != NULL)
        tn_digest_add(w->digest, w->bytes, filled);
    return tn_incoming_append(w->incoming, w->bytes, filled);
}

/* In a memory of its own, as there may be thousands in one request. */
static const tn_error *
write_row(struct writing *w, int64_t offset, int64_t held)
{
    tn_ctx *c = w->c;
    tn_arena *arena = tn_arena_new();
    const tn_db_context context = tn_ctx_db_as(&(tn_ctx){.arena = arena,
                                                         .request = c->request,
                                                         .who = c->who,
                                                         .config = c->config,
                                                         .process = c->process},
                                               "tenon_worker");
    const char *const parameters[] = {w->upload->id.text,
                                      tn_arena_number(arena, w->upload->generation),
                                      tn_arena_number(arena, offset),
                                      tn_arena_number(arena, held),
                                      tn_arena_number(arena, c->config->storage.upload_ttl_s),
                                      tn_arena_number(arena, c->config->storage.tenant_quota),
                                      tn_arena_number(arena, c->config->storage.user_quota)};
    const tn_query query = {.statement = &tn_sql_tus_note,
                            .parameters = parameters,
                            .parameter_count = TN_COUNT(parameters)};
    const tn_rows *rows = NULL;
    const tn_error *error =
        tn_db_run(c->process->db, arena, &context, TN_READ_WRITE, &query, 1, &rows);

    if (error == NULL || error->status >= 500) /* a refusal says nothing of an earlier silence */
        w->is_unsure = error != NULL;
    if (error != NULL)
        error = copy_error(c->arena, error);
    else if (tn_rows_count(rows) == 0)
        error = tn_error_new(c->arena, 410, "upload_expired", NULL, "the upload has ended");
    else {
        w->upload->expires = tn_arena_text(c->arena, tn_rows_text(rows, 0, 0));
        if (tn_rows_bool(rows, 0, 1))
            w->error = interrupted(c);
    }
    tn_arena_free(arena);
    return error;
}

/* First the bytes, then the row, which refuses what the quota has no room for. Of a piece with a
 * checksum none counts before all are there. */
static const tn_error *
note(struct writing *w)
{
    int64_t size = w->start, held;

    TN_TRY(flush(w));
    held = tn_incoming_size(w->incoming);
    if (w->digest == NULL) {
        size = tn_incoming_size(w->incoming);
        if (size != w->noted)
            TN_TRY(tn_incoming_keep(w->incoming));
    }
    TN_TRY(write_row(w, size, held));
    w->noted = size;
    w->held = held;
    return NULL;
}

/* --- the body --------------------------------------------------------------------------------- */

static bool
is_due(const struct writing *w, int64_t now_ms)
{
    const bool is_leaving = atomic_load(w->c->process->draining);
    const int64_t size = tn_incoming_size(w->incoming) + (int64_t)w->filled;

    return now_ms - w->noted_ms >= (is_leaving ? NOTE_LEAVING_MS : NOTE_MS) ||
           (w->digest == NULL && size - w->noted >= NOTE_BYTES) || size - w->held >= NOTE_BYTES;
}

/* A thread waits for each client that writes, so a trickle is not waited for. */
static bool
is_too_slow(struct writing *w, int64_t now_ms)
{
    if (now_ms - w->pace_ms < PACE_MS)
        return false;
    if (w->received - w->pace_bytes < PACE_BYTES)
        return true;
    w->pace_bytes = w->received;
    w->pace_ms = now_ms;
    return false;
}

/* Now and then, while bytes come and while none do. A database that is away for a while only makes
 * the row older. */
static bool
keep_going(void *context)
{
    struct writing *w = context;
    const int64_t now_ms = tn_clock_ms();
    const tn_error *error = NULL;

    if (atomic_load(&w->writer->is_wanted))
        w->error = interrupted(w->c);
    else if (is_too_slow(w, now_ms))
        w->error = tn_error_new(w->c->arena, 408, "request_timeout", NULL,
                                "too few bytes have come; go on from Upload-Offset");
    else if (atomic_exchange(&w->writer->is_watched, false) || is_due(w, now_ms)) {
        error = note(w);
        w->noted_ms = tn_clock_ms();
    }
    if (error != NULL && error->status != 503)
        w->error = error;
    return w->error == NULL;
}

static const tn_error *
too_large(const struct writing *w)
{
    return tn_error_new(w->c->arena, 413, "EntityTooLarge", NULL,
                        w->upload->length >= 0
                            ? "the upload would have more bytes than its Upload-Length"
                            : "The object exceeded the maximum allowed size");
}

/* The next bytes behind those that are waiting to be written; what happens meanwhile may have
 * written those. */
static ssize_t
read_more(struct writing *w, tn_request *request)
{
    const size_t at = w->filled;
    const ssize_t got = tn_request_read_live(request, w->bytes + at, PIECE - at, keep_going, w);

    if (got <= 0)
        return got;
    if (w->filled != at)
        memmove(w->bytes + w->filled, w->bytes + at, (size_t)got);
    w->filled += (size_t)got;
    w->received += got;
    return got;
}

static const tn_error *
receive(struct writing *w)
{
    tn_request request = *w->c->request; /* reading moves the connection's own state only */
    const int64_t expected = request.content_length;
    ssize_t got;

    while ((got = read_more(w, &request)) > 0) {
        if (w->received > w->size_max - w->start)
            return too_large(w);
        if (w->filled == PIECE)
            TN_TRY(flush(w));
        if (!keep_going(w))
            break;
    }
    if (w->error != NULL)
        return w->error;
    if (got < 0 || (expected >= 0 && w->received != expected))
        return tn_error_new(w->c->arena, 400, "body_incomplete", NULL,
                            "the body ended after %lld bytes", (long long)w->received);
    return flush(w);
}

/* --- its end ---------------------------------------------------------------------------------- */

static const tn_error *
check(struct writing *w, const tn_tus_checksum *checksum)
{
    tn_digests digests;

    if (w->digest == NULL)
        return NULL;
    tn_digest_end(w->digest, &digests);
    if (tn_tus_checksum_fits(checksum, &digests))
        return NULL;
    return tn_error_new(w->c->arena, 460, "checksum_mismatch", NULL,
                        "Upload-Checksum: the bytes have another one and are dropped");
}

/* What came before `error` did is kept, but for a piece that has a checksum, or is too large. What
 * is not does not stay on the disk: nothing counts it. */
static const tn_error *
keep_what_came(struct writing *w, const tn_error *error)
{
    if (w->digest == NULL && error->status != 413)
        (void)!note(w);
    w->upload->offset = w->noted;
    if (!w->is_unsure)
        tn_incoming_cut(w->incoming, w->noted);
    return error;
}

const tn_error *
tn_tus_write(tn_ctx *c, tn_tus *upload, tn_tus_writer *writer, tn_incoming *incoming,
             int64_t size_max, const tn_tus_checksum *checksum)
{
    const int64_t now_ms = tn_clock_ms();
    struct writing w = {.c = c,
                        .upload = upload,
                        .writer = writer,
                        .incoming = incoming,
                        .start = upload->offset,
                        .size_max = size_max,
                        .bytes = tn_arena_alloc(c->arena, PIECE, 1),
                        .noted = upload->offset,
                        .held = upload->offset,
                        .noted_ms = now_ms,
                        .pace_ms = now_ms};
    const tn_error *error;

    atomic_store(&writer->generation, upload->generation);
    if (checksum->which != 0)
        w.digest = tn_digest_new(c->arena, checksum->which);
    error = receive(&w);
    if (error == NULL)
        error = check(&w, checksum);
    if (error != NULL)
        return keep_what_came(&w, error);
    w.digest = NULL; /* it has been checked: all of it counts */
    upload->offset = tn_incoming_size(incoming);
    if (upload->offset == upload->length)
        return NULL;
    error = note(&w);
    return error != NULL ? keep_what_came(&w, error) : NULL;
}
