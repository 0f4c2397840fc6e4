/* storage/answer.c: one query within an operation, and the usual answers */
#include <string.h>

#include "storage/area.h"
#include "storage/queries.h"

const tn_error *
tn_storage_rows(tn_ctx *c, const char *operation, tn_access access, const tn_statement *statement,
                const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_db_context context = tn_ctx_db(c);
    const char *const begin[] = {operation};
    const tn_query queries[] = {
        {.statement = &tn_sql_storage_begin, .parameters = begin, .parameter_count = 1},
        {.statement = statement, .parameters = parameters, .parameter_count = count},
    };
    const tn_rows *results[TN_COUNT(queries)];
    const tn_db_work work = {.context = &context,
                             .access = access,
                             .queries = queries,
                             .count = TN_COUNT(queries),
                             .results = results,
                             .translate = tn_storage_translate};

    TN_TRY(tn_db_transact(c->process->db, c->arena, &work));
    *rows = results[1];
    return NULL;
}

const tn_error *
tn_storage_json(tn_ctx *c, const char *json)
{
    tn_response_header(c->response, "Cache-Control", "no-store");
    return tn_respond_json(c, 200, json);
}

const tn_error *
tn_storage_message(tn_ctx *c, const char *message)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(json, "{\"message\":");
    tn_buffer_json_string(json, message);
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

static void
append_text(PQExpBuffer json, const char *name, const char *text)
{
    appendPQExpBuffer(json, ",\"%s\":", name);
    tn_buffer_json_string(json, text);
}

static void
append_json(PQExpBuffer json, const char *name, const char *value)
{
    appendPQExpBuffer(json, ",\"%s\":%s", name, value != NULL ? value : "null");
}

void
tn_storage_append_row(PQExpBuffer json, const tn_object *object)
{
    tn_uuid owner = {0};
    const bool is_uuid = object->owner_id != NULL && tn_uuid_parse(object->owner_id, &owner);

    appendPQExpBufferStr(json, "\"name\":");
    tn_buffer_json_string(json, object->name);
    append_text(json, "bucket_id", object->bucket);
    append_text(json, "owner", is_uuid ? owner.text : NULL);
    append_text(json, "owner_id", object->owner_id);
    append_text(json, "version", object->version.text[0] != '\0' ? object->version.text : NULL);
    append_text(json, "id", object->id.text);
    append_text(json, "created_at", object->created_at);
    append_text(json, "updated_at", object->updated_at);
    append_text(json, "last_accessed_at", object->last_accessed_at);
    append_json(json, "metadata", object->metadata);
    append_json(json, "user_metadata", object->user_metadata);
}

const char *
tn_storage_key(tn_arena *arena, const char *bucket, const char *name)
{
    return tn_arena_printf(arena, "%s/%s", bucket, name);
}
