/* auth/factor.h: what the files about second factors and passkeys share; nobody else includes it
 *
 * A factor is enrolled, then challenged and verified, which makes it one, and the session a session
 * of two factors. Each type has the three steps in a file of its own;
 * what is the same for all is in factor.c and in 0011_factors.sql.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TN_AUTH_FACTOR_H
#define TN_AUTH_FACTOR_H

#include "auth/area.h"

/* The statements about factors begin with these columns. */
enum { TN_FACTOR_OUTCOME, TN_FACTOR_SECONDS, TN_FACTOR_FIRST };

/* One request about a factor. */
typedef struct tn_factor_call {
    const char *person, *session; /* session NULL: the token says none */
    const tn_uuid *tenant;
    const char *address; /* of the client, or NULL */
    tn_uuid factor, challenge;
    json_object *body;

    /* of a challenge */
    bool is_verified;
    const char *phone, *account, *label; /* label NULL: none */
    const char *credentials;             /* JSON array of descriptors, or NULL */

    /* of a verification: what the answer is compared with */
    const char *secret, *code_hash;
    json_object *data;
    const char *public_key; /* hexadecimal; NULL: no key yet */
    int algorithm;
    const char *refresh_token, *refresh_hash, *refresh_counter; /* for the session to come */
} tn_factor_call;

/* Who asks; the token must be a person's. */
const tn_error *tn_factor_begin(tn_ctx *c, tn_factor_call *call) TN_MUST_CHECK;

/* What the person is told by mail, sealed. `type` of the factor, or NULL. */
const char *tn_factor_notice(const tn_ctx *c, const tn_factor_call *call,
                             const char *type) TN_NEVER_NULL;

/* NULL when the outcome of the first row is `expected`, else the error that it stands for. */
const tn_error *tn_factor_outcome(const tn_ctx *c, const tn_rows *rows,
                                  const char *expected) TN_MUST_CHECK;

/* Asks the app's hook about an attempt; 403 `mfa_verification_rejected` ends all sessions of the
 * person. */
const tn_error *tn_factor_ask_hook(tn_ctx *c, const tn_factor_call *call, const char *type,
                                   bool is_right) TN_MUST_CHECK;

/* 422 `mfa_verification_failed`. */
const tn_error *tn_factor_wrong(const tn_ctx *c, const char *message) TN_MUST_CHECK;

/* Makes the refresh token that will follow all those up to `counter`. */
void tn_factor_prepare_refresh(tn_ctx *c, tn_factor_call *call, int64_t counter);

/* Answers with the session that the rows describe (columns: outcome, seconds, user, claims). */
const tn_error *tn_factor_respond_session(tn_ctx *c, const tn_factor_call *call,
                                          const tn_rows *rows) TN_MUST_CHECK;

/* Writes the challenge into the database and gives when it ends. */
const tn_error *tn_factor_post_challenge(tn_ctx *c, const tn_factor_call *call,
                                         const char *code_hash, const char *letter,
                                         const char *data, int64_t *expires_at) TN_MUST_CHECK;

/* The key for what people type in, as hash at rest: HMAC-SHA256 in hexadecimal. */
const char *tn_factor_hash(const tn_ctx *c, const tn_factor_call *call,
                           const char *code) TN_NEVER_NULL;

/* The steps of each type. */

typedef struct tn_enrolment {
    const char *type, *name, *issuer, *phone;
} tn_enrolment;

/* Writes the factor into the database; `account` gets what the person is called there: an address,
 * a number or an id. */
const tn_error *tn_factor_post_enrolment(tn_ctx *c, const tn_factor_call *call,
                                         const tn_enrolment *in, const char *secret,
                                         const char **account) TN_MUST_CHECK;

const tn_error *tn_totp_enroll(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in);
const tn_error *tn_totp_challenge(tn_ctx *c, tn_factor_call *call);
const tn_error *tn_totp_verify(tn_ctx *c, tn_factor_call *call);

const tn_error *tn_phone_factor_enroll(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in);
const tn_error *tn_phone_factor_challenge(tn_ctx *c, tn_factor_call *call);
const tn_error *tn_phone_factor_verify(tn_ctx *c, tn_factor_call *call);

const tn_error *tn_key_factor_enroll(tn_ctx *c, tn_factor_call *call, const tn_enrolment *in);
const tn_error *tn_key_factor_challenge(tn_ctx *c, tn_factor_call *call);
const tn_error *tn_key_factor_verify(tn_ctx *c, tn_factor_call *call);

/* Handlers. */

const tn_error *tn_factor_enroll(tn_ctx *c);
const tn_error *tn_factor_challenge(tn_ctx *c);
const tn_error *tn_factor_verify(tn_ctx *c);
const tn_error *tn_factor_unenroll(tn_ctx *c);

const tn_error *tn_recovery_codes_get(tn_ctx *c);
const tn_error *tn_recovery_codes_generate(tn_ctx *c);
const tn_error *tn_recovery_codes_regenerate(tn_ctx *c);
const tn_error *tn_recovery_codes_drop(tn_ctx *c);
const tn_error *tn_recovery_code_verify(tn_ctx *c);

const tn_error *tn_passkey_registration_options(tn_ctx *c);
const tn_error *tn_passkey_registration_verify(tn_ctx *c);
const tn_error *tn_passkey_authentication_options(tn_ctx *c);
const tn_error *tn_passkey_authentication_verify(tn_ctx *c);
const tn_error *tn_passkey_list(tn_ctx *c);
const tn_error *tn_passkey_rename(tn_ctx *c);
const tn_error *tn_passkey_drop(tn_ctx *c);
const tn_error *tn_admin_passkeys_list(tn_ctx *c);
const tn_error *tn_admin_passkeys_delete(tn_ctx *c);

#endif
