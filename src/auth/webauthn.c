/* auth/webauthn.c: ceremonies: what is asked, and whether the answer is good */
#include "auth/webauthn.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <string.h>

#include "auth/area.h"
#include "base/crypto.h"
#include "base/text.h"
#include "base/uuid.h"

#define CHALLENGE_SIZE 32
#define TIMEOUT_MS 300000
#define CLIENT_DATA_MAX 8192 /* bytes */
#define ATTESTATION_MAX 32768
#define AUTHENTICATOR_DATA_MAX 4096
#define SIGNATURE_MAX 1024
#define TRANSPORTS_MAX 8
#define USER_HANDLE_MAX 64 /* section 5.4.3 */

/* --- for whom --------------------------------------------------------------------------------- */

/* "https://app.example.com:8443/x" → "https://app.example.com:8443" */
static const char *
origin_of(tn_arena *arena, const char *url)
{
    const char *host = strstr(url, "://");

    host = host == NULL ? url : host + 3;
    return tn_text_lower(arena,
                         tn_arena_bytes(arena, url, (size_t)(host - url) + strcspn(host, "/?#")));
}

static const char *
host_of(tn_arena *arena, const char *origin)
{
    const char *host = strstr(origin, "://");

    host = host == NULL ? origin : host + 3;
    return tn_arena_bytes(arena, host, strcspn(host, ":"));
}

/* As browsers write them: without a path, in lower case. An app's (`android:apk-key-hash:…`) stays
 * as it is. */
static const char *const *
origins_of(tn_arena *arena, const char *list, size_t *count)
{
    const char *const *given = tn_text_split(arena, list, count);
    const char **origins = tn_arena_alloc(arena, *count + 1, sizeof(*origins));

    for (size_t i = 0; i < *count; i++)
        origins[i] = strstr(given[i], "://") == NULL ? given[i] : origin_of(arena, given[i]);
    return origins;
}

tn_relying_party
tn_relying_party_of(const tn_config *config, tn_arena *arena)
{
    const char *site = origin_of(arena, tn_auth_site_url(config));
    tn_relying_party party = {.id = config->auth.webauthn_rp_id,
                              .name = config->auth.webauthn_rp_name};

    if (*party.id == '\0')
        party.id = host_of(arena, site);
    if (*party.name == '\0')
        party.name = party.id;
    party.origins = origins_of(
        arena, *config->auth.webauthn_origins != '\0' ? config->auth.webauthn_origins : site,
        &party.origin_count);
    return party;
}

static bool
is_origin_of(const tn_relying_party *party, const char *origin)
{
    for (size_t i = 0; i < party->origin_count; i++)
        if (strcmp(party->origins[i], origin) == 0)
            return true;
    return false;
}

/* --- what is asked ---------------------------------------------------------------------------- */

const char *
tn_webauthn_challenge(tn_arena *arena)
{
    uint8_t random[CHALLENGE_SIZE];

    tn_random(random, sizeof(random));
    return tn_base64url(arena, random, sizeof(random));
}

static const char *
verification(const tn_ceremony *ceremony)
{
    return ceremony->verified ? "required" : "preferred";
}

const char *
tn_webauthn_creation_options(tn_arena *arena, const tn_ceremony *ceremony,
                             const tn_key_owner *owner, bool discoverable, const char *exclude)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBufferStr(text, "{\"rp\":{\"id\":");
    tn_buffer_json_string(text, ceremony->party.id);
    appendPQExpBufferStr(text, ",\"name\":");
    tn_buffer_json_string(text, ceremony->party.name);
    appendPQExpBuffer(text, "},\"user\":{\"id\":\"%s\",\"name\":",
                      tn_base64url(arena, owner->handle, strlen(owner->handle)));
    tn_buffer_json_string(text, owner->name);
    appendPQExpBufferStr(text, ",\"displayName\":");
    tn_buffer_json_string(text, owner->label != NULL ? owner->label : owner->name);
    appendPQExpBuffer(text,
                      "},\"challenge\":\"%s\",\"pubKeyCredParams\":["
                      "{\"type\":\"public-key\",\"alg\":%d},{\"type\":\"public-key\",\"alg\":%d},"
                      "{\"type\":\"public-key\",\"alg\":%d}],\"timeout\":%d,"
                      "\"excludeCredentials\":%s,\"attestation\":\"none\","
                      "\"authenticatorSelection\":{\"residentKey\":\"%s\","
                      "\"requireResidentKey\":%s,\"userVerification\":\"%s\"}}",
                      ceremony->challenge, COSE_ES256, COSE_EDDSA, COSE_RS256, TIMEOUT_MS,
                      exclude != NULL ? exclude : "[]", discoverable ? "required" : "discouraged",
                      discoverable ? "true" : "false", verification(ceremony));
    return tn_buffer_text(text);
}

