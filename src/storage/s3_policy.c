/* storage/s3_policy.c: what a POST policy allows */
#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "storage/s3_form.h"
#include "storage/s3_signature.h"

#define CONDITIONS_MAX 200

const char *
tn_s3_form_field(const tn_s3_form *form, const char *name)
{
    for (size_t i = 0; i < form->count; i++)
        if (strcmp(form->fields[i].name, name) == 0)
            return form->fields[i].value;
    return NULL;
}

const tn_error *
tn_s3_form_key(tn_arena *arena, tn_s3_form *form)
{
    static const char variable[] = "${filename}";
    const char *key = tn_s3_form_field(form, "key"), *place;
    const char *slash = strrchr(form->filename, '/');

    if (!tn_text_is_given(key))
        return tn_error_new(arena, 400, "InvalidArgument", NULL,
                            "Bucket POST must contain a field named 'key'.");
    place = strstr(key, variable);
    form->key = key;
    if (place != NULL)
        form->key = tn_arena_printf(arena, "%.*s%s%s", (int)(place - key), key,
                                    slash != NULL ? slash + 1 : form->filename,
                                    place + sizeof(variable) - 1);
    return NULL;
}

/* --- the document ----------------------------------------------------------------------------- */

static const tn_error *
invalid(tn_arena *arena, const char *message)
{
    return tn_error_new(arena, 400, "InvalidPolicyDocument", NULL, "Invalid Policy: %s", message);
}

static const tn_error *
refuse(tn_arena *arena, const char *message)
{
    return tn_error_new(arena, 403, "AccessDenied", NULL, "Invalid according to Policy: %s",
                        message);
}

static const tn_error *
parse(tn_arena *arena, const char *policy, json_object **document)
{
    const size_t size = strlen(policy);
    char *text = tn_arena_alloc(arena, size + 1, 1);
    size_t length;

    if (!tn_base64_decode(arena, policy, size, text, size, &length) ||
        tn_json_parse(arena, text, length, 8, document) != NULL ||
        !json_object_is_type(*document, json_type_object))
        return invalid(arena, "it is not base64 of a JSON object");
    return NULL;
}

/* "2026-12-01T12:00:00.000Z": whole seconds, with or without a fraction. */
static bool
read_time(tn_arena *arena, const char *text, int64_t *seconds)
{
    char *compact = tn_arena_text(arena, text);
    size_t length = 0;

    for (const char *at = text; *at != '\0' && *at != '.' && *at != 'Z'; at++)
        if (*at != '-' && *at != ':')
            compact[length++] = *at;
    if (text[strcspn(text, "Z")] != 'Z')
        return false;
    return tn_s3_date_read(tn_arena_printf(arena, "%.*sZ", (int)length, compact), seconds);
}

static const tn_error *
check_time(tn_arena *arena, json_object *document, int64_t now)
{
    const char *text = tn_json_text(document, "expiration", NULL);
    int64_t expires;

    if (text == NULL || !read_time(arena, text, &expires))
        return invalid(arena, "it has no expiration, or one that is no time");
    if (expires <= now)
        return refuse(arena, "Policy expired.");
    return NULL;
}

/* --- conditions ------------------------------------------------------------------------------- */

struct checking {
    tn_arena *arena;
    const tn_s3_form *form;
    bool covered[TN_S3_FIELDS_MAX], covers_bucket;
};

static const char *
value_of(struct checking *checking, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < checking->form->count; i++)
        if (strcmp(checking->form->fields[i].name, name) == 0) {
            checking->covered[i] = true;
            value = checking->form->fields[i].value;
        }
    if (strcmp(name, "bucket") == 0) {
        checking->covers_bucket = true;
        return checking->form->bucket;
    }
    if (strcmp(name, "key") == 0)
        return checking->form->key;
    return value;
}

static const tn_error *
check_value(struct checking *checking, const char *name, const char *wanted, bool is_prefix)
{
    const char *field = tn_text_lower(checking->arena, *name == '$' ? name + 1 : name);
    const char *value = value_of(checking, field);

    if (value == NULL)
        value = is_prefix && *wanted == '\0' ? "" : NULL;
    if (value == NULL || (is_prefix ? !tn_text_starts(value, wanted) : strcmp(value, wanted) != 0))
        return refuse(checking->arena,
                      tn_arena_printf(checking->arena, "Policy Condition failed: [\"%s\", \"$%s\"]",
                                      is_prefix ? "starts-with" : "eq",
                                      tn_text_excerpt(checking->arena, field, 64)));
    return NULL;
}

