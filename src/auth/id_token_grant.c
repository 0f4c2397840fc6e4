/* auth/id_token_grant.c: POST /auth/v1/token?grant_type=id_token: an app brings an id token that it
 * has from the provider's own library
 *
 * What is wrong with the token is said in OAuth's form, with status 400.
 */
#include <string.h>

#include "auth/visitor.h"
#include "base/crypto.h"
#include "base/text.h"

struct brought {
    const char *provider, *id_token, *access_token, *nonce, *client_id, *issuer;
    int link_identity;
};

static const tn_field brought_fields[] = {
    {.name = "provider", .offset = offsetof(struct brought, provider)},
    {.name = "id_token", .offset = offsetof(struct brought, id_token)},
    {.name = "access_token", .offset = offsetof(struct brought, access_token)},
    {.name = "nonce", .offset = offsetof(struct brought, nonce)},
    {.name = "client_id", .offset = offsetof(struct brought, client_id)},
    {.name = "issuer", .offset = offsetof(struct brought, issuer)},
    {.name = "link_identity",
     .offset = offsetof(struct brought, link_identity),
     .type = TN_FIELD_BOOL},
    {.name = NULL},
};

static const tn_error *
respond_oauth_error(tn_ctx *c, const char *word, const char *description)
{
    PQExpBuffer body = tn_arena_buffer(c->arena);

    appendPQExpBufferStr(body, "{\"error\":");
    tn_buffer_json_string(body, word);
    appendPQExpBufferStr(body, ",\"error_description\":");
    tn_buffer_json_string(body, description);
    appendPQExpBufferChar(body, '}');
    return tn_respond_json(c, 400, tn_buffer_text(body));
}

/* By its name, or by issuer and client id. */
static const char *
find_provider(const tn_ctx *c, const struct brought *in)
{
    if (tn_text_is_given(in->provider))
        return tn_oauth_is_set_up(c->config, in->provider) ? in->provider : NULL;
    for (size_t i = 0; i < c->config->oauth_count; i++)
        if (strcmp(c->config->oauths[i].issuer, in->issuer) == 0 &&
            strcmp(c->config->oauths[i].client_id, in->client_id) == 0)
            return c->config->oauths[i].name;
    return NULL;
}

/* The token has the hash of what the app knows; either has none without the other. */
static const char *
judge_nonce(const tn_oauth_config *config, tn_arena *arena, json_object *claims, const char *nonce,
            const char **word)
{
    const char *wanted = tn_json_text(claims, "nonce", NULL);
    const char *hex;

    if (config->skip_nonce)
        return NULL;
    *word = "invalid request";
    if (tn_text_is_given(nonce) != json_object_object_get_ex(claims, "nonce", NULL))
        return "Passed nonce and nonce in id_token should either both exist or not.";
    if (!tn_text_is_given(nonce))
        return NULL;
    *word = "invalid nonce";
    hex = tn_sha256_hex(arena, nonce);
    if (wanted == NULL || strlen(wanted) != strlen(hex) || !tn_same_bytes(wanted, hex, strlen(hex)))
        return "Nonces mismatch";
    return NULL;
}

static const tn_error *
check_input(const tn_ctx *c, const struct brought *in, const char **name)
{
    if (!tn_text_is_given(in->id_token))
        return tn_auth_refuse_input(c, "id_token required");
    if (!tn_text_is_given(in->provider) &&
        (!tn_text_is_given(in->client_id) || !tn_text_is_given(in->issuer)))
        return tn_auth_refuse_input(c, "provider or client_id and issuer required");
    *name = find_provider(c, in);
    if (*name == NULL)
        return tn_error_new(c->arena, 400, "provider_disabled", NULL, "Provider is not enabled");
    return NULL;
}

/* Who links is the bearer. */
static const tn_error *
check_linking(tn_ctx *c, tn_visit *visit)
{
    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_visit_may_link(c));
    TN_TRY(tn_auth_find_person(c));
    visit->tenant = c->who->tenant_id;
    visit->target = c->who->user_id.text;
    return NULL;
}

const tn_error *
tn_auth_grant_by_id_token(tn_ctx *c, json_object *body)
{
    const tn_auth_opening opening = tn_auth_open(c);
    tn_oauth_expectation expectation = {.is_brought = true};
    const char *name, *problem, *word = NULL;
    struct brought in = {.link_identity = -1};
    tn_oauth_provider provider;
    tn_oauth_profile profile;
    tn_visit visit = {.provider = &provider, .profile = &profile};
    const tn_error *error;
    json_object *claims;
    const tn_rows *rows;

    TN_TRY(tn_object_known_fields(c, body, brought_fields, &in));
    TN_TRY(check_input(c, &in, &name));
    if (in.link_identity == 1)
        TN_TRY(check_linking(c, &visit));
    else
        TN_TRY(tn_auth_tenant(c, &visit.tenant));

    TN_TRY(tn_oauth_open(tn_auth_of(c)->oauth, c->arena, name, &provider));
    if (!provider.is_oidc)
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "Provider %s does not issue id tokens", name);
    if (tn_text_is_given(in.access_token))
        expectation.access_token = in.access_token;
    error = tn_oauth_id_token_check(&provider, c->arena, in.id_token, &expectation, &claims);
    if (error != NULL)
        return error->status == 400 ? respond_oauth_error(c, "invalid request", error->message)
                                    : error;
    problem = judge_nonce(provider.config, c->arena, claims, in.nonce, &word);
    if (problem != NULL)
        return respond_oauth_error(c, word, problem);
    TN_TRY(tn_oauth_profile_of_claims(&provider, c->arena, claims, &profile));

    TN_TRY(tn_visit_end(c, &visit, &opening, &rows));
    return tn_auth_respond_session(c, tn_rows_text(rows, 0, TN_VISIT_CLAIMS),
                                   tn_rows_text(rows, 0, TN_VISIT_USER), opening.token, NULL);
}
