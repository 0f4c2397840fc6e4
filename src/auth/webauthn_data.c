/* auth/webauthn_data.c: a reader that never looks behind the end */
#include "auth/webauthn_data.h"

#include <string.h>

#include "base/json.h"

#define DEPTH_MAX 4
#define ITEMS_MAX 64 /* of one map or array */
#define COSE_ALGORITHM 3

enum {
    FLAG_PRESENT = 0x01,
    FLAG_VERIFIED = 0x04,
    FLAG_BACKUP_ELIGIBLE = 0x08,
    FLAG_BACKED_UP = 0x10,
    FLAG_CREDENTIAL = 0x40,
    FLAG_EXTENSIONS = 0x80
};
enum {
    CBOR_UNSIGNED,
    CBOR_NEGATIVE,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_TAG,
    CBOR_SIMPLE
};

/* What has yet to be read. */
struct reader {
    const uint8_t *at;
    size_t left;
};

static bool
take(struct reader *reader, size_t length, const uint8_t **bytes)
{
    if (length > reader->left)
        return false;
    *bytes = reader->at;
    reader->at += length;
    reader->left -= length;
    return true;
}

static bool
take_number(struct reader *reader, size_t size, uint64_t *number)
{
    const uint8_t *bytes;

    if (!take(reader, size, &bytes))
        return false;
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number = *number << 8 | bytes[i];
    return true;
}

/* --- CBOR ------------------------------------------------------------------------------------- */

/* The head of an item (RFC 8949 section 3). */
static bool
take_head(struct reader *reader, int *type, uint64_t *argument)
{
    const uint8_t *first;
    unsigned information;

    if (!take(reader, 1, &first))
        return false;
    *type = *first >> 5;
    information = *first & 0x1f;
    if (information < 24) {
        *argument = information;
        return true;
    }
    /* 28 to 30 mean nothing, 31 is an indefinite length */
    return information < 28 && take_number(reader, (size_t)1 << (information - 24), argument);
}

static bool
skip_item(struct reader *reader, int depth)
{
    const uint8_t *bytes;
    uint64_t argument;
    int type;

    if (depth > DEPTH_MAX || !take_head(reader, &type, &argument))
        return false;
    switch (type) {
    case CBOR_BYTES:
    case CBOR_TEXT:
        return argument <= reader->left && take(reader, (size_t)argument, &bytes);
    case CBOR_ARRAY:
    case CBOR_MAP:
        if (argument > ITEMS_MAX)
            return false;
        for (uint64_t i = 0; i < (type == CBOR_MAP ? 2 : 1) * argument; i++)
            if (!skip_item(reader, depth + 1))
                return false;
        return true;
    case CBOR_TAG:
        return false; /* CTAP2 has none */
    default:
        return true;
    }
}

static bool
take_string(struct reader *reader, int wanted, tn_bytes *string)
{
    uint64_t length;
    int type;

    if (!take_head(reader, &type, &length) || type != wanted || length > reader->left)
        return false;
    string->length = (size_t)length;
    return take(reader, string->length, &string->bytes);
}

static bool
take_map(struct reader *reader, uint64_t *count)
{
    int type;

    return take_head(reader, &type, count) && type == CBOR_MAP && *count <= ITEMS_MAX;
}

static bool
take_integer(struct reader *reader, int64_t *value)
{
    uint64_t argument;
    int type;

    if (!take_head(reader, &type, &argument) || argument > INT32_MAX ||
        (type != CBOR_UNSIGNED && type != CBOR_NEGATIVE))
        return false;
    *value = type == CBOR_UNSIGNED ? (int64_t)argument : -1 - (int64_t)argument;
    return true;
}

/* --- authenticator data ----------------------------------------------------------------------- */

/* A COSE_Key (RFC 9052 section 7): its labels are integers; here only the algorithm matters. */
static bool
take_key(struct reader *reader, tn_authenticator_data *result)
{
    const struct reader begin = *reader;
    bool has_algorithm = false;
    uint64_t count;

    if (!take_map(reader, &count))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        int64_t label;

        if (!take_integer(reader, &label))
            return false;
        if (label != COSE_ALGORITHM) {
            if (!skip_item(reader, 1))
                return false;
        } else if (has_algorithm || !take_integer(reader, &result->algorithm)) {
            return false;
        } else {
            has_algorithm = true;
        }
    }
    result->public_key = (tn_bytes){begin.at, begin.left - reader->left};
    return has_algorithm;
}

