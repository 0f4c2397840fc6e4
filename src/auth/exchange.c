/* auth/exchange.c: token exchange (RFC 8693): a person's access token becomes one that is narrower
 * and short-lived, for an agent or for one piece of work
 *
 * What comes in is checked here; whether person, session and agent still stand behind it, and what
 * the new token says, is auth.exchange_token(). Each use of the new token asks again
 * (tn_keys_find_delegation()).
 */
#include <string.h>

#include "auth/agent.h"
#include "auth/queries.h"
#include "base/clock.h"
#include "base/text.h"
#include "identity/key.h"
#include "identity/token.h"

#define TYPE_ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"
#define TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"

enum { OUTCOME, PROBLEM, CLAIMS, ENDS_AT };

struct exchange {
    const char *subject_token, *subject_token_type, *actor_token, *actor_token_type;
    const char *requested_token_type, *scope;
    json_object *audience, *resource;
};

static const tn_field exchange_fields[] = {
    {.name = "subject_token", .offset = offsetof(struct exchange, subject_token)},
    {.name = "subject_token_type", .offset = offsetof(struct exchange, subject_token_type)},
    {.name = "actor_token", .offset = offsetof(struct exchange, actor_token)},
    {.name = "actor_token_type", .offset = offsetof(struct exchange, actor_token_type)},
    {.name = "requested_token_type", .offset = offsetof(struct exchange, requested_token_type)},
    {.name = "scope", .offset = offsetof(struct exchange, scope)},
    {.name = "audience", .offset = offsetof(struct exchange, audience), .type = TN_FIELD_JSON},
    {.name = "resource", .offset = offsetof(struct exchange, resource), .type = TN_FIELD_JSON},
    {.name = NULL},
};

/* Who will use the token: an agent with what its credential allows, or whoever asks. */
struct actor {
    const char *agent_id, *scopes, *client; /* parameters of SQL, NULL: none */
    int64_t expires_at;
};

static const tn_error *
refuse(const tn_ctx *c, const char *code, const char *message)
{
    return tn_error_new(c->arena, 400, code, NULL, "%s", message);
}

/* --- what is asked for ------------------------------------------------------------------------ */

static bool
is_token_type(const char *type)
{
    return strcmp(type, TYPE_ACCESS_TOKEN) == 0 || strcmp(type, TYPE_JWT) == 0;
}

static bool
is_ours(const tn_ctx *c, const char *target, bool is_resource)
{
    const char *url = c->config->server.public_url;

    if (tn_text_starts(target, url) && strchr("/?", target[strlen(url)]) != NULL)
        return true;
    return !is_resource && (strcmp(target, c->config->auth.audience) == 0 ||
                            strcmp(target, tn_auth_of(c)->issuer) == 0);
}

/* `audience` and `resource` may be given more than once (RFC 8693 section 2.1). There is one
 * audience here, and the resources below the public URL. */
static const tn_error *
check_target(const tn_ctx *c, json_object *target, bool is_resource)
{
    const bool is_list = json_object_is_type(target, json_type_array);
    const size_t count = target == NULL ? 0 : is_list ? json_object_array_length(target) : 1;

    for (size_t i = 0; i < count; i++) {
        json_object *item = is_list ? json_object_array_get_idx(target, i) : target;

        if (!json_object_is_type(item, json_type_string) ||
            !is_ours(c, json_object_get_string(item), is_resource))
            return refuse(c, "invalid_target", "tokens are issued for this server only");
    }
    return NULL;
}

static const tn_error *
check_request(const tn_ctx *c, const struct exchange *in)
{
    if (in->subject_token == NULL || in->subject_token_type == NULL)
        return refuse(c, "invalid_request", "subject_token and subject_token_type are required");
    if (!is_token_type(in->subject_token_type))
        return refuse(c, "invalid_request",
                      "subject_token_type is " TYPE_ACCESS_TOKEN " or " TYPE_JWT);
    if (in->actor_token == NULL && in->actor_token_type != NULL)
        return refuse(c, "invalid_request", "there is an actor_token_type and no actor_token");
    if (in->actor_token != NULL && !tn_key_is_formed(in->actor_token) &&
        (in->actor_token_type == NULL || !is_token_type(in->actor_token_type)))
        return refuse(c, "invalid_request",
                      "actor_token_type is " TYPE_ACCESS_TOKEN " or " TYPE_JWT);
    if (in->requested_token_type != NULL && !is_token_type(in->requested_token_type))
        return refuse(c, "invalid_request",
                      "requested_token_type is " TYPE_ACCESS_TOKEN " or " TYPE_JWT);
    TN_TRY(check_target(c, in->audience, false));
    return check_target(c, in->resource, true);
}

