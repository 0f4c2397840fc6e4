/* oauth/oauth_private.h: what the files of this room share
 *
 * Threads: as provider.h says.
 */
#ifndef TN_OAUTH_OAUTH_PRIVATE_H
#define TN_OAUTH_OAUTH_PRIVATE_H

#include <stdatomic.h>

#include "base/lock.h"
#include "oauth/provider.h"

/* Documents that are read once and kept: one of each for a provider. */
typedef enum tn_oauth_document {
    TN_OAUTH_DISCOVERY,
    TN_OAUTH_KEYS,
    TN_OAUTH_DOCUMENTS
} tn_oauth_document;

struct tn_oauth_kept {
    char *text; /* a JSON object; NULL: none was read yet */
    size_t length;
    int64_t read_ms, tried_ms, failed_ms; /* 0: never */
};

struct tn_oauth {
    const tn_config *config;
    int waiting_max;
    atomic_int waiting; /* threads in a fetch */
    tn_lock lock;
    struct tn_oauth_kept *kept; /* guarded by lock; [provider][document] */
};

/* The five that are known by name. */
typedef struct tn_oauth_preset {
    const char *name;
    tn_oauth_kind kind;
    const char *issuer, *authorize_url, *token_url, *jwks_url, *userinfo_url, *scopes;
    bool is_oidc, takes_challenge, answers_by_post;
} tn_oauth_preset;

/* An error of the kind that is the provider's fault or the answer's: it is logged with its cause,
 * and `message` is for the client. */
const tn_error *tn_oauth_refuse(const tn_oauth_provider *provider, tn_arena *arena,
                                const char *cause, const char *message) TN_MUST_CHECK;

/* One request to the provider; its answer is JSON, an object or an array. Another status than 2xx
 * is no error here: `status` tells, and *answer is what came with it, or NULL. */
typedef struct tn_oauth_call {
    const char *url;
    const char *form;   /* NULL: GET */
    const char *bearer; /* access token, or NULL */
    const char *basic;  /* credentials in base64, or NULL */
} tn_oauth_call;
const tn_error *tn_oauth_fetch(const tn_oauth_provider *provider, tn_arena *arena,
                               const tn_oauth_call *call, int *status,
                               json_object **answer) TN_MUST_CHECK;

/* A document of the provider's, from memory or fetched. With `renew` it is fetched again if that
 * was not tried within the last minute. */
const tn_error *tn_oauth_document_get(const tn_oauth_provider *provider, tn_arena *arena,
                                      tn_oauth_document which, const char *url, bool renew,
                                      json_object **document) TN_MUST_CHECK;

/* Fills in the endpoints that the settings do not name (OpenID Connect Discovery section 4). */
const tn_error *tn_oauth_discover(tn_oauth_provider *provider, tn_arena *arena) TN_MUST_CHECK;

/* The client secret that Apple wants: a JWT for a few minutes. NULL: `secret` is no key. */
const char *tn_oauth_apple_secret(const tn_oauth_provider *provider, tn_arena *arena);

#endif
