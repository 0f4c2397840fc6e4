/* storage/s3_signature.c: AWS Signature Version 4 */
#include "storage/s3_signature.h"

#include <ctype.h>

#include "base/text.h"

#define SIGNED_HEADERS_MAX 4096
#define REQUEST "aws4_request"
#define FOLDER "/storage/v1/s3" /* of the endpoint */

static const struct {
    const char *text;
    tn_s3_payload payload;
} payloads[] = {
    {"UNSIGNED-PAYLOAD", TN_S3_PAYLOAD_UNSIGNED},
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", TN_S3_PAYLOAD_CHUNKED},
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", TN_S3_PAYLOAD_CHUNKED_TRAILER},
    {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", TN_S3_PAYLOAD_UNSIGNED_TRAILER},
};

static bool
is_hex(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

/* --- what the request says -------------------------------------------------------------------- */

static const tn_error *
malformed(tn_arena *arena, const tn_s3_signature *signature, const char *message)
{
    return tn_error_new(arena, 400,
                        signature->is_presigned ? "AuthorizationQueryParametersError"
                                                : "AuthorizationHeaderMalformed",
                        NULL, "%s", message);
}

/* Days since 1970 of a date of the proleptic Gregorian calendar. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    const int64_t shifted = month <= 2 ? year - 1 : year;
    const int64_t era = shifted / 400, of_era = shifted % 400;
    const int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t
digits(const char *text, size_t count)
{
    int64_t number = 0;

    for (size_t i = 0; i < count; i++)
        number = number * 10 + (text[i] - '0');
    return number;
}

bool
tn_s3_date_read(const char *text, int64_t *seconds)
{
    int64_t month, day, hour, minute, second;

    if (strlen(text) != 16 || strspn(text, "0123456789") != 8 || text[8] != 'T' ||
        strspn(text + 9, "0123456789") != 6 || text[15] != 'Z')
        return false;
    month = digits(text + 4, 2);
    day = digits(text + 6, 2);
    hour = digits(text + 9, 2);
    minute = digits(text + 11, 2);
    second = digits(text + 13, 2);
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    *seconds = days_of(digits(text, 4), month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

/* Credential: <access key id>/<day>/<region>/<service>/aws4_request. The id comes first, so it may
 * be a name of any form but with a slash. */
static const tn_error *
read_credential(tn_arena *arena, const char *text, tn_s3_signature *signature)
{
    const char *parts[5] = {text};

    for (size_t i = 1; i < TN_COUNT(parts); i++) {
        const char *slash = strchr(parts[i - 1], '/');

        if (slash == NULL)
            return malformed(arena, signature,
                             "the credential is malformed; expected "
                             "<access key id>/YYYYMMDD/region/s3/aws4_request");
        parts[i] = slash + 1;
    }
    if (strcmp(parts[4], REQUEST) != 0 || parts[1] == text + 1)
        return malformed(arena, signature,
                         "the credential must end in aws4_request and begin with a key id");
    signature->access_key_id = tn_arena_bytes(arena, text, (size_t)(parts[1] - text) - 1);
    signature->day = tn_arena_bytes(arena, parts[1], (size_t)(parts[2] - parts[1]) - 1);
    signature->region = tn_arena_bytes(arena, parts[2], (size_t)(parts[3] - parts[2]) - 1);
    signature->service = tn_arena_bytes(arena, parts[3], (size_t)(parts[4] - parts[3]) - 1);
    signature->scope = tn_arena_text(arena, parts[1]);
    if (strcmp(signature->service, "s3") != 0)
        return malformed(arena, signature, "the credential must be for the service s3");
    return NULL;
}

/* The value behind `name=` in the header Authorization, up to a comma. */
static const char *
header_part(tn_arena *arena, const char *text, const char *name)
{
    const size_t length = strlen(name);

    while (*text != '\0') {
        size_t end;

        text += strspn(text, " ,\t");
        end = strcspn(text, ",");
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            size_t size = end - length - 1;

            while (size > 0 && text[length + size] == ' ')
                size--;
            return tn_arena_bytes(arena, text + length + 1, size);
        }
        text += end;
    }
    return NULL;
}

/* Version 2, in a header or a URL; or something that is none of S3's. */
static const tn_error *
refuse_mechanism(tn_arena *arena)
{
    return tn_error_new(arena, 400, "InvalidRequest", NULL,
                        "The authorization mechanism you have provided is not supported. Please "
                        "use AWS4-HMAC-SHA256.");
}

static const tn_error *
read_header(tn_arena *arena, const tn_request *request, const char *text,
            tn_s3_signature *signature)
{
    const char *credential;

    if (strncmp(text, TN_S3_ALGORITHM " ", strlen(TN_S3_ALGORITHM) + 1) != 0)
        return refuse_mechanism(arena);
    text += strlen(TN_S3_ALGORITHM) + 1;
    credential = header_part(arena, text, "Credential");
    signature->signed_headers = header_part(arena, text, "SignedHeaders");
    signature->signature = header_part(arena, text, "Signature");
    signature->date = tn_request_header(request, "x-amz-date");
    signature->token = tn_request_header(request, "x-amz-security-token");
    if (credential == NULL || signature->signed_headers == NULL || signature->signature == NULL)
        return malformed(arena, signature,
                         "the header Authorization needs Credential, SignedHeaders and Signature");
    if (signature->date == NULL)
        return tn_error_new(arena, 403, "AccessDenied", NULL,
                            "AWS authentication requires a valid x-amz-date header");
    return read_credential(arena, credential, signature);
}

static const tn_error *
read_query(tn_arena *arena, const tn_request *request, tn_s3_signature *signature)
{
    const char *algorithm = tn_request_query(request, "X-Amz-Algorithm");
    const char *credential = tn_request_query(request, "X-Amz-Credential");
    const char *expires = tn_request_query(request, "X-Amz-Expires");

    signature->is_presigned = true;
    signature->signed_headers = tn_request_query(request, "X-Amz-SignedHeaders");
    signature->signature = tn_request_query(request, "X-Amz-Signature");
    signature->date = tn_request_query(request, "X-Amz-Date");
    signature->token = tn_request_query(request, "X-Amz-Security-Token");
    if (algorithm == NULL || strcmp(algorithm, TN_S3_ALGORITHM) != 0 || credential == NULL ||
        expires == NULL || signature->signed_headers == NULL || signature->signature == NULL ||
        signature->date == NULL)
        return malformed(arena, signature,
                         "a presigned URL needs X-Amz-Algorithm=AWS4-HMAC-SHA256, "
                         "X-Amz-Credential, X-Amz-Date, X-Amz-Expires, X-Amz-SignedHeaders and "
                         "X-Amz-Signature");
    if (!tn_text_int(expires, 1, TN_S3_PRESIGNED_MAX_S, &signature->expires_s))
        return malformed(arena, signature,
                         "X-Amz-Expires must be a number of seconds from 1 to 604800");
    return read_credential(arena, credential, signature);
}

static bool
is_signed(const tn_s3_signature *signature, const char *name)
{
    const size_t length = strlen(name);

    for (const char *at = signature->signed_headers; *at != '\0'; at += *at == ';') {
        const size_t size = strcspn(at, ";");

        if (size == length && memcmp(at, name, length) == 0)
            return true;
        at += size;
    }
    return false;
}

/* What somebody in between could add or change must be under the signature. */
static const tn_error *
check_headers(tn_arena *arena, const tn_request *request, const tn_s3_signature *signature)
{
    if (strlen(signature->signed_headers) > SIGNED_HEADERS_MAX || !is_signed(signature, "host"))
        return malformed(arena, signature, "the header host must be among the signed ones");
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;

        if (tn_text_starts(name, "x-amz-") && !is_signed(signature, name) &&
            !(signature->is_presigned && strcmp(name, "x-amz-content-sha256") == 0))
            return tn_error_new(arena, 403, "AccessDenied", NULL,
                                "There were headers present in the request which were not "
                                "signed: %s",
                                name);
    }
    return NULL;
}

