/* oauth/provider.h: the client of servers at which people have accounts already
 *
 * A section [oauth NAME] is one of them. github, google, apple, azure and discord are known by
 * name; any other is OpenID Connect by discovery. The order of a sign-in:
 *
 *     tn_oauth_open()           which provider, and where its endpoints are
 *     tn_oauth_request_new()    a nonce and a verifier for one request; both are kept until …
 *     tn_oauth_authorize_url()  … the person who was sent there comes back with a code
 *     tn_oauth_exchange()       the code becomes tokens
 *     tn_oauth_profile_read()   and the tokens who it is, every signature and claim checked
 *
 * Every fetch is guarded (base/fetch.h), follows no redirect, and is bounded in size; what one
 * request waits for a provider is bounded as a whole (TN_OAUTH_PATIENCE_MS), and so are the
 * requests of a process that wait at once, so that a slow provider uses up no pool. Discovery and
 * keys are kept for an hour; keys are read again when a token names one that is not among them, at
 * most once a minute for each provider.
 *
 * Threads: any. No database is asked here, so callers hold no connection.
 *
 * Errors: 400 `validation_failed` a provider that is not set up; 400 `bad_oauth_callback` answers
 * that are refused; 503 `unexpected_failure` a provider that cannot be reached; 503 `overloaded`.
 */
#ifndef TN_OAUTH_PROVIDER_H
#define TN_OAUTH_PROVIDER_H

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "http/request.h"

#define TN_OAUTH_PATIENCE_MS 10000

typedef struct tn_oauth tn_oauth; /* what a process keeps */

/* `threads`: how many the process has at most; half of them may wait for providers. */
tn_oauth *tn_oauth_new(const tn_config *config, int64_t threads) TN_NEVER_NULL TN_MUST_CHECK;
void tn_oauth_free(tn_oauth *oauth);

typedef enum tn_oauth_kind {
    TN_OAUTH_OIDC,
    TN_OAUTH_GITHUB,
    TN_OAUTH_GOOGLE,
    TN_OAUTH_APPLE,
    TN_OAUTH_AZURE,
    TN_OAUTH_DISCORD
} tn_oauth_kind;

/* A provider for the length of a request. Texts are "" where there is nothing. */
typedef struct tn_oauth_provider {
    tn_oauth *oauth;
    const tn_oauth_config *config;
    tn_oauth_kind kind;
    const char *issuer; /* as tokens name it; Microsoft's may hold {tenantid} */
    const char *authorize_url, *token_url, *userinfo_url, *jwks_url;
    const char *scopes;   /* the usual ones */
    bool is_oidc;         /* gives id tokens */
    bool takes_challenge; /* PKCE (RFC 7636), S256 */
    bool wants_basic;     /* the secret as HTTP Basic, not in the form */
    bool answers_by_post; /* Apple */
    bool names_itself;    /* every answer has `iss` (RFC 9207) */
    int64_t deadline_ms;  /* of tn_clock_ms(), for all fetches together */
} tn_oauth_provider;

/* Is there a section [oauth NAME]? No fetch. */
bool tn_oauth_is_set_up(const tn_config *config, const char *name);

const tn_error *tn_oauth_open(tn_oauth *oauth, tn_arena *arena, const char *name,
                              tn_oauth_provider *provider) TN_MUST_CHECK;

/* What is secret about one request to a provider. */
typedef struct tn_oauth_request {
    const char *nonce, *verifier;
} tn_oauth_request;

/* `nonce` is the app's own, or NULL. */
tn_oauth_request tn_oauth_request_new(tn_arena *arena, const char *nonce);
/* As a text that can be kept sealed, and back; false for what is none. */
const char *tn_oauth_request_pack(tn_arena *arena, const tn_oauth_request *request) TN_NEVER_NULL;
bool tn_oauth_request_unpack(tn_arena *arena, const char *text,
                             tn_oauth_request *request) TN_MUST_CHECK;

/* Where to send somebody. `scopes` are asked for besides the usual ones (blanks or commas between
 * them; NULL: none). Of `extras`, a request's query, those parameters are passed on that are
 * neither ours nor the protocol's, in whatever letter case. 400 `validation_failed` when they are
 * too many or too long. */
typedef struct tn_oauth_departure {
    const char *callback_url, *state, *scopes;
    const tn_oauth_request *request;
    const tn_pair *extras;
    size_t extra_count;
} tn_oauth_departure;
const tn_error *tn_oauth_authorize_url(const tn_oauth_provider *provider, tn_arena *arena,
                                       const tn_oauth_departure *departure,
                                       const char **url) TN_MUST_CHECK;

/* What somebody brings back: the text of a query, or of a form (Apple). NULL: absent. */
typedef struct tn_oauth_answer {
    const char *state, *code, *issuer, *error, *error_description;
    const char *user; /* Apple: {"name": {"firstName": …}}, at the first time only, unsigned */
} tn_oauth_answer;
/* 400 `bad_oauth_callback` when a parameter is there twice (RFC 6749 section 3.1) or is no text. */
const tn_error *tn_oauth_answer_read(tn_arena *arena, const char *text, size_t length,
                                     tn_oauth_answer *answer) TN_MUST_CHECK;

typedef struct tn_oauth_tokens {
    const char *access_token; /* never NULL after an exchange */
    const char *refresh_token, *id_token;
} tn_oauth_tokens;

/* Is the answer of this provider (RFC 9207)? Then the code is exchanged. */
const tn_error *tn_oauth_exchange(const tn_oauth_provider *provider, tn_arena *arena,
                                  const tn_oauth_answer *answer, const tn_oauth_request *request,
                                  const char *callback_url, tn_oauth_tokens *tokens) TN_MUST_CHECK;

/* Checks an id token (OpenID Connect Core section 3.1.3.7): signature, issuer, audience, azp,
 * times, at_hash when `access_token` is there, and the nonce when one is expected. */
typedef struct tn_oauth_expectation {
    const char *nonce;        /* NULL: not compared */
    const char *access_token; /* NULL: at_hash is not compared */
    bool is_brought;          /* by an app, so its audience may be one of config->audiences */
} tn_oauth_expectation;
const tn_error *tn_oauth_id_token_check(const tn_oauth_provider *provider, tn_arena *arena,
                                        const char *token, const tn_oauth_expectation *expectation,
                                        json_object **claims) TN_MUST_CHECK;

/* Who somebody is. */
typedef struct tn_oauth_profile {
    const char *subject; /* their id there */
    const char *email;   /* as the provider writes it; NULL: none */
    bool email_verified;
    const char *data; /* identity_data: a JSON object as text */
} tn_oauth_profile;

/* By the tokens of an exchange: id token, userinfo, or what else the provider has. */
const tn_error *tn_oauth_profile_read(const tn_oauth_provider *provider, tn_arena *arena,
                                      const tn_oauth_tokens *tokens,
                                      const tn_oauth_request *request,
                                      const tn_oauth_answer *answer,
                                      tn_oauth_profile *profile) TN_MUST_CHECK;

/* By the claims of an id token that has been checked. */
const tn_error *tn_oauth_profile_of_claims(const tn_oauth_provider *provider, tn_arena *arena,
                                           json_object *claims,
                                           tn_oauth_profile *profile) TN_MUST_CHECK;

#endif
