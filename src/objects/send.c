/* objects/send.c: header fields, conditions and ranges of a download; the bytes by nginx or from
 * here */
#include "objects/send.h"

#include "base/text.h"
#include "objects/condition.h"
#include "objects/content_type.h"
#include "objects/objects_private.h"
#include "objects/vault.h"

/* Nothing in it may run, load or be framed as the site's own (CSP level 3). Images and styles of a
 * drawing's own still show. */
#define SANDBOX \
    "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:"
#define SEND_PATH "/_tenon/send"

/* What an answer is made of. */
struct sending {
    tn_ctx *c;
    const tn_object *object;
    const tn_sending *wanted;
    const char *content_type, *disposition;
    bool is_active;
    tn_range range;
    bool is_part;
    bool opened; /* the head is on its way */
};

/* --- header fields ---------------------------------------------------------------------------- */

static const char *
content_type_of(const struct sending *s)
{
    const char *type =
        s->wanted->content_type != NULL ? s->wanted->content_type : s->object->content_type;

    if (!s->wanted->html_as_text || strstr(tn_text_lower(s->c->arena, type), "text/html") == NULL)
        return type;
    return "text/plain; charset=utf-8";
}

/* A page is saved, whatever is asked; what it is called stays. */
static const char *
disposition_of(const struct sending *s)
{
    const char *wanted = s->wanted->disposition;

    if (!tn_type_is_dangerous(s->c->arena, s->content_type) ||
        (wanted != NULL && strncasecmp(wanted, "attachment", 10) == 0))
        return wanted;
    if (wanted != NULL && strncasecmp(wanted, "inline", 6) == 0)
        return tn_arena_printf(s->c->arena, "attachment%s", wanted + 6);
    return "attachment";
}

static void
add(const struct sending *s, const char *name, const char *value)
{
    if (tn_text_is_given(value) && tn_is_field_value(value))
        tn_response_header(s->c->response, name, value);
}

/* What a 304 has as well (RFC 9110 section 15.4.5). */
static void
add_validators(const struct sending *s)
{
    char date[TN_HTTP_DATE_SIZE];

    tn_http_date(s->object->modified_s, date);
    add(s, "ETag", s->object->etag);
    add(s, "Last-Modified", tn_arena_text(s->c->arena, date));
    if (s->wanted->expires != NULL)
        add(s, "Expires", s->wanted->expires);
    else
        add(s, "Cache-Control",
            s->wanted->cache_control != NULL ? s->wanted->cache_control : s->object->cache_control);
}

static void
add_fields(const struct sending *s)
{
    add_validators(s);
    s->c->response->content_type = s->content_type;
    add(s, "X-Robots-Tag", s->object->robots != NULL ? s->object->robots : "none");
    add(s, "Content-Disposition", s->disposition);
    add(s, "Content-Encoding", s->wanted->content_encoding);
    add(s, "Content-Language", s->wanted->content_language);
    if (s->is_active)
        add(s, "Content-Security-Policy", SANDBOX);
    for (size_t i = 0; i < s->wanted->header_count; i++) /* with empty ones: metadata may be so */
        if (tn_is_field_value(s->wanted->headers[i].value))
            tn_response_header(s->c->response, s->wanted->headers[i].name,
                               s->wanted->headers[i].value);
}

/* --- answers without bytes -------------------------------------------------------------------- */

static const tn_error *
not_modified(const struct sending *s)
{
    tn_response_empty(s->c->response, 304);
    add_validators(s);
    return NULL;
}

static const tn_error *
precondition_failed(tn_arena *arena)
{
    return tn_error_new(arena, 412, "PreconditionFailed", NULL,
                        "At least one of the pre-conditions you specified did not hold");
}

static const tn_error *
range_invalid(tn_arena *arena, int64_t size)
{
    tn_error *error =
        tn_error_new(arena, 416, "InvalidRange", NULL, "The requested range is not satisfiable");
    const char **headers = tn_arena_alloc(arena, 3, sizeof(*headers));

    headers[0] = "Content-Range";
    headers[1] = tn_arena_printf(arena, "bytes */%lld", (long long)size);
    error->headers = headers;
    return error;
}

/* --- by nginx --------------------------------------------------------------------------------- */

/* nginx reads the range once more, and refuses numbers that are far beyond every end. */
static bool
is_range_for_nginx(const char *range)
{
    static const char digits[] = "0123456789";

    while (range != NULL && *range != '\0') {
        const size_t length = strspn(range, digits);

        if (length > 18)
            return false;
        range += length;
        range += strcspn(range, digits);
    }
    return true;
}

/* nginx's own filters look at these, and know no ETag of ours when they do; and only the fields
 * that tenon_objects.conf names survive the redirect. */
static bool
nginx_can(const struct sending *s)
{
    const tn_request *request = s->c->request;

    return s->object->sealed_key == NULL && s->wanted->header_count == 0 &&
           tn_request_header(request, "if-match") == NULL &&
           tn_request_header(request, "if-unmodified-since") == NULL &&
           is_range_for_nginx(tn_request_header(request, "range"));
}

