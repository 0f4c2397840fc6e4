/* identity/principal.c: key and token → principal */
#include "identity/principal.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/text.h"
#include "http/route.h"
#include "identity/key.h"
#include "identity/token.h"

struct caller {
    const tn_process *process;
    const tn_area *area;
    tn_arena *arena;
};

static const struct role {
    const char *name;
    unsigned role;
    bool in_tokens; /* a token may say it */
} roles[] = {
    {"anon", TN_ROLE_ANON, true},
    {"authenticated", TN_ROLE_AUTHENTICATED, true},
    {"service_role", TN_ROLE_SERVICE, true},
    {"agent", TN_ROLE_AGENT, false},
    {"tenon_platform", TN_ROLE_PLATFORM, false},
};

static const struct role *
find_role(const char *name)
{
    for (size_t i = 0; i < TN_COUNT(roles); i++)
        if (strcmp(roles[i].name, name) == 0)
            return &roles[i];
    return NULL;
}

const char *
tn_principal_bearer(const tn_request *request, tn_arena *arena)
{
    const char *value = tn_request_header(request, "authorization");
    size_t length;

    if (value == NULL || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    value += 7;
    value += strspn(value, " ");
    length = strlen(value);
    while (length > 0 && value[length - 1] == ' ')
        length--;
    return length > 0 ? tn_arena_bytes(arena, value, length) : NULL;
}

const tn_error *
tn_principal_default_tenant(const tn_process *process, tn_arena *arena, tn_uuid *tenant)
{
    const char *name = process->config->data.default_tenant;

    *tenant = (tn_uuid){0};
    if (name == NULL || *name == '\0')
        return NULL;
    TN_TRY(tn_keys_tenant(process->keys, arena, name, tenant));
    if (tenant->text[0] != '\0')
        return NULL;
    tn_log(TN_LOG_ERROR, "identity.default_tenant.unknown",
           TN_STR("request_id", tn_arena_label_text(arena)),
           TN_STR("setting", "data.default_tenant"), TN_STR("value", name));
    return tn_error_new(arena, 500, "internal_error",
                        "data.default_tenant must be the name or the id of a tenant "
                        "(tenon tenant list).",
                        "data.default_tenant names no tenant");
}

/* --- keys ------------------------------------------------------------------------------------- */

/* request.jwt.claims of somebody who has shown a key and no token */
static const char *
key_claims(tn_arena *arena, const tn_key *key)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    if (*key->claims != '\0')
        return key->claims;
    appendPQExpBuffer(text, "{\"role\":\"%s\"", key->role);
    if (key->tenant_id.text[0] != '\0')
        appendPQExpBuffer(text, ",\"tenant_id\":\"%s\"", key->tenant_id.text);
    if (key->user_id.text[0] != '\0')
        appendPQExpBuffer(text, ",\"sub\":\"%s\"", key->user_id.text);
    appendPQExpBufferChar(text, '}');
    return tn_buffer_text(text);
}

