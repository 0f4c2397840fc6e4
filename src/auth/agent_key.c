/* auth/agent_key.c: /auth/v1/agents/{id}/keys: several per agent, so that one can take another's
 * place; each is shown once */
#include <string.h>

#include "auth/agent.h"
#include "auth/queries.h"
#include "base/crypto.h"
#include "identity/key.h"

struct key {
    const char *name;
    json_object *scopes;
    int64_t expires_in;
};

static const tn_field key_fields[] = {
    {"name", offsetof(struct key, name), .max = 200},
    {"scopes", offsetof(struct key, scopes), .type = TN_FIELD_JSON},
    {"expires_in", offsetof(struct key, expires_in), .max = INT64_MAX / 2000000,
     .type = TN_FIELD_INT},
    {.name = NULL},
};

/* POST /auth/v1/agents/{id}/keys */
const tn_error *
tn_agent_key_create(tn_ctx *c)
{
    const char *text = tn_key_new(c->arena, "agent");
    struct key in = {.expires_in = -1};
    tn_agent_caller caller;
    tn_uuid id;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_path_uuid(c, "id", &id));
    TN_TRY(tn_body_fields(c, key_fields, &in));
    if (in.expires_in == 0)
        return tn_auth_refuse_input(c, "expires_in is a number of seconds");
    caller.extra = tn_arena_printf(c->arena, "\"key\":\"%s\"", text);
    return tn_agent_answer(
        c, &caller, 201, &tn_sql_agent_key_create,
        TN_PARAMS(caller.user_id, caller.session_id, id.text,
                  in.name != NULL && *in.name != '\0' ? in.name : NULL,
                  in.scopes != NULL ? tn_json_print(c->arena, in.scopes) : NULL,
                  in.expires_in > 0 ? tn_arena_number(c->arena, in.expires_in) : NULL,
                  tn_sha256_hex(c->arena, text), text + strlen(text) - 4,
                  tn_request_client_address(c->request)));
}

/* DELETE /auth/v1/agents/{id}/keys/{key_id} */
const tn_error *
tn_agent_key_revoke(tn_ctx *c)
{
    tn_agent_caller caller;
    tn_uuid id, key_id;

    TN_TRY(tn_agent_caller_read(c, &caller));
    TN_TRY(tn_path_uuid(c, "id", &id));
    TN_TRY(tn_path_uuid(c, "key_id", &key_id));
    return tn_agent_answer(c, &caller, 200, &tn_sql_agent_key_revoke,
                           TN_PARAMS(caller.user_id, caller.session_id, id.text, key_id.text,
                                     tn_request_client_address(c->request)));
}
