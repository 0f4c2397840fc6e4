/* storage/render.c: an object as a picture of another size or format
 *
 * It runs on the stream pool, because pictures are waited for. Who may see the object may see it
 * smaller: the rules are those of downloads.
 */
#include <errno.h>
#include <string.h>

#include "images/images.h"
#include "objects/condition.h"
#include "objects/open.h"
#include "storage/area.h"
#include "storage/render.h"
#include "storage/signed.h"

#define PIECE 65536
#define WAIT_FACTOR 3 /* as images/images.h: how many times a picture's time may be waited for */

struct render {
    tn_ctx *c;
    const tn_object *object;
    const tn_render_wish *wish;
    const char *etag;
    const char *expires; /* Expires, in place of Cache-Control; NULL: none */
};

/* --- making ----------------------------------------------------------------------------------- */

static const tn_error *
make(void *context, int output, tn_image_format *format)
{
    const struct render *render = context;
    tn_ctx *c = render->c;
    const tn_image_job job = {.protocol = TN_IMAGE_PROTOCOL,
                              .wish = render->wish->image,
                              .limits = {.pixels = c->config->storage.image_pixels_max,
                                         .memory_mib = c->config->storage.image_memory_mib,
                                         .timeout_s = c->config->storage.image_timeout_s,
                                         .processes = c->config->storage.image_processes}};
    const tn_error *error;
    bool aside;
    int source;

    TN_TRY(tn_object_open(c, render->object, &source));
    aside = c->process->step_aside != NULL && c->process->step_aside();
    error = tn_image_make(c->arena, c->process->helper_socket, &job, source, output, format);
    if (aside)
        c->process->step_back();
    return error;
}

/* What is encrypted must not lie about as a picture that is not. */
static const tn_error *
get(struct render *render, const char *digest, tn_rendered *rendered)
{
    tn_ctx *c = render->c;
    const bool is_encrypted = render->object->sealed_key != NULL;

    if (is_encrypted || c->config->storage.image_cache_max == 0)
        return tn_render_uncached(c, is_encrypted, make, render, rendered);
    return tn_render_cached(c, render->object, digest,
                            WAIT_FACTOR * 1000 * c->config->storage.image_timeout_s, make, render,
                            rendered);
}

/* --- answering -------------------------------------------------------------------------------- */

static const char *
http_date(tn_arena *arena, int64_t unix_s)
{
    char *text = tn_arena_alloc(arena, TN_HTTP_DATE_SIZE, 1);

    tn_http_date(unix_s, text);
    return text;
}

static void
set_head(const struct render *render)
{
    const char *disposition = tn_storage_disposition(render->c);
    tn_response *response = render->c->response;
    const tn_object *object = render->object;

    tn_response_header(response, "ETag", render->etag);
    tn_response_header(response, "Last-Modified", http_date(render->c->arena, object->modified_s));
    if (render->expires != NULL)
        tn_response_header(response, "Expires", render->expires);
    else
        tn_response_header(response, "Cache-Control", object->cache_control);
    if (render->wish->by_accept)
        tn_response_header(response, "Vary", "Accept");
    tn_response_header(response, "X-Transformations", render->wish->text);
    if (disposition != NULL)
        tn_response_header(response, "Content-Disposition", disposition);
    tn_response_header(response, "X-Robots-Tag", object->robots != NULL ? object->robots : "none");
}

/* What is in no folder of nginx's. */
static const tn_error *
stream(tn_ctx *c, const tn_rendered *rendered)
{
    char *bytes = tn_arena_alloc(c->arena, PIECE, 1);
    ssize_t got = 1;

    tn_response_header(c->response, "Content-Length", tn_arena_number(c->arena, rendered->size));
    c->response->status = 200;
    if (!tn_response_open(c->response) || c->response->is_head)
        return NULL;
    for (int64_t at = 0; at < rendered->size && got > 0; at += got) {
        got = pread(rendered->fd, bytes, PIECE, at);
        if (got <= 0)
            tn_response_cut(c->response);
        else if (!tn_response_write(c->response, bytes, (size_t)got))
            break;
    }
    return NULL;
}

