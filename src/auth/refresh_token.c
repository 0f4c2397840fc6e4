/* auth/refresh_token.c: bytes in, bytes out */
#include "auth/refresh_token.h"

#include <string.h>

#include "base/crypto.h"
#include "base/error.h"

#define VERSION 1
#define UUID_BYTES 16
#define MAC_BYTES 16
#define OLDER_LENGTH 12 /* of GoTrue's first form: letters and digits */
#define LENGTH_MAX 512

/* As it is on the wire. */
struct form {
    uint8_t version;
    uint8_t session[UUID_BYTES];
    uint8_t counter[8]; /* big endian */
    uint8_t mac[MAC_BYTES];
};
_Static_assert(sizeof(struct form) == 41, "no padding");

static void
compute_mac(const uint8_t *key, const struct form *form, uint8_t mac[MAC_BYTES])
{
    uint8_t digest[TN_SHA256_SIZE];

    tn_hmac_sha256(key, 32, form, offsetof(struct form, mac), digest);
    memcpy(mac, digest, MAC_BYTES);
}

static bool
pack_uuid(const tn_uuid *uuid, uint8_t bytes[UUID_BYTES])
{
    char hex[2 * UUID_BYTES + 1];
    size_t length = 0;

    for (const char *p = uuid->text; *p != '\0' && length < sizeof(hex) - 1; p++)
        if (*p != '-')
            hex[length++] = *p;
    hex[length] = '\0';
    return tn_hex_decode(hex, bytes, UUID_BYTES);
}

static tn_uuid
unpack_uuid(const uint8_t bytes[UUID_BYTES])
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    tn_uuid uuid = {0};
    char *at = uuid.text;

    for (size_t i = 0; i < sizeof(groups); i++) {
        if (i > 0)
            *at++ = '-';
        tn_hex(bytes, groups[i], at);
        at += 2 * (size_t)groups[i];
        bytes += groups[i];
    }
    return uuid;
}

const char *
tn_refresh_token_make(tn_arena *arena, const uint8_t key[32], const tn_refresh_token *token)
{
    struct form form = {.version = VERSION};
    const bool is_uuid = pack_uuid(&token->session_id, form.session);

    if (!is_uuid)
        tn_die("a refresh token for a session without an id");
    for (size_t i = 0; i < sizeof(form.counter); i++)
        form.counter[i] = (uint8_t)((uint64_t)token->counter >> (56 - 8 * i));
    compute_mac(key, &form, form.mac);
    return tn_base64url(arena, &form, sizeof(form));
}

static bool
is_older_form(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == OLDER_LENGTH;
}

tn_refresh_form
tn_refresh_token_read(const uint8_t key[32], const char *text, tn_refresh_token *token)
{
    const size_t text_length = strnlen(text, LENGTH_MAX + 1);
    uint8_t bytes[LENGTH_MAX], mac[MAC_BYTES];
    uint64_t counter = 0;
    struct form form;
    size_t length;

    if (text_length == OLDER_LENGTH)
        return is_older_form(text) ? TN_REFRESH_FOREIGN : TN_REFRESH_MALFORMED;
    if (text_length < OLDER_LENGTH || text_length > LENGTH_MAX ||
        !tn_base64url_decode(text, text_length, bytes, sizeof(bytes), &length))
        return TN_REFRESH_MALFORMED;
    if (length != sizeof(form))
        return TN_REFRESH_FOREIGN;
    memcpy(&form, bytes, sizeof(form));
    compute_mac(key, &form, mac);
    if (form.version != VERSION || !tn_same_bytes(mac, form.mac, MAC_BYTES))
        return TN_REFRESH_FOREIGN;
    for (size_t i = 0; i < sizeof(form.counter); i++)
        counter = counter << 8 | form.counter[i];
    token->session_id = unpack_uuid(form.session);
    token->counter = (int64_t)counter;
    return TN_REFRESH_OURS;
}

const char *
tn_refresh_token_hash(tn_arena *arena, const char *text)
{
    return tn_sha256_hex(arena, text);
}
