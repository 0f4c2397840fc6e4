/* auth/one_time.c: codes and links that are sent to people once */
#include "auth/one_time.h"

#include <string.h>

#include "auth/area.h"
#include "base/crypto.h"
#include "base/text.h"

#define RANDOM_END 4294000000u /* a multiple of a million, so that all codes are equally likely */

static uint32_t
random_below_million(void)
{
    uint32_t random;

    do
        tn_random(&random, sizeof(random));
    while (random >= RANDOM_END);
    return random % 1000000;
}

static const char *
new_code(const tn_ctx *c)
{
    const size_t length = (size_t)c->config->auth.otp_length;
    char *code =
        tn_arena_printf(c->arena, "%06u%06u", random_below_million(), random_below_million());

    code[length] = '\0';
    return code;
}

static const char *
token_of(const tn_ctx *c, const tn_uuid *tenant, const char *address, const char *code)
{
    const tn_auth *auth = tn_auth_of(c);
    const char *text = tn_arena_printf(c->arena, "%s\n%s\n%s", tenant->text, address, code);
    char *hex = tn_arena_alloc(c->arena, TN_SHA256_HEX, 1);
    uint8_t digest[TN_SHA256_SIZE];

    tn_hmac_sha256(auth->confirmation_key, sizeof(auth->confirmation_key), text, strlen(text),
                   digest);
    tn_hex(digest, sizeof(digest), hex);
    return hex;
}

const char *
tn_one_time_hash_of_token(tn_arena *arena, const char *token)
{
    if (tn_text_starts(token, "pkce_"))
        token += strlen("pkce_");
    return tn_sha256_hex(arena, token);
}

const char *
tn_one_time_hash_of_code(const tn_ctx *c, const tn_uuid *tenant, const char *address,
                         const char *code)
{
    return tn_one_time_hash_of_token(c->arena, token_of(c, tenant, address, code));
}

tn_one_time
tn_one_time_new(const tn_ctx *c, const tn_uuid *tenant, const char *address)
{
    const char *code = new_code(c);
    const char *token = token_of(c, tenant, address, code);

    return (tn_one_time){code, token, tn_one_time_hash_of_token(c->arena, token)};
}
