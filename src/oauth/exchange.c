/* oauth/exchange.c: to the provider and back: the address there, what comes back, tokens for a code
 */
#include <string.h>

#include "base/crypto.h"
#include "base/text.h"
#include "oauth/oauth_private.h"

#define EXTRAS_MAX 32
#define EXTRAS_SIZE_MAX 4096
#define ANSWER_SIZE_MAX 16384
#define CODE_MAX ((size_t)8192)

/* --- the way there ---------------------------------------------------------------------------- */

/* Ours, and those of OAuth 2.0 and OpenID Connect that decide who gets an answer, and how. */
static const char *const reserved[] = {
    "provider",
    "redirect_to",
    "scopes",
    "scope",
    "code_challenge",
    "invite_token",
    "skip_http_redirect",
    "apikey",
    "code_challenge_method",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "code",
    "code_verifier",
    "grant_type",
    "request",
    "request_uri",
    "registration",
    "id_token_hint",
    "dpop_jkt",
    "nonce",
    "iss",
    "access_token",
};

static bool
is_reserved(const char *name)
{
    for (size_t i = 0; i < TN_COUNT(reserved); i++)
        if (tn_text_same_case(reserved[i], name))
            return true;
    return false;
}

static void
add_parameter(PQExpBuffer url, const char *name, const char *value)
{
    const char *last = url->len == 0 ? "?" : url->data + url->len - 1;

    if (*last != '?' && *last != '&')
        appendPQExpBufferChar(url, '&');
    tn_buffer_url_value(url, name);
    appendPQExpBufferChar(url, '=');
    tn_buffer_url_value(url, value);
}

static bool
has_scope(const char *scopes, const char *scope, size_t length)
{
    for (const char *at = scopes; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == length && strncmp(at, scope, length) == 0)
            return true;
    return false;
}

/* The scopes of `more` that are not there yet; blanks and commas separate them. */
static void
merge_scopes(PQExpBuffer scopes, const char *more)
{
    while (*(more += strspn(more, " ,")) != '\0') {
        const size_t length = strcspn(more, " ,");

        if (!has_scope(tn_buffer_text(scopes), more, length)) {
            if (scopes->len > 0)
                appendPQExpBufferChar(scopes, ' ');
            appendBinaryPQExpBuffer(scopes, more, length);
        }
        more += length;
    }
}

static const tn_error *
add_extras(PQExpBuffer url, tn_arena *arena, const tn_oauth_departure *departure)
{
    const size_t before = url->len;
    size_t count = 0;

    for (size_t i = 0; i < departure->extra_count; i++) {
        const tn_pair *pair = &departure->extras[i];

        if (pair->name[0] == '\0' || is_reserved(pair->name))
            continue;
        if (count++ < EXTRAS_MAX)
            add_parameter(url, pair->name, pair->value);
    }
    if (count > EXTRAS_MAX || url->len - before > EXTRAS_SIZE_MAX)
        return tn_error_new(arena, 400, "validation_failed", NULL,
                            "Too many parameters for the provider");
    return NULL;
}

static const char *
challenge_of(tn_arena *arena, const char *verifier)
{
    uint8_t digest[TN_SHA256_SIZE];

    tn_sha256(verifier, strlen(verifier), digest);
    return tn_base64url(arena, digest, sizeof(digest));
}

