/* auth/settings.c: what clients may know about this server without a key */
#include <string.h>

#include "auth/area.h"
#include "identity/token.h"

/* GET /auth/v1/health */
const tn_error *
tn_auth_health(tn_ctx *c)
{
    return tn_respond_json(c, 200,
                           "{\"version\":\"" PACKAGE_VERSION "\",\"name\":\"Tenon\","
                           "\"description\":\"Tenon is the backend under an AI app\"}");
}

/* GET /auth/v1/.well-known/jwks.json */
const tn_error *
tn_auth_jwks(tn_ctx *c)
{
    const char *json;

    TN_TRY(tn_tokens_jwks(c->process->tokens, c->arena, &json));
    tn_response_header(c->response, "Cache-Control", "public, max-age=600");
    return tn_respond_json(c, 200, json);
}

static const char *
word(bool value)
{
    return value ? "true" : "false";
}

static bool
is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* GET /auth/v1/settings */
const tn_error *
tn_auth_settings(tn_ctx *c)
{
    static const char *const providers[] = {
        "apple",    "azure",         "bitbucket", "discord", "facebook",   "figma",
        "fly",      "github",        "gitlab",    "google",  "kakao",      "keycloak",
        "linkedin", "linkedin_oidc", "notion",    "slack",   "slack_oidc", "snapchat",
        "spotify",  "twitch",        "twitter",   "workos",  "zoom",
    };
    PQExpBuffer body = tn_arena_buffer(c->arena);

    appendPQExpBuffer(body, "{\"external\":{\"anonymous_users\":%s,\"email\":%s,\"phone\":%s",
                      word(c->config->auth.anonymous), word(c->config->auth.email),
                      word(c->config->auth.phone));
    for (size_t i = 0; i < TN_COUNT(providers); i++)
        appendPQExpBuffer(body, ",\"%s\":%s", providers[i],
                          word(tn_config_oauth(c->config, providers[i]) != NULL));
    for (size_t i = 0; i < c->config->oauth_count; i++)
        if (!is_among(providers, TN_COUNT(providers), c->config->oauths[i].name))
            appendPQExpBuffer(body, ",\"%s\":true", c->config->oauths[i].name);
    appendPQExpBuffer(body,
                      "},\"disable_signup\":%s,\"mailer_autoconfirm\":%s,"
                      "\"phone_autoconfirm\":%s,\"sms_provider\":\"%s\",\"saml_enabled\":false,"
                      "\"passkeys_enabled\":%s}",
                      word(!c->config->auth.signup), word(c->config->auth.autoconfirm),
                      word(c->config->auth.phone_autoconfirm), c->config->auth.phone ? "hook" : "",
                      word(c->config->auth.passkeys));
    return tn_respond_json(c, 200, tn_buffer_text(body));
}
