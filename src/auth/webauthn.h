/* auth/webauthn.h: public keys that people carry with them (Web Authentication level 2)
 *
 * What a browser gives back is taken apart by webauthn_data.c and its signatures are verified by
 * libfido2: ES256, EdDSA and RS256. Whose key it is, whether the challenge is in force and whether
 * the counter goes forward is for the caller to say.
 *
 * No attestation is asked for. What comes all the same, because the app asked the browser for it,
 * is verified, but nobody is asked who vouches for it.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_WEBAUTHN_H
#define TN_AUTH_WEBAUTHN_H

#include "auth/webauthn_data.h"
#include "base/config.h"
#include "base/error.h"
#include "base/json.h"

/* For whom keys are made: auth.webauthn_…, or what auth.site_url says. */
typedef struct tn_relying_party {
    const char *id, *name;
    const char *const *origins;
    size_t origin_count;
} tn_relying_party;

tn_relying_party tn_relying_party_of(const tn_config *config, tn_arena *arena);

/* 32 random bytes, base64url. */
const char *tn_webauthn_challenge(tn_arena *arena) TN_NEVER_NULL;

/* What an answer must fit. */
typedef struct tn_ceremony {
    tn_relying_party party;
    const char *challenge;
    bool verified; /* must the authenticator have verified the person (PIN, finger)? */
} tn_ceremony;

typedef struct tn_public_key {
    const uint8_t *bytes; /* as libfido2 has it: x and y, modulus and exponent, or 32 bytes */
    size_t length;
    int algorithm; /* COSE: -7 ES256, -8 EdDSA, -257 RS256 */
} tn_public_key;

/* What an answer says. */
typedef struct tn_key_answer {
    tn_bytes credential_id;
    uint32_t sign_count;
    bool is_verified, is_backup_eligible, is_backed_up;
    const char *user_handle; /* of an assertion: text, or NULL */
    /* of a new key */
    tn_public_key key;
    const char *aaguid;      /* UUID */
    const char *transports;  /* JSON array of texts */
    const char *attestation; /* "none", "packed" … */
} tn_key_answer;

/* The id that an answer names itself by, before anything is verified; false: there is none. */
bool tn_webauthn_credential_id(tn_arena *arena, json_object *credential,
                               tn_bytes *id) TN_MUST_CHECK;

/* A RegistrationResponseJSON (section 7.1), an AuthenticationResponseJSON (section 7.2). NULL when
 * it is good, else what is wrong with it, for the log. */
const char *tn_webauthn_check_creation(tn_arena *arena, const tn_ceremony *ceremony,
                                       json_object *credential,
                                       tn_key_answer *answer) TN_MUST_CHECK;
const char *tn_webauthn_check_assertion(tn_arena *arena, const tn_ceremony *ceremony,
                                        const tn_public_key *key, json_object *credential,
                                        tn_key_answer *answer) TN_MUST_CHECK;

/* PublicKeyCredentialCreationOptionsJSON and …RequestOptionsJSON. `exclude` and `allow` are JSON
 * arrays of descriptors; NULL: empty. */
typedef struct tn_key_owner {
    const char *handle; /* what the key knows its owner by: not a name */
    const char *name, *label;
} tn_key_owner;
const char *tn_webauthn_creation_options(tn_arena *arena, const tn_ceremony *ceremony,
                                         const tn_key_owner *owner, bool discoverable,
                                         const char *exclude) TN_NEVER_NULL;
const char *tn_webauthn_request_options(tn_arena *arena, const tn_ceremony *ceremony,
                                        const char *allow) TN_NEVER_NULL;

#endif