/* The scopes that are wanted as a JSON array; NULL when nothing is said. Blanks are what separates
 * them, so they need no more than quotes: SQL looks whether each is well formed. */
static const char *
wanted_scopes(const tn_ctx *c, const char *scope)
{
    PQExpBuffer list = tn_arena_buffer(c->arena);
    size_t length;

    if (scope == NULL)
        return NULL;
    for (scope += strspn(scope, " "); *scope != '\0'; scope += strspn(scope, " ")) {
        length = strcspn(scope, " ");
        appendPQExpBufferChar(list, list->len == 0 ? '[' : ',');
        tn_buffer_json_bytes(list, scope, length);
        scope += length;
    }
    if (list->len == 0)
        return NULL;
    appendPQExpBufferChar(list, ']');
    return tn_buffer_text(list);
}

/* --- who it is about, and who will act -------------------------------------------------------- */

/* A token of ours: of a person, or of an agent, which then must be in force. */
static const tn_error *
verify_token(tn_ctx *c, const char *token, tn_claims *claims, tn_key *delegation)
{
    tn_uuid tenant;

    TN_TRY(tn_tokens_verify(c->process->tokens, c->arena, token, claims));
    *delegation = (tn_key){0};
    if (claims->by_secret || claims->user_id.text[0] == '\0' || claims->tenant_id.text[0] == '\0' ||
        (strcmp(claims->role, "authenticated") != 0 && strcmp(claims->role, "agent") != 0))
        return refuse(c, "invalid_request",
                      "only access tokens that were issued here are exchanged");
    if (c->who->tenant_id.text[0] != '\0' &&
        strcmp(c->who->tenant_id.text, claims->tenant_id.text) != 0)
        return refuse(c, "invalid_request", "the token belongs to another tenant than the API key");
    TN_TRY(tn_keys_tenant(c->process->keys, c->arena, claims->tenant_id.text, &tenant));
    if (tenant.text[0] == '\0')
        return refuse(c, "invalid_request", "the tenant of the token does not exist");
    if (strcmp(claims->role, "agent") == 0)
        return tn_keys_find_delegation(c->process->keys, c->arena, &tenant, claims->json,
                                       delegation);
    return NULL;
}

static struct actor
agent_actor(const tn_ctx *c, const tn_key *key, int64_t expires_at)
{
    return (struct actor){.agent_id = tn_arena_text(c->arena, key->agent_id.text),
                          .scopes = key->scopes,
                          .expires_at = expires_at};
}

static const tn_error *
read_actor_token(tn_ctx *c, const char *token, const tn_claims *subject, struct actor *actor)
{
    tn_claims claims;
    tn_key key;

    if (tn_key_is_formed(token)) {
        TN_TRY(tn_keys_find(c->process->keys, c->arena, token, &key));
        if (key.agent_id.text[0] == '\0')
            return refuse(c, "invalid_request", "the actor_token is no agent's");
        if (strcmp(key.tenant_id.text, subject->tenant_id.text) != 0)
            return refuse(c, "invalid_request", "the actor_token belongs to another tenant");
        *actor = agent_actor(c, &key, key.expires_at);
        return NULL;
    }
    TN_TRY(verify_token(c, token, &claims, &key));
    if (key.agent_id.text[0] == '\0')
        return refuse(c, "invalid_request", "the actor_token is no agent's");
    if (strcmp(claims.tenant_id.text, subject->tenant_id.text) != 0 ||
        strcmp(claims.user_id.text, subject->user_id.text) != 0)
        return refuse(c, "invalid_request", "the actor_token is for another person");
    *actor = agent_actor(c, &key, claims.expires_at);
    return NULL;
}

/* Without an actor_token: the agent whose key or token makes the request, else the key that does.
 */
static struct actor
calling_actor(const tn_ctx *c)
{
    const tn_principal *who = c->who;
    struct actor actor = {.client = "client"};

    if (who->key_id.text[0] != '\0')
        actor.client = tn_arena_printf(c->arena, "key:%s", who->key_id.text);
    if (who->role == TN_ROLE_AGENT)
        actor.scopes = who->scopes;
    if (who->agent_id.text[0] != '\0')
        actor.agent_id = who->agent_id.text;
    return actor;
}