static const tn_error *
redirect(const struct sending *s, tn_backend *backend, const tn_blob *blob)
{
    const char *path = nginx_can(s) ? tn_backend_accel_path(backend, s->c->arena, blob) : NULL;
    int64_t size;

    if (path != NULL) {
        TN_TRY(tn_backend_stat(backend, s->c->arena, blob, &size));
        if (size != s->object->size)
            return tn_error_internal(s->c->arena, "storage.object.damaged",
                                     "%s has %lld bytes instead of %lld", blob->version.text,
                                     (long long)size, (long long)s->object->size);
    }
    tn_response_empty(s->c->response, 200);
    if (path != NULL) /* the other way everything is said again */
        add_fields(s);
    if (path != NULL && s->is_part) /* to whole answers nginx adds it by itself */
        add(s, "Accept-Ranges", "bytes");
    tn_response_header(s->c->response, "X-Accel-Redirect", path != NULL ? path : SEND_PATH);
    return NULL;
}

/* --- from here -------------------------------------------------------------------------------- */

/* The head of an answer with the range as its content. */
static void
describe(const struct sending *s)
{
    tn_response_empty(s->c->response, s->is_part ? 206 : 200);
    add_fields(s);
    add(s, "Accept-Ranges", "bytes");
    add(s, "Content-Length", tn_arena_number(s->c->arena, s->range.last - s->range.first + 1));
    if (s->is_part)
        add(s, "Content-Range",
            tn_arena_printf(s->c->arena, "bytes %lld-%lld/%lld", (long long)s->range.first,
                            (long long)s->range.last, (long long)s->object->size));
}

static void
open_answer(struct sending *s)
{
    s->opened = true;
    describe(s);
    (void)tn_response_open(s->c->response);
}

/* The head goes out with the first bytes, when it is known that there are any. */
static bool
pass_on(void *context, const char *bytes, size_t length)
{
    struct sending *s = context;

    if (!s->opened)
        open_answer(s);
    return tn_response_write(s->c->response, bytes, length);
}

static const tn_error *
read_bytes(struct sending *s, tn_backend *backend, const tn_blob *blob, int64_t length)
{
    tn_data_key key;
    const tn_cipher_source source = {
        .key = &key, .size = s->object->size, .offset = s->range.first, .length = length};

    if (s->object->sealed_key == NULL)
        return tn_backend_get(backend, s->c->arena, blob, s->range.first, length, pass_on, s);
    TN_TRY(tn_vault_open(s->c, s->object->sealed_key, &key));
    return tn_cipher_get(backend, s->c->arena, blob, &source, pass_on, s);
}

static const tn_error *
stream(struct sending *s, tn_backend *backend, const tn_blob *blob)
{
    const int64_t length = s->range.last - s->range.first + 1;
    const tn_error *error = NULL;

    if (length > 0)
        error = read_bytes(s, backend, blob, length);
    if (error == NULL && !s->opened)
        open_answer(s);
    if (error != NULL && s->opened)
        tn_response_cut(s->c->response);
    return error;
}

/* ---------------------------------------------------------------------------------------------- */

/* Which bytes: all, or those of Range. */
static const tn_error *
read_range(struct sending *s)
{
    const tn_request *request = s->c->request;
    const tn_object *object = s->object;
    tn_range_kind kind = TN_RANGE_NONE;

    if (tn_if_range_holds(tn_request_header(request, "if-range"), object->etag, object->modified_s))
        kind = tn_range_read(tn_request_header(request, "range"), object->size, &s->range);
    if (kind == TN_RANGE_BAD)
        return range_invalid(s->c->arena, object->size);
    s->is_part = kind == TN_RANGE_ONE;
    if (kind == TN_RANGE_NONE)
        s->range = (tn_range){.first = 0, .last = object->size - 1};
    return NULL;
}

static const tn_error *
answer_head(struct sending *s)
{
    s->range = (tn_range){.first = 0, .last = s->object->size - 1};
    if (s->wanted->head_has_range)
        TN_TRY(read_range(s));
    describe(s);
    return NULL;
}

static const tn_error *
send_bytes(struct sending *s)
{
    const tn_blob blob = {.tenant_id = s->c->who->tenant_id, .version = s->object->version};
    tn_backend *backend;

    if (s->object->version.text[0] == '\0')
        return tn_error_new(s->c->arena, 404, "NoSuchKey", NULL, "this object has no bytes");
    TN_TRY(read_range(s));
    TN_TRY(tn_store_backend(s->c->process->store, s->c->arena, &backend));
    if (s->c->request->phase == TN_PHASE_SEND)
        return stream(s, backend, &blob);
    return redirect(s, backend, &blob);
}

const tn_error *
tn_object_send(tn_ctx *c, const tn_object *object, const tn_sending *sending)
{
    const tn_request *request = c->request;
    const tn_conditions conditions = {
        .if_match = tn_request_header(request, "if-match"),
        .if_none_match = tn_request_header(request, "if-none-match"),
        .if_modified_since = tn_request_header(request, "if-modified-since"),
        .if_unmodified_since = tn_request_header(request, "if-unmodified-since"),
    };
    struct sending s = {.c = c, .object = object, .wanted = sending};

    s.content_type = content_type_of(&s);
    s.disposition = disposition_of(&s);
    s.is_active = tn_type_is_active(c->arena, s.content_type);
    switch (tn_conditions_judge(&conditions, object->etag, object->modified_s)) {
    case TN_VERDICT_FAILED:
        return precondition_failed(c->arena);
    case TN_VERDICT_NOT_MODIFIED:
        return not_modified(&s);
    case TN_VERDICT_GO_ON:
        break;
    }
    return strcmp(request->method, "HEAD") == 0 ? answer_head(&s) : send_bytes(&s);
}