static const tn_error *
read_payload(tn_arena *arena, const tn_request *request, tn_s3_signature *signature)
{
    const char *text =
        signature->is_presigned ? tn_request_query(request, "X-Amz-Content-Sha256") : NULL;

    if (text == NULL && (!signature->is_presigned || is_signed(signature, "x-amz-content-sha256")))
        text = tn_request_header(request, "x-amz-content-sha256");
    if (text == NULL)
        text = payloads[0].text;
    signature->payload_text = text;
    signature->payload = TN_S3_PAYLOAD_HASHED;
    for (size_t i = 0; i < TN_COUNT(payloads); i++)
        if (strcmp(payloads[i].text, text) == 0)
            signature->payload = payloads[i].payload;
    if (signature->payload == TN_S3_PAYLOAD_HASHED && !is_hex(text, 64))
        return tn_error_new(arena, 400, "InvalidArgument", NULL,
                            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING-… value "
                            "that is supported, or the SHA-256 of the body in hexadecimal");
    return NULL;
}

const tn_error *
tn_s3_signature_read(tn_arena *arena, const tn_request *request, tn_s3_signature *signature)
{
    const char *header = tn_request_header(request, "authorization");

    *signature = (tn_s3_signature){.access_key_id = NULL};
    if (tn_request_query(request, "X-Amz-Signature") != NULL ||
        tn_request_query(request, "X-Amz-Algorithm") != NULL) {
        if (header != NULL)
            return tn_error_new(arena, 400, "InvalidArgument", NULL,
                                "Only one auth mechanism allowed; only the X-Amz-Algorithm query "
                                "parameter or the Authorization header should be specified");
        TN_TRY(read_query(arena, request, signature));
    } else if (header != NULL) {
        TN_TRY(read_header(arena, request, header, signature));
    } else if (tn_request_query(request, "AWSAccessKeyId") != NULL) {
        return refuse_mechanism(arena);
    } else {
        return NULL;
    }
    if (!is_hex(signature->signature, 64))
        return malformed(arena, signature, "the signature must be 64 hexadecimal digits");
    if (!tn_s3_date_read(signature->date, &signature->signed_at) ||
        strncmp(signature->date, signature->day, 8) != 0 || strlen(signature->day) != 8)
        return malformed(arena, signature,
                         "the date must look like 20130524T000000Z and be on the day of the "
                         "credential");
    TN_TRY(check_headers(arena, request, signature));
    return read_payload(arena, request, signature);
}