static const tn_error *
check_range(struct checking *checking, json_object *condition)
{
    const int64_t least = json_object_get_int64(json_object_array_get_idx(condition, 1));
    const int64_t most = json_object_get_int64(json_object_array_get_idx(condition, 2));

    if (checking->form->size < least)
        return tn_error_new(checking->arena, 400, "EntityTooSmall", NULL,
                            "Your proposed upload is smaller than the minimum allowed size");
    if (checking->form->size > most)
        return tn_error_new(checking->arena, 400, "EntityTooLarge", NULL,
                            "Your proposed upload exceeds the maximum allowed size");
    return NULL;
}

/* ["eq", "$key", "a"], ["starts-with", "$key", "user/"], ["content-length-range", 1, 10] */
static const tn_error *
check_list(struct checking *checking, json_object *condition)
{
    const char *kind, *name, *wanted;

    if (json_object_array_length(condition) != 3)
        return invalid(checking->arena, "a condition does not have three items");
    kind = json_object_get_string(json_object_array_get_idx(condition, 0));
    if (kind != NULL && tn_text_same_case(kind, "content-length-range"))
        return check_range(checking, condition);
    name = json_object_get_string(json_object_array_get_idx(condition, 1));
    wanted = json_object_get_string(json_object_array_get_idx(condition, 2));
    if (kind == NULL || name == NULL || wanted == NULL || *name != '$')
        return invalid(checking->arena, "a condition is malformed");
    if (tn_text_same_case(kind, "eq"))
        return check_value(checking, name, wanted, false);
    if (tn_text_same_case(kind, "starts-with"))
        return check_value(checking, name, wanted, true);
    return invalid(checking->arena, "a condition is of no known kind");
}

static const tn_error *
check_condition(struct checking *checking, json_object *condition)
{
    if (json_object_is_type(condition, json_type_array))
        return check_list(checking, condition);
    if (!json_object_is_type(condition, json_type_object))
        return invalid(checking->arena, "a condition is neither a list nor an object");
    json_object_object_foreach(condition, name, value)
    {
        if (!json_object_is_type(value, json_type_string))
            return invalid(checking->arena, "the value of a condition is no text");
        TN_TRY(check_value(checking, name, json_object_get_string(value), false));
    }
    return NULL;
}

/* What is in the form and in no condition, but for what a policy cannot know. */
static const tn_error *
check_extra(const struct checking *checking)
{
    if (!checking->covers_bucket) /* it is in no field, and a form is for one bucket */
        return refuse(checking->arena, "Extra input fields: bucket");
    for (size_t i = 0; i < checking->form->count; i++) {
        const char *name = checking->form->fields[i].name;

        if (!checking->covered[i] && strcmp(name, "policy") != 0 &&
            strcmp(name, "x-amz-signature") != 0 && !tn_text_starts(name, "x-ignore-"))
            return refuse(checking->arena,
                          tn_arena_printf(checking->arena, "Extra input fields: %s",
                                          tn_text_excerpt(checking->arena, name, 64)));
    }
    return NULL;
}

const tn_error *
tn_s3_form_check(tn_arena *arena, const tn_s3_form *form, const char *policy, int64_t now)
{
    struct checking *checking = tn_arena_alloc(arena, 1, sizeof(*checking));
    json_object *document = NULL, *conditions;

    checking->arena = arena;
    checking->form = form;
    TN_TRY(parse(arena, policy, &document));
    TN_TRY(check_time(arena, document, now));
    conditions = tn_json_get(document, "conditions");
    if (!json_object_is_type(conditions, json_type_array) ||
        json_object_array_length(conditions) > CONDITIONS_MAX)
        return invalid(arena, "it has no list of conditions");
    for (size_t i = 0; i < json_object_array_length(conditions); i++)
        TN_TRY(check_condition(checking, json_object_array_get_idx(conditions, i)));
    return check_extra(checking);
}
