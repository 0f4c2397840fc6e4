/* identity/claims.c: the payload of a token, read, checked, and packed for the cache */
#include "identity/claims_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define DEPTH 16
#define DATE_MAX 1e15

/* A NumericDate (RFC 7519 section 2), which may have a fraction; false when it is something else.
 */
static bool
read_date(json_object *object, const char *name, int64_t fallback, int64_t *date)
{
    json_object *value = NULL;
    double number;

    *date = fallback;
    if (!json_object_object_get_ex(object, name, &value))
        return true;
    if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
        return false;
    number = json_object_get_double(value);
    if (!(number >= 0 && number <= DATE_MAX))
        return false;
    *date = (int64_t)number;
    return true;
}

/* Another issuer's clock may be ahead of ours, hence the leeway; that of exp is the caller's to
 * take back. */
static const char *
check_dates(json_object *object, bool by_secret, int64_t *expires_at, tn_token_fault *fault)
{
    const int64_t now = tn_clock_unix();
    int64_t not_before, issued_at;

    if (!read_date(object, "exp", INT64_MAX, expires_at) ||
        !read_date(object, "nbf", 0, &not_before) || !read_date(object, "iat", 0, &issued_at))
        return "token has invalid claims: exp, nbf and iat are numbers";
    *fault = TN_TOKEN_EXPIRED;
    if (*expires_at <= now - TN_TOKEN_LEEWAY_S)
        return "token has invalid claims: token is expired";
    *fault = TN_TOKEN_BROKEN;
    if (*expires_at == INT64_MAX && !by_secret)
        return "token has invalid claims: exp is missing";
    *fault = TN_TOKEN_EARLY;
    if (not_before > now + TN_TOKEN_LEEWAY_S)
        return "token has invalid claims: token is not valid yet";
    *fault = TN_TOKEN_FROM_FUTURE;
    if (issued_at > now + TN_TOKEN_LEEWAY_S)
        return "token has invalid claims: token used before issued";
    *fault = TN_TOKEN_BROKEN;
    return NULL;
}

/* `aud` is one text or a list of them (RFC 7519 section 4.1.3). */
static bool
has_audience(json_object *object, const char *audience)
{
    json_object *value = tn_json_get(object, "aud");

    if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            json_object *item = json_object_array_get_idx(value, i);

            if (json_object_is_type(item, json_type_string) &&
                strcmp(json_object_get_string(item), audience) == 0)
                return true;
        }
        return false;
    }
    return strcmp(tn_json_text(object, "aud", ""), audience) == 0;
}

/* A claim that must be a UUID where it is given. */
static bool
read_uuid(json_object *object, const char *name, tn_uuid *uuid)
{
    const char *text = tn_json_text(object, name, NULL);

    *uuid = (tn_uuid){0};
    return tn_json_get(object, name) == NULL || (text != NULL && tn_uuid_parse(text, uuid));
}

