/* storage/s3_attributes.c: what an upload says of itself in header fields */
#include "base/text.h"
#include "storage/s3.h"

#define META "x-amz-meta-"
#define META_MAX 2048 /* bytes of names and values, as S3 has it */
#define TAGS_MAX 10

void
tn_s3_members_add(PQExpBuffer members, const char *name, const char *json)
{
    if (members->len > 0)
        appendPQExpBufferChar(members, ',');
    tn_buffer_json_string(members, name);
    appendPQExpBuffer(members, ":%s", json);
}

void
tn_s3_members_add_text(PQExpBuffer members, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    if (members->len > 0)
        appendPQExpBufferChar(members, ',');
    tn_buffer_json_string(members, name);
    appendPQExpBufferChar(members, ':');
    tn_buffer_json_string(members, text);
}

/* --- x-amz-meta-* ----------------------------------------------------------------------------- */

static bool
has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F ||
            ((unsigned char)text[0] == 0xC2 && (unsigned char)text[1] >= 0x80 &&
             (unsigned char)text[1] < 0xA0)) /* U+0080 to U+009F */
            return true;
    return false;
}

static const tn_error *
read_user_metadata(tn_ctx *c, const char **json)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);
    const char *separator = "{";
    size_t bytes = 0, count;
    const tn_pair *headers = tn_s3_headers(c, &count);

    for (size_t i = 0; i < count; i++) {
        const tn_pair *header = &headers[i];

        if (!tn_text_starts(header->name, META) || header->name[strlen(META)] == '\0')
            continue;
        bytes += strlen(header->name) - strlen(META) + strlen(header->value);
        if (has_control(header->value))
            return tn_s3_invalid(c->arena, "%s has a control character", header->name);
        appendPQExpBufferStr(text, separator);
        tn_buffer_json_string(text, header->name + strlen(META));
        appendPQExpBufferChar(text, ':');
        tn_buffer_json_string(text, header->value);
        separator = ",";
    }
    if (bytes > META_MAX)
        return tn_error_new(c->arena, 400, "MetadataTooLarge", NULL,
                            "Your metadata headers exceed the maximum allowed metadata size");
    appendPQExpBufferStr(text, *separator == '{' ? "{}" : "}");
    *json = tn_buffer_text(text);
    return NULL;
}

/* --- tags ------------------------------------------------------------------------------------- */

static const tn_error *
invalid_tag(tn_arena *arena, const char *message)
{
    return tn_error_new(arena, 400, "InvalidTag", NULL, "%s", message);
}

static size_t
characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

const tn_error *
tn_s3_tags_check(tn_arena *arena, const tn_pair *tags, size_t count)
{
    if (count > TAGS_MAX)
        return invalid_tag(arena, "Object tags cannot be greater than 10");
    for (size_t i = 0; i < count; i++) {
        if (*tags[i].name == '\0' || characters(tags[i].name) > 128 || has_control(tags[i].name))
            return invalid_tag(arena, "The TagKey you have provided is invalid");
        if (characters(tags[i].value) > 256 || has_control(tags[i].value))
            return invalid_tag(arena, "The TagValue you have provided is invalid");
        for (size_t j = 0; j < i; j++)
            if (strcmp(tags[i].name, tags[j].name) == 0)
                return invalid_tag(arena, "Cannot provide multiple Tags with the same key");
    }
    return NULL;
}

const char *
tn_s3_tags_json(tn_arena *arena, const tn_pair *tags, size_t count)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBufferChar(text, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            appendPQExpBufferChar(text, ',');
        tn_buffer_json_string(text, tags[i].name);
        appendPQExpBufferChar(text, ':');
        tn_buffer_json_string(text, tags[i].value);
    }
    appendPQExpBufferChar(text, '}');
    return tn_buffer_text(text);
}

