/* auth/password_hash.h: hashes of passwords, our own and those that people bring along
 *
 *     $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>   ours; argon2i and other costs are verified too
 *     $2a$10$<salt and hash>                         bcrypt, also 2b and 2y
 *     $fbscrypt$v=1,n=14,r=8,p=1,ss=<…>,sk=<…>$<salt>$<hash>
 *                                                    Firebase's: scrypt, then AES-256-CTR (base64)
 *
 * What a hash may cost is capped, for whoever brings it along chooses the cost: argon2 m <= 1 GiB,
 * t <= 20, p <= 16; bcrypt 2^16 rounds; scrypt n <= 20, r <= 16, p <= 16 and 1 GiB.
 *
 * Threads: any.
 */
#ifndef TN_AUTH_PASSWORD_HASH_H
#define TN_AUTH_PASSWORD_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum tn_password_scheme {
    TN_PASSWORD_ARGON2I,
    TN_PASSWORD_ARGON2ID,
    TN_PASSWORD_BCRYPT,
    TN_PASSWORD_FIREBASE
} tn_password_scheme;

typedef struct tn_password_form {
    tn_password_scheme scheme;
    uint32_t version;    /* argon2: 16 or 19 */
    uint32_t memory_kib; /* argon2 */
    uint32_t passes;     /* argon2's t; bcrypt's and scrypt's logarithm of the rounds */
    uint32_t lanes;      /* argon2's and scrypt's p */
    uint32_t block;      /* scrypt's r */
    const char *salt, *hash, *separator, *key; /* within the text; argon2 and Firebase */
    size_t salt_length, hash_length, separator_length, key_length; /* as text */
} tn_password_form;

/* false: none of these, or dearer than is allowed. Nothing is copied. */
bool tn_password_form_read(const char *text, tn_password_form *form) TN_MUST_CHECK;

/* Is it the password of this hash, whose form has been read? Takes as long as the form says. */
bool tn_password_form_fits(tn_arena *arena, const char *text, const tn_password_form *form,
                           const char *password) TN_MUST_CHECK;

#endif
