/* objects/object.c: rows of storage.objects, found and read */
#include "objects/object.h"

#include <time.h>

#include "base/text.h"
#include "objects/objects_private.h"
#include "objects/queries.h"

/* --- shared with uploads and transfers -------------------------------------------------------- */

/* A table, column, function, parameter or schema that is not there: ours are, so it is the app's.
 */
static bool
is_of_the_schema(const char *state)
{
    static const char *const states[] = {"42P01", "42703", "42883", "42P02", "3F000"};

    for (size_t i = 0; i < TN_COUNT(states); i++)
        if (strcmp(states[i], state) == 0)
            return true;
    return false;
}

const tn_error *
tn_objects_translate(tn_arena *arena, const tn_db_problem *problem)
{
    const char *state = problem->sqlstate != NULL ? problem->sqlstate : "";

    if (strcmp(state, "42501") == 0)
        return tn_error_new(arena, 403, "AccessDenied", NULL,
                            "new row violates row-level security policy");
    if (strcmp(state, "23505") == 0)
        return tn_error_new(arena, 409, "KeyAlreadyExists", NULL, "The resource already exists");
    if (strcmp(state, "23503") == 0)
        return tn_error_new(arena, 404, "NoSuchBucket", NULL, "Bucket not found");
    if (is_of_the_schema(state)) {
        tn_db_problem_log(arena, problem, 503);
        return tn_error_new(arena, 503, "DatabaseSchemaMismatch", NULL,
                            "A policy, a trigger or a function of the app names something that is "
                            "not there");
    }
    return tn_db_error(arena, problem);
}

const tn_error *
tn_objects_transact(tn_ctx *c, const tn_objects_work *work)
{
    const tn_db_context context = work->as_system ? tn_ctx_db_as(c, "service_role") : tn_ctx_db(c);

    work->queries[0] = TN_QUERY(tn_sql_objects_begin_operation, work->operation);
    return tn_db_transact(c->process->db, c->arena,
                          &(tn_db_work){.context = &context,
                                        .access = work->access,
                                        .queries = work->queries,
                                        .count = work->count,
                                        .results = work->results,
                                        .rolls_back = work->rolls_back,
                                        .translate = tn_objects_translate});
}

const tn_error *
tn_no_such_key(tn_arena *arena)
{
    return tn_error_new(arena, 404, "NoSuchKey", NULL, "Object not found");
}

bool
tn_is_field_value(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

enum column {
    ID,
    VERSION,
    BUCKET,
    NAME,
    OWNER_ID,
    SIZE,
    CONTENT_TYPE,
    CACHE_CONTROL,
    ETAG,
    ROBOTS,
    METADATA,
    USER_METADATA,
    CREATED_AT,
    UPDATED_AT,
    ACCESSED_AT,
    MODIFIED_AT,
    SHA256,
    SEALED_KEY,
};

/* "2026-11-21T19:42:47…" as seconds since 1970; what is no time, because somebody's SQL has written
 * it, is none. */
static int64_t
read_time(const char *text)
{
    struct tm parts = {0};

    if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) == NULL)
        return 0;
    return (int64_t)timegm(&parts);
}

static const char *
text_or(const char *text, const char *fallback)
{
    return tn_text_is_given(text) && tn_is_field_value(text) ? text : fallback;
}

const tn_error *
tn_object_read(tn_ctx *c, const tn_rows *rows, int row, tn_object *object)
{
    const size_t at = (size_t)row;
    const char *version = tn_rows_text(rows, at, VERSION);

    *object = (tn_object){
        .bucket = tn_rows_text(rows, at, BUCKET),
        .name = tn_rows_text(rows, at, NAME),
        .owner_id = tn_rows_text(rows, at, OWNER_ID),
        .size = tn_rows_int(rows, at, SIZE, 0),
        .content_type = text_or(tn_rows_text(rows, at, CONTENT_TYPE), "application/octet-stream"),
        .cache_control = text_or(tn_rows_text(rows, at, CACHE_CONTROL), "no-cache"),
        .etag = text_or(tn_rows_text(rows, at, ETAG), "\"\""),
        .robots = text_or(tn_rows_text(rows, at, ROBOTS), NULL),
        .metadata = tn_rows_text(rows, at, METADATA),
        .user_metadata = tn_rows_text(rows, at, USER_METADATA),
        .created_at = tn_rows_text(rows, at, CREATED_AT),
        .updated_at = tn_rows_text(rows, at, UPDATED_AT),
        .last_accessed_at = tn_rows_text(rows, at, ACCESSED_AT),
        .modified_s = read_time(tn_rows_text(rows, at, MODIFIED_AT)),
        .sha256 = tn_rows_text(rows, at, SHA256),
        .sealed_key = tn_rows_text(rows, at, SEALED_KEY),
    };
    if (!tn_uuid_parse(tn_rows_text(rows, at, ID), &object->id))
        return tn_error_internal(c->arena, "storage.row.invalid", "an id is no UUID");
    if (object->modified_s == 0)
        object->modified_s = read_time(object->updated_at);
    if (version != NULL && !tn_uuid_parse(version, &object->version))
        return tn_error_internal(c->arena, "storage.row.invalid", "the version of %s is no UUID",
                                 object->id.text);
    return NULL;
}

static const tn_statement *
statement_of(tn_reader reader)
{
    switch (reader) {
    case TN_READ_AS_CALLER:
        return &tn_sql_objects_find_either;
    case TN_READ_PUBLIC:
        return &tn_sql_objects_find_public;
    case TN_READ_BY_POLICY:
    case TN_READ_SYSTEM:
        break;
    }
    return &tn_sql_objects_find_by_policy;
}

const tn_error *
tn_object_find(tn_ctx *c, const char *operation, tn_reader reader, const char *bucket,
               const char *name, tn_object *object)
{
    const tn_rows *results[3] = {NULL, NULL, NULL};
    tn_query queries[3] = {
        [1] = TN_QUERY(tn_sql_objects_find_bucket, bucket),
        [2] = {.statement = statement_of(reader), TN_PARAMS(bucket, name)},
    };
    tn_bucket rules;

    TN_TRY(tn_objects_transact(c, &(tn_objects_work){.operation = operation,
                                                     .as_system = reader == TN_READ_SYSTEM,
                                                     .access = TN_READ_ONLY,
                                                     .queries = queries,
                                                     .count = TN_COUNT(queries),
                                                     .results = results}));
    TN_TRY(tn_bucket_read(c, results[1], &rules));
    if (reader == TN_READ_PUBLIC && !rules.is_public)
        return tn_error_new(c->arena, 404, "NoSuchBucket", NULL, "Bucket not found");
    if (tn_rows_count(results[2]) == 0)
        return tn_no_such_key(c->arena);
    TN_TRY(tn_object_read(c, results[2], 0, object));
    object->is_public = rules.is_public;
    return NULL;
}
