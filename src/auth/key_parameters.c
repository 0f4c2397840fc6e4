/* auth/key_parameters.c: texts for PostgreSQL */
#include "auth/key_parameters.h"

#include <string.h>

#include "base/crypto.h"

static const char *
word(bool value)
{
    return value ? "true" : "false";
}

tn_key_parameters
tn_key_parameters_of(tn_arena *arena, const tn_key_answer *answer)
{
    tn_key_parameters p = {
        .credential_id = tn_bytea(arena, answer->credential_id.bytes, answer->credential_id.length),
        .sign_count = tn_arena_printf(arena, "%lu", (unsigned long)answer->sign_count),
        .backup_eligible = word(answer->is_backup_eligible),
        .backed_up = word(answer->is_backed_up),
    };

    if (answer->key.length > 0) {
        p.public_key = tn_bytea(arena, answer->key.bytes, answer->key.length);
        p.algorithm = tn_arena_printf(arena, "%d", answer->key.algorithm);
        p.aaguid = answer->aaguid;
        p.transports = answer->transports;
        p.attestation = answer->attestation;
    }
    return p;
}

bool
tn_key_read(tn_arena *arena, const char *hex, int algorithm, tn_public_key *key)
{
    const size_t length = hex == NULL ? 0 : strlen(hex) / 2;
    uint8_t *bytes = tn_arena_alloc(arena, length + 1, 1);

    *key = (tn_public_key){bytes, length, algorithm};
    return length > 0 && tn_hex_decode(hex, bytes, length);
}