const tn_error *
tn_s3_signature_of_form(tn_arena *arena, const char *credential, const char *date, const char *hex,
                        const char *token, tn_s3_signature *signature)
{
    *signature = (tn_s3_signature){.is_presigned = true,
                                   .date = date,
                                   .signature = hex,
                                   .token = token,
                                   .signed_headers = "",
                                   .payload_text = payloads[0].text};
    TN_TRY(read_credential(arena, credential, signature));
    if (!is_hex(hex, 64) || !tn_s3_date_read(date, &signature->signed_at) ||
        strncmp(date, signature->day, 8) != 0 || strlen(signature->day) != 8)
        return malformed(arena, signature, "x-amz-date or x-amz-signature is malformed");
    return NULL;
}

/* --- what holds ------------------------------------------------------------------------------- */

const tn_error *
tn_s3_signature_check_region(tn_arena *arena, const tn_s3_signature *signature, const char *region)
{
    static const char *const aliases[] = {"us-east-1", "US", "auto", ""};
    tn_error *error;

    if (strcmp(signature->region, region) == 0)
        return NULL;
    for (size_t i = 0; i < TN_COUNT(aliases); i++)
        if (strcmp(signature->region, aliases[i]) == 0)
            return NULL;
    error = tn_error_new(arena, 400,
                         signature->is_presigned ? "AuthorizationQueryParametersError"
                                                 : "AuthorizationHeaderMalformed",
                         NULL, "the region '%s' is wrong; expecting '%s'",
                         tn_text_excerpt(arena, signature->region, 64), region);
    error->details = tn_arena_text(arena, region);
    return error;
}

