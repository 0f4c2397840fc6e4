/* storage/s3_answer.c: errors and answers as S3 words them */
#include "base/text.h"
#include "storage/s3.h"

struct word {
    const char *code; /* inside */
    const char *told;
    int status;          /* 0: the error's */
    const char *message; /* NULL: the error's */
};

static const struct word words[] = {
    {"NoSuchBucket", "NoSuchBucket", 404, "The specified bucket does not exist"},
    {"NoSuchKey", "NoSuchKey", 404, "The specified key does not exist."},
    {"ResourceNotEmpty", "BucketNotEmpty", 409, "The bucket you tried to delete is not empty"},
    {"PreconditionFailed", "PreconditionFailed", 412,
     "At least one of the pre-conditions you specified did not hold"},
    {"InvalidRange", "InvalidRange", 416, "The requested range is not satisfiable"},
    {"quota_exceeded", "QuotaExceeded", 0, NULL},
    {"storage_full", "InsufficientStorage", 507, NULL},
    {"body_incomplete", "IncompleteBody", 400, NULL},
    {"body_too_large", "EntityTooLarge", 413, NULL},
    {"method_not_allowed", "MethodNotAllowed", 405,
     "The specified method is not allowed against this resource."},
    {"route_not_found", "InvalidURI", 400, "Couldn't parse the specified URI."},
    {"bad_request", "InvalidRequest", 400, NULL},
    {"target_too_long", "KeyTooLongError", 400, "Your key is too long"},
    {"headers_too_large", "MetadataTooLarge", 400, NULL},
    {"invalid_key", "InvalidAccessKeyId", 403, NULL},
    {"bad_jwt", "InvalidToken", 400, NULL},
    {"tenant_mismatch", "InvalidToken", 400, NULL},
    {"over_request_rate_limit", "SlowDown", 503, "Please reduce your request rate."},
    {"overloaded", "SlowDown", 503, "Please reduce your request rate."},
    {"lock_timeout", "SlowDown", 503, "Please reduce your request rate."},
    {"transaction_conflict", "OperationAborted", 409,
     "A conflicting conditional operation is currently in progress against this resource. Try "
     "again."},
};

static struct word
find_word(const tn_error *error)
{
    const bool is_ours = *error->code >= 'A' && *error->code <= 'Z';
    struct word word = {.code = error->code, .told = error->code, .status = error->status};

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(words[i].code, error->code) == 0) {
            word = words[i];
            if (word.status == 0)
                word.status = error->status;
            return word;
        }
    if (is_ours)
        return word;
    if (error->status == 401 || error->status == 403) {
        word.told = "AccessDenied";
        word.status = 403;
    } else if (error->status == 503 || error->status == 504) {
        word.told = "ServiceUnavailable";
        word.status = 503;
    } else if (error->status >= 500) {
        word.told = "InternalError";
    } else {
        word.told = error->status == 404 ? "NoSuchKey" : "InvalidRequest";
    }
    return word;
}

/* "/bucket/key", as it is in the request. */
static const char *
resource(const tn_request *request)
{
    static const char prefix[] = "/storage/v1/s3";

    return tn_text_starts(request->path, prefix) && request->path[sizeof(prefix) - 1] != '\0'
               ? request->path + sizeof(prefix) - 1
               : "/";
}

