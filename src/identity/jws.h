/* identity/jws.h: signatures of others: a JWS (RFC 7515) and the key set (RFC 7517) of who made it
 *
 * The algorithm is pinned to the key (RFC 8725 section 3.1): RS256, RS384, RS512 and PS256 need an
 * RSA key of 2048 bits or more, ES256 one of P-256, ES384 one of P-384, EdDSA one of Ed25519. What
 * else there is, `none` and everything with a shared secret above all, is refused. Keys come from
 * the set alone: jku, jwk, x5u and x5c of the header are never looked at, and a `crit` that is
 * there is refused. A token with a `kid` is verified by keys of that kid only; without one there
 * must be exactly one key that fits.
 *
 * Threads: any; no state.
 */
#ifndef TN_IDENTITY_JWS_H
#define TN_IDENTITY_JWS_H

#include "base/arena.h"
#include "base/json.h"

#define TN_JWS_MAX 32768 /* bytes of a token; those of Microsoft can be large */

typedef enum tn_jws_outcome {
    TN_JWS_GOOD,
    TN_JWS_BROKEN,      /* form, algorithm, or the signature is not by this key */
    TN_JWS_UNKNOWN_KEY, /* a newer set may have it */
} tn_jws_outcome;

typedef struct tn_jws {
    json_object *claims; /* of a good one: an object */
    int hash_bits;       /* of its algorithm's hash: 256, 384, 512 (for at_hash) */
    const char *problem; /* of another: what is wrong with it */
} tn_jws;

tn_jws_outcome tn_jws_verify(tn_arena *arena, const char *token, json_object *key_set,
                             tn_jws *jws) TN_MUST_CHECK;

#endif
