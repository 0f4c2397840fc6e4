/* oauth/apple.c: Apple's client secret, which is a JWT that is signed with the team's key */
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/crypto_signature.h"
#include "oauth/oauth_private.h"

#define LIFETIME_S 300

const char *
tn_oauth_apple_secret(const tn_oauth_provider *provider, tn_arena *arena)
{
    const tn_oauth_config *config = provider->config;
    const int64_t now = tn_clock_unix();
    PQExpBuffer header = tn_arena_buffer(arena), claims = tn_arena_buffer(arena);
    uint8_t signature[64];
    const char *text;

    appendPQExpBufferStr(header, "{\"alg\":\"ES256\",\"kid\":");
    tn_buffer_json_string(header, config->key_id);
    appendPQExpBufferChar(header, '}');
    appendPQExpBufferStr(claims, "{\"iss\":");
    tn_buffer_json_string(claims, config->team_id);
    appendPQExpBuffer(claims, ",\"iat\":%lld,\"exp\":%lld,\"aud\":", (long long)now,
                      (long long)now + LIFETIME_S);
    tn_buffer_json_string(claims, provider->issuer);
    appendPQExpBufferStr(claims, ",\"sub\":");
    tn_buffer_json_string(claims, config->client_id);
    appendPQExpBufferChar(claims, '}');
    text = tn_arena_printf(arena, "%s.%s", tn_base64url(arena, tn_buffer_text(header), header->len),
                           tn_base64url(arena, tn_buffer_text(claims), claims->len));
    if (!tn_sign_es256(config->secret, text, strlen(text), signature))
        return NULL;
    return tn_arena_printf(arena, "%s.%s", text, tn_base64url(arena, signature, sizeof(signature)));
}