const char *
tn_claims_read(tn_arena *arena, const char *text, size_t length, const char *issuer,
               const char *audience, tn_claims *claims)
{
    json_object *object = NULL;
    const char *problem;
    bool is_for_us;

    if (tn_json_parse(arena, text, length, DEPTH, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return "token is malformed: its claims are no JSON object";
    problem = check_dates(object, claims->by_secret, &claims->expires_at, &claims->fault);
    if (problem != NULL)
        return problem;
    is_for_us = has_audience(object, audience);
    claims->audience_foreign = !is_for_us && tn_json_get(object, "aud") != NULL;
    claims->fault = TN_TOKEN_NOT_FOR_US;
    if (!claims->by_secret && (strcmp(tn_json_text(object, "iss", ""), issuer) != 0 || !is_for_us))
        return "token has invalid claims: it was issued by or for somebody else";
    claims->fault = TN_TOKEN_BROKEN;
    if (!read_uuid(object, "tenant_id", &claims->tenant_id) ||
        !read_uuid(object, "session_id", &claims->session_id))
        return "token has invalid claims: tenant_id and session_id are UUIDs";
    claims->subject_malformed = !read_uuid(object, "sub", &claims->user_id) &&
                                strcmp(tn_json_text(object, "sub", "?"), "") != 0;
    if (tn_json_get(object, "role") != NULL && tn_json_text(object, "role", NULL) == NULL)
        return "token has invalid claims: role is a text";
    claims->fault = TN_TOKEN_SOUND;
    claims->role = tn_json_text(object, "role", NULL);
    claims->email = tn_json_text(object, "email", NULL);
    claims->aal = tn_json_text(object, "aal", NULL);
    claims->json = text;
    if (claims->role == NULL) { /* policies ask auth.role(), and nobody in particular is anon */
        claims->role = "anon";
        json_object_object_add(object, "role", json_object_new_string("anon"));
        claims->json = tn_json_print(arena, object);
    }
    return NULL;
}

/* --- in the cache ----------------------------------------------------------------------------- */

/* Texts of the claims behind a head, each with its NUL, "" for absent. */
enum {
    PACKED_USER,
    PACKED_TENANT,
    PACKED_SESSION,
    PACKED_ROLE,
    PACKED_EMAIL,
    PACKED_AAL,
    PACKED_JSON,
    PACKED_TEXTS
};

struct packed {
    int64_t expires_at;
    bool subject_malformed, by_secret, audience_foreign, has_email, has_aal;
};

const char *
tn_claims_pack(tn_arena *arena, const tn_claims *claims, size_t *length)
{
    const struct packed head = {.expires_at = claims->expires_at,
                                .subject_malformed = claims->subject_malformed,
                                .by_secret = claims->by_secret,
                                .audience_foreign = claims->audience_foreign,
                                .has_email = claims->email != NULL,
                                .has_aal = claims->aal != NULL};
    const char *const texts[PACKED_TEXTS] = {
        [PACKED_USER] = claims->user_id.text,
        [PACKED_TENANT] = claims->tenant_id.text,
        [PACKED_SESSION] = claims->session_id.text,
        [PACKED_ROLE] = claims->role,
        [PACKED_EMAIL] = claims->email,
        [PACKED_AAL] = claims->aal,
        [PACKED_JSON] = claims->json,
    };
    PQExpBuffer value = tn_arena_buffer(arena);

    appendBinaryPQExpBuffer(value, (const char *)&head, sizeof(head));
    for (size_t i = 0; i < PACKED_TEXTS; i++) {
        const char *text = texts[i] != NULL ? texts[i] : "";

        appendBinaryPQExpBuffer(value, text, strlen(text) + 1);
    }
    *length = value->len;
    return tn_buffer_text(value);
}

void
tn_claims_unpack(const char *value, tn_claims *claims)
{
    const char *texts[PACKED_TEXTS];
    struct packed head;

    memcpy(&head, value, sizeof(head));
    value += sizeof(head);
    for (size_t i = 0; i < PACKED_TEXTS; i++) {
        texts[i] = value;
        value += strlen(value) + 1;
    }
    *claims = (tn_claims){.role = texts[PACKED_ROLE],
                          .email = head.has_email ? texts[PACKED_EMAIL] : NULL,
                          .aal = head.has_aal ? texts[PACKED_AAL] : NULL,
                          .json = texts[PACKED_JSON],
                          .expires_at = head.expires_at,
                          .subject_malformed = head.subject_malformed,
                          .by_secret = head.by_secret,
                          .audience_foreign = head.audience_foreign};
    (void)snprintf(claims->user_id.text, sizeof(claims->user_id.text), "%s", texts[PACKED_USER]);
    (void)snprintf(claims->tenant_id.text, sizeof(claims->tenant_id.text), "%s",
                   texts[PACKED_TENANT]);
    (void)snprintf(claims->session_id.text, sizeof(claims->session_id.text), "%s",
                   texts[PACKED_SESSION]);
}