/* --- the answer ------------------------------------------------------------------------------- */

static int64_t
earlier(int64_t one, int64_t other)
{
    return other > 0 && other < one ? other : one;
}

static const tn_error *
respond(tn_ctx *c, const struct exchange *in, const char *claims, int64_t expires_at)
{
    const char *type =
        in->requested_token_type != NULL ? in->requested_token_type : TYPE_ACCESS_TOKEN;
    const int64_t now = tn_clock_unix();
    PQExpBuffer payload = tn_arena_buffer(c->arena), body = tn_arena_buffer(c->arena);
    json_object *object;
    const char *token;

    appendPQExpBufferStr(payload, "{\"iss\":");
    tn_buffer_json_string(payload, tn_auth_of(c)->issuer);
    appendPQExpBufferStr(payload, ",\"aud\":");
    tn_buffer_json_string(payload, c->config->auth.audience);
    appendPQExpBuffer(payload, ",\"iat\":%lld,\"exp\":%lld,%s", (long long)now,
                      (long long)expires_at, claims + 1);
    TN_TRY(tn_tokens_sign(c->process->tokens, c->arena, tn_buffer_text(payload), &token));
    if (strlen(token) > TN_TOKEN_MAX)
        return refuse(c, "invalid_scope", "the token would be too long; ask for fewer scopes");
    TN_TRY(tn_json_parse(c->arena, claims, strlen(claims), 32, &object));
    appendPQExpBuffer(body,
                      "{\"access_token\":\"%s\",\"issued_token_type\":\"%s\",\"token_type\":"
                      "\"Bearer\",\"expires_in\":%lld,\"scope\":",
                      token, type, (long long)(expires_at - now));
    tn_buffer_json_string(body, tn_json_text(object, "scope", ""));
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 200, tn_buffer_text(body));
}

static const tn_error *
exchange(tn_ctx *c, json_object *body)
{
    struct exchange in = {0};
    struct actor actor = {0};
    tn_claims subject;
    tn_key delegation;
    const tn_rows *rows;
    int64_t expires_at;

    TN_TRY(tn_object_known_fields(c, body, exchange_fields, &in));
    TN_TRY(check_request(c, &in));
    TN_TRY(verify_token(c, in.subject_token, &subject, &delegation));
    if (in.actor_token != NULL)
        TN_TRY(read_actor_token(c, in.actor_token, &subject, &actor));
    else
        actor = calling_actor(c);

    TN_TRY(
        tn_auth_query(c, &subject.tenant_id, TN_READ_WRITE, &tn_sql_token_exchange,
                      TN_PARAMS(subject.json, actor.agent_id, actor.scopes, actor.client,
                                wanted_scopes(c, in.scope), tn_request_client_address(c->request)),
                      &rows));
    if (tn_rows_text(rows, 0, OUTCOME) != NULL)
        return refuse(c, tn_rows_text(rows, 0, OUTCOME), tn_rows_text(rows, 0, PROBLEM));
    expires_at = earlier(tn_clock_unix() + c->config->auth.exchange_ttl_s, subject.expires_at);
    expires_at = earlier(expires_at, actor.expires_at);
    expires_at = earlier(expires_at, tn_rows_int(rows, 0, ENDS_AT, 0));
    return respond(c, &in, tn_rows_text(rows, 0, CLAIMS), expires_at);
}

/* A token that is not good for whatever reason is an invalid_request (RFC 8693 section 2.2.2). What
 * is no fault of the request (5xx, 429) stays as it is. */
const tn_error *
tn_auth_exchange(tn_ctx *c, json_object *body)
{
    const tn_error *error = exchange(c, body);
    PQExpBuffer answer = tn_arena_buffer(c->arena);

    if (error == NULL || error->status >= 500 || error->status == 429)
        return error;
    appendPQExpBufferStr(answer, "{\"error\":");
    tn_buffer_json_string(answer, strncmp(error->code, "invalid_", 8) == 0 && error->status == 400
                                      ? error->code
                                      : "invalid_request");
    appendPQExpBufferStr(answer, ",\"error_description\":");
    tn_buffer_json_string(answer, error->message);
    appendPQExpBufferChar(answer, '}');
    return tn_respond_json(c, 400, tn_buffer_text(answer));
}
