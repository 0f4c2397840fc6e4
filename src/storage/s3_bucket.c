/* storage/s3_bucket.c: buckets by S3 */
#include "base/text.h"
#include "storage/area.h"
#include "storage/s3.h"
#include "storage/s3_queries.h"

#define BUCKETS_MAX 10000

const tn_error *
tn_s3_query_limit(tn_ctx *c, const char *name, int64_t most, int64_t *limit)
{
    const char *text = tn_request_query(c->request, name);

    *limit = most;
    if (text == NULL || *text == '\0')
        return NULL;
    if (!tn_text_int(text, 0, INT32_MAX, limit))
        return tn_s3_invalid(c->arena, "Argument %s must be an integer between 0 and 2147483647",
                             name);
    if (*limit > most)
        *limit = most;
    return NULL;
}

/* --- all -------------------------------------------------------------------------------------- */

/* GET / */
const tn_error *
tn_s3_buckets_list(tn_ctx *c)
{
    const char *prefix = tn_request_query(c->request, "prefix");
    const char *after = tn_request_query(c->request, "continuation-token");
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "ListAllMyBucketsResult");
    const tn_rows *rows;
    int64_t limit;
    size_t count;

    TN_TRY(tn_s3_query_limit(c, "max-buckets", BUCKETS_MAX, &limit));
    TN_TRY(tn_storage_rows(c, "storage.s3.bucket.list", TN_READ_ONLY, &tn_sql_s3_buckets,
                           TN_PARAMS(prefix != NULL ? prefix : "", after != NULL ? after : "",
                                     tn_arena_number(c->arena, limit + 1)),
                           &rows));
    count = tn_rows_count(rows);
    tn_s3_xml_open(xml, "Owner");
    tn_s3_xml_add(xml, "ID", c->who->tenant_id.text);
    tn_s3_xml_add(xml, "DisplayName", c->who->tenant_id.text);
    tn_s3_xml_close(xml, "Owner");
    tn_s3_xml_open(xml, "Buckets");
    for (size_t i = 0; i < count && i < (size_t)limit; i++) {
        tn_s3_xml_open(xml, "Bucket");
        tn_s3_xml_add(xml, "Name", tn_rows_text(rows, i, 0));
        tn_s3_xml_add(xml, "CreationDate", tn_rows_text(rows, i, 1));
        tn_s3_xml_close(xml, "Bucket");
    }
    tn_s3_xml_close(xml, "Buckets");
    tn_s3_xml_add(xml, "Prefix", prefix);
    if (count > (size_t)limit && limit > 0)
        tn_s3_xml_add(xml, "ContinuationToken", tn_rows_text(rows, (size_t)limit - 1, 0));
    return tn_s3_respond(c, xml, "ListAllMyBucketsResult");
}

/* --- one -------------------------------------------------------------------------------------- */

/* PUT /bucket */
static const tn_error *
create(tn_ctx *c)
{
    const char *name = tn_path_text(c, "bucket");
    const char *acl = tn_s3_header(c, "x-amz-acl");
    const char *lock = tn_s3_header(c, "x-amz-bucket-object-lock-enabled");
    const bool is_public = acl != NULL && tn_text_starts(acl, "public-read");
    const tn_s3_element *root;
    const tn_error *error;
    const tn_rows *rows;

    if (lock != NULL && tn_text_same_case(lock, "true"))
        return tn_s3_not_implemented(c->arena, "x-amz-bucket-object-lock-enabled");
    if (!tn_bucket_name_is_valid(name))
        return tn_error_new(c->arena, 400, "InvalidBucketName", NULL,
                            "The specified bucket is not valid.");
    TN_TRY(tn_s3_body_xml(c, &root)); /* CreateBucketConfiguration: a region, and there is one */
    error = tn_storage_rows(c, "storage.s3.bucket.create", TN_READ_WRITE, &tn_sql_s3_bucket_create,
                            TN_PARAMS(name, is_public ? "true" : "false"), &rows);
    if (error != NULL && strcmp(error->code, "BucketAlreadyExists") == 0 &&
        c->who->role == TN_ROLE_SERVICE) /* all buckets of the tenant are its own */
        return tn_error_new(c->arena, 409, "BucketAlreadyOwnedByYou", NULL,
                            "Your previous request to create the named bucket succeeded and you "
                            "already own it.");
    TN_TRY(error);
    tn_response_header(c->response, "Location", tn_arena_printf(c->arena, "/%s", name));
    return tn_s3_respond_empty(c, 200);
}

const tn_error *
tn_s3_bucket_put(tn_ctx *c)
{
    static const char *const others[] = {
        "acl",
        "policy",
        "cors",
        "lifecycle",
        "versioning",
        "tagging",
        "logging",
        "notification",
        "encryption",
        "website",
        "object-lock",
        "publicAccessBlock",
        "ownershipControls",
        "replication",
        "accelerate",
        "requestPayment",
        "inventory",
    };

    for (size_t i = 0; i < TN_COUNT(others); i++)
        if (tn_s3_asks(c, others[i]))
            return tn_s3_not_implemented(c->arena, others[i]);
    return create(c);
}

