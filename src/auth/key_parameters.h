/* auth/key_parameters.h: keys on their way into the database and back
 *
 * Threads: any.
 */
#ifndef TN_AUTH_KEY_PARAMETERS_H
#define TN_AUTH_KEY_PARAMETERS_H

#include "auth/webauthn.h"

/* The members of auth.webauthn_answer as parameters of SQL; those of a new key are NULL where the
 * answer is a signature. */
typedef struct tn_key_parameters {
    const char *credential_id, *public_key, *algorithm, *sign_count, *aaguid, *transports;
    const char *backup_eligible, *backed_up, *attestation;
} tn_key_parameters;

tn_key_parameters tn_key_parameters_of(tn_arena *arena, const tn_key_answer *answer);

/* A key out of its hexadecimal text; false when there is none. */
bool tn_key_read(tn_arena *arena, const char *hex, int algorithm, tn_public_key *key) TN_MUST_CHECK;

#endif
