/* auth/audit.c: what has happened to the accounts of a tenant */
#include <string.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "auth/users.h"

/* `query=field:value`; both NULL when there is none. */
static const tn_error *
read_query(const tn_ctx *c, const char **field, const char **value)
{
    static const char *const fields[] = {"author",   "action",         "type",     "ip",
                                         "actor_id", "actor_username", "agent_id", "key_id"};
    const char *text = tn_request_query(c->request, "query");
    size_t length;

    *field = *value = NULL;
    if (text == NULL || *text == '\0')
        return NULL;
    length = strcspn(text, ":");
    for (size_t i = 0; i < TN_COUNT(fields) && text[length] == ':'; i++)
        if (strlen(fields[i]) == length && strncmp(fields[i], text, length) == 0) {
            *field = fields[i];
            *value = text + length + 1;
            return NULL;
        }
    return tn_auth_refuse_input(
        c, "Invalid query scope: expected author, action, type, ip, actor_id, "
           "actor_username, agent_id or key_id, a colon, and what to look for");
}

/* GET /auth/v1/admin/audit?query=&page=&per_page= */
const tn_error *
tn_admin_audit(tn_ctx *c)
{
    const char *field, *value;
    const tn_rows *rows;
    tn_auth_page page;
    tn_uuid tenant;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_page_read(c, &page));
    TN_TRY(read_query(c, &field, &value));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_audit_read,
                         TN_PARAMS(NULL, field, value, page.first, page.most), &rows));
    tn_auth_page_headers(c, &page, "/admin/audit", tn_rows_int(rows, 0, 1, 0));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}
