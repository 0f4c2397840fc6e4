/* storage/error.c: errors as Supabase Storage words them
 *
 * {"statusCode", "error", "message", "code"}, all texts. The status of HTTP is 400 whatever the
 * statusCode says: applications compare the latter. What stays as it is: 416 and 412 of downloads,
 * 429, what the router says, and everything that is the server's fault, so that a client knows when
 * to come back.
 */
#include <string.h>

#include "base/text.h"
#include "storage/area.h"

struct word {
    const char *code;  /* inside */
    const char *error; /* the short text */
    const char *told;  /* the code that is told; NULL: the same */
    int status;        /* of statusCode; 0: the error's */
    int http;          /* 0: by the rule above */
};

static const struct word words[] = {
    {"NoSuchBucket", "Bucket not found", NULL, 0, 0},
    {"NoSuchKey", "not_found", NULL, 0, 0},
    {"AccessDenied", "Unauthorized", NULL, 0, 0},
    {"KeyAlreadyExists", "Duplicate", NULL, 0, 0},
    {"BucketAlreadyExists", "Duplicate", NULL, 0, 0},
    {"EntityTooLarge", "Payload too large", NULL, 0, 0},
    {"quota_exceeded", "Payload too large", NULL, 0, 0},
    {"InvalidMimeType", "invalid_mime_type", NULL, 0, 0},
    {"InvalidBucketName", "Invalid Input", NULL, 0, 0},
    {"InvalidRange", "invalid_range", NULL, 0, 416},
    {"InvalidXRobotsTag", "invalid_x_robots_tag", NULL, 0, 0},
    {"PreconditionFailed", "PreconditionFailed", NULL, 0, 412},
    {"validation_failed", "Error", "InvalidRequest", 0, 0},
    {"bad_json", "Error", "InvalidRequest", 0, 0},
    {"bad_request", "Error", "InvalidRequest", 0, 0},
    {"body_incomplete", "InvalidRequest", "InvalidRequest", 0, 0},
    {"body_too_large", "Payload too large", "EntityTooLarge", 0, 0},
    {"no_api_key", "Error", "InvalidRequest", 400, 0},
    {"tenant_required", "Error", "InvalidRequest", 400, 0},
    {"invalid_key", "Unauthorized", "AccessDenied", 403, 0},
    {"bad_jwt", "Unauthorized", "AccessDenied", 403, 0},
    {"tenant_mismatch", "Unauthorized", "AccessDenied", 403, 0},
    {"tenant_suspended", "Unauthorized", "AccessDenied", 0, 0},
    {"user_banned", "Unauthorized", "AccessDenied", 403, 0},
    {"no_authorization", "Unauthorized", "AccessDenied", 403, 0},
    {"role_not_allowed", "Unauthorized", "AccessDenied", 0, 0},
    {"scope_missing", "Unauthorized", "AccessDenied", 0, 0},
    {"insufficient_privilege", "Unauthorized", "AccessDenied", 0, 0},
    {"secret_key_required", "Unauthorized", "AccessDenied", 0, 403},
    {"unique_violation", "Duplicate", "KeyAlreadyExists", 0, 0},
    {"foreign_key_violation", "InvalidRequest", "InvalidRequest", 404, 0},
    {"route_not_found", "Not Found", NULL, 0, 404},
    {"method_not_allowed", "Method Not Allowed", NULL, 0, 405},
    {"lock_timeout", "acquiring_lock_timeout", "LockTimeout", 0, 0},
    {"statement_timeout", "DatabaseTimeout", "DatabaseTimeout", 544, 544},
    {"internal_error", "internal", "InternalError", 500, 500},
};

static struct word
find_word(const tn_error *error)
{
    struct word word = {.code = error->code, .error = error->code};

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(words[i].code, error->code) == 0)
            word = words[i];
    if (word.told == NULL)
        word.told = word.code;
    if (word.status == 0)
        word.status = error->status;
    if (word.http == 0)
        word.http = error->status == 429 || error->status >= 500 ? error->status : 400;
    return word;
}

/* A path that cannot be read names no object: to those who ask, the name is what is wrong. */
static bool
is_bad_name(const tn_request *request, const tn_error *error)
{
    return strcmp(error->code, "bad_request") == 0 &&
           tn_text_starts(error->message, "the path has") &&
           tn_text_starts(request->path, "/storage/v1/object/");
}