const tn_error *
tn_oauth_authorize_url(const tn_oauth_provider *provider, tn_arena *arena,
                       const tn_oauth_departure *departure, const char **url)
{
    PQExpBuffer text = tn_arena_buffer(arena), scopes = tn_arena_buffer(arena);
    const size_t length = strcspn(provider->authorize_url, "#");

    merge_scopes(scopes, provider->scopes);
    merge_scopes(scopes, provider->config->scopes);
    merge_scopes(scopes, departure->scopes != NULL ? departure->scopes : "");
    if (scopes->len > EXTRAS_SIZE_MAX)
        return tn_error_new(arena, 400, "validation_failed", NULL, "Too many scopes");

    appendBinaryPQExpBuffer(text, provider->authorize_url, length);
    if (memchr(provider->authorize_url, '?', length) == NULL)
        appendPQExpBufferChar(text, '?');
    add_parameter(text, "client_id", provider->config->client_id);
    add_parameter(text, "redirect_uri", departure->callback_url);
    add_parameter(text, "response_type", "code");
    add_parameter(text, "scope", tn_buffer_text(scopes));
    add_parameter(text, "state", departure->state);
    if (provider->answers_by_post)
        add_parameter(text, "response_mode", "form_post");
    if (provider->is_oidc)
        add_parameter(text, "nonce", departure->request->nonce);
    if (provider->takes_challenge) {
        add_parameter(text, "code_challenge", challenge_of(arena, departure->request->verifier));
        add_parameter(text, "code_challenge_method", "S256");
    }
    TN_TRY(add_extras(text, arena, departure));
    *url = tn_buffer_text(text);
    return NULL;
}

/* --- what comes back -------------------------------------------------------------------------- */

static const tn_error *
refuse_answer(tn_arena *arena)
{
    return tn_error_new(arena, 400, "bad_oauth_callback", NULL,
                        "OAuth callback with parameters that cannot be understood");
}

static const char **
place_for(tn_oauth_answer *answer, const char *name)
{
    const struct {
        const char *name;
        const char **place;
    } places[] = {
        {"state", &answer->state}, {"code", &answer->code},
        {"iss", &answer->issuer},  {"error", &answer->error},
        {"user", &answer->user},   {"error_description", &answer->error_description},
    };

    for (size_t i = 0; i < TN_COUNT(places); i++)
        if (strcmp(places[i].name, name) == 0)
            return places[i].place;
    return NULL;
}

const tn_error *
tn_oauth_answer_read(tn_arena *arena, const char *text, size_t length, tn_oauth_answer *answer)
{
    const char *const end = text + length;

    *answer = (tn_oauth_answer){0};
    if (length > ANSWER_SIZE_MAX)
        return refuse_answer(arena);
    while (text < end) {
        const char *pair_end = memchr(text, '&', (size_t)(end - text));
        const char *equals, *name;
        const char **place;

        pair_end = pair_end == NULL ? end : pair_end;
        equals = memchr(text, '=', (size_t)(pair_end - text));
        equals = equals == NULL ? pair_end : equals;
        name = tn_text_url_decode(arena, text, (size_t)(equals - text), true);
        if (name == NULL)
            return refuse_answer(arena);
        place = place_for(answer, name);
        if (place != NULL) {
            const char *value = equals + (equals < pair_end ? 1 : 0);

            if (*place != NULL)
                return refuse_answer(arena);
            *place = tn_text_url_decode(arena, value, (size_t)(pair_end - value), true);
            if (*place == NULL)
                return refuse_answer(arena);
        }
        text = pair_end + 1;
    }
    return NULL;
}

/* --- tokens for a code ------------------------------------------------------------------------ */

/* RFC 9207 section 2.4: an answer of another provider than the one that was asked is a mix-up. */
static const tn_error *
check_issuer(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_answer *answer)
{
    if (answer->issuer == NULL)
        return provider->names_itself
                   ? tn_oauth_refuse(provider, arena, "the answer does not name its issuer",
                                     "OAuth callback without issuer")
                   : NULL;
    /* Microsoft's are many; which it was is what the id token says */
    if (provider->issuer[0] == '\0' || strstr(provider->issuer, "{tenantid}") != NULL ||
        strcmp(answer->issuer, provider->issuer) == 0)
        return NULL;
    return tn_oauth_refuse(provider, arena, "the answer is another issuer's",
                           "OAuth callback from another provider");
}