/* "a=1&b=2" */
const tn_error *
tn_s3_tags_of_text(tn_ctx *c, const char *text, const char **json)
{
    tn_pair tags[TAGS_MAX + 1];
    size_t count = 0;

    while (*text != '\0' && count < TN_COUNT(tags)) {
        const size_t length = strcspn(text, "&"), name = strcspn(text, "=&");
        const char *value = name < length ? text + name + 1 : text + length;

        if (length > 0) {
            tags[count].name = tn_text_url_decode(c->arena, text, name, true);
            tags[count].value =
                tn_text_url_decode(c->arena, value, (size_t)(text + length - value), true);
            if (tags[count].name == NULL || tags[count].value == NULL)
                return invalid_tag(c->arena, "The tags are not encoded as a query");
            count++;
        }
        text += length;
        text += *text == '&';
    }
    TN_TRY(tn_s3_tags_check(c->arena, tags, count));
    *json = tn_s3_tags_json(c->arena, tags, count);
    return NULL;
}

/* --- all of it -------------------------------------------------------------------------------- */

/* What would be believed and is not so is refused. */
static const tn_error *
refuse_unsupported(tn_ctx *c)
{
    static const char *const names[] = {
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-legal-hold",
        "x-amz-website-redirect-location",
        "x-amz-write-offset-bytes",
    };

    for (size_t i = 0; i < TN_COUNT(names); i++)
        if (tn_s3_header(c, names[i]) != NULL)
            return tn_s3_not_implemented(c->arena, names[i]);
    return NULL;
}

/* They are header fields of answers again, and the fields of a form may have anything in them. */
static const tn_error *
refuse_control(tn_ctx *c)
{
    static const char *const names[] = {"content-type",        "cache-control",
                                        "content-encoding",    "content-language",
                                        "content-disposition", "expires"};

    for (size_t i = 0; i < TN_COUNT(names); i++) {
        const char *value = tn_request_header(c->request, names[i]);

        if (value != NULL && has_control(value))
            return tn_s3_invalid(c->arena, "%s has a control character", names[i]);
    }
    return NULL;
}

/* Without aws-chunked, which is of the transfer and not of the content. */
static const char *
content_encoding(tn_ctx *c)
{
    const char *text = tn_request_header(c->request, "content-encoding");
    PQExpBuffer kept = tn_arena_buffer(c->arena);
    const char *const *parts;
    size_t count;

    if (text == NULL)
        return NULL;
    parts = tn_text_split(c->arena, text, &count);
    for (size_t i = 0; i < count; i++)
        if (!tn_text_same_case(parts[i], "aws-chunked"))
            appendPQExpBuffer(kept, "%s%s", kept->len > 0 ? ", " : "", parts[i]);
    return tn_buffer_text(kept);
}

const tn_error *
tn_s3_attributes_read(tn_ctx *c, tn_s3_attributes *attributes)
{
    static const struct {
        const char *header, *member;
    } kept[] = {{"content-language", "contentLanguage"},
                {"content-disposition", "contentDisposition"},
                {"expires", "expires"}};
    const char *tags = tn_s3_header(c, "x-amz-tagging");

    *attributes = (tn_s3_attributes){
        .content_type = tn_request_header(c->request, "content-type"),
        .cache_control = tn_request_header(c->request, "cache-control"),
        .members = tn_arena_buffer(c->arena),
    };
    TN_TRY(refuse_unsupported(c));
    TN_TRY(refuse_control(c));
    TN_TRY(read_user_metadata(c, &attributes->user_metadata));
    tn_s3_members_add_text(attributes->members, "contentEncoding", content_encoding(c));
    for (size_t i = 0; i < TN_COUNT(kept); i++)
        tn_s3_members_add_text(attributes->members, kept[i].member,
                               tn_request_header(c->request, kept[i].header));
    attributes->own_length = attributes->members->len;
    if (tn_text_is_given(tags)) {
        TN_TRY(tn_s3_tags_of_text(c, tags, &attributes->tags));
        tn_s3_members_add(attributes->members, "tags", attributes->tags);
    }
    return NULL;
}

void
tn_s3_attributes_keep(const tn_s3_attributes *attributes, bool replaces_all, bool replaces_tags,
                      PQExpBuffer members)
{
    if (replaces_all)
        appendBinaryPQExpBuffer(members, attributes->members->data, attributes->own_length);
    if (replaces_tags && attributes->tags != NULL)
        tn_s3_members_add(members, "tags", attributes->tags);
}