void
tn_storage_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                        tn_response *response)
{
    PQExpBuffer json = tn_arena_buffer(arena);
    struct word word = find_word(error);
    const char *message = error->message;

    if (strcmp(error->code, "no_api_key") == 0)
        message = "headers must have required property 'authorization'";
    if (is_bad_name(request, error))
        word.error = word.told = "InvalidKey";
    appendPQExpBuffer(json, "{\"statusCode\":\"%d\",\"error\":", word.status);
    tn_buffer_json_string(json, word.error);
    appendPQExpBufferStr(json, ",\"message\":");
    tn_buffer_json_string(json, message);
    appendPQExpBufferStr(json, ",\"code\":");
    tn_buffer_json_string(json, word.told);
    appendPQExpBufferChar(json, '}');
    tn_response_json(response, word.http, tn_buffer_text(json));
    tn_response_header(response, "Cache-Control", "no-store");
}

/* --- PostgreSQL ------------------------------------------------------------------------------- */

static bool
is_table(const tn_db_problem *problem, const char *name)
{
    return problem->table != NULL && strcmp(problem->table, name) == 0;
}

static const tn_error *
access_denied(tn_arena *arena, const tn_db_problem *problem)
{
    if (problem->message != NULL && strstr(problem->message, "row-level security") != NULL)
        return tn_error_new(arena, 403, "AccessDenied", NULL,
                            "new row violates row-level security policy");
    return tn_error_new(arena, 403, "AccessDenied", problem->hint, "%s",
                        problem->message != NULL ? problem->message : "permission denied");
}

/* A row that something refers to. */
static const tn_error *
still_referenced(tn_arena *arena, const tn_db_problem *problem)
{
    if (is_table(problem, "objects"))
        return tn_error_new(arena, 409, "ResourceNotEmpty", NULL,
                            "The bucket you tried to delete is not empty");
    if (is_table(problem, "s3_multipart_uploads"))
        return tn_error_new(arena, 409, "ResourceReferenced", NULL,
                            "The bucket has uploads that are not complete");
    return tn_error_new(arena, 409, "ResourceReferenced", NULL,
                        "A row of another table refers to it");
}

static const tn_error *
broken_schema(tn_arena *arena, const tn_db_problem *problem)
{
    tn_db_problem_log(arena, problem, 503);
    return tn_error_new(arena, 503, "DatabaseSchemaMismatch", NULL,
                        "A policy, a trigger or a function of the app names something that is not "
                        "there");
}

const tn_error *
tn_storage_translate(tn_arena *arena, const tn_db_problem *problem)
{
    static const char *const mismatches[] = {"42P01", "42703", "42883", "42P02", "3F000"};
    const char *sqlstate = problem->sqlstate != NULL ? problem->sqlstate : "";

    if (strcmp(sqlstate, "42501") == 0)
        return access_denied(arena, problem);
    if (strcmp(sqlstate, "23505") == 0)
        return tn_error_new(
            arena, 409, is_table(problem, "buckets") ? "BucketAlreadyExists" : "KeyAlreadyExists",
            NULL, "The resource already exists");
    if (strcmp(sqlstate, "23503") == 0)
        return still_referenced(arena, problem);
    if (strcmp(sqlstate, "22007") == 0 || strcmp(sqlstate, "22008") == 0) /* of a cursor */
        return tn_error_new(arena, 400, "InvalidParameter", NULL, "Invalid Parameter cursor");
    for (size_t i = 0; i < TN_COUNT(mismatches); i++)
        if (strcmp(sqlstate, mismatches[i]) == 0)
            return broken_schema(arena, problem);
    return tn_db_error(arena, problem);
}

/* --- often ------------------------------------------------------------------------------------ */

const tn_error *
tn_storage_no_bucket(tn_arena *arena)
{
    return tn_error_new(arena, 404, "NoSuchBucket", NULL, "Bucket not found");
}

const tn_error *
tn_storage_no_object(tn_arena *arena)
{
    return tn_error_new(arena, 404, "NoSuchKey", NULL, "Object not found");
}

const tn_error *
tn_storage_require_service(tn_ctx *c)
{
    if (tn_principal_is_service(c->who))
        return NULL;
    return tn_error_new(c->arena, 403, "secret_key_required", "Use the tenant's secret key.",
                        "Access denied: this takes the service role");
}
