/* chat/tool_call.c: one call and its result, in one request or in two */
#include "chat/tool_call.h"

#include "chat/queries.h"

#define ERROR_MAX 10000

struct call {
    const char *call_id, *name, *type, *error;
    json_object *arguments, *result;
};

static const tn_field call_fields[] = {
    {"call_id", offsetof(struct call, call_id), .max = 200},
    {"name", offsetof(struct call, name), .max = 200},
    {"type", offsetof(struct call, type), .max = 50},
    {"arguments", offsetof(struct call, arguments), .type = TN_FIELD_JSON},
    {"result", offsetof(struct call, result), .type = TN_FIELD_JSON},
    {"error", offsetof(struct call, error), .max = ERROR_MAX},
    {.name = NULL},
};

static bool
is_empty(const char *text)
{
    return text != NULL && *text == '\0';
}

/* POST /api/chats/runs/{run_id}/tool_calls */
const tn_error *
tn_tool_call_record(tn_ctx *c)
{
    struct call in = {0};
    const tn_rows *rows;
    tn_uuid run_id;

    if (!tn_uuid_parse(tn_path_text(c, "run_id"), &run_id))
        return tn_error_new(c->arena, 404, "run_not_found", NULL, "there is no such run");
    TN_TRY(tn_body_fields(c, call_fields, &in));
    if (in.name == NULL || is_empty(in.name) || is_empty(in.call_id) || is_empty(in.type))
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "name is the tool's; call_id and type are texts, or left out");
    TN_TRY(tn_tx_rows(c, TN_READ_WRITE, &tn_sql_tool_call_record,
                      TN_PARAMS(run_id.text, in.call_id, in.name, in.type,
                                in.arguments == NULL ? NULL : tn_json_print(c->arena, in.arguments),
                                in.result == NULL ? NULL : tn_json_print(c->arena, in.result),
                                in.error),
                      &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 404, "run_not_found", NULL, "there is no such run");
    return tn_respond_json(
        c, tn_rows_bool(rows, 0, 1) ? 201 : 200,
        tn_arena_printf(c->arena, "{\"tool_call\":%s}", tn_rows_text(rows, 0, 0)));
}