void
tn_s3_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                   tn_response *response)
{
    const struct word word = find_word(error);
    PQExpBuffer xml = tn_arena_buffer(arena);

    appendPQExpBufferStr(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    tn_s3_xml_add(xml, "Code", word.told);
    tn_s3_xml_add(xml, "Message", word.message != NULL ? word.message : error->message);
    if (error->details != NULL && tn_text_starts(error->code, "Authorization")) {
        tn_s3_xml_add(xml, "Region", error->details); /* clients sign again with it */
        tn_response_header(response, "x-amz-bucket-region", error->details);
    }
    tn_s3_xml_add(xml, "Resource", resource(request));
    tn_s3_xml_add(xml, "RequestId", request->id);
    tn_s3_xml_add(xml, "HostId", request->id);
    tn_s3_xml_close(xml, "Error");
    tn_response_header(response, "x-amz-request-id", request->id);
    tn_response_header(response, "x-amz-id-2", request->id);
    if (response->is_head || word.status == 304)
        tn_response_empty(response, word.status);
    else
        tn_response_text(response, word.status, "application/xml", tn_buffer_text(xml), xml->len);
}

const tn_error *
tn_s3_respond(tn_ctx *c, PQExpBuffer xml, const char *root)
{
    tn_s3_xml_close(xml, root);
    tn_response_header(c->response, "x-amz-request-id", c->request->id);
    tn_response_text(c->response, 200, "application/xml", tn_buffer_text(xml), xml->len);
    return NULL;
}

const tn_error *
tn_s3_respond_empty(tn_ctx *c, int status)
{
    tn_response_header(c->response, "x-amz-request-id", c->request->id);
    tn_response_empty(c->response, status);
    return NULL;
}

const tn_error *
tn_s3_invalid(tn_arena *arena, const char *format, ...)
{
    va_list arguments;
    const char *message;

    va_start(arguments, format);
    message = tn_arena_vprintf(arena, format, arguments);
    va_end(arguments);
    return tn_error_new(arena, 400, "InvalidArgument", NULL, "%s", message);
}

const tn_error *
tn_s3_not_implemented(tn_arena *arena, const char *what)
{
    return tn_error_new(arena, 501, "NotImplemented", NULL,
                        "A header or query you provided implies functionality that is not "
                        "implemented: %s",
                        what);
}

bool
tn_s3_asks(const tn_ctx *c, const char *name)
{
    return tn_request_query(c->request, name) != NULL;
}

/* --- what the request says -------------------------------------------------------------------- */

/* Does a member of a presigned URL's query stand for a header field? What belongs to the signature
 * does not, nor what clients say of a body that they do not know when they sign. */
static bool
is_header(const char *name)
{
    static const char *const others[] = {"algorithm",      "credential",    "date",
                                         "expires",        "signedheaders", "signature",
                                         "security-token", "content-sha256"};

    if (strncasecmp(name, "x-amz-", 6) != 0)
        return false;
    name += 6;
    for (size_t i = 0; i < TN_COUNT(others); i++)
        if (tn_text_same_case(name, others[i]))
            return false;
    return strncasecmp(name, "checksum-", 9) != 0 && strncasecmp(name, "sdk-", 4) != 0;
}

/* Is the query under the signature? The policy of a form knows nothing of it. */
static bool
is_presigned(const tn_ctx *c)
{
    const tn_s3_caller *caller = c->who->proof;

    return caller != NULL && caller->policy == NULL && caller->signature.is_presigned;
}

const char *
tn_s3_header(const tn_ctx *c, const char *name)
{
    const tn_request *request = c->request;
    const char *value = tn_request_header(request, name);

    if (value != NULL || !is_presigned(c) || !is_header(name))
        return value;
    for (size_t i = 0; i < request->query_count; i++)
        if (tn_text_same_case(request->query[i].name, name))
            return request->query[i].value;
    return NULL;
}

const tn_pair *
tn_s3_headers(tn_ctx *c, size_t *count)
{
    const tn_request *request = c->request;
    tn_pair *headers;

    *count = request->header_count;
    if (!is_presigned(c))
        return request->headers;
    headers = tn_arena_alloc(c->arena, *count + request->query_count + 1, sizeof(*headers));
    memcpy(headers, request->headers, *count * sizeof(*headers));
    for (size_t i = 0; i < request->query_count; i++) {
        const char *name = tn_text_lower(c->arena, request->query[i].name);

        if (is_header(name) && tn_request_header(request, name) == NULL)
            headers[(*count)++] = (tn_pair){.name = name, .value = request->query[i].value};
    }
    return headers;
}