const char *
tn_webauthn_request_options(tn_arena *arena, const tn_ceremony *ceremony, const char *allow)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBuffer(text, "{\"challenge\":\"%s\",\"timeout\":%d,\"rpId\":", ceremony->challenge,
                      TIMEOUT_MS);
    tn_buffer_json_string(text, ceremony->party.id);
    appendPQExpBuffer(text, ",\"allowCredentials\":%s,\"userVerification\":\"%s\"}",
                      allow != NULL ? allow : "[]", verification(ceremony));
    return tn_buffer_text(text);
}

/* --- what comes back -------------------------------------------------------------------------- */

/* A member in base64url, of `max` bytes at most; empty is absent. */
static bool
read_member(tn_arena *arena, json_object *object, const char *member, size_t max, tn_bytes *bytes)
{
    const char *text = object == NULL ? NULL : tn_json_text(object, member, NULL);
    const size_t text_length = text == NULL ? 0 : strlen(text);
    uint8_t *room;

    *bytes = (tn_bytes){NULL, 0};
    if (text_length == 0 || text_length > max / 3 * 4 + 4)
        return false;
    room = tn_arena_alloc(arena, max, 1);
    bytes->bytes = room;
    return tn_base64url_decode(text, text_length, room, max, &bytes->length);
}

bool
tn_webauthn_credential_id(tn_arena *arena, json_object *credential, tn_bytes *id)
{
    return json_object_is_type(credential, json_type_object) &&
           read_member(arena, credential, "id", TN_CREDENTIAL_ID_MAX, id);
}

static json_object *
response_of(json_object *credential)
{
    json_object *response;

    if (!json_object_is_type(credential, json_type_object))
        return NULL;
    response = tn_json_get(credential, "response");
    return json_object_is_type(response, json_type_object) ? response : NULL;
}

/* Sections 7.1 steps 5 to 11 and 7.2 steps 9 to 15; gives the hash that is signed. */
static const char *
check_client_data(tn_arena *arena, const tn_ceremony *ceremony, json_object *response,
                  const char *type, uint8_t hash[TN_SHA256_SIZE])
{
    tn_client_data data;
    tn_bytes json;

    if (!read_member(arena, response, "clientDataJSON", CLIENT_DATA_MAX, &json) ||
        !tn_client_data_read(arena, json, &data))
        return "clientDataJSON is malformed";
    if (strcmp(data.type, type) != 0)
        return "it is of another ceremony";
    if (strcmp(data.challenge, ceremony->challenge) != 0)
        return "it answers another challenge";
    if (!is_origin_of(&ceremony->party, data.origin) || data.is_cross_origin)
        return "it comes from another origin";
    tn_sha256(json.bytes, json.length, hash);
    return NULL;
}

/* Sections 7.1 steps 13 to 15 and 7.2 steps 15 to 17. */
static const char *
check_authenticator_data(const tn_ceremony *ceremony, const tn_authenticator_data *data)
{
    uint8_t hash[TN_SHA256_SIZE];

    tn_sha256(ceremony->party.id, strlen(ceremony->party.id), hash);
    if (!tn_same_bytes(hash, data->rp_hash, sizeof(hash)))
        return "it is for another relying party";
    if (!data->is_present)
        return "nobody was present";
    if (ceremony->verified && !data->is_verified)
        return "the authenticator did not verify the person";
    return NULL;
}

static void
fill_answer(const tn_authenticator_data *data, tn_key_answer *answer)
{
    answer->sign_count = data->sign_count;
    answer->is_verified = data->is_verified;
    answer->is_backup_eligible = data->is_backup_eligible;
    answer->is_backed_up = data->is_backed_up;
}

/* --- a new key -------------------------------------------------------------------------------- */

