/* chat/usage.c: row security decides whose usage it is */
#include "chat/usage.h"

#include <string.h>

#include "base/text.h"
#include "chat/queries.h"

#define ROWS_DEFAULT 1000
#define ROWS_MAX 10000

static const char *const columns[] = {"tenant", "day", "user", "key", "provider", "model", NULL};

/* `from` and `to` are as good as `since` and `until`. */
static const char *
query_either(const tn_ctx *c, const char *name, const char *other)
{
    const char *value = tn_request_query(c->request, name);

    if (value == NULL)
        value = tn_request_query(c->request, other);
    return value == NULL || *value == '\0' ? NULL : value;
}

/* Digits where a date has digits; whether there is such a day PostgreSQL says. */
static const tn_error *
check_day(tn_ctx *c, const char *name, const char *value)
{
    static const char form[] = "dddd-dd-dd";
    bool fits = value == NULL || strlen(value) == strlen(form);

    for (size_t i = 0; value != NULL && fits && form[i] != '\0'; i++)
        fits = form[i] == 'd' ? value[i] >= '0' && value[i] <= '9' : value[i] == form[i];
    return fits ? NULL
                : tn_error_new(c->arena, 400, "validation_failed", NULL,
                               "%s is a day like 2026-01-31", name);
}

/* "day,model" → "{day,model}"; all columns when nothing is said. */
static const tn_error *
read_columns(tn_ctx *c, const char *list, const char **array)
{
    PQExpBuffer text = tn_arena_buffer(c->arena);

    *array = "{tenant,day,user,key,provider,model}";
    if (list == NULL)
        return NULL;
    for (const char *at = list; *at != '\0'; at += strspn(at, ",")) {
        const size_t length = strcspn(at, ",");
        const char *name = tn_arena_bytes(c->arena, at, length);
        size_t i = 0;

        while (columns[i] != NULL && strcmp(columns[i], name) != 0)
            i++;
        if (columns[i] == NULL)
            return tn_error_new(c->arena, 400, "validation_failed", NULL,
                                "by lists some of tenant, day, user, key, provider, model");
        appendPQExpBuffer(text, "%s%s", text->len == 0 ? "{" : ",", name);
        at += length;
    }
    appendPQExpBufferStr(text, text->len == 0 ? "{}" : "}");
    *array = tn_buffer_text(text);
    return NULL;
}

/* GET /api/usage?since=&until=&by=&limit= */
const tn_error *
tn_usage_read(tn_ctx *c)
{
    const char *since = query_either(c, "since", "from"), *until = query_either(c, "until", "to");
    const char *by;
    const tn_rows *rows;
    int64_t limit = ROWS_DEFAULT;

    TN_TRY(check_day(c, "since", since));
    TN_TRY(check_day(c, "until", until));
    TN_TRY(read_columns(c, query_either(c, "by", "group"), &by));
    TN_TRY(tn_request_query_int(c->request, c->arena, "limit", 1, ROWS_MAX, &limit));
    TN_TRY(
        tn_tx_rows(c, TN_READ_ONLY, &tn_sql_usage_read,
                   TN_PARAMS(since, until, by, tn_arena_printf(c->arena, "%lld", (long long)limit),
                             c->who->role == TN_ROLE_PLATFORM ? "true" : "false"),
                   &rows));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}
