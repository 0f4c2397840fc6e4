/* oauth/provider.c: which providers there are, and where */
#include "oauth/provider.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "oauth/oauth_private.h"

#define VERIFIER_BYTES 32 /* 43 characters, the fewest that RFC 7636 section 4.1 takes */

static const tn_oauth_preset presets[] = {
    {
        .name = "github",
        .kind = TN_OAUTH_GITHUB,
        .issuer = "https://github.com/login/oauth",
        .authorize_url = "https://github.com/login/oauth/authorize",
        .token_url = "https://github.com/login/oauth/access_token",
        .jwks_url = "",
        .userinfo_url = "https://api.github.com/user",
        .scopes = "user:email",
        .takes_challenge = true,
    },
    {
        .name = "google",
        .kind = TN_OAUTH_GOOGLE,
        .issuer = "https://accounts.google.com",
        .authorize_url = "https://accounts.google.com/o/oauth2/v2/auth",
        .token_url = "https://oauth2.googleapis.com/token",
        .jwks_url = "https://www.googleapis.com/oauth2/v3/certs",
        .userinfo_url = "",
        .scopes = "openid email profile",
        .is_oidc = true,
        .takes_challenge = true,
    },
    {
        .name = "apple",
        .kind = TN_OAUTH_APPLE,
        .issuer = "https://appleid.apple.com",
        .authorize_url = "https://appleid.apple.com/auth/authorize",
        .token_url = "https://appleid.apple.com/auth/token",
        .jwks_url = "https://appleid.apple.com/auth/keys",
        .userinfo_url = "",
        .scopes = "email name",
        .is_oidc = true,
        .answers_by_post = true,
    },
    {
        .name = "azure",
        .kind = TN_OAUTH_AZURE,
        .issuer = "https://login.microsoftonline.com/{tenantid}/v2.0",
        .authorize_url = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        .token_url = "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        .jwks_url = "https://login.microsoftonline.com/common/discovery/v2.0/keys",
        .userinfo_url = "",
        .scopes = "openid email profile",
        .is_oidc = true,
        .takes_challenge = true,
    },
    {
        .name = "discord",
        .kind = TN_OAUTH_DISCORD,
        .issuer = "",
        .authorize_url = "https://discord.com/oauth2/authorize",
        .token_url = "https://discord.com/api/oauth2/token",
        .jwks_url = "",
        .userinfo_url = "https://discord.com/api/users/@me",
        .scopes = "identify email",
    },
};

/* Any other. */
static const tn_oauth_preset by_discovery = {
    .kind = TN_OAUTH_OIDC,
    .issuer = "",
    .authorize_url = "",
    .token_url = "",
    .jwks_url = "",
    .userinfo_url = "",
    .scopes = "openid email profile",
    .is_oidc = true,
    .takes_challenge = true,
};

tn_oauth *
tn_oauth_new(const tn_config *config, int64_t threads)
{
    tn_oauth *oauth = calloc(1, sizeof(*oauth));

    if (oauth == NULL)
        tn_die("out of memory");
    oauth->config = config;
    oauth->waiting_max = threads > 4 ? (int)(threads / 2) : 2;
    oauth->kept = calloc(config->oauth_count * TN_OAUTH_DOCUMENTS + 1, sizeof(*oauth->kept));
    if (oauth->kept == NULL)
        tn_die("out of memory");
    tn_lock_init(&oauth->lock);
    return oauth;
}

void
tn_oauth_free(tn_oauth *oauth)
{
    if (oauth == NULL)
        return;
    for (size_t i = 0; i < oauth->config->oauth_count * TN_OAUTH_DOCUMENTS; i++)
        free(oauth->kept[i].text);
    free(oauth->kept);
    tn_lock_release(&oauth->lock);
    free(oauth);
}

const tn_error *
tn_oauth_refuse(const tn_oauth_provider *provider, tn_arena *arena, const char *cause,
                const char *message)
{
    tn_log(TN_LOG_WARN, "oauth.refused", TN_STR("request_id", tn_arena_label_text(arena)),
           TN_STR("provider", provider->config->name), TN_STR("cause", cause));
    return tn_error_new(arena, 400, "bad_oauth_callback", NULL, "%s", message);
}

bool
tn_oauth_is_set_up(const tn_config *config, const char *name)
{
    return tn_config_oauth(config, name) != NULL;
}

static const tn_oauth_preset *
find_preset(const char *name)
{
    for (size_t i = 0; i < TN_COUNT(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return &by_discovery;
}

/* The setting, or else what is built in. */
static const char *
either(const char *setting, const char *built_in)
{
    return setting[0] != '\0' ? setting : built_in;
}

const tn_error *
tn_oauth_open(tn_oauth *oauth, tn_arena *arena, const char *name, tn_oauth_provider *provider)
{
    const tn_oauth_config *config = tn_config_oauth(oauth->config, name);
    const tn_oauth_preset *preset = find_preset(name);
    /* another issuer has other endpoints than those that are built in */
    const bool is_elsewhere = config != NULL && preset->is_oidc && config->issuer[0] != '\0';

    if (config == NULL)
        return tn_error_new(arena, 400, "validation_failed", NULL,
                            "Unsupported provider: provider is not enabled");
    *provider = (tn_oauth_provider){
        .oauth = oauth,
        .config = config,
        .kind = preset->kind,
        .issuer = either(config->issuer, preset->issuer),
        .authorize_url = either(config->authorize_url, is_elsewhere ? "" : preset->authorize_url),
        .token_url = either(config->token_url, is_elsewhere ? "" : preset->token_url),
        .userinfo_url = either(config->userinfo_url, is_elsewhere ? "" : preset->userinfo_url),
        .jwks_url = either(config->jwks_url, is_elsewhere ? "" : preset->jwks_url),
        .scopes = preset->scopes,
        .is_oidc = preset->is_oidc,
        .takes_challenge = preset->takes_challenge,
        .answers_by_post = preset->answers_by_post,
        .deadline_ms = tn_clock_ms() + TN_OAUTH_PATIENCE_MS,
    };
    if (provider->is_oidc && (provider->authorize_url[0] == '\0' ||
                              provider->token_url[0] == '\0' || provider->jwks_url[0] == '\0'))
        return tn_oauth_discover(provider, arena);
    return NULL;
}

/* --- what is secret about one request --------------------------------------------------------- */

static const char *
random_text(tn_arena *arena)
{
    uint8_t bytes[VERIFIER_BYTES];

    tn_random(bytes, sizeof(bytes));
    return tn_base64url(arena, bytes, sizeof(bytes));
}

tn_oauth_request
tn_oauth_request_new(tn_arena *arena, const char *nonce)
{
    return (tn_oauth_request){.nonce = nonce != NULL ? nonce : random_text(arena),
                              .verifier = random_text(arena)};
}

const char *
tn_oauth_request_pack(tn_arena *arena, const tn_oauth_request *request)
{
    return tn_arena_printf(arena, "%s\n%s", request->verifier, request->nonce);
}

bool
tn_oauth_request_unpack(tn_arena *arena, const char *text, tn_oauth_request *request)
{
    const char *end = text == NULL ? NULL : strchr(text, '\n');

    if (end == NULL)
        return false;
    request->verifier = tn_arena_bytes(arena, text, (size_t)(end - text));
    request->nonce = end + 1;
    return true;
}
