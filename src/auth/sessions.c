/* auth/sessions.c: where somebody is signed in, and no more */
#include "auth/area.h"
#include "auth/queries.h"
#include "auth/users.h"

static const tn_error *
respond_sessions(tn_ctx *c, const char *list)
{
    return tn_respond_json(c, 200, tn_arena_printf(c->arena, "{\"sessions\":%s}", list));
}

static const tn_error *
respond_end(tn_ctx *c, bool has_ended)
{
    return has_ended ? tn_respond_json(c, 200, "{}") : tn_auth_refuse(c, "session_not_found");
}

/* GET /auth/v1/sessions */
const tn_error *
tn_auth_sessions_list(tn_ctx *c)
{
    const tn_rows *rows;

    TN_TRY(tn_auth_find_person(c));
    TN_TRY(tn_auth_query(c, &c->who->tenant_id, TN_READ_ONLY, &tn_sql_auth_sessions_list,
                         TN_PARAMS(c->who->user_id.text, tn_principal_session(c->who)), &rows));
    return respond_sessions(c, tn_rows_text(rows, 0, 0));
}

/* DELETE /auth/v1/sessions/{id} */
const tn_error *
tn_auth_sessions_delete(tn_ctx *c)
{
    const char *person = c->who->user_id.text;
    const tn_rows *rows;
    tn_uuid session;

    TN_TRY(tn_auth_find_person(c));
    TN_TRY(tn_auth_path_uuid(c, "id", &session));
    TN_TRY(tn_auth_query(
        c, &c->who->tenant_id, TN_READ_WRITE, &tn_sql_auth_session_end,
        TN_PARAMS(person, session.text, person, tn_request_client_address(c->request)), &rows));
    return respond_end(c, tn_rows_bool(rows, 0, 0));
}

/* GET /auth/v1/admin/users/{id}/sessions */
const tn_error *
tn_admin_sessions_list(tn_ctx *c)
{
    tn_uuid tenant, person;
    const tn_rows *rows;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_path_uuid(c, "id", &person));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_admin_sessions,
                         TN_PARAMS(person.text), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_auth_refuse(c, "user_not_found");
    return respond_sessions(c, tn_rows_text(rows, 0, 0));
}

/* DELETE /auth/v1/admin/users/{id}/sessions/{session_id} */
const tn_error *
tn_admin_sessions_delete(tn_ctx *c)
{
    tn_uuid tenant, person, session;
    const tn_rows *rows;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_path_uuid(c, "id", &person));
    TN_TRY(tn_auth_path_uuid(c, "session_id", &session));
    TN_TRY(tn_auth_query(
        c, &tenant, TN_READ_WRITE, &tn_sql_auth_session_end,
        TN_PARAMS(person.text, session.text, NULL, tn_request_client_address(c->request)), &rows));
    return respond_end(c, tn_rows_bool(rows, 0, 0));
}

/* GET /auth/v1/user/audit?page=&per_page= */
const tn_error *
tn_auth_user_audit(tn_ctx *c)
{
    const tn_rows *rows;
    tn_auth_page page;

    TN_TRY(tn_auth_find_person(c));
    TN_TRY(tn_auth_page_read(c, &page));
    TN_TRY(tn_auth_query(c, &c->who->tenant_id, TN_READ_ONLY, &tn_sql_auth_audit_read,
                         TN_PARAMS(c->who->user_id.text, NULL, NULL, page.first, page.most),
                         &rows));
    tn_auth_page_headers(c, &page, "/user/audit", tn_rows_int(rows, 0, 1, 0));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}
