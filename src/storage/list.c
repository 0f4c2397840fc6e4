/* storage/list.c: what is in a bucket: a folder at a time, and from a cursor on */
#include <string.h>

#include "base/crypto.h"
#include "base/text.h"
#include "storage/area.h"
#include "storage/queries.h"

#define LIST_MAX 1500
#define LIST_V2_MAX 1000

static const char *const orders[] = {"asc", "desc", NULL};

/* sortBy: {column, order} */
static const tn_error *
read_sort(tn_ctx *c, json_object *body, const char *const *columns, const char **column,
          const char **order)
{
    json_object *sort;

    TN_TRY(tn_storage_object(c, body, "sortBy", &sort));
    if (sort == NULL)
        return NULL;
    TN_TRY(tn_storage_choice(c, sort, "column", columns, column));
    return tn_storage_choice(c, sort, "order", orders, order);
}

/* POST /storage/v1/object/list/{bucket} */
const tn_error *
tn_storage_list(tn_ctx *c)
{
    static const char *const columns[] = {"name", "updated_at", "created_at", "last_accessed_at",
                                          NULL};
    const char *prefix = NULL, *search = "", *column = columns[0], *order = orders[0];
    int64_t limit = 100, offset = 0;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(tn_storage_text(c, body, "prefix", &prefix));
    TN_TRY(tn_storage_required(c, "prefix", prefix));
    TN_TRY(tn_storage_number(c, body, "limit", 1, INT32_MAX, &limit));
    TN_TRY(tn_storage_number(c, body, "offset", 0, INT32_MAX, &offset));
    TN_TRY(tn_storage_text(c, body, "search", &search));
    TN_TRY(read_sort(c, body, columns, &column, &order));
    if (limit > LIST_MAX)
        limit = LIST_MAX;
    TN_TRY(tn_storage_rows(c, "storage.object.list", TN_READ_ONLY, &tn_sql_storage_list,
                           TN_PARAMS(prefix, tn_path_text(c, "bucket"),
                                     tn_arena_number(c->arena, limit),
                                     tn_arena_number(c->arena, offset), search, column, order),
                           &rows));
    return tn_storage_json(c, tn_rows_text(rows, 0, 0));
}

/* --- version 2 -------------------------------------------------------------------------------- */

static const char *const v2_columns[] = {"name", "updated_at", "created_at", NULL};

/* Where the next page goes on, and in which order. */
struct cursor {
    const char *after, *time; /* NULL: from the beginning; the last one was a folder, or by name */
    const char *column, *order;
};

static const char *
print_cursor(tn_arena *arena, const struct cursor *cursor)
{
    PQExpBuffer json = tn_arena_buffer(arena);

    appendPQExpBuffer(json, "{\"c\":\"%s\",\"o\":\"%s\",\"l\":", cursor->column, cursor->order);
    tn_buffer_json_string(json, cursor->after);
    appendPQExpBufferStr(json, ",\"a\":");
    tn_buffer_json_string(json, cursor->time);
    appendPQExpBufferChar(json, '}');
    return tn_base64url(arena, tn_buffer_text(json), json->len);
}

/* Of one that we have made; clients may have made up anything. */
static const char *
known(const char *const *choices, const char *text)
{
    for (; *choices != NULL; choices++)
        if (strcmp(*choices, text) == 0)
            return *choices;
    return NULL;
}

static bool
is_time(const char *text)
{
    return strlen(text) <= 40 && strspn(text, "0123456789-:.T+Z") == strlen(text) &&
           strlen(text) >= 19 && text[4] == '-' && text[10] == 'T';
}

static bool
read_cursor(tn_arena *arena, const char *text, struct cursor *cursor)
{
    const size_t size = strlen(text);
    char *json = tn_arena_alloc(arena, size + 1, 1);
    json_object *object = NULL;
    size_t length;

    if (!tn_base64url_decode(text, size, json, size, &length) ||
        tn_json_parse(arena, json, length, 2, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return false;
    cursor->after = tn_json_text(object, "l", NULL);
    cursor->time = tn_json_text(object, "a", NULL);
    cursor->column = known(v2_columns, tn_json_text(object, "c", ""));
    cursor->order = known(orders, tn_json_text(object, "o", ""));
    return cursor->after != NULL && cursor->column != NULL && cursor->order != NULL &&
           (cursor->time == NULL || is_time(cursor->time));
}

static const tn_error *
read_place(tn_ctx *c, json_object *body, struct cursor *cursor)
{
    const char *text = NULL;

    *cursor = (struct cursor){.column = v2_columns[0], .order = orders[0]};
    TN_TRY(read_sort(c, body, v2_columns, &cursor->column, &cursor->order));
    TN_TRY(tn_storage_text(c, body, "cursor", &text));
    if (!tn_text_is_given(text) || read_cursor(c->arena, text, cursor))
        return NULL;
    return tn_error_new(c->arena, 400, "InvalidParameter", NULL, "Invalid Parameter cursor");
}

static const tn_error *
answer_v2(tn_ctx *c, const tn_rows *rows, const struct cursor *cursor)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);
    const bool has_next = tn_rows_bool(rows, 0, 0);
    const struct cursor next = {.after = tn_rows_text(rows, 0, 3),
                                .time = tn_rows_text(rows, 0, 4),
                                .column = cursor->column,
                                .order = cursor->order};

    appendPQExpBuffer(json, "{\"hasNext\":%s,\"folders\":%s,\"objects\":%s",
                      has_next ? "true" : "false", tn_rows_text(rows, 0, 1),
                      tn_rows_text(rows, 0, 2));
    if (has_next) {
        appendPQExpBuffer(
            json, ",\"nextCursor\":\"%s\",\"nextCursorKey\":", print_cursor(c->arena, &next));
        tn_buffer_json_string(json, next.after);
    }
    appendPQExpBufferChar(json, '}');
    return tn_storage_json(c, tn_buffer_text(json));
}

/* POST /storage/v1/object/list-v2/{bucket} */
const tn_error *
tn_storage_list_v2(tn_ctx *c)
{
    const char *prefix = "";
    int64_t limit = LIST_V2_MAX;
    bool with_delimiter = false;
    struct cursor cursor;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(tn_storage_body(c, &body));
    TN_TRY(tn_storage_text(c, body, "prefix", &prefix));
    TN_TRY(tn_storage_number(c, body, "limit", 1, LIST_V2_MAX, &limit));
    TN_TRY(tn_storage_flag(c, body, "with_delimiter", &with_delimiter));
    TN_TRY(read_place(c, body, &cursor));
    TN_TRY(tn_storage_rows(c, "storage.object.list_v2", TN_READ_ONLY, &tn_sql_storage_list_v2,
                           TN_PARAMS(tn_path_text(c, "bucket"), prefix, with_delimiter ? "/" : "",
                                     tn_arena_number(c->arena, limit), cursor.after, cursor.column,
                                     cursor.order, cursor.time),
                           &rows));
    return answer_v2(c, rows, &cursor);
}
