/* chat/conversation.c: the sidebar, one chat with its messages, renaming and the like */
#include "chat/conversation.h"

#include <string.h>

#include "ai/model.h"
#include "base/text.h"
#include "chat/queries.h"

#define LIST_DEFAULT 50
#define LIST_MAX 200
#define MESSAGES_DEFAULT 200
#define MESSAGES_MAX 1000
#define TITLE_MAX 200
#define SYSTEM_MAX 262144
#define METADATA_MAX 16384

static const tn_error *
not_found(tn_ctx *c)
{
    return tn_error_new(c->arena, 404, "chat_not_found", NULL, "there is no such chat");
}

static const tn_error *
path_chat(tn_ctx *c, tn_uuid *id)
{
    return tn_uuid_parse(tn_path_text(c, "id"), id) ? NULL : not_found(c);
}

static const tn_error *
invalid(tn_ctx *c, const char *what)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s", what);
}

static const tn_error *
query_flag(tn_ctx *c, const char *name, bool *flag)
{
    const char *value = tn_request_query(c->request, name);

    *flag = value != NULL && strcmp(value, "true") == 0;
    if (value == NULL || *flag || strcmp(value, "false") == 0)
        return NULL;
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s is true or false", name);
}

/* `before` is what an earlier page gave as `next` ("<microseconds>.<id>", so that a chat that has
 * moved up since makes no gap), or the id of a chat. */
static const tn_error *
read_cursor(tn_ctx *c, const char *text, const char **time, tn_uuid *id)
{
    const char *dot;
    int64_t us;

    *time = NULL;
    if (text == NULL || tn_uuid_parse(text, id))
        return NULL;
    dot = strchr(text, '.');
    if (dot == NULL || !tn_uuid_parse(dot + 1, id))
        return invalid(c, "before is the next of an earlier page, or the id of a chat");
    *time = tn_arena_bytes(c->arena, text, (size_t)(dot - text));
    return tn_text_int(*time, 0, INT64_MAX / 4, &us)
               ? NULL
               : invalid(c, "before is the next of an earlier page, or the id of a chat");
}