const tn_error *
tn_s3_signature_check_time(tn_arena *arena, const tn_s3_signature *signature, int64_t now)
{
    if (signature->is_presigned && now >= signature->signed_at + signature->expires_s)
        return tn_error_new(arena, 403, "AccessDenied", NULL, "Request has expired");
    if (signature->signed_at > now + TN_S3_SKEW_S ||
        (!signature->is_presigned && signature->signed_at < now - TN_S3_SKEW_S))
        return tn_error_new(arena, 403, "RequestTimeTooSkewed", "Set the clock of the client.",
                            "The difference between the request time and the server's time is too "
                            "large.");
    return NULL;
}

/* --- the canonical request -------------------------------------------------------------------- */

void
tn_s3_escape(PQExpBuffer buffer, const char *text, bool keep_slashes)
{
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;

        if (isalnum(byte) || strchr("-._~", byte) != NULL || (keep_slashes && byte == '/'))
            appendPQExpBufferChar(buffer, (char)byte);
        else
            appendPQExpBuffer(buffer, "%%%02X", byte);
    }
}

static const char *
escaped(tn_arena *arena, const char *text, bool keep_slashes)
{
    PQExpBuffer buffer = tn_arena_buffer(arena);

    tn_s3_escape(buffer, text, keep_slashes);
    return tn_buffer_text(buffer);
}

static int
compare_pairs(const void *a, const void *b)
{
    const tn_pair *first = a, *second = b;
    const int order = strcmp(first->name, second->name);

    return order != 0 ? order : strcmp(first->value, second->value);
}

static void
add_query(tn_arena *arena, PQExpBuffer text, const tn_s3_signature *signature,
          const tn_request *request)
{
    tn_pair *pairs = tn_arena_alloc(arena, request->query_count + 1, sizeof(*pairs));
    size_t count = 0;

    for (size_t i = 0; i < request->query_count; i++) {
        if (signature->is_presigned && strcmp(request->query[i].name, "X-Amz-Signature") == 0)
            continue;
        pairs[count++] = (tn_pair){.name = escaped(arena, request->query[i].name, false),
                                   .value = escaped(arena, request->query[i].value, false)};
    }
    qsort(pairs, count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i < count; i++)
        appendPQExpBuffer(text, "%s%s=%s", i > 0 ? "&" : "", pairs[i].name, pairs[i].value);
}

/* Without blanks around it, and runs of them as one. */
static void
add_trimmed(PQExpBuffer text, const char *value)
{
    bool is_pending = false;
    bool has_begun = false;

    for (; *value != '\0'; value++) {
        if (*value == ' ' || *value == '\t') {
            is_pending = has_begun;
            continue;
        }
        if (is_pending)
            appendPQExpBufferChar(text, ' ');
        appendPQExpBufferChar(text, *value);
        is_pending = false;
        has_begun = true;
    }
}

/* All fields of the name, with commas between them. */
static void
add_header(tn_arena *arena, PQExpBuffer text, const tn_request *request, const char *name)
{
    bool has_one = false;

    appendPQExpBuffer(text, "%s:", name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, name) != 0)
            continue;
        if (has_one)
            appendPQExpBufferChar(text, ',');
        add_trimmed(text, request->headers[i].value);
        has_one = true;
    }
    if (!has_one && strcmp(name, "content-length") == 0 && request->content_length >= 0)
        appendPQExpBufferStr(text, tn_arena_number(arena, request->content_length));
    appendPQExpBufferChar(text, '\n');
}

const char *
tn_s3_canonical_request(tn_arena *arena, const tn_s3_signature *signature,
                        const tn_request *request, const char *host, const char *path)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBuffer(text, "%s\n%s\n", request->method, path);
    add_query(arena, text, signature, request);
    appendPQExpBufferChar(text, '\n');
    for (const char *at = signature->signed_headers; *at != '\0'; at += *at == ';') {
        const size_t length = strcspn(at, ";");

        if (length == 4 && memcmp(at, "host", 4) == 0)
            appendPQExpBuffer(text, "host:%s\n", host);
        else
            add_header(arena, text, request, tn_arena_bytes(arena, at, length));
        at += length;
    }
    appendPQExpBuffer(text, "\n%s\n%s", signature->signed_headers, signature->payload_text);
    return tn_buffer_text(text);
}

