/* identity/signing_key.c: keys made, sealed, read and opened */
#include "identity/signing_key_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "identity/queries.h"
#include "identity/token.h"

#define PURPOSE "tenon signing keys"

enum { COLUMN_KID, COLUMN_STATUS, COLUMN_PUBLIC, COLUMN_SEALED };

static void *
copy_text(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        tn_die("out of memory");
    return copy;
}

/* --- making ----------------------------------------------------------------------------------- */

static json_object *
export_key(tn_arena *arena, const cjose_jwk_t *jwk, bool with_private, const char **text)
{
    cjose_err problem;
    char *exported = cjose_jwk_to_json(jwk, with_private, &problem);
    json_object *object = NULL;

    if (exported == NULL)
        tn_die("a signing key cannot be exported");
    *text = tn_arena_text(arena, exported);
    free(exported);
    if (tn_json_parse(arena, *text, strlen(*text), TN_JSON_DEPTH, &object) != NULL)
        tn_die("a signing key was exported as something else than JSON");
    return object;
}

/* RFC 7638: the hash of the members that make the key, in the order of their names. */
static const char *
thumbprint(tn_arena *arena, const char *x, const char *y)
{
    const char *text = tn_arena_printf(
        arena, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    uint8_t digest[TN_SHA256_SIZE];

    tn_sha256(text, strlen(text), digest);
    return tn_base64url(arena, digest, sizeof(digest));
}

void
tn_signing_key_new(tn_arena *arena, const char *secret_hex, const char **kid,
                   const char **public_jwk, const void **sealed, size_t *sealed_length)
{
    uint8_t sealing_key[32];
    cjose_err problem;
    cjose_jwk_t *jwk = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &problem);
    const char *text, *x, *y;
    json_object *object;

    if (jwk == NULL)
        tn_die("no signing key can be made");
    object = export_key(arena, jwk, true, &text);
    x = tn_json_text(object, "x", NULL);
    y = tn_json_text(object, "y", NULL);
    if (x == NULL || y == NULL)
        tn_die("a signing key has no coordinates");
    *kid = thumbprint(arena, x, y);
    *public_jwk = tn_arena_printf(arena,
                                  "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"use\":"
                                  "\"sig\",\"key_ops\":[\"verify\"],\"ext\":true,\"kid\":\"%s\","
                                  "\"x\":\"%s\",\"y\":\"%s\"}",
                                  *kid, x, y);
    tn_derive_server_key(secret_hex, PURPOSE, sealing_key);
    *sealed = tn_seal(arena, sealing_key, *kid, text, strlen(text), sealed_length);
    (void)cjose_jwk_release(jwk);
}

/* --- reading ---------------------------------------------------------------------------------- */

static cjose_jwk_t *
open_private_half(tn_arena *arena, const char *secret_hex, const char *kid, const char *sealed_hex)
{
    const size_t sealed_length = strlen(sealed_hex) / 2;
    void *sealed = tn_arena_alloc(arena, sealed_length + 1, 1), *text;
    uint8_t sealing_key[32];
    size_t length;
    cjose_err problem;

    tn_derive_server_key(secret_hex, PURPOSE, sealing_key);
    if (!tn_hex_decode(sealed_hex, sealed, sealed_length) ||
        !tn_open(arena, sealing_key, kid, sealed, sealed_length, &text, &length))
        return NULL;
    return cjose_jwk_import(text, length, &problem);
}

static void
add_key(tn_signing_keys *keys, const char *kid, const char *public_jwk, PQExpBuffer jwks)
{
    cjose_err problem;
    cjose_jwk_t *jwk = cjose_jwk_import(public_jwk, strlen(public_jwk), &problem);

    if (jwk == NULL || cjose_jwk_get_kty(jwk, &problem) != CJOSE_JWK_KTY_EC ||
        cjose_jwk_EC_get_curve(jwk, &problem) != CJOSE_JWK_EC_P_256) {
        tn_log(TN_LOG_ERROR, "token.signing_key.unusable", TN_STR("kid", kid));
        (void)cjose_jwk_release(jwk);
        return;
    }
    appendPQExpBuffer(jwks, "%s%s", keys->count > 0 ? "," : "", public_jwk);
    keys->keys[keys->count++] = (tn_signing_key){.kid = copy_text(kid), .public_half = jwk};
}

static void
add_rows(tn_signing_keys *keys, tn_arena *arena, const char *secret_hex, const tn_rows *rows)
{
    PQExpBuffer jwks = tn_arena_buffer(arena);

    appendPQExpBufferStr(jwks, "{\"keys\":[");
    for (size_t i = 0; i < tn_rows_count(rows); i++) {
        const char *kid = tn_rows_text(rows, i, COLUMN_KID);
        const char *sealed = tn_rows_text(rows, i, COLUMN_SEALED);

        add_key(keys, kid, tn_rows_text(rows, i, COLUMN_PUBLIC), jwks);
        if (sealed == NULL)
            continue;
        keys->active = open_private_half(arena, secret_hex, kid, sealed);
        if (keys->active != NULL)
            keys->active_kid = copy_text(kid);
        else
            tn_log(TN_LOG_ERROR, "token.signing_key.sealed_by_another_secret", TN_STR("kid", kid));
    }
    appendPQExpBufferStr(jwks, "]}");
    keys->jwks = copy_text(tn_buffer_text(jwks));
}

const tn_error *
tn_signing_keys_load(tn_db *db, tn_arena *arena, const char *secret_hex, tn_signing_keys **keys)
{
    const tn_db_context context = {.role = "tenon_worker"};
    const tn_query query = {.statement = &tn_sql_signing_keys_list};
    const tn_rows *rows;

    TN_TRY(tn_db_run(db, arena, &context, TN_READ_ONLY, &query, 1, &rows));
    *keys = calloc(1, sizeof(**keys));
    if (*keys == NULL)
        tn_die("out of memory");
    (*keys)->keys = calloc(tn_rows_count(rows) + 1, sizeof(tn_signing_key));
    if ((*keys)->keys == NULL)
        tn_die("out of memory");
    add_rows(*keys, arena, secret_hex, rows);
    return NULL;
}

void
tn_signing_keys_free(tn_signing_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->keys[i].kid);
        (void)cjose_jwk_release(keys->keys[i].public_half);
    }
    if (keys->active != NULL)
        (void)cjose_jwk_release(keys->active);
    free(keys->keys);
    free(keys->active_kid);
    free(keys->jwks);
    free(keys);
}

cjose_jwk_t *
tn_signing_keys_find(const tn_signing_keys *keys, const char *kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->keys[i].kid, kid) == 0)
            return keys->keys[i].public_half;
    return NULL;
}