/* DELETE /bucket */
const tn_error *
tn_s3_bucket_delete(tn_ctx *c)
{
    const char *name = tn_path_text(c, "bucket");
    const tn_rows *rows;
    tn_bucket bucket;

    if (c->request->query_count > 0 && !tn_s3_asks(c, "x-id") && !tn_s3_asks(c, "X-Amz-Signature"))
        return tn_s3_not_implemented(c->arena, c->request->query[0].name);
    TN_TRY(tn_bucket_find(c, name, &bucket));
    TN_TRY(tn_storage_rows(c, "storage.s3.bucket.delete", TN_READ_WRITE, &tn_sql_s3_bucket_delete,
                           TN_PARAMS(name), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 403, "AccessDenied", NULL, "Access Denied");
    return tn_s3_respond_empty(c, 204);
}

/* --- what is said of one ---------------------------------------------------------------------- */

static const tn_error *
describe_location(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "LocationConstraint");
    const char *region = c->config->storage.s3_region;

    if (strcmp(region, "us-east-1") != 0) /* which is said by saying nothing */
        tn_s3_xml_escape(xml, region);
    return tn_s3_respond(c, xml, "LocationConstraint");
}

const tn_error *
tn_s3_describe_acl(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "AccessControlPolicy");
    const char *owner = c->who->tenant_id.text;

    tn_s3_xml_open(xml, "Owner");
    tn_s3_xml_add(xml, "ID", owner);
    tn_s3_xml_add(xml, "DisplayName", owner);
    tn_s3_xml_close(xml, "Owner");
    appendPQExpBuffer(xml,
                      "<AccessControlList><Grant><Grantee "
                      "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                      "xsi:type=\"CanonicalUser\"><ID>%s</ID><DisplayName>%s</DisplayName>"
                      "</Grantee><Permission>FULL_CONTROL</Permission></Grant>"
                      "</AccessControlList>",
                      owner, owner);
    return tn_s3_respond(c, xml, "AccessControlPolicy");
}

static const tn_error *
describe_payment(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "RequestPaymentConfiguration");

    tn_s3_xml_add(xml, "Payer", "BucketOwner");
    return tn_s3_respond(c, xml, "RequestPaymentConfiguration");
}

static const tn_error *
describe_versioning(tn_ctx *c)
{
    PQExpBuffer xml = tn_s3_xml_begin(c->arena, "VersioningConfiguration");

    tn_s3_xml_add(xml, "Status", "Suspended");
    return tn_s3_respond(c, xml, "VersioningConfiguration");
}

/* What no bucket has here, each with the code by which S3 says so. */
static const tn_error *
describe_nothing(tn_ctx *c, bool *is_answered)
{
    static const struct {
        const char *query, *code;
    } nothing[] = {
        {"policy", "NoSuchBucketPolicy"},
        {"policyStatus", "NoSuchBucketPolicy"},
        {"cors", "NoSuchCORSConfiguration"},
        {"lifecycle", "NoSuchLifecycleConfiguration"},
        {"tagging", "NoSuchTagSet"},
        {"website", "NoSuchWebsiteConfiguration"},
        {"encryption", "ServerSideEncryptionConfigurationNotFoundError"},
        {"object-lock", "ObjectLockConfigurationNotFoundError"},
        {"publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"},
        {"ownershipControls", "OwnershipControlsNotFoundError"},
        {"replication", "ReplicationConfigurationNotFoundError"},
    };
    static const char *const others[] = {"logging",   "notification", "accelerate",
                                         "inventory", "analytics",    "intelligent-tiering",
                                         "metrics"};

    for (size_t i = 0; i < TN_COUNT(nothing); i++)
        if (tn_s3_asks(c, nothing[i].query)) {
            *is_answered = true;
            return tn_error_new(c->arena, 404, nothing[i].code, NULL,
                                "The bucket has no such configuration");
        }
    for (size_t i = 0; i < TN_COUNT(others); i++)
        if (tn_s3_asks(c, others[i])) {
            *is_answered = true;
            return tn_s3_not_implemented(c->arena, others[i]);
        }
    return NULL;
}

static const tn_error *
head(tn_ctx *c)
{
    const tn_rows *rows;

    TN_TRY(tn_storage_rows(c, "storage.s3.bucket.get", TN_READ_ONLY, &tn_sql_s3_bucket_see,
                           TN_PARAMS(tn_path_text(c, "bucket")), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_storage_no_bucket(c->arena);
    tn_response_header(c->response, "x-amz-bucket-region", c->config->storage.s3_region);
    return tn_s3_respond_empty(c, 200);
}

/* GET and HEAD /bucket */
const tn_error *
tn_s3_bucket_get(tn_ctx *c)
{
    bool is_answered = false;
    tn_bucket bucket;

    if (c->response->is_head)
        return head(c);
    TN_TRY(tn_bucket_find(c, tn_path_text(c, "bucket"), &bucket));
    if (tn_s3_asks(c, "location"))
        return describe_location(c);
    if (tn_s3_asks(c, "versioning"))
        return describe_versioning(c);
    if (tn_s3_asks(c, "acl"))
        return tn_s3_describe_acl(c);
    if (tn_s3_asks(c, "requestPayment"))
        return describe_payment(c);
    if (tn_s3_asks(c, "uploads"))
        return tn_s3_uploads_list(c);
    TN_TRY(describe_nothing(c, &is_answered));
    return tn_s3_list(c);
}

/* POST /bucket before its body is read */
const tn_error *
tn_s3_bucket_admit(tn_ctx *c)
{
    if (tn_s3_asks(c, "delete") && c->who->proof != NULL)
        return NULL;
    return tn_s3_form_admit(c);
}

/* POST /bucket */
const tn_error *
tn_s3_bucket_post(tn_ctx *c)
{
    if (tn_s3_asks(c, "delete") && c->who->proof != NULL)
        return tn_s3_delete_many(c);
    return tn_s3_form_upload(c);
}