static void
free_credential(void *what)
{
    fido_cred_t *credential = what;

    fido_cred_free(&credential);
}

/* Gives libfido2 what it needs to know the key, which it takes apart. */
static bool
load_key(fido_cred_t *credential, const tn_attestation *attestation,
         const tn_authenticator_data *data)
{
    const tn_bytes raw = attestation->authenticator_data;

    return (data->algorithm == COSE_ES256 || data->algorithm == COSE_EDDSA ||
            data->algorithm == COSE_RS256) &&
           fido_cred_set_type(credential, (int)data->algorithm) == FIDO_OK &&
           fido_cred_set_authdata_raw(credential, raw.bytes, raw.length) == FIDO_OK &&
           fido_cred_pubkey_len(credential) > 0;
}

static const char *
check_statement(tn_arena *arena, fido_cred_t *credential, const tn_ceremony *ceremony,
                const tn_attestation *attestation, const uint8_t hash[TN_SHA256_SIZE],
                const char **format)
{
    *format = tn_arena_bytes(arena, attestation->format.bytes, attestation->format.length);
    if (strcmp(*format, "none") == 0)
        return attestation->statement_is_empty ? NULL : "an attestation statement of no format";
    if (fido_cred_set_fmt(credential, *format) != FIDO_OK ||
        fido_cred_set_rp(credential, ceremony->party.id, NULL) != FIDO_OK ||
        fido_cred_set_clientdata_hash(credential, hash, TN_SHA256_SIZE) != FIDO_OK ||
        fido_cred_set_attstmt(credential, attestation->statement.bytes,
                              attestation->statement.length) != FIDO_OK)
        return "the attestation statement is not understood";
    if ((fido_cred_x5c_ptr(credential) != NULL ? fido_cred_verify(credential)
                                               : fido_cred_verify_self(credential)) != FIDO_OK)
        return "the attestation statement is wrong";
    return NULL;
}

/* The known transports among those that the browser names, so that nothing else gets into a page.
 */
static const char *
read_transports(tn_arena *arena, json_object *response)
{
    static const char *const known[] = {"usb", "nfc", "ble", "smart-card", "hybrid", "internal"};
    json_object *list = tn_json_get(response, "transports");
    PQExpBuffer text = tn_arena_buffer(arena);
    size_t count = 0;

    appendPQExpBufferChar(text, '[');
    if (json_object_is_type(list, json_type_array))
        for (size_t i = 0; i < json_object_array_length(list) && i < TRANSPORTS_MAX; i++) {
            json_object *item = json_object_array_get_idx(list, i);
            const char *name =
                json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";

            for (size_t k = 0; k < TN_COUNT(known); k++)
                if (strcmp(known[k], name) == 0)
                    appendPQExpBuffer(text, "%s\"%s\"", count++ > 0 ? "," : "", name);
        }
    appendPQExpBufferChar(text, ']');
    return tn_buffer_text(text);
}

const char *
tn_webauthn_check_creation(tn_arena *arena, const tn_ceremony *ceremony, json_object *credential,
                           tn_key_answer *answer)
{
    json_object *response = response_of(credential);
    uint8_t hash[TN_SHA256_SIZE];
    tn_authenticator_data data;
    tn_attestation attestation;
    const char *problem;
    fido_cred_t *made;
    tn_bytes object;

    *answer = (tn_key_answer){.sign_count = 0};
    problem = check_client_data(arena, ceremony, response, "webauthn.create", hash);
    if (problem != NULL)
        return problem;
    if (!read_member(arena, response, "attestationObject", ATTESTATION_MAX, &object) ||
        !tn_attestation_read(object, &attestation) ||
        !tn_authenticator_data_read(attestation.authenticator_data, &data) || data.aaguid == NULL)
        return "attestationObject is malformed";
    problem = check_authenticator_data(ceremony, &data);
    if (problem != NULL)
        return problem;

    made = fido_cred_new();
    if (made == NULL)
        tn_die("out of memory");
    tn_arena_defer(arena, free_credential, made);
    if (!load_key(made, &attestation, &data))
        return "the key is of a kind that is not known";
    problem = check_statement(arena, made, ceremony, &attestation, hash, &answer->attestation);
    if (problem != NULL)
        return problem;

    fill_answer(&data, answer);
    answer->credential_id = data.credential_id;
    answer->key = (tn_public_key){fido_cred_pubkey_ptr(made), fido_cred_pubkey_len(made),
                                  (int)data.algorithm};
    answer->aaguid = tn_arena_text(arena, tn_uuid_of(data.aaguid).text);
    answer->transports = read_transports(arena, response);
    return NULL;
}

