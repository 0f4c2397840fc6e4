/* storage/signed.c: tokens of signed URLs, made and verified */
#include "storage/signed.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"

#define PURPOSE "storage signed url"
#define TOKEN_MAX 8192
#define KEY_SIZE 32
/* {"alg":"HS256","typ":"JWT"} */
#define HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."

/* The signature of what has been written so far, in base64url. */
static const char *
sign(tn_arena *arena, const tn_config *config, const char *text, size_t length)
{
    uint8_t key[KEY_SIZE], digest[TN_SHA256_SIZE];

    tn_derive_server_key(config->server.secret, PURPOSE, key);
    tn_hmac_sha256(key, sizeof(key), text, length, digest);
    explicit_bzero(key, sizeof(key));
    return tn_base64url(arena, digest, sizeof(digest));
}

static void
append_member(PQExpBuffer json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    appendPQExpBuffer(json, ",\"%s\":", name);
    tn_buffer_json_string(json, value);
}

const char *
tn_signed_new(tn_arena *arena, const tn_config *config, const tn_signed *what)
{
    PQExpBuffer json = tn_arena_buffer(arena), token = tn_arena_buffer(arena);

    appendPQExpBufferStr(json, "{\"url\":");
    tn_buffer_json_string(json, what->url);
    append_member(json, "scope", what->scope);
    append_member(json, "tenant_id", what->tenant_id.text);
    append_member(json, "owner", what->owner);
    if (strcmp(what->scope, TN_SIGNED_UPLOAD) == 0)
        appendPQExpBuffer(json, ",\"upsert\":%s", what->upsert ? "true" : "false");
    append_member(json, "transformations", what->transformations);
    append_member(json, "format", what->format);
    appendPQExpBuffer(json, ",\"iat\":%lld,\"exp\":%lld}", (long long)what->issued_at,
                      (long long)what->expires_at);

    appendPQExpBufferStr(token, HEADER);
    appendPQExpBufferStr(token, tn_base64url(arena, tn_buffer_text(json), json->len));
    appendPQExpBuffer(token, ".%s", sign(arena, config, tn_buffer_text(token), token->len));
    return tn_buffer_text(token);
}

static const tn_error *
refuse(tn_arena *arena, const char *why)
{
    return tn_error_new(arena, 400, "InvalidJWT", NULL, "%s", why);
}

/* What was signed, from behind the header to the last dot; NULL: it was not by us. */
static const char *
find_payload(tn_arena *arena, const tn_config *config, const char *token, size_t *length)
{
    const char *payload = token + strlen(HEADER), *dot = strchr(payload, '.');
    const char *wanted;

    if (dot == NULL)
        return NULL;
    wanted = sign(arena, config, token, (size_t)(dot - token));
    if (strlen(dot + 1) != strlen(wanted) || !tn_same_bytes(dot + 1, wanted, strlen(wanted)))
        return NULL;
    *length = (size_t)(dot - payload);
    return payload;
}

static const tn_error *
read_claims(tn_arena *arena, const char *payload, size_t length, tn_signed *what)
{
    char *json = tn_arena_alloc(arena, length + 1, 1);
    json_object *claims = NULL;
    size_t decoded;

    if (!tn_base64url_decode(payload, length, json, length, &decoded) ||
        tn_json_parse(arena, json, decoded, 4, &claims) != NULL ||
        !json_object_is_type(claims, json_type_object))
        return refuse(arena, "Invalid Compact JWS");
    *what = (tn_signed){.scope = tn_json_text(claims, "scope", ""),
                        .url = tn_json_text(claims, "url", ""),
                        .owner = tn_json_text(claims, "owner", NULL),
                        .upsert = tn_json_bool(claims, "upsert", false),
                        .transformations = tn_json_text(claims, "transformations", NULL),
                        .format = tn_json_text(claims, "format", NULL),
                        .issued_at = tn_json_int(claims, "iat", 0),
                        .expires_at = tn_json_int(claims, "exp", 0)};
    if (!tn_uuid_parse(tn_json_text(claims, "tenant_id", ""), &what->tenant_id))
        return refuse(arena, "Invalid Compact JWS");
    if (what->expires_at <= tn_clock_unix())
        return refuse(arena, "\"exp\" claim timestamp check failed");
    return NULL;
}

const tn_error *
tn_signed_read(tn_arena *arena, const tn_config *config, const char *token, tn_signed *what)
{
    const char *payload;
    size_t length;

    *what = (tn_signed){.scope = ""};
    if (token == NULL)
        return tn_error_new(arena, 400, "validation_failed", NULL,
                            "querystring must have required property 'token'");
    if (strnlen(token, TOKEN_MAX + 1) > TOKEN_MAX || strchr(token, '.') == NULL)
        return refuse(arena, "Invalid Compact JWS");
    if (strncmp(token, HEADER, strlen(HEADER)) != 0)
        return refuse(arena, "signature verification failed");
    payload = find_payload(arena, config, token, &length);
    if (payload == NULL)
        return refuse(arena, "signature verification failed");
    return read_claims(arena, payload, length, what);
}

const tn_error *
tn_signed_check(tn_arena *arena, const tn_config *config, const char *token,
                const tn_uuid *tenant_id, const char *scope, const char *bucket, const char *name,
                tn_signed *what)
{
    const size_t length = strlen(bucket);

    TN_TRY(tn_signed_read(arena, config, token, what));
    if (tenant_id->text[0] == '\0' || strcmp(what->tenant_id.text, tenant_id->text) != 0 ||
        strcmp(what->scope, scope) != 0 || strncmp(what->url, bucket, length) != 0 ||
        what->url[length] != '/' || strcmp(what->url + length + 1, name) != 0)
        return tn_error_new(arena, 400, "InvalidSignature", NULL, "Invalid signature");
    return NULL;
}
