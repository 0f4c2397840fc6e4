/* auth/webauthn_data.h: what authenticators and browsers send, taken apart (Web Authentication
 * level 2; CBOR: RFC 8949)
 *
 * Everything is bounded, nothing is trusted, and nothing is copied: the results point into what was
 * given. CBOR is taken in the form that CTAP2 demands (definite lengths), a few levels deep.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_WEBAUTHN_DATA_H
#define TN_AUTH_WEBAUTHN_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define TN_RP_HASH_SIZE 32
#define TN_CREDENTIAL_ID_MAX 1023 /* section 7.1 step 22 */

typedef struct tn_bytes {
    const uint8_t *bytes;
    size_t length;
} tn_bytes;

/* CollectedClientData (section 5.8.1): what the browser says about the ceremony. */
typedef struct tn_client_data {
    const char *type, *challenge, *origin; /* never NULL */
    bool is_cross_origin;
} tn_client_data;

/* false: it is no such object. */
bool tn_client_data_read(tn_arena *arena, tn_bytes json, tn_client_data *data) TN_MUST_CHECK;

/* Authenticator data (section 6.1): what the authenticator says, and signs. */
typedef struct tn_authenticator_data {
    const uint8_t *rp_hash; /* TN_RP_HASH_SIZE bytes */
    bool is_present, is_verified, is_backup_eligible, is_backed_up;
    uint32_t sign_count;
    /* of a new key; aaguid NULL: there is none */
    const uint8_t *aaguid;              /* 16 bytes */
    tn_bytes credential_id, public_key; /* COSE_Key */
    int64_t algorithm;
} tn_authenticator_data;

bool tn_authenticator_data_read(tn_bytes data, tn_authenticator_data *result) TN_MUST_CHECK;

/* Attestation object (section 6.5): a map of fmt, attStmt and authData. */
typedef struct tn_attestation {
    tn_bytes format;    /* text */
    tn_bytes statement; /* a map, in CBOR */
    tn_bytes authenticator_data;
    bool statement_is_empty;
} tn_attestation;

bool tn_attestation_read(tn_bytes object, tn_attestation *attestation) TN_MUST_CHECK;

#endif
