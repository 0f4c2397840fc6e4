/* auth/one_time.h: codes and links that are sent to people once
 *
 *     code    six digits (auth.otp_length), random, what people type
 *     token   what a link carries: hexadecimal HMAC-SHA256 of tenant, address and code
 *     hash    SHA-256 of the token: what auth.one_time_tokens has
 *
 * The key of the HMAC is not in the database, so a copy of it gives neither links nor codes,
 * although codes are few. With `pkce_` in
 * front a token is the same token whose flow ends with a code.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_ONE_TIME_H
#define TN_AUTH_ONE_TIME_H

#include "identity/ctx.h"

typedef struct tn_one_time {
    const char *code, *token, *hash;
} tn_one_time;

/* A new one for this address: an e-mail address in lower case, or a phone number's digits. */
tn_one_time tn_one_time_new(const tn_ctx *c, const tn_uuid *tenant, const char *address);

/* The hash of what came back: a code with its address, or a token with or without `pkce_`. */
const char *tn_one_time_hash_of_code(const tn_ctx *c, const tn_uuid *tenant, const char *address,
                                     const char *code) TN_NEVER_NULL;
const char *tn_one_time_hash_of_token(tn_arena *arena, const char *token) TN_NEVER_NULL;

#endif
