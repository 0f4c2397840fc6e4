/* data/handle.c: requests to relations and functions: read, plan, run, respond */
#include <string.h>

#include "data/export.h"

static const tn_error *
perform(tn_data_request *r)
{
    tn_data_plan plan;
    tn_data_answer answer;

    TN_TRY(tn_data_plan_of(r, &plan));
    if (tn_data_is_export(r, &plan))
        return tn_data_export(r, &plan);
    TN_TRY(tn_data_run(r, &plan, &answer));
    return tn_data_respond(r, &plan, &answer);
}

/* /rest/v1/{relation} */
const tn_error *
tn_data_relation(tn_ctx *c)
{
    tn_data_request r = {.c = c, .http = c->request, .name = tn_path_text(c, "relation")};

    TN_TRY(tn_data_read(&r));
    return tn_data_error_for(&r, perform(&r));
}

/* An agent calls what its key names; what it reads and writes there is row security's to say. */
static const tn_error *
check_scope(const tn_data_request *r)
{
    const char *scope = tn_arena_printf(r->c->arena, "data:%s:call", r->name);

    if (tn_principal_has_scope(r->c->who, scope))
        return NULL;
    return tn_error_new(r->c->arena, 403, "scope_missing",
                        "Give the agent's key the scope, or use another key.",
                        "the key lacks the scope %s", scope);
}

/* /rest/v1/rpc/{function} */
const tn_error *
tn_data_call(tn_ctx *c)
{
    tn_data_request r = {
        .c = c, .http = c->request, .name = tn_path_text(c, "function"), .is_call = true};

    TN_TRY(check_scope(&r));
    TN_TRY(tn_data_read(&r));
    return tn_data_error_for(&r, perform(&r));
}
