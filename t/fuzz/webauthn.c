/* t/fuzz/webauthn.c: whatever a browser sends is refused or taken, and never read beyond its end
 *
 * The first byte says what the rest is: client data, authenticator data, an attestation object, or
 * the JSON of a whole answer. No key is known here, so no answer to a sign-in can be good.
 */
#include "auth/webauthn.h"

#include <stdlib.h>
#include <string.h>

#include "t/fuzz/fuzz.h"

/* A result must lie within what was given; exact memory lets a sanitizer see the rest. */
static void
check_inside(tn_bytes outer, tn_bytes inner)
{
    if (inner.bytes != NULL)
        assert(inner.bytes >= outer.bytes &&
               inner.bytes + inner.length <= outer.bytes + outer.length);
}

static void
try_authenticator_data(tn_bytes given)
{
    tn_authenticator_data data;

    if (!tn_authenticator_data_read(given, &data))
        return;
    assert(given.length >= TN_RP_HASH_SIZE + 5);
    check_inside(given, data.credential_id);
    check_inside(given, data.public_key);
    assert(data.aaguid == NULL ||
           (data.credential_id.length > 0 && data.credential_id.length <= TN_CREDENTIAL_ID_MAX));
}

static void
try_attestation(tn_bytes given)
{
    tn_attestation attestation;

    if (!tn_attestation_read(given, &attestation))
        return;
    check_inside(given, attestation.format);
    check_inside(given, attestation.statement);
    check_inside(given, attestation.authenticator_data);
    assert(attestation.format.bytes != NULL && attestation.statement.bytes != NULL &&
           attestation.authenticator_data.bytes != NULL);
    try_authenticator_data(attestation.authenticator_data);
}

static void
try_answer(tn_arena *arena, tn_bytes given)
{
    static const char *const origins[] = {"https://example.com"};
    static const uint8_t zeros[64];
    const tn_ceremony ceremony = {.party = {"example.com", "Example", origins, 1},
                                  .challenge = "AAAA"};
    const tn_public_key key = {zeros, sizeof(zeros), -7};
    json_object *object = NULL;
    tn_key_answer answer;

    if (tn_json_parse(arena, (const char *)given.bytes, given.length, TN_JSON_DEPTH, &object) !=
            NULL ||
        object == NULL)
        return;
    if (tn_webauthn_check_creation(arena, &ceremony, object, &answer) == NULL)
        assert(answer.key.length > 0 && answer.credential_id.length > 0);
    assert(tn_webauthn_check_assertion(arena, &ceremony, &key, object, &answer) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    uint8_t *copy = malloc(length);
    tn_client_data data;
    tn_bytes given;

    if (length > 0 && copy != NULL) {
        memcpy(copy, bytes + 1, length - 1);
        given = (tn_bytes){copy, length - 1};
        switch (bytes[0] % 4) {
        case 0:
            if (tn_client_data_read(arena, given, &data))
                assert(data.type != NULL && data.challenge != NULL && data.origin != NULL);
            break;
        case 1:
            try_authenticator_data(given);
            break;
        case 2:
            try_attestation(given);
            break;
        default:
            try_answer(arena, given);
        }
    }
    free(copy);
    tn_arena_free(arena);
    return 0;
}
