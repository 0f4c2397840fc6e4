/* auth/account.h: what has to be known of a person before their account is changed
 *
 * Hashes are compared and letters are addressed here and not in SQL, so a change of an account asks
 * twice: first what there is, then for the change, which fails when that is not so any more.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_ACCOUNT_H
#define TN_AUTH_ACCOUNT_H

#include "identity/ctx.h"

typedef struct tn_account {
    const char *email, *phone; /* "" when there is none */
    const char *hash;          /* of the password, or NULL */
    bool is_anonymous;
    bool needs_second_factor; /* there is one, and this session has not seen it */
    bool is_old, is_fresh;    /* the session: older than a day, younger than ten minutes */
    bool is_recovery;         /* it was opened by a code or link out of the mailbox */
    bool is_email_taken, is_phone_taken; /* what was asked for belongs to somebody else */
} tn_account;

/* Who is asking, by their token: 401 and 403 as tn_auth_require_person() and tn_auth_check_person()
 * have them. `email` and `phone` are what they want to have, or NULL. */
const tn_error *tn_account_find(tn_ctx *c, const char *email, const char *phone,
                                tn_account *out) TN_MUST_CHECK;

/* Is it the account's password? Wrong ones count, too many are 429. An account without password has
 * none that is right. */
const tn_error *tn_account_try_password(tn_ctx *c, const tn_account *account, const char *password,
                                        bool *is_right) TN_MUST_CHECK;

/* The hash of a code that was sent for GET /reauthenticate. */
const char *tn_account_nonce_hash(const tn_ctx *c, const tn_account *account,
                                  const char *nonce) TN_NEVER_NULL;

/* What the old address will be told once it has been replaced, and the address about a number: a
 * sealed letter. */
const char *tn_account_email_notice(const tn_ctx *c, const tn_uuid *tenant, const char *old_email,
                                    const char *new_email) TN_NEVER_NULL;
const char *tn_account_phone_notice(const tn_ctx *c, const tn_uuid *tenant, const char *old_phone,
                                    const char *new_phone) TN_NEVER_NULL;

#endif