static const tn_error *
answer(struct render *render, const tn_rendered *rendered)
{
    tn_ctx *c = render->c;

    if (rendered->refusal != NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL, "%s", rendered->refusal);
    set_head(render);
    c->response->content_type = tn_image_content_type(rendered->format);
    if (rendered->accel_path == NULL)
        return stream(c, rendered);
    tn_response_empty(c->response, 200);
    c->response->content_type = tn_image_content_type(rendered->format);
    tn_response_header(c->response, "X-Accel-Redirect", rendered->accel_path);
    return NULL;
}

/* --- the request ------------------------------------------------------------------------------ */

static const tn_error *
check(tn_ctx *c, const tn_object *object)
{
    const int64_t max = c->config->storage.image_source_max;

    if (c->process->helper_socket < 0)
        return tn_error_new(c->arena, 409, "FeatureNotEnabled",
                            "The operator has left out tenon-image.",
                            "Images are not transformed here");
    if (object->version.text[0] == '\0')
        return tn_storage_no_object(c->arena);
    if (object->size > max)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "The image is too large: it has more than %lld bytes", (long long)max);
    return NULL;
}

static tn_verdict
judge(const tn_ctx *c, const tn_object *object, const char *etag)
{
    const tn_conditions conditions = {
        .if_match = tn_request_header(c->request, "if-match"),
        .if_none_match = tn_request_header(c->request, "if-none-match"),
        .if_modified_since = tn_request_header(c->request, "if-modified-since"),
        .if_unmodified_since = tn_request_header(c->request, "if-unmodified-since")};

    return tn_conditions_judge(&conditions, etag, object->modified_s);
}

static const tn_error *
render(tn_ctx *c, const tn_object *object, const tn_render_wish *wish, const char *expires)
{
    const char *digest = tn_render_digest(c->arena, object, &wish->image);
    struct render state = {.c = c,
                           .object = object,
                           .wish = wish,
                           .etag = tn_arena_printf(c->arena, "\"%s\"", digest),
                           .expires = expires};
    tn_rendered rendered;

    TN_TRY(check(c, object));
    switch (judge(c, object, state.etag)) {
    case TN_VERDICT_FAILED:
        return tn_error_new(c->arena, 412, "PreconditionFailed", NULL,
                            "At least one of the preconditions did not hold");
    case TN_VERDICT_NOT_MODIFIED:
        set_head(&state);
        tn_response_empty(c->response, 304);
        return NULL;
    case TN_VERDICT_GO_ON:
        break;
    }
    TN_TRY(get(&state, digest, &rendered));
    return answer(&state, &rendered);
}

static const tn_error *
require_tenant(tn_ctx *c)
{
    if (c->who->tenant_id.text[0] != '\0')
        return NULL;
    return tn_error_new(c->arena, 401, "tenant_required",
                        "Add ?tenant=, send a key, or set data.default_tenant.",
                        "headers must have required property 'authorization', or the query tenant");
}

static const tn_error *
render_by_query(tn_ctx *c, const char *operation, tn_reader reader)
{
    tn_object object;
    tn_render_wish wish;

    TN_TRY(tn_render_wish_of_query(c, &wish));
    TN_TRY(require_tenant(c));
    TN_TRY(tn_object_find(c, operation, reader, tn_path_text(c, "bucket"), tn_path_text(c, "name"),
                          &object));
    return render(c, &object, &wish, NULL);
}

/* GET /storage/v1/render/image/public/{bucket}/{name...} */
const tn_error *
tn_render_public(tn_ctx *c)
{
    return render_by_query(c, "storage.render.image_public", TN_READ_PUBLIC);
}

/* GET /storage/v1/render/image/authenticated/{bucket}/{name...} */
const tn_error *
tn_render_authenticated(tn_ctx *c)
{
    return render_by_query(c, "storage.render.image_authenticated", TN_READ_AS_CALLER);
}

/* GET /storage/v1/render/image/sign/{bucket}/{name...}: what the token says, not the query */
const tn_error *
tn_render_signed(tn_ctx *c)
{
    tn_signed what;
    tn_object object;
    tn_render_wish wish;

    TN_TRY(tn_storage_signed(c, TN_SIGNED_DOWNLOAD, tn_path_text(c, "bucket"),
                             tn_path_text(c, "name"), &what));
    TN_TRY(tn_render_wish_of_claims(c, what.transformations, what.format, &wish));
    TN_TRY(tn_object_find(c, "storage.render.image_sign", TN_READ_SYSTEM, tn_path_text(c, "bucket"),
                          tn_path_text(c, "name"), &object));
    return render(c, &object, &wish, http_date(c->arena, what.expires_at));
}