/* --- a signature ------------------------------------------------------------------------------ */

/* As libfido2 wants it. */
static int
verify_signature(fido_assert_t *assertion, const tn_public_key *key)
{
    int result = FIDO_ERR_INVALID_ARGUMENT;

    if (key->algorithm == COSE_ES256) {
        es256_pk_t *pk = es256_pk_new();

        if (pk != NULL && es256_pk_from_ptr(pk, key->bytes, key->length) == FIDO_OK)
            result = fido_assert_verify(assertion, 0, COSE_ES256, pk);
        es256_pk_free(&pk);
    } else if (key->algorithm == COSE_EDDSA) {
        eddsa_pk_t *pk = eddsa_pk_new();

        if (pk != NULL && eddsa_pk_from_ptr(pk, key->bytes, key->length) == FIDO_OK)
            result = fido_assert_verify(assertion, 0, COSE_EDDSA, pk);
        eddsa_pk_free(&pk);
    } else if (key->algorithm == COSE_RS256) {
        rs256_pk_t *pk = rs256_pk_new();

        if (pk != NULL && rs256_pk_from_ptr(pk, key->bytes, key->length) == FIDO_OK)
            result = fido_assert_verify(assertion, 0, COSE_RS256, pk);
        rs256_pk_free(&pk);
    }
    return result;
}

static bool
is_signed(const tn_ceremony *ceremony, const tn_public_key *key, tn_bytes data, tn_bytes signature,
          const uint8_t hash[TN_SHA256_SIZE])
{
    fido_assert_t *assertion = fido_assert_new();
    bool is_good;

    if (assertion == NULL)
        tn_die("out of memory");
    is_good = fido_assert_set_clientdata_hash(assertion, hash, TN_SHA256_SIZE) == FIDO_OK &&
              fido_assert_set_rp(assertion, ceremony->party.id) == FIDO_OK &&
              fido_assert_set_up(assertion, FIDO_OPT_TRUE) == FIDO_OK &&
              fido_assert_set_uv(assertion, ceremony->verified ? FIDO_OPT_TRUE : FIDO_OPT_OMIT) ==
                  FIDO_OK &&
              fido_assert_set_count(assertion, 1) == FIDO_OK &&
              fido_assert_set_authdata_raw(assertion, 0, data.bytes, data.length) == FIDO_OK &&
              fido_assert_set_sig(assertion, 0, signature.bytes, signature.length) == FIDO_OK &&
              verify_signature(assertion, key) == FIDO_OK;
    fido_assert_free(&assertion);
    return is_good;
}

const char *
tn_webauthn_check_assertion(tn_arena *arena, const tn_ceremony *ceremony, const tn_public_key *key,
                            json_object *credential, tn_key_answer *answer)
{
    json_object *response = response_of(credential);
    uint8_t hash[TN_SHA256_SIZE];
    tn_bytes raw, signature, handle;
    tn_authenticator_data data;
    const char *problem;

    *answer = (tn_key_answer){.sign_count = 0};
    if (!tn_webauthn_credential_id(arena, credential, &answer->credential_id))
        return "it names no credential";
    problem = check_client_data(arena, ceremony, response, "webauthn.get", hash);
    if (problem != NULL)
        return problem;
    if (!read_member(arena, response, "authenticatorData", AUTHENTICATOR_DATA_MAX, &raw) ||
        !tn_authenticator_data_read(raw, &data))
        return "authenticatorData is malformed";
    problem = check_authenticator_data(ceremony, &data);
    if (problem != NULL)
        return problem;
    if (!read_member(arena, response, "signature", SIGNATURE_MAX, &signature) ||
        !is_signed(ceremony, key, raw, signature, hash))
        return "the signature is wrong";
    fill_answer(&data, answer);
    if (read_member(arena, response, "userHandle", USER_HANDLE_MAX, &handle))
        answer->user_handle = tn_arena_bytes(arena, handle.bytes, handle.length);
    return NULL;
}
