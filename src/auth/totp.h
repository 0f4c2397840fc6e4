/* auth/totp.h: one-time passwords that come from the time (RFC 6238): SHA-1, six digits, 30 seconds
 *
 * The secret is 160 bits and known to the authenticator app alone, beside us: we keep it sealed
 * (tn_totp_seal()).
 *
 * Threads: any, after tn_totp_start().
 */
#ifndef TN_AUTH_TOTP_H
#define TN_AUTH_TOTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define TN_TOTP_SECRET_SIZE 20
#define TN_TOTP_STEP_S 30

/* Once per process, before its threads. */
void tn_totp_start(void);

/* The secret as people type it: base32 (RFC 4648 section 6) without padding. */
const char *tn_totp_secret_text(tn_arena *arena,
                                const uint8_t secret[TN_TOTP_SECRET_SIZE]) TN_NEVER_NULL;

/* otpauth://totp/<issuer>:<account>?…, as authenticator apps read it. `secret` is the text. */
const char *tn_totp_uri(tn_arena *arena, const char *issuer, const char *account,
                        const char *secret) TN_NEVER_NULL;

/* A QR code of the text as an SVG image that may stand in a data: URL as it is; NULL when the text
 * is too long for one. */
const char *tn_totp_qr(tn_arena *arena, const char *text);

/* The time step whose password is `code`: that of `now` (seconds since 1970), the one before or the
 * one after; -1 when it is none of these. */
int64_t tn_totp_step(const uint8_t secret[TN_TOTP_SECRET_SIZE], const char *code, int64_t now);

/* The secret sealed for the database, base64url, and back: bound to `owner`, so that nobody can
 * move it to another row. false: it is not ours. */
const char *tn_totp_seal(tn_arena *arena, const uint8_t key[32], const char *owner,
                         const uint8_t secret[TN_TOTP_SECRET_SIZE]) TN_NEVER_NULL;
bool tn_totp_open(tn_arena *arena, const uint8_t key[32], const char *owner, const char *sealed,
                  uint8_t secret[TN_TOTP_SECRET_SIZE]) TN_MUST_CHECK;

#endif
