/* identity/claims_private.h: the payload of a token whose signature has been verified
 *
 * Threads: any; no state.
 */
#ifndef TN_IDENTITY_CLAIMS_PRIVATE_H
#define TN_IDENTITY_CLAIMS_PRIVATE_H

#include "identity/token.h"

/* Reads and checks the claims (RFC 7519 section 4.1); `by_secret` says beforehand by which key,
 * since only our own tokens must name issuer and audience, and end. NULL, or what is wrong. */
const char *tn_claims_read(tn_arena *arena, const char *text, size_t length, const char *issuer,
                           const char *audience, tn_claims *claims);

/* As one piece of memory, and back: the texts then point into `packed`. */
const char *tn_claims_pack(tn_arena *arena, const tn_claims *claims, size_t *length);
void tn_claims_unpack(const char *packed, tn_claims *claims);

#endif
