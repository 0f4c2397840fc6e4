/* storage/signed.h: what a signed URL carries: a JWT (RFC 7519) that allows one thing
 *
 * HS256 under a key derived from server.secret for this purpose alone, so no token of a person is
 * one of these and none of these is a person's. The header is always the same, byte for byte.
 *
 * Threads: any; no state.
 */
#ifndef TN_STORAGE_SIGNED_H
#define TN_STORAGE_SIGNED_H

#include "base/config.h"
#include "base/error.h"
#include "base/uuid.h"

#define TN_SIGNED_DOWNLOAD "download"
#define TN_SIGNED_UPLOAD "upload"

typedef struct tn_signed {
    const char *scope;           /* TN_SIGNED_… */
    const char *url;             /* "<bucket>/<name>" */
    const char *owner;           /* of uploads: whose they become; NULL: nobody's */
    bool upsert;                 /* of uploads */
    const char *transformations; /* of images: "width:100,height:80"; NULL: none */
    const char *format;          /* of images; NULL: none */
    tn_uuid tenant_id;
    int64_t issued_at, expires_at; /* unix seconds */
} tn_signed;

const char *tn_signed_new(tn_arena *arena, const tn_config *config,
                          const tn_signed *what) TN_NEVER_NULL TN_MUST_CHECK;

/* Signature and time. 400 `InvalidJWT`; `token` NULL: 400 `validation_failed`. */
const tn_error *tn_signed_read(tn_arena *arena, const tn_config *config, const char *token,
                               tn_signed *what) TN_MUST_CHECK;

/* The same, and that it is for this, in this tenant: 400 `InvalidSignature`. No tenant is none. */
const tn_error *tn_signed_check(tn_arena *arena, const tn_config *config, const char *token,
                                const tn_uuid *tenant_id, const char *scope, const char *bucket,
                                const char *name, tn_signed *what) TN_MUST_CHECK;

#endif
