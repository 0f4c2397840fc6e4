/* auth/user.c: people: who they are, and how they come to be */
#include "auth/area.h"
#include "auth/auth.h"
#include "auth/queries.h"

/* GET /auth/v1/user */
const tn_error *
tn_auth_user_get(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const char *session = tn_principal_session(who);
    const char *const parameters[] = {who->user_id.text, session};
    const tn_query query = {
        .statement = &tn_sql_auth_user_get, .parameters = parameters, .parameter_count = 2};
    /* no request.headers and the like: nothing in this query can ask for them */
    const tn_db_context context = {
        .role = "tenon_worker", .tenant_id = who->tenant_id.text, .request_id = c->request->id};
    const tn_rows *rows;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_db_run(c->process->db, c->arena, &context, TN_READ_ONLY, &query, 1, &rows));
    TN_TRY(tn_auth_check_person(c, rows));
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

/* --- the operator's way ----------------------------------------------------------------------- */

const tn_error *
tn_auth_create_user(tn_session *session, tn_arena *arena, const tn_config *config,
                    const char *tenant_id, const char *email, const char *password,
                    const char *metadata, const char **user)
{
    const tn_rows *rows;
    const char *address;

    TN_TRY(tn_email_normalise(arena, email, &address));
    TN_TRY(tn_password_check(config, arena, password));
    TN_TRY(
        tn_session_run(session, arena, tn_sql_auth_user_create.sql,
                       TN_PARAMS(tenant_id, address, tn_password_hash_now(config, arena, password),
                                 metadata != NULL ? metadata : "{}"),
                       &rows));
    *user = tn_rows_text(rows, 0, 0);
    if (*user == NULL)
        return tn_error_new(arena, 422, "email_exists", NULL,
                            "A user with this email address has already been registered");
    return NULL;
}

const tn_error *
tn_auth_set_password(tn_session *session, tn_arena *arena, const tn_config *config,
                     const char *tenant_id, const char *user_id, const char *password)
{
    const tn_rows *rows;

    TN_TRY(tn_password_check(config, arena, password));
    TN_TRY(tn_session_run(
        session, arena, tn_sql_auth_password_set.sql,
        TN_PARAMS(tenant_id, user_id, tn_password_hash_now(config, arena, password)), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(arena, 404, "user_not_found", NULL, "User not found");
    return NULL;
}
