/* storage/tus_header.c: header fields of tus 1.0.0, read and checked */
#include "storage/tus_header.h"

#include <string.h>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"

static const tn_error *
bad_field(tn_arena *arena, const char *name, const char *expected)
{
    return tn_error_new(arena, 400, "InvalidRequest", NULL, "%s: expected %s", name, expected);
}

/* --- Upload-Metadata -------------------------------------------------------------------------- */

struct member {
    const char *key, *value; /* decoded; NULL: it is no text */
};

/* "key base64", or a key alone, whose value is empty. */
static bool
read_member(tn_arena *arena, const char *text, struct member *member)
{
    const size_t key_length = strcspn(text, " ");
    const char *encoded = text + key_length + (text[key_length] == ' ');
    const size_t length = strlen(encoded);
    char *value = tn_arena_alloc(arena, length + 1, 1);
    size_t decoded = 0;

    for (size_t i = 0; i < key_length; i++)
        if (text[i] < '!' || text[i] > '~')
            return false;
    if (key_length == 0 ||
        (length > 0 && !tn_base64_decode(arena, encoded, length, value, length, &decoded)))
        return false;
    value[decoded] = '\0';
    *member = (struct member){.key = tn_arena_bytes(arena, text, key_length)};
    if (memchr(value, '\0', decoded) == NULL && tn_text_is_utf8(value, decoded))
        member->value = value;
    return true;
}

static const tn_error *
read_members(tn_arena *arena, const char *field, struct member **members, size_t *count)
{
    static const char expected[] = "pairs of a name and a value in base64, separated by commas";
    const char *const *items = tn_text_split(arena, field, count);

    *members = tn_arena_alloc(arena, *count + 1, sizeof(**members));
    for (size_t i = 0; i < *count; i++) {
        if (!read_member(arena, items[i], &(*members)[i]))
            return bad_field(arena, "Upload-Metadata", expected);
        for (size_t j = 0; j < i; j++)
            if (strcmp((*members)[i].key, (*members)[j].key) == 0)
                return bad_field(arena, "Upload-Metadata", "each name once");
    }
    return NULL;
}

/* A text, or NULL when it is not there or empty. */
static const tn_error *
find_text(tn_arena *arena, const struct member *members, const char *name, const char **text)
{
    *text = NULL;
    for (; members->key != NULL; members++) {
        if (strcmp(members->key, name) != 0)
            continue;
        if (members->value == NULL)
            return bad_field(arena, name, "text in UTF-8");
        *text = tn_text_is_given(members->value) ? members->value : NULL;
    }
    return NULL;
}

/* It becomes a header field of downloads. */
static bool
is_field_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static const tn_error *
check_user_metadata(tn_arena *arena, const char *text)
{
    json_object *value;

    if (text == NULL)
        return NULL;
    if (tn_json_parse(arena, text, strlen(text), TN_JSON_DEPTH, &value) != NULL ||
        !json_object_is_type(value, json_type_object))
        return bad_field(arena, "metadata", "a JSON object");
    return NULL;
}

const tn_error *
tn_tus_metadata_read(tn_arena *arena, const char *field, tn_tus_metadata *metadata)
{
    struct member *members;
    const char *seconds;
    int64_t number;
    size_t count;

    *metadata = (tn_tus_metadata){.bucket = NULL};
    TN_TRY(read_members(arena, field != NULL ? field : "", &members, &count));
    TN_TRY(find_text(arena, members, "bucketName", &metadata->bucket));
    TN_TRY(find_text(arena, members, "objectName", &metadata->name));
    TN_TRY(find_text(arena, members, "contentType", &metadata->content_type));
    TN_TRY(find_text(arena, members, "cacheControl", &seconds));
    TN_TRY(find_text(arena, members, "metadata", &metadata->user_metadata));
    if (metadata->bucket == NULL || metadata->name == NULL)
        return bad_field(arena, "Upload-Metadata", "bucketName and objectName");
    if (metadata->content_type != NULL && !is_field_value(metadata->content_type))
        return bad_field(arena, "contentType", "a media type");
    if (seconds != NULL && tn_text_int(seconds, 0, INT64_MAX, &number))
        metadata->cache_control = tn_arena_printf(arena, "max-age=%lld", (long long)number);
    return check_user_metadata(arena, metadata->user_metadata);
}

/* --- numbers ---------------------------------------------------------------------------------- */

const tn_error *
tn_tus_number_read(tn_arena *arena, const char *name, const char *field, int64_t *number)
{
    if (field == NULL || !tn_text_int(field, 0, INT64_MAX, number))
        return bad_field(arena, name, "a number of bytes");
    return NULL;
}

const tn_error *
tn_tus_length_read(tn_arena *arena, const char *length_field, const char *defer_field,
                   int64_t *length)
{
    if ((length_field != NULL) == (defer_field != NULL))
        return bad_field(arena, "Upload-Length", "this or Upload-Defer-Length, one of the two");
    if (length_field != NULL)
        return tn_tus_number_read(arena, "Upload-Length", length_field, length);
    if (strcmp(defer_field, "1") != 0)
        return bad_field(arena, "Upload-Defer-Length", "1");
    *length = -1;
    return NULL;
}

/* --- Upload-Checksum -------------------------------------------------------------------------- */

static const struct algorithm {
    const char *name;
    unsigned which;
    size_t size, offset; /* of the value in tn_digests */
} algorithms[] = {
    {"sha1", TN_DIGEST_SHA1, 20, offsetof(tn_digests, sha1)},
    {"sha256", TN_DIGEST_SHA256, 32, offsetof(tn_digests, sha256)},
    {"md5", TN_DIGEST_MD5, 16, offsetof(tn_digests, md5)},
    {"crc32", TN_DIGEST_CRC32, 4, offsetof(tn_digests, crc32)},
};

const tn_error *
tn_tus_checksum_read(tn_arena *arena, const char *field, tn_tus_checksum *checksum)
{
    const size_t name_length = field != NULL ? strcspn(field, " ") : 0;
    const char *encoded;

    *checksum = (tn_tus_checksum){.which = 0};
    if (field == NULL)
        return NULL;
    for (size_t i = 0; i < TN_COUNT(algorithms); i++)
        if (strlen(algorithms[i].name) == name_length &&
            memcmp(algorithms[i].name, field, name_length) == 0)
            *checksum = (tn_tus_checksum){algorithms[i].which, algorithms[i].size, {0}};
    if (checksum->which == 0)
        return bad_field(arena, "Upload-Checksum", "one of " TN_TUS_CHECKSUMS);
    encoded = field + name_length + (field[name_length] == ' ');
    {
        const size_t size = checksum->size;
        size_t got = 0;

        if (!tn_base64_decode(arena, encoded, strlen(encoded), checksum->value, size, &got) ||
            got != size)
            return bad_field(arena, "Upload-Checksum", "the checksum in base64");
    }
    return NULL;
}

bool
tn_tus_checksum_fits(const tn_tus_checksum *checksum, const tn_digests *digests)
{
    for (size_t i = 0; i < TN_COUNT(algorithms); i++)
        if (algorithms[i].which == checksum->which)
            return memcmp((const char *)digests + algorithms[i].offset, checksum->value,
                          algorithms[i].size) == 0;
    return false;
}
