/* auth/refresh_token.h: refresh tokens, which the server can make again and the database cannot
 *
 * base64url of: version 1 | session (16) | counter (8) | first 16 bytes of HMAC-SHA-256 over these.
 * The database keeps the SHA-256 of the text. As the token follows from session and counter, a
 * client that lost the answer to a refresh can be given the same token again, though it is stored
 * nowhere.
 *
 * Threads: any; no state.
 */
#ifndef TN_AUTH_REFRESH_TOKEN_H
#define TN_AUTH_REFRESH_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/uuid.h"

typedef struct tn_refresh_token {
    tn_uuid session_id;
    int64_t counter;
} tn_refresh_token;

typedef enum tn_refresh_form {
    TN_REFRESH_MALFORMED, /* could not be anybody's */
    TN_REFRESH_FOREIGN,   /* could be somebody's, and is not ours */
    TN_REFRESH_OURS
} tn_refresh_form;

const char *tn_refresh_token_make(tn_arena *arena, const uint8_t key[32],
                                  const tn_refresh_token *token) TN_NEVER_NULL;
tn_refresh_form tn_refresh_token_read(const uint8_t key[32], const char *text,
                                      tn_refresh_token *token);

/* What is stored: SHA-256 in hexadecimal. */
const char *tn_refresh_token_hash(tn_arena *arena, const char *text) TN_NEVER_NULL;

#endif
