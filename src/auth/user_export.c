/* auth/user_export.c: a person's data, taken along as one JSON document
 *
 * PostgreSQL makes the pieces and none is kept, so it may be of any size: first what the server
 * holds, then, with the person's own rights, what the app holds.
 */
#include "auth/account.h"
#include "auth/area.h"
#include "auth/queries.h"
#include "auth/users.h"

struct export
{
    tn_response *response;
    bool has_begun;
};

static bool
write_piece(void *context, const char *text, size_t length)
{
    struct export *e = context;

    if (!e->has_begun) {
        e->has_begun = true;
        e->response->status = 200;
        e->response->content_type = "application/json";
        tn_response_header(e->response, "Content-Disposition",
                           "attachment; filename=\"account.json\"");
        tn_response_header(e->response, "Cache-Control", "no-store");
        if (!tn_response_open(e->response) || !tn_response_write(e->response, "{", 1))
            return false;
    }
    return tn_response_write(e->response, text, length);
}

static const tn_error *
stream(tn_ctx *c, const tn_db_context *context, const tn_query *query, struct export *e)
{
    const tn_rows *rows;
    const tn_db_work work = {.context = context,
                             .access = TN_READ_ONLY,
                             .isolation = TN_REPEATABLE_READ,
                             .queries = query,
                             .count = 1,
                             .results = &rows};

    return tn_db_stream(c->process->db, c->arena, &work, write_piece, e);
}

/* GET /auth/v1/user/export */
const tn_error *
tn_auth_user_export(tn_ctx *c)
{
    const char *const parameters[] = {c->who->user_id.text, tn_request_client_address(c->request)};
    const tn_query held = {
        .statement = &tn_sql_auth_export_account, .parameters = parameters, .parameter_count = 1};
    const tn_query allowed = {.statement = &tn_sql_auth_export_allowed};
    const tn_query rows = {.statement = &tn_sql_auth_export_rows};
    tn_db_context worker = tn_ctx_db_as(c, "tenon_worker"), person = tn_ctx_db(c);
    struct export e = {.response = c->response};
    const tn_error *error;
    tn_account account;
    const tn_rows *noted;

    TN_TRY(tn_account_find(c, NULL, NULL, &account));
    if (account.needs_second_factor)
        return tn_auth_refuse(c, "insufficient_aal");
    TN_TRY(tn_db_run(c->process->db, c->arena, &person, TN_READ_ONLY, &allowed, 1, &noted));
    TN_TRY(tn_auth_query(c, &c->who->tenant_id, TN_READ_WRITE, &tn_sql_auth_export_note,
                         TN_PARAMS(parameters[0], parameters[1]), &noted));
    worker.statement_timeout_ms = person.statement_timeout_ms = c->config->data.export_timeout_ms;
    error = stream(c, &worker, &held, &e);
    if (error == NULL)
        error = stream(c, &person, &rows, &e);
    if (error != NULL && !e.has_begun)
        return error;
    if (error != NULL)
        tn_response_cut(c->response);
    else
        (void)tn_response_write(c->response, "}", 1);
    return NULL;
}