/* --- signing ---------------------------------------------------------------------------------- */

void
tn_s3_signing_key(tn_arena *arena, const char *secret, const char *day, const char *region,
                  const char *service, uint8_t key[TN_SHA256_SIZE])
{
    const char *first = tn_arena_printf(arena, "AWS4%s", secret);

    tn_hmac_sha256(first, strlen(first), day, strlen(day), key);
    tn_hmac_sha256(key, TN_SHA256_SIZE, region, strlen(region), key);
    tn_hmac_sha256(key, TN_SHA256_SIZE, service, strlen(service), key);
    tn_hmac_sha256(key, TN_SHA256_SIZE, REQUEST, strlen(REQUEST), key);
}

bool
tn_s3_signature_is(const uint8_t key[TN_SHA256_SIZE], const char *text, size_t length,
                   const char *hex)
{
    uint8_t wanted[TN_SHA256_SIZE], given[TN_SHA256_SIZE];

    tn_hmac_sha256(key, TN_SHA256_SIZE, text, length, wanted);
    return tn_hex_decode(hex, given, sizeof(given)) && tn_same_bytes(wanted, given, sizeof(wanted));
}

/* An address as somebody may have signed it. */
struct address {
    const char *host, *path;
};

static bool
holds_over(tn_arena *arena, const tn_s3_signature *signature, const tn_request *request,
           const uint8_t key[TN_SHA256_SIZE], const struct address *address)
{
    const char *canonical =
        tn_s3_canonical_request(arena, signature, request, address->host, address->path);
    const char *text = tn_arena_printf(arena, TN_S3_ALGORITHM "\n%s\n%s\n%s", signature->date,
                                       signature->scope, tn_sha256_hex(arena, canonical));

    return tn_s3_signature_is(key, text, strlen(text), signature->signature);
}

/* With the port of X-Forwarded-Port, unless it is the usual one or there already. */
static const char *
forwarded_host(tn_arena *arena, const tn_request *request)
{
    const char *host = tn_request_header(request, "x-forwarded-host");
    const char *port = tn_request_header(request, "x-forwarded-port");

    if (host == NULL || port == NULL || strchr(host, ':') != NULL || strcmp(port, "443") == 0 ||
        strcmp(port, "80") == 0)
        return host;
    return tn_arena_printf(arena, "%s:%s", host, port);
}

/* The same path in all forms, each with the host that belongs to it. */
static bool
holds_at(tn_arena *arena, const tn_s3_signature *signature, const tn_request *request,
         const uint8_t key[TN_SHA256_SIZE], const char *host)
{
    const size_t folder = strlen(FOLDER);
    const char *decoded = tn_text_url_decode(arena, request->path, strlen(request->path), false);
    const char *const paths[] = {request->path,
                                 decoded != NULL ? escaped(arena, decoded, true) : request->path};
    const char *longer = tn_arena_printf(arena, "%s" FOLDER, host);

    for (size_t i = 0; i < TN_COUNT(paths); i++) {
        const char *path = paths[i];

        if (i > 0 && strcmp(path, paths[0]) == 0)
            break;
        if (holds_over(arena, signature, request, key, &(struct address){host, path}))
            return true;
        if (tn_text_starts(path, FOLDER "/") &&
            holds_over(arena, signature, request, key, &(struct address){longer, path + folder}))
            return true;
    }
    return false;
}

bool
tn_s3_signature_verify(tn_arena *arena, const tn_s3_signature *signature, const tn_request *request,
                       const char *secret, uint8_t key[TN_SHA256_SIZE])
{
    const char *host = tn_request_header(request, "host");
    const char *forwarded = forwarded_host(arena, request);

    tn_s3_signing_key(arena, secret, signature->day, signature->region, signature->service, key);
    if (holds_at(arena, signature, request, key, host != NULL ? host : ""))
        return true;
    return forwarded != NULL && holds_at(arena, signature, request, key, forwarded);
}
