/* storage/s3.h: what the files of the S3 dialect share
 *
 * Threads: any.
 */
#ifndef TN_STORAGE_S3_H
#define TN_STORAGE_S3_H

#include "identity/ctx.h"
#include "objects/object.h"
#include "storage/s3_signature.h"
#include "storage/s3_xml.h"

/* What identify() has found out, as c->who->proof; NULL on routes that nobody needs to sign. */
typedef struct tn_s3_caller {
    tn_s3_signature signature;
    uint8_t key[TN_SHA256_SIZE]; /* that signs chunks */
    const char *policy;          /* of a form: what is signed; else NULL */
} tn_s3_caller;

/* --- who (s3_identify.c) ---------------------------------------------------------------------- */

const tn_error *tn_s3_identify(const tn_process *process, const tn_area *area,
                               const tn_route *route, const tn_request *request, tn_arena *arena,
                               struct tn_principal *who) TN_MUST_CHECK;

/* Who has signed the policy of a form; the time is the policy's to judge. */
const tn_error *tn_s3_identify_form(tn_ctx *c, tn_s3_caller *caller,
                                    struct tn_principal *who) TN_MUST_CHECK;

/* --- answers (s3_answer.c) -------------------------------------------------------------------- */

void tn_s3_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                        tn_response *response);
/* Closes the root and answers with it, 200. Always NULL. */
const tn_error *tn_s3_respond(tn_ctx *c, PQExpBuffer xml, const char *root);
/* An empty answer. Always NULL. */
const tn_error *tn_s3_respond_empty(tn_ctx *c, int status);
/* 400 `InvalidArgument`; 501 `NotImplemented`. */
const tn_error *tn_s3_invalid(tn_arena *arena, const char *format, ...) TN_NEVER_NULL TN_MUST_CHECK
    TN_PRINTF(2, 3);
const tn_error *tn_s3_not_implemented(tn_arena *arena,
                                      const char *what) TN_NEVER_NULL TN_MUST_CHECK;
/* A number of the query, at most `most` and that when it is not there. 400 `InvalidArgument`. */
const tn_error *tn_s3_query_limit(tn_ctx *c, const char *name, int64_t most,
                                  int64_t *limit) TN_MUST_CHECK;
/* Whether the query has this member, with or without a value. */
bool tn_s3_asks(const tn_ctx *c, const char *name);
/* A header field x-amz-…, which in a presigned URL may be a member of the query instead: signed all
 * the same. Not those of the signature, x-amz-checksum-… and x-amz-sdk-…, which clients put there
 * of a body that they do not have yet. */
const char *tn_s3_header(const tn_ctx *c, const char *name);
/* All header fields of the request with those. */
const tn_pair *tn_s3_headers(tn_ctx *c, size_t *count) TN_NEVER_NULL TN_MUST_CHECK;

/* --- checksums (s3_checksum.c) ---------------------------------------------------------------- */

typedef struct tn_s3_checksum {
    const char *name;    /* "crc32", as in x-amz-checksum-crc32 */
    const char *xml;     /* "ChecksumCRC32" */
    const char *label;   /* "CRC32", as in x-amz-checksum-algorithm */
    unsigned which;      /* TN_DIGEST_… */
    size_t size, offset; /* in tn_digests */
} tn_s3_checksum;
extern const tn_s3_checksum tn_s3_checksums[];
extern const size_t tn_s3_checksum_count;
const tn_s3_checksum *tn_s3_checksum_by_label(const char *label); /* in any case; or NULL */
/* base64 of the one that is in `digests`, and back; false: it is none. */
const char *tn_s3_checksum_text(tn_arena *arena, const tn_s3_checksum *checksum,
                                const tn_digests *digests) TN_NEVER_NULL TN_MUST_CHECK;
bool tn_s3_checksum_read(tn_arena *arena, const tn_s3_checksum *checksum, const char *text,
                         tn_digests *digests) TN_MUST_CHECK;

/* --- bodies (s3_body.c) ----------------------------------------------------------------------- */

/* Bytes of the content, without what aws-chunked puts around it; -1 unknown. */
int64_t tn_s3_length(const tn_ctx *c);

/* A body that has arrived: decoded, with the checksums that it must have by what the request says.
 * 400 `IncompleteBody`, `InvalidDigest`, `InvalidRequest`, `MalformedTrailerError`; 403
 * `SignatureDoesNotMatch` (of a chunk); 413 `EntityTooLarge`. */
