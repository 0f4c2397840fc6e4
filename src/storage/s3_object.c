/* storage/s3_object.c: objects by S3: which of its many calls a method and a query mean */
#include "base/text.h"
#include "storage/area.h"
#include "storage/s3.h"

#define KEY_MAX 1024

/* Versions: there is one, and it is called null. */
static const tn_error *
check_target(tn_ctx *c)
{
    const char *version = tn_request_query(c->request, "versionId");

    if (strlen(tn_path_text(c, "key")) > KEY_MAX)
        return tn_error_new(c->arena, 400, "KeyTooLongError", NULL, "Your key is too long");
    if (!tn_text_is_given(version) || strcmp(version, "null") == 0)
        return NULL;
    return tn_error_new(c->arena, 404, "NoSuchVersion", NULL,
                        "The specified version does not exist.");
}

static const tn_error *
refuse_others(tn_ctx *c)
{
    static const char *const others[] = {"acl",     "retention", "legal-hold", "restore",
                                         "torrent", "select",    "append"};

    for (size_t i = 0; i < TN_COUNT(others); i++)
        if (tn_s3_asks(c, others[i]))
            return tn_s3_not_implemented(c->arena, others[i]);
    return NULL;
}

/* GET and HEAD /bucket/key */
const tn_error *
tn_s3_object_get(tn_ctx *c)
{
    TN_TRY(check_target(c));
    if (tn_s3_asks(c, "uploadId"))
        return tn_s3_parts_list(c);
    if (tn_s3_asks(c, "tagging"))
        return tn_s3_tagging_get(c);
    if (tn_s3_asks(c, "attributes"))
        return tn_s3_object_attributes(c);
    if (tn_s3_asks(c, "acl")) {
        tn_object object;

        TN_TRY(tn_object_find(c, "storage.s3.object.get_acl", TN_READ_AS_CALLER,
                              tn_path_text(c, "bucket"), tn_path_text(c, "key"), &object));
        return tn_s3_describe_acl(c);
    }
    TN_TRY(refuse_others(c));
    return tn_s3_object_send(c);
}

static bool
is_copy(const tn_ctx *c)
{
    return tn_s3_header(c, "x-amz-copy-source") != NULL;
}

/* PUT /bucket/key before its body is read */
const tn_error *
tn_s3_object_admit(tn_ctx *c)
{
    TN_TRY(check_target(c));
    if (tn_s3_asks(c, "tagging"))
        return NULL;
    TN_TRY(refuse_others(c));
    if (is_copy(c))
        return NULL; /* there is no body */
    if (tn_s3_asks(c, "uploadId") || tn_s3_asks(c, "partNumber"))
        return tn_s3_part_admit(c);
    return tn_s3_upload_admit(c);
}

/* PUT /bucket/key */
const tn_error *
tn_s3_object_put(tn_ctx *c)
{
    const bool is_part = tn_s3_asks(c, "uploadId") || tn_s3_asks(c, "partNumber");

    TN_TRY(check_target(c));
    if (tn_s3_asks(c, "tagging"))
        return tn_s3_tagging_put(c);
    TN_TRY(refuse_others(c));
    if (is_copy(c))
        return is_part ? tn_s3_part_copy(c) : tn_s3_object_copy(c);
    return is_part ? tn_s3_part_put(c) : tn_s3_upload_put(c);
}

/* POST /bucket/key */
const tn_error *
tn_s3_object_post(tn_ctx *c)
{
    TN_TRY(check_target(c));
    if (tn_s3_asks(c, "uploads"))
        return tn_s3_upload_create(c);
    if (tn_s3_asks(c, "uploadId"))
        return tn_s3_upload_complete(c);
    TN_TRY(refuse_others(c));
    return tn_error_new(c->arena, 405, "MethodNotAllowed", NULL,
                        "The specified method is not allowed against this resource.");
}

/* DELETE /bucket/key */
const tn_error *
tn_s3_object_delete(tn_ctx *c)
{
    TN_TRY(check_target(c));
    if (tn_s3_asks(c, "uploadId"))
        return tn_s3_upload_abort(c);
    if (tn_s3_asks(c, "tagging"))
        return tn_s3_tagging_delete(c);
    TN_TRY(refuse_others(c));
    return tn_s3_delete_one(c);
}
