/* identity/ctx.c: the short ways of a handler to path, database and answer */
#include "identity/ctx.h"

#include <assert.h>
#include <string.h>

const char *
tn_path_text(const tn_ctx *c, const char *name)
{
    for (size_t i = 0; i < c->match->capture_count; i++)
        if (strcmp(c->match->captures[i].name, name) == 0)
            return c->match->captures[i].value;
    assert(false); /* the route's path has no such {name} */
    return "";
}

const tn_error *
tn_path_uuid(tn_ctx *c, const char *name, tn_uuid *uuid)
{
    if (!tn_uuid_parse(tn_path_text(c, name), uuid))
        return tn_error_new(c->arena, 404, "not_found", "Identifiers are UUIDs.",
                            "there is nothing with this %s", name);
    return NULL;
}

/* --- database --------------------------------------------------------------------------------- */

static const char *
text_or_null(const char *text)
{
    return text != NULL && *text != '\0' ? text : NULL;
}

tn_db_context
tn_ctx_db_as(const tn_ctx *c, const char *role)
{
    return (tn_db_context){
        .role = role,
        .tenant_id = text_or_null(c->who->tenant_id.text),
        .claims = text_or_null(c->who->claims),
        .headers = tn_request_headers_json(c->request, c->arena),
        .method = c->request->method,
        .path = c->request->path,
        .key_id = text_or_null(c->who->key_id.text),
        .scopes = text_or_null(c->who->scopes),
        .request_id = c->request->id,
    };
}

tn_db_context
tn_ctx_db(const tn_ctx *c)
{
    return tn_ctx_db_as(c, c->who->role == TN_ROLE_NONE ? "anon" : c->who->role_name);
}

static const tn_error *
run_one(tn_ctx *c, const tn_db_context *context, tn_access access, const tn_statement *statement,
        const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_query query = {
        .statement = statement, .parameters = parameters, .parameter_count = count};

    return tn_db_run(c->process->db, c->arena, context, access, &query, 1, rows);
}

const tn_error *
tn_tx_rows(tn_ctx *c, tn_access access, const tn_statement *statement,
           const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_db_context context = tn_ctx_db(c);

    return run_one(c, &context, access, statement, parameters, count, rows);
}

const tn_error *
tn_tx_worker(tn_ctx *c, tn_access access, const tn_statement *statement,
             const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_db_context context = tn_ctx_db_as(c, "tenon_worker");

    return run_one(c, &context, access, statement, parameters, count, rows);
}

/* --- answer ----------------------------------------------------------------------------------- */

const tn_error *
tn_respond_json(tn_ctx *c, int status, const char *json)
{
    tn_response_json(c->response, status, json);
    return NULL;
}

const tn_error *
tn_respond_empty(tn_ctx *c, int status)
{
    tn_response_empty(c->response, status);
    return NULL;
}