typedef struct tn_s3_body {
    tn_incoming *incoming;
    tn_digests expected;
    unsigned which;                 /* of `expected` */
    bool is_hashed;                 /* by x-amz-content-sha256 */
    const tn_s3_checksum *checksum; /* that the client has said, or NULL */
    const char *checksum_text;      /* base64 */
} tn_s3_body;
const tn_error *tn_s3_body_take(tn_ctx *c, int64_t max, tn_s3_body *body) TN_MUST_CHECK;
/* Whether it is what it must be, with `also` in `digests`: 400 `XAmzContentSHA256Mismatch`,
 * `BadDigest`. */
const tn_error *tn_s3_body_check(tn_ctx *c, const tn_s3_body *body, unsigned also,
                                 tn_digests *digests) TN_MUST_CHECK;
/* The same by tn_upload_store(), whose BadDigest may be the other one. */
const tn_error *tn_s3_digest_error(tn_ctx *c, const tn_s3_body *body,
                                   const tn_error *error) TN_MUST_CHECK;

/* A small body, checked: as text, NUL behind it, or as XML (400 `MalformedXML`); `root` is NULL for
 * an empty one. */
const tn_error *tn_s3_body_text(tn_ctx *c, size_t max, const char **text,
                                size_t *length) TN_MUST_CHECK;
const tn_error *tn_s3_body_xml(tn_ctx *c, const tn_s3_element **root) TN_MUST_CHECK;

/* --- what an upload says of itself (s3_attributes.c) ------------------------------------------ */

typedef struct tn_s3_attributes {
    const char *content_type, *cache_control; /* NULL: not said */
    const char *user_metadata;                /* x-amz-meta-*: a JSON object */
    const char *tags;                         /* a JSON object, or NULL */
    size_t own_length;                        /* of `members`, without the tags */
    PQExpBuffer members; /* further ones of objects.metadata: "\"contentEncoding\":\"gzip\"" */
} tn_s3_attributes;
/* 400 `MetadataTooLarge`, `InvalidTag`; 501 `NotImplemented` for what is asked for and not done:
 * keys of the client's own, locks. */
const tn_error *tn_s3_attributes_read(tn_ctx *c, tn_s3_attributes *attributes) TN_MUST_CHECK;
/* Another member: `json` is its value. */
void tn_s3_members_add(PQExpBuffer members, const char *name, const char *json);
void tn_s3_members_add_text(PQExpBuffer members, const char *name, const char *text);

/* Of what a copy says (x-amz-copy-source): the header fields that count, into `members`. */
void tn_s3_attributes_keep(const tn_s3_attributes *attributes, bool replaces_all,
                           bool replaces_tags, PQExpBuffer members);

/* The checksum that the client has said, as a member of the row and as header fields of the answer;
 * `type` is FULL_OBJECT or COMPOSITE. Nothing for NULL. */
void tn_s3_add_checksum(tn_ctx *c, PQExpBuffer members, const tn_s3_checksum *checksum,
                        const char *text, const char *type);
void tn_s3_respond_checksum(tn_ctx *c, const tn_s3_checksum *checksum, const char *text,
                            const char *type);

/* Tags: out of "a=1&b=2" as a JSON object, and whether they may be, and as one. 400 `InvalidTag`.
 */
const tn_error *tn_s3_tags_of_text(tn_ctx *c, const char *text, const char **json) TN_MUST_CHECK;
const tn_error *tn_s3_tags_check(tn_arena *arena, const tn_pair *tags, size_t count) TN_MUST_CHECK;
const char *tn_s3_tags_json(tn_arena *arena, const tn_pair *tags,
                            size_t count) TN_NEVER_NULL TN_MUST_CHECK;

/* --- handlers --------------------------------------------------------------------------------- */

const tn_error *tn_s3_buckets_list(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_bucket_put(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_bucket_get(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_bucket_admit(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_bucket_post(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_bucket_delete(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_get(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_admit(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_put(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_post(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_delete(tn_ctx *c) TN_MUST_CHECK;

/* What those are made of. */
/* The object that x-amz-copy-source names, as it must be by x-amz-copy-source-if-*. */
const tn_error *tn_s3_copy_source(tn_ctx *c, const char *operation,
                                  tn_object *source) TN_MUST_CHECK;
const tn_error *tn_s3_list(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_delete_many(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_delete_one(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_form_admit(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_form_upload(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_describe_acl(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_send(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_attributes(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_object_copy(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_upload_admit(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_upload_put(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_tagging_get(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_tagging_put(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_tagging_delete(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_upload_create(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_upload_complete(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_upload_abort(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_uploads_list(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_part_admit(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_part_put(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_part_copy(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_s3_parts_list(tn_ctx *c) TN_MUST_CHECK;

#endif
