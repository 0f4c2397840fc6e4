/* storage/render_wish.c: the parameters of a transformation */
#include <string.h>

#include "base/text.h"
#include "storage/render.h"

#define QUALITY_MIN 20
#define QUALITY_DEFAULT 80

/* As they were said; NULL: they were not. */
struct said {
    const char *height, *width, *resize, *quality, *format;
};

typedef const tn_error *refuse(tn_ctx *c, const char *name, const char *rule);

static const tn_error *
refuse_query(tn_ctx *c, const char *name, const char *rule)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "querystring/%s must be %s", name,
                        rule);
}

static const tn_error *
refuse_claim(tn_ctx *c, const char *name, const char *rule)
{
    (void)name;
    (void)rule;
    return tn_error_new(c->arena, 400, "InvalidSignature", NULL, "Invalid signature");
}

/* 0 is as good as nothing; more than may be asked for is the most. */
static const tn_error *
read_side(tn_ctx *c, const char *name, const char *text, refuse *no, int32_t *side)
{
    int64_t value = 0;

    if (!tn_text_is_given(text))
        return NULL;
    if (!tn_text_int(text, 0, INT32_MAX, &value))
        return no(c, name, "an integer >= 0");
    *side = (int32_t)(value > TN_IMAGE_SIDE_MAX ? TN_IMAGE_SIDE_MAX : value);
    return NULL;
}

static const tn_error *
read_quality(tn_ctx *c, const char *text, refuse *no, int32_t *quality)
{
    int64_t value = QUALITY_DEFAULT;

    if (tn_text_is_given(text) && !tn_text_int(text, QUALITY_MIN, 100, &value))
        return no(c, "quality", "an integer from 20 to 100");
    *quality = (int32_t)value;
    return NULL;
}

static const tn_error *
read_fit(tn_ctx *c, const char *text, refuse *no, int32_t *fit)
{
    static const char *const fits[] = {
        [TN_IMAGE_COVER] = "cover", [TN_IMAGE_CONTAIN] = "contain", [TN_IMAGE_FILL] = "fill"};

    *fit = TN_IMAGE_COVER;
    if (!tn_text_is_given(text))
        return NULL;
    for (size_t i = 0; i < TN_COUNT(fits); i++)
        if (strcmp(text, fits[i]) == 0) {
            *fit = (int32_t)i;
            return NULL;
        }
    return no(c, "resize", "equal to one of the allowed values: cover, contain, fill");
}

/* Whether a list of Accept (RFC 9110 section 12.5.1) names the type itself and does not refuse it
 * by q=0. Wildcards do not count: browsers that know WebP say so. */
static bool
is_accepted(const char *accept, const char *type)
{
    for (const char *at = accept; at != NULL && (at = strcasestr(at, type)) != NULL;) {
        const char *end = at + strlen(type), *next = end + strcspn(end, ",");
        const char *q = strcasestr(end, "q=");
        const bool is_refused = q != NULL && q < next && strtod(q + 2, NULL) <= 0;

        if (strchr(" \t;,", *end) != NULL /* its NUL as well */ && !is_refused)
            return true;
        at = next;
    }
    return false;
}

static const tn_error *
read_format(tn_ctx *c, const char *text, refuse *no, tn_render_wish *wish)
{
    wish->by_accept = !tn_text_is_given(text);
    wish->image.format = TN_IMAGE_ORIGIN;
    if (wish->by_accept)
        wish->image.format = is_accepted(tn_request_header(c->request, "accept"), "image/webp")
                                 ? TN_IMAGE_WEBP
                                 : TN_IMAGE_ORIGIN;
    else if (strcmp(text, "avif") == 0)
        wish->image.format = TN_IMAGE_AVIF;
    else if (strcmp(text, "webp") == 0)
        wish->image.format = TN_IMAGE_WEBP;
    else if (strcmp(text, "origin") != 0)
        return no(c, "format", "equal to one of the allowed values: origin, avif, webp");
    return NULL;
}

static void
append(PQExpBuffer text, const char *name, const char *value)
{
    appendPQExpBuffer(text, "%s%s:%s", text->len > 0 ? "," : "", name, value);
}

/* As it was understood. */
static const char *
print(tn_ctx *c, const struct said *said, const tn_image_wish *image)
{
    static const char *const fits[] = {"cover", "contain", "fill"};
    PQExpBuffer text = tn_arena_buffer(c->arena);

    if (image->height > 0)
        append(text, "height", tn_arena_number(c->arena, image->height));
    if (image->width > 0)
        append(text, "width", tn_arena_number(c->arena, image->width));
    if (image->height > 0 || image->width > 0)
        append(text, "resize", fits[image->fit]);
    if (tn_text_is_given(said->quality))
        append(text, "quality", tn_arena_number(c->arena, image->quality));
    if (tn_text_is_given(said->format))
        append(text, "format", said->format);
    return tn_buffer_text(text);
}

static const tn_error *
read_all(tn_ctx *c, const struct said *said, refuse *no, tn_render_wish *wish)
{
    *wish = (tn_render_wish){0};
    TN_TRY(read_side(c, "height", said->height, no, &wish->image.height));
    TN_TRY(read_side(c, "width", said->width, no, &wish->image.width));
    TN_TRY(read_fit(c, said->resize, no, &wish->image.fit));
    TN_TRY(read_quality(c, said->quality, no, &wish->image.quality));
    TN_TRY(read_format(c, said->format, no, wish));
    wish->text = print(c, said, &wish->image);
    return NULL;
}

const tn_error *
tn_render_wish_of_query(tn_ctx *c, tn_render_wish *wish)
{
    const struct said said = {.height = tn_request_query(c->request, "height"),
                              .width = tn_request_query(c->request, "width"),
                              .resize = tn_request_query(c->request, "resize"),
                              .quality = tn_request_query(c->request, "quality"),
                              .format = tn_request_query(c->request, "format")};

    return read_all(c, &said, refuse_query, wish);
}

const tn_error *
tn_render_wish_of_claims(tn_ctx *c, const char *transformations, const char *format,
                         tn_render_wish *wish)
{
    struct said said = {.format = format};
    const struct {
        const char *name;
        const char **value;
    } members[] = {{"height:", &said.height},
                   {"width:", &said.width},
                   {"resize:", &said.resize},
                   {"quality:", &said.quality}};
    const char *const *parts;
    size_t count;

    parts = tn_text_split(c->arena, transformations != NULL ? transformations : "", &count);
    for (size_t i = 0; i < count; i++)
        for (size_t m = 0; m < TN_COUNT(members); m++)
            if (tn_text_starts(parts[i], members[m].name))
                *members[m].value = parts[i] + strlen(members[m].name);
    return read_all(c, &said, refuse_claim, wish);
}
