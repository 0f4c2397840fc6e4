/* storage/s3_signature.h: who has signed a request of S3, and whether the signature holds
 *
 * AWS Signature Version 4 in its three forms for S3: the header Authorization, the query of a
 * presigned URL, and the signatures of the chunks and trailers of a streamed body. Everything here
 * is a function of what it is given: no database, no clock.
 *
 * Host and path are signed as the client has sent them. What proxies and clients make of the same
 * address is taken as well: X-Forwarded-Host, a path that is escaped as AWS would do it, and the
 * folder of the endpoint as a part of the host (s3cmd).
 *
 * Threads: any. Errors are S3's, with their codes and statuses.
 */
#ifndef TN_STORAGE_S3_SIGNATURE_H
#define TN_STORAGE_S3_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/error.h"
#include "http/request.h"

#define TN_S3_ALGORITHM "AWS4-HMAC-SHA256"
#define TN_S3_SKEW_S (15 * 60)
#define TN_S3_PRESIGNED_MAX_S (7 * 24 * 60 * 60)

/* What x-amz-content-sha256 says of the body. */
typedef enum tn_s3_payload {
    TN_S3_PAYLOAD_UNSIGNED,         /* UNSIGNED-PAYLOAD, or nothing */
    TN_S3_PAYLOAD_HASHED,           /* its SHA-256 */
    TN_S3_PAYLOAD_CHUNKED,          /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
    TN_S3_PAYLOAD_CHUNKED_TRAILER,  /* the same with signed trailers */
    TN_S3_PAYLOAD_UNSIGNED_TRAILER, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
} tn_s3_payload;

typedef struct tn_s3_signature {
    bool is_presigned;
    const char *access_key_id;
    const char *day, *region, *service; /* "20130524", "us-east-1", "s3" */
    const char *scope;                  /* "20130524/us-east-1/s3/aws4_request" */
    const char *date;                   /* "20130524T000000Z" */
    int64_t signed_at;                  /* the same in seconds since 1970 */
    int64_t expires_s;                  /* of a presigned URL */
    const char *signed_headers;         /* "host;x-amz-date" */
    const char *signature;              /* 64 hexadecimal digits */
    const char *token;                  /* x-amz-security-token, or NULL */
    tn_s3_payload payload;
    const char *payload_text; /* as it is signed */
} tn_s3_signature;

/* What the request says of itself; `access_key_id` stays NULL when it is not signed at all. 400
 * `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`, `InvalidRequest`; 403
 * `AccessDenied` when a header that must be signed is not. */
const tn_error *tn_s3_signature_read(tn_arena *arena, const tn_request *request,
                                     tn_s3_signature *signature) TN_MUST_CHECK;

/* The same out of the fields of a form, whose policy is what is signed: 400
 * `AuthorizationQueryParametersError`. */
const tn_error *tn_s3_signature_of_form(tn_arena *arena, const char *credential, const char *date,
                                        const char *hex, const char *token,
                                        tn_s3_signature *signature) TN_MUST_CHECK;

/* 400 `AuthorizationHeaderMalformed` for another region than `region`, us-east-1, US (as s3cmd
 * calls that one), auto or none; its `details` is the region that is right. */
const tn_error *tn_s3_signature_check_region(tn_arena *arena, const tn_s3_signature *signature,
                                             const char *region) TN_MUST_CHECK;

/* 403 `RequestTimeTooSkewed`, or `AccessDenied` for a presigned URL that has expired. */
const tn_error *tn_s3_signature_check_time(tn_arena *arena, const tn_s3_signature *signature,
                                           int64_t now) TN_MUST_CHECK;

/* Whether this secret has made the signature; `key` is what it signs with on that day. */
bool tn_s3_signature_verify(tn_arena *arena, const tn_s3_signature *signature,
                            const tn_request *request, const char *secret,
                            uint8_t key[TN_SHA256_SIZE]) TN_MUST_CHECK;

/* The canonical request over this host and path, which are in it as they are given. */
const char *tn_s3_canonical_request(tn_arena *arena, const tn_s3_signature *signature,
                                    const tn_request *request, const char *host,
                                    const char *path) TN_NEVER_NULL TN_MUST_CHECK;

void tn_s3_signing_key(tn_arena *arena, const char *secret, const char *day, const char *region,
                       const char *service, uint8_t key[TN_SHA256_SIZE]);

/* Whether `hex` is the HMAC of the text by this key; in constant time. */
bool tn_s3_signature_is(const uint8_t key[TN_SHA256_SIZE], const char *text, size_t length,
                        const char *hex) TN_MUST_CHECK;

/* "20130524T000000Z" in seconds since 1970; false when it is no such time. */
bool tn_s3_date_read(const char *text, int64_t *seconds) TN_MUST_CHECK;

/* Escaped as AWS does: everything but unreserved characters, and slashes when `keep_slashes`. */
void tn_s3_escape(PQExpBuffer buffer, const char *text, bool keep_slashes);

#endif