/* RFC 6749 section 2.3.1: both are encoded as in a form, before they are joined. */
static const char *
basic_credentials(const tn_oauth_provider *provider, tn_arena *arena)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    tn_buffer_url_value(text, provider->config->client_id);
    appendPQExpBufferChar(text, ':');
    tn_buffer_url_value(text, provider->config->secret);
    return tn_base64(arena, tn_buffer_text(text), text->len);
}

static const tn_error *
build_form(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_answer *answer,
           const tn_oauth_request *request, const char *callback_url, const char **form)
{
    const tn_oauth_config *config = provider->config;
    PQExpBuffer text = tn_arena_buffer(arena);
    const char *secret = config->secret;

    if (provider->kind == TN_OAUTH_APPLE && config->key_id[0] != '\0') {
        secret = tn_oauth_apple_secret(provider, arena);
        if (secret == NULL)
            return tn_error_internal(arena, "oauth.apple.key_unusable",
                                     "oauth.%s.secret is no private key of P-256 in PEM",
                                     config->name);
    }
    appendPQExpBufferStr(text, "grant_type=authorization_code");
    add_parameter(text, "code", answer->code);
    add_parameter(text, "redirect_uri", callback_url);
    if (provider->takes_challenge)
        add_parameter(text, "code_verifier", request->verifier);
    if (!provider->wants_basic || secret[0] == '\0')
        add_parameter(text, "client_id", config->client_id);
    if (!provider->wants_basic && secret[0] != '\0')
        add_parameter(text, "client_secret", secret);
    *form = tn_buffer_text(text);
    return NULL;
}

/* Tokens go into headers: printable ASCII, and of a size that anybody takes. */
static const char *
take_token(json_object *answer, const char *member)
{
    const char *token = tn_json_text(answer, member, NULL);

    if (token == NULL || *token == '\0' || strnlen(token, CODE_MAX * 4 + 1) > CODE_MAX * 4)
        return NULL;
    for (const char *at = token; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 0x7f)
            return NULL;
    return token;
}

const tn_error *
tn_oauth_exchange(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_answer *answer,
                  const tn_oauth_request *request, const char *callback_url,
                  tn_oauth_tokens *tokens)
{
    static const char message[] = "Unable to exchange external code";
    tn_oauth_call call = {.url = provider->token_url};
    json_object *reply;
    int status = 0;

    TN_TRY(check_issuer(provider, arena, answer));
    if (answer->code == NULL || *answer->code == '\0' || strlen(answer->code) > CODE_MAX)
        return tn_oauth_refuse(provider, arena, "there is no code", "OAuth callback without code");
    TN_TRY(build_form(provider, arena, answer, request, callback_url, &call.form));
    if (provider->wants_basic && provider->config->secret[0] != '\0')
        call.basic = basic_credentials(provider, arena);
    TN_TRY(tn_oauth_fetch(provider, arena, &call, &status, &reply));
    if (status != 200 || !json_object_is_type(reply, json_type_object))
        return tn_oauth_refuse(
            provider, arena,
            tn_arena_printf(arena, "the token endpoint answers with status %d, %s", status,
                            tn_text_excerpt(arena, tn_json_text(reply, "error", "no error"), 64)),
            message);
    *tokens = (tn_oauth_tokens){
        .access_token = take_token(reply, "access_token"),
        .refresh_token = take_token(reply, "refresh_token"),
        .id_token = take_token(reply, "id_token"),
    };
    if (tokens->access_token == NULL || /* GitHub says errors with status 200 */
        (tn_json_text(reply, "token_type", NULL) != NULL &&
         !tn_text_same_case(tn_json_text(reply, "token_type", ""), "bearer")))
        return tn_oauth_refuse(
            provider, arena,
            tn_arena_printf(arena, "the token endpoint gives no bearer token, %s",
                            tn_text_excerpt(arena, tn_json_text(reply, "error", "no error"), 64)),
            message);
    return NULL;
}