/* GET /api/chats?limit=&before=&archived= */
const tn_error *
tn_conversation_list(tn_ctx *c)
{
    const tn_rows *rows;
    const char *time;
    bool is_archived;
    int64_t limit = LIST_DEFAULT;
    tn_uuid id = {""};

    TN_TRY(tn_request_query_int(c->request, c->arena, "limit", 1, LIST_MAX, &limit));
    TN_TRY(read_cursor(c, tn_request_query(c->request, "before"), &time, &id));
    TN_TRY(query_flag(c, "archived", &is_archived));
    TN_TRY(tn_tx_rows(c, TN_READ_ONLY, &tn_sql_chat_list,
                      TN_PARAMS(tn_arena_printf(c->arena, "%lld", (long long)limit),
                                is_archived ? "true" : "false", time,
                                *id.text == '\0' ? NULL : id.text),
                      &rows));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

/* GET /api/chats/{id}?limit=&after=&branch=all */
const tn_error *
tn_conversation_read(tn_ctx *c)
{
    const char *after = tn_request_query(c->request, "after");
    const char *branch = tn_request_query(c->request, "branch");
    const tn_rows *rows;
    int64_t limit = MESSAGES_DEFAULT;
    tn_uuid id, after_id = {""};

    TN_TRY(path_chat(c, &id));
    TN_TRY(tn_request_query_int(c->request, c->arena, "limit", 1, MESSAGES_MAX, &limit));
    if (after != NULL && !tn_uuid_parse(after, &after_id))
        return invalid(c, "after is the id of a message");
    if (branch != NULL && strcmp(branch, "all") != 0 && strcmp(branch, "active") != 0)
        return invalid(c, "branch is active or all");
    TN_TRY(tn_tx_rows(c, TN_READ_ONLY, &tn_sql_chat_read,
                      TN_PARAMS(id.text, tn_arena_printf(c->arena, "%lld", (long long)limit),
                                after == NULL ? NULL : after_id.text,
                                branch != NULL && strcmp(branch, "all") == 0 ? "true" : "false"),
                      &rows));
    if (tn_rows_count(rows) == 0)
        return not_found(c);
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

struct change {
    const char *title, *model, *provider, *instructions;
    bool has_instructions;
    int archived;
    json_object *metadata;
    tn_uuid head_id;
};

static const tn_field change_fields[] = {
    {"title", offsetof(struct change, title), .max = TITLE_MAX},
    {"model", offsetof(struct change, model), .max = 200},
    {"provider", offsetof(struct change, provider), .max = 100},
    {"system", offsetof(struct change, instructions), .max = SYSTEM_MAX,
     .present = offsetof(struct change, has_instructions) + 1},
    {"archived", offsetof(struct change, archived), .type = TN_FIELD_BOOL},
    {"metadata", offsetof(struct change, metadata), .type = TN_FIELD_JSON},
    {"head_id", offsetof(struct change, head_id), .type = TN_FIELD_UUID},
    {.name = NULL},
};

static const tn_error *
check_change(tn_ctx *c, const struct change *in, tn_ai_choice *choice, const char **metadata)
{
    if (in->title != NULL && *in->title == '\0')
        return invalid(c, "title has 1 to 200 characters");
    if (in->instructions != NULL && strlen(in->instructions) > SYSTEM_MAX)
        return invalid(c, "system has more than 262144 bytes");
    if ((in->model != NULL || in->provider != NULL) &&
        !tn_ai_choose(c->arena, c->config, in->provider, in->model, choice))
        return tn_error_new(c->arena, 400, "model_not_found", NULL,
                            "no provider is configured for this model");
    *metadata = in->metadata == NULL ? NULL : tn_json_print(c->arena, in->metadata);
    if (*metadata != NULL &&
        (!json_object_is_type(in->metadata, json_type_object) || strlen(*metadata) > METADATA_MAX))
        return invalid(c, "metadata is an object of at most 16384 bytes");
    return NULL;
}

static const char *
id_or_null(const tn_uuid *id)
{
    return *id->text == '\0' ? NULL : id->text;
}

/* PATCH /api/chats/{id} */
const tn_error *
tn_conversation_update(tn_ctx *c)
{
    struct change in = {.archived = -1};
    tn_ai_choice choice = {0};
    const char *metadata = NULL, *archived;
    const tn_rows *rows;
    tn_uuid id;

    TN_TRY(path_chat(c, &id));
    TN_TRY(tn_body_fields(c, change_fields, &in));
    TN_TRY(check_change(c, &in, &choice, &metadata));
    archived = in.archived < 0 ? NULL : in.archived == 1 ? "true" : "false";
    TN_TRY(tn_tx_rows(c, TN_READ_WRITE, &tn_sql_chat_update,
                      TN_PARAMS(id.text, in.title,
                                choice.provider == NULL ? NULL : choice.provider->name,
                                choice.model, in.has_instructions ? "true" : "false",
                                in.instructions, archived, metadata, id_or_null(&in.head_id)),
                      &rows));
    if (!tn_rows_bool(rows, 0, 0))
        return not_found(c);
    if (tn_rows_text(rows, 0, 1) == NULL)
        return tn_error_new(c->arena, 404, "message_not_found", NULL,
                            "this chat has no message with the id in head_id");
    return tn_respond_json(c, 200,
                           tn_arena_printf(c->arena, "{\"chat\":%s}", tn_rows_text(rows, 0, 1)));
}

/* DELETE /api/chats/{id} */
const tn_error *
tn_conversation_delete(tn_ctx *c)
{
    const tn_rows *rows;
    tn_uuid id;

    TN_TRY(path_chat(c, &id));
    TN_TRY(tn_tx_rows(c, TN_READ_WRITE, &tn_sql_chat_delete, TN_PARAMS(id.text), &rows));
    if (tn_rows_count(rows) == 0)
        return not_found(c);
    return tn_respond_empty(c, 204);
}
