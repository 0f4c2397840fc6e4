/* data/options.c: OPTIONS: what can be done with a relation, a function, or the root
 *
 * By what it is, not by who asks: privileges are PostgreSQL's to check.
 */
#include "data/request.h"

static const tn_error *
respond_allow(tn_ctx *c, const char *methods)
{
    tn_response_header(c->response, "Allow", methods);
    return tn_respond_empty(c, 200);
}

/* OPTIONS /rest/v1/{relation} */
const tn_error *
tn_data_options(tn_ctx *c)
{
    tn_data_request r = {.c = c, .http = c->request, .name = tn_path_text(c, "relation")};
    const tn_relation *relation;

    TN_TRY(tn_data_read(&r));
    TN_TRY(tn_plan_relation(c->arena, r.snapshot, r.schema, r.name, &relation));
    return respond_allow(
        c,
        tn_arena_printf(
            c->arena, "OPTIONS,GET,HEAD%s%s%s%s", relation->can_insert ? ",POST" : "",
            relation->can_insert && relation->can_update && relation->key_count > 0 ? ",PUT" : "",
            relation->can_update ? ",PATCH" : "", relation->can_delete ? ",DELETE" : ""));
}

/* OPTIONS /rest/v1/rpc/{function} */
const tn_error *
tn_data_call_options(tn_ctx *c)
{
    tn_data_request r = {
        .c = c, .http = c->request, .name = tn_path_text(c, "function"), .is_call = true};
    const char **names;
    const tn_function *function;
    bool is_raw;

    TN_TRY(tn_data_read(&r));
    names = tn_arena_alloc(c->arena, r.query.argument_count + 1, sizeof(*names));
    for (size_t i = 0; i < r.query.argument_count; i++)
        names[i] = r.query.arguments[i].name;
    TN_TRY(tn_plan_choose(c->arena, r.snapshot,
                          &(tn_call_shape){.schema = r.schema,
                                           .name = r.name,
                                           .names = names,
                                           .name_count = r.query.argument_count},
                          &function, &is_raw));
    return respond_allow(c, function->volatility == 'v' ? "OPTIONS,POST" : "OPTIONS,GET,HEAD,POST");
}

/* OPTIONS /rest/v1/ */
const tn_error *
tn_data_root_options(tn_ctx *c)
{
    return respond_allow(c, "OPTIONS,GET,HEAD");
}