static bool
take_credential(struct reader *reader, tn_authenticator_data *result)
{
    uint64_t length;

    if (!take(reader, 16, &result->aaguid) || !take_number(reader, 2, &length) || length == 0 ||
        length > TN_CREDENTIAL_ID_MAX)
        return false;
    result->credential_id.length = (size_t)length;
    return take(reader, result->credential_id.length, &result->credential_id.bytes) &&
           take_key(reader, result);
}

bool
tn_authenticator_data_read(tn_bytes data, tn_authenticator_data *result)
{
    struct reader reader = {data.bytes, data.length};
    uint64_t flags, sign_count, extensions;

    *result = (tn_authenticator_data){.rp_hash = NULL};
    if (!take(&reader, TN_RP_HASH_SIZE, &result->rp_hash) || !take_number(&reader, 1, &flags) ||
        !take_number(&reader, 4, &sign_count))
        return false;
    result->sign_count = (uint32_t)sign_count;
    result->is_present = (flags & FLAG_PRESENT) != 0;
    result->is_verified = (flags & FLAG_VERIFIED) != 0;
    result->is_backup_eligible = (flags & FLAG_BACKUP_ELIGIBLE) != 0;
    result->is_backed_up = (flags & FLAG_BACKED_UP) != 0;
    if (result->is_backed_up && !result->is_backup_eligible)
        return false;
    if ((flags & FLAG_CREDENTIAL) != 0 && !take_credential(&reader, result))
        return false;
    if ((flags & FLAG_EXTENSIONS) != 0) {
        const struct reader before = reader;

        if (!take_map(&reader, &extensions))
            return false;
        reader = before;
        if (!skip_item(&reader, 0))
            return false;
    }
    return reader.left == 0;
}

/* --- attestation object ----------------------------------------------------------------------- */

static bool
is_text(tn_bytes text, const char *wanted)
{
    return text.length == strlen(wanted) && memcmp(text.bytes, wanted, text.length) == 0;
}

static bool
take_statement(struct reader *reader, tn_attestation *attestation)
{
    const struct reader begin = *reader;
    struct reader look = *reader;
    uint64_t count;

    if (!take_map(&look, &count) || !skip_item(reader, 0))
        return false;
    attestation->statement = (tn_bytes){begin.at, begin.left - reader->left};
    attestation->statement_is_empty = count == 0;
    return true;
}

bool
tn_attestation_read(tn_bytes object, tn_attestation *attestation)
{
    struct reader reader = {object.bytes, object.length};
    tn_bytes name;
    uint64_t count;

    *attestation = (tn_attestation){.statement_is_empty = false};
    if (!take_map(&reader, &count) || count != 3)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        bool is_good = false;

        if (!take_string(&reader, CBOR_TEXT, &name))
            return false;
        if (is_text(name, "fmt") && attestation->format.bytes == NULL)
            is_good = take_string(&reader, CBOR_TEXT, &attestation->format);
        else if (is_text(name, "attStmt") && attestation->statement.bytes == NULL)
            is_good = take_statement(&reader, attestation);
        else if (is_text(name, "authData") && attestation->authenticator_data.bytes == NULL)
            is_good = take_string(&reader, CBOR_BYTES, &attestation->authenticator_data);
        if (!is_good)
            return false;
    }
    return reader.left == 0;
}

/* --- client data ------------------------------------------------------------------------------ */

bool
tn_client_data_read(tn_arena *arena, tn_bytes json, tn_client_data *data)
{
    json_object *object = NULL;

    if (tn_json_parse(arena, (const char *)json.bytes, json.length, DEPTH_MAX, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return false;
    *data = (tn_client_data){
        .type = tn_json_text(object, "type", ""),
        .challenge = tn_json_text(object, "challenge", ""),
        .origin = tn_json_text(object, "origin", ""),
        .is_cross_origin =
            tn_json_bool(object, "crossOrigin", false) || tn_json_get(object, "topOrigin") != NULL,
    };
    return true;
}