static const tn_error *
identify_key(const struct caller *caller, const char *text, tn_principal *who)
{
    const struct role *role;
    tn_key key;

    TN_TRY(tn_keys_find(caller->process->keys, caller->arena, text, &key));
    role = find_role(key.role);
    if (role == NULL)
        return tn_error_internal(caller->arena, "identity.key.role_unknown",
                                 "tenon.find_key() gave the role %s", key.role);
    *who = (tn_principal){.role = role->role,
                          .role_name = role->name,
                          .tenant_id = key.tenant_id,
                          .user_id = key.user_id,
                          .key_id = key.id,
                          .agent_id = key.agent_id,
                          .rate_per_minute = key.rate_per_minute,
                          .claims = key_claims(caller->arena, &key),
                          .scopes = key.scopes};
    return NULL;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The tenant to which a token belongs. */
static const tn_error *
tenant_of_token(const struct caller *caller, const tn_claims *claims, tn_uuid *tenant)
{
    if (claims->tenant_id.text[0] == '\0') {
        TN_TRY(tn_principal_default_tenant(caller->process, caller->arena, tenant));
        if (tenant->text[0] == '\0')
            return tn_error_new(caller->arena, 401, "tenant_required",
                                "Put a tenant_id into the token, or set data.default_tenant.",
                                "the token does not say to which tenant it belongs");
        return NULL;
    }
    TN_TRY(tn_keys_tenant(caller->process->keys, caller->arena, claims->tenant_id.text, tenant));
    if (tenant->text[0] == '\0')
        return tn_error_new(caller->arena, 401, "bad_jwt", NULL,
                            "invalid JWT: its tenant does not exist");
    return NULL;
}

/* A role that the app made for itself. Ours are none of its business. */
static bool
may_be_the_apps(const char *name)
{
    return find_role(name) == NULL && !tn_text_starts(name, "tenon_") &&
           strcmp(name, "supabase_auth_admin") != 0 && *name != '\0';
}

/* The role that a token asks for, with its name in `name`; 0: it may not. */
static unsigned
role_of_token(const struct caller *caller, const tn_claims *claims, const char **name)
{
    const struct role *role = find_role(claims->role);

    *name = claims->role;
    if (role != NULL && role->role == TN_ROLE_AGENT) /* what others sign never is one */
        return claims->by_secret ? 0 : TN_ROLE_AGENT;
    if (role != NULL)
        return role->in_tokens ? role->role : 0;
    if (!may_be_the_apps(claims->role))
        return 0;
    if (caller->area->any_role)
        return TN_ROLE_CUSTOM;
    if (!caller->area->any_person)
        return 0;
    if (claims->by_secret && strcmp(claims->role, "supabase_admin") == 0) {
        *name = "service_role";
        return TN_ROLE_SERVICE;
    }
    return TN_ROLE_AUTHENTICATED;
}

/* What a token of ours for an agent allows, which others decide about until it ends. */
static const tn_error *
add_delegation(const struct caller *caller, tn_principal *who)
{
    tn_key key;

    TN_TRY(tn_keys_find_delegation(caller->process->keys, caller->arena, &who->tenant_id,
                                   who->claims, &key));
    who->agent_id = key.agent_id;
    who->rate_per_minute = key.rate_per_minute;
    who->claims = key.claims;
    who->scopes = key.scopes;
    who->aal = NULL;
    return NULL;
}

/* A token that verifies, as a principal. 401s are the token's fault, everything else is ours. */
static const tn_error *
identify_token(const struct caller *caller, const char *token, tn_principal *who, bool *by_secret)
{
    const tn_error *error;
    const char *role_name;
    tn_claims claims;
    unsigned role;
    tn_uuid tenant;

    error = tn_tokens_verify_within(caller->process->tokens, caller->arena, token,
                                    caller->area->token_leeway_s, &claims);
    who->token_fault = claims.fault;
    if (error != NULL)
        return error->status >= 500 ? error
                                    : tn_error_new(caller->arena, 401, error->code, error->hint,
                                                   "%s", error->message);
    role = role_of_token(caller, &claims, &role_name);
    if (role == 0)
        return tn_error_new(caller->arena, 401, "bad_jwt", NULL,
                            "invalid JWT: a token cannot have the role %s", claims.role);
    TN_TRY(tenant_of_token(caller, &claims, &tenant));
    *by_secret = claims.by_secret;
    *who = (tn_principal){.role = role,
                          .role_name = role_name,
                          .tenant_id = tenant,
                          .user_id = claims.user_id,
                          .session_id = claims.session_id,
                          .claims = claims.json,
                          .scopes = "",
                          .email = claims.email,
                          .aal = claims.aal,
                          .has_bearer_user = role == TN_ROLE_AUTHENTICATED,
                          .subject_malformed = claims.subject_malformed,
                          .audience_foreign = claims.audience_foreign};
    return role == TN_ROLE_AGENT ? add_delegation(caller, who) : NULL;
}

/* A JWT in the place of a key. */
static const tn_error *
identify_older_key(const struct caller *caller, const char *text, tn_principal *who)
{
    const tn_error *error;
    bool by_secret = false;

    error = identify_token(caller, text, who, &by_secret);
    if (error != NULL && (error->status >= 500 || strcmp(error->code, "bad_jwt") != 0))
        return error;
    if (error != NULL || !by_secret || (who->role & (TN_ROLE_ANON | TN_ROLE_SERVICE)) == 0)
        return tn_error_new(caller->arena, 401, "invalid_key", "Ask the operator for a valid key.",
                            "the API key is not valid: %s",
                            error != NULL ? error->message : "it is a user's token");
    who->session_id = (tn_uuid){0};
    return NULL;
}

/* --- both ------------------------------------------------------------------------------------- */

static const tn_error *
identify_credential(const struct caller *caller, const char *text, tn_principal *who)
{
    bool by_secret;

    return tn_key_is_formed(text) ? identify_key(caller, text, who)
                                  : identify_token(caller, text, who, &by_secret);
}

static const tn_error *
identify_api_key(const struct caller *caller, const char *text, tn_principal *who)
{
    return strchr(text, '.') != NULL ? identify_older_key(caller, text, who)
                                     : identify_key(caller, text, who);
}

/* A token that clients of PostgREST send as key and as bearer, because it is all they have, is only
 * the bearer: of any role, and with the words that tokens get when they are bad. */
static bool
is_token_only(const struct caller *caller, const char *key, const char *bearer)
{
    return caller->area->any_role && bearer != NULL && strcmp(key, bearer) == 0 &&
           strchr(key, '.') != NULL;
}

/* What the bearer adds to what the key has admitted. */
static const tn_error *
add_bearer(const struct caller *caller, const char *bearer, tn_principal *who)
{
    tn_principal person = {0};
    const tn_error *error = identify_credential(caller, bearer, &person);

    if (error == NULL && who->tenant_id.text[0] != '\0' &&
        strcmp(who->tenant_id.text, person.tenant_id.text) != 0)
        error = tn_error_new(caller->arena, 401, "tenant_mismatch",
                             "Use a key and a token of the same tenant.",
                             "the token belongs to another tenant than the API key");
    if (error != NULL && error->status != 401)
        return error;
    if (error != NULL) {
        who->token_error = error;
        who->token_fault = person.token_fault;
        return NULL;
    }
    if (person.key_id.text[0] == '\0')
        person.key_id = who->key_id;
    *who = person;
    return NULL;
}

const tn_error *
tn_principal_identify(const tn_process *process, const tn_area *area, const tn_request *request,
                      tn_arena *arena, tn_principal *who)
{
    const struct caller caller = {.process = process, .area = area, .arena = arena};
    const char *key = tn_request_header(request, "apikey");
    const char *bearer = tn_principal_bearer(request, arena);

    *who = (tn_principal){.role = TN_ROLE_NONE, .role_name = "none", .claims = "", .scopes = ""};
    if (key != NULL && is_token_only(&caller, key, bearer))
        return add_bearer(&caller, bearer, who);
    if (key != NULL && *key != '\0')
        TN_TRY(identify_api_key(&caller, key, who));
    else if (bearer != NULL && tn_key_is_formed(bearer))
        return identify_key(&caller, bearer, who);
    if (bearer == NULL || (key != NULL && strcmp(key, bearer) == 0) || who->role == TN_ROLE_AGENT)
        return NULL;
    return add_bearer(&caller, bearer, who);
}

bool
tn_principal_is_service(const tn_principal *who)
{
    return who->role == TN_ROLE_SERVICE;
}

const char *
tn_principal_session(const tn_principal *who)
{
    return who->session_id.text[0] != '\0' ? who->session_id.text : NULL;
}

static bool
covers(const char *held, const char *wanted)
{
    const size_t length = strlen(held);

    if (strcmp(held, wanted) == 0)
        return true;
    return length >= 2 && strcmp(held + length - 2, ":*") == 0 &&
           strncmp(held, wanted, length - 1) == 0;
}

bool
tn_principal_has_scope(const tn_principal *who, const char *scope)
{
    json_object *list;
    bool has = false;

    if (who->role != TN_ROLE_AGENT)
        return true;
    list = json_tokener_parse(who->scopes); /* ours: out of a jsonb column */
    for (size_t i = 0;
         json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);

        has = has || (json_object_is_type(item, json_type_string) &&
                      covers(json_object_get_string(item), scope));
    }
    json_object_put(list);
    return has;
}
