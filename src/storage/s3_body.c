/* storage/s3_body.c: a body that has arrived, and what it must be by what its request says */
#include "base/text.h"
#include "storage/s3.h"
#include "storage/s3_chunks.h"

#define PIECE ((size_t)64 << 10)
#define CHECKSUM "x-amz-checksum-"

static const tn_s3_signature *
signature_of(const tn_ctx *c)
{
    const tn_s3_caller *caller = c->who->proof;

    return &caller->signature;
}

static bool
is_chunked(const tn_ctx *c)
{
    return signature_of(c)->payload >= TN_S3_PAYLOAD_CHUNKED;
}

int64_t
tn_s3_length(const tn_ctx *c)
{
    const char *text = tn_request_header(c->request, "x-amz-decoded-content-length");
    int64_t length;

    if (!is_chunked(c))
        return c->request->content_length;
    return text != NULL && tn_text_int(text, 0, INT64_MAX, &length) ? length : -1;
}

/* --- aws-chunked ------------------------------------------------------------------------------ */

struct decoding {
    tn_ctx *c;
    tn_incoming *into;
    int64_t max;
};

static const tn_error *
too_large(tn_arena *arena)
{
    return tn_error_new(arena, 413, "EntityTooLarge", NULL,
                        "The object exceeded the maximum allowed size");
}

static const tn_error *
add_decoded(void *context, const void *bytes, size_t length)
{
    const struct decoding *decoding = context;

    if (tn_incoming_size(decoding->into) + (int64_t)length > decoding->max)
        return too_large(decoding->c->arena);
    return tn_incoming_append(decoding->into, bytes, length);
}

static const tn_error *
decode(tn_ctx *c, tn_incoming *from, int64_t max, tn_incoming **decoded, tn_s3_chunks **chunks)
{
    const tn_s3_caller *caller = c->who->proof;
    struct decoding decoding = {.c = c, .max = max};
    char *piece = tn_arena_alloc(c->arena, PIECE, 1);
    size_t got;

    TN_TRY(tn_incoming_new(c, &decoding.into));
    *chunks = tn_s3_chunks_new(c->arena, &caller->signature, caller->key, add_decoded, &decoding);
    for (int64_t at = 0;; at += (int64_t)got) {
        TN_TRY(tn_incoming_read(from, at, piece, PIECE, &got));
        if (got == 0)
            break;
        TN_TRY(tn_s3_chunks_add(*chunks, piece, got));
    }
    TN_TRY(tn_s3_chunks_end(*chunks));
    tn_incoming_drop(from);
    *decoded = decoding.into;
    return NULL;
}

/* --- checksums -------------------------------------------------------------------------------- */

static const tn_error *
read_md5(tn_ctx *c, tn_s3_body *body)
{
    const char *text = tn_request_header(c->request, "content-md5");
    size_t length;

    if (text == NULL)
        return NULL;
    if (!tn_base64_decode(c->arena, text, strlen(text), body->expected.md5,
                          sizeof(body->expected.md5), &length) ||
        length != sizeof(body->expected.md5))
        return tn_error_new(c->arena, 400, "InvalidDigest", NULL,
                            "The Content-MD5 you specified is not valid.");
    body->which |= TN_DIGEST_MD5;
    return NULL;
}

static const tn_error *
take_checksum(tn_ctx *c, const tn_s3_checksum *checksum, const char *text, tn_s3_body *body)
{
    tn_digests said = {.md5 = {0}};

    if (body->checksum != NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Expecting a single x-amz-checksum- header. Multiple checksum Types "
                            "are not allowed.");
    if (!tn_s3_checksum_read(c->arena, checksum, text, &said))
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Value for x-amz-checksum-%s header is invalid.", checksum->name);
    if (checksum->which == TN_DIGEST_SHA256 && body->is_hashed &&
        memcmp(said.sha256, body->expected.sha256, sizeof(said.sha256)) != 0)
        return tn_error_new(c->arena, 400, "BadDigest", NULL,
                            "The SHA256 you specified did not match the calculated checksum.");
    memcpy((char *)&body->expected + checksum->offset, (const char *)&said + checksum->offset,
           checksum->size);
    body->which |= checksum->which;
    body->checksum = checksum;
    body->checksum_text = text;
    return NULL;
}

static bool
is_checksum(const char *name)
{
    for (size_t i = 0; i < tn_s3_checksum_count; i++)
        if (tn_text_same_case(tn_s3_checksums[i].name, name))
            return true;
    return false;
}

/* What nobody here can compute must not pass for checked. */
static const tn_error *
refuse_unknown(tn_ctx *c)
{
    static const char *const others[] = {"algorithm", "type", "mode"};
    const char *promised = tn_request_header(c->request, "x-amz-trailer");

    for (size_t i = 0; i < c->request->header_count; i++) {
        const char *name = c->request->headers[i].name;
        bool is_known = !tn_text_starts(name, CHECKSUM) || is_checksum(name + strlen(CHECKSUM));

        for (size_t j = 0; j < TN_COUNT(others) && !is_known; j++)
            is_known = strcmp(name + strlen(CHECKSUM), others[j]) == 0;
        if (!is_known)
            return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                                "The algorithm type you specified in %s is invalid.",
                                tn_text_excerpt(c->arena, name, 64));
    }
    if (promised != NULL && (strncasecmp(promised, CHECKSUM, strlen(CHECKSUM)) != 0 ||
                             !is_checksum(promised + strlen(CHECKSUM))))
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "The value specified in the x-amz-trailer header is not supported");
    return NULL;
}

/* x-amz-sdk-checksum-algorithm: what the client believes to have sent. */
static const tn_error *
check_algorithm(tn_ctx *c, const tn_s3_body *body)
{
    const char *label = tn_request_header(c->request, "x-amz-sdk-checksum-algorithm");
    const tn_s3_checksum *checksum;

    if (label == NULL)
        return NULL;
    checksum = tn_s3_checksum_by_label(label);
    if (checksum != NULL && body->checksum == NULL)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                            "x-amz-checksum-* or x-amz-trailer headers were found.");
    if (checksum == NULL || checksum != body->checksum)
        return tn_error_new(c->arena, 400, "InvalidRequest", NULL,
                            "Value for x-amz-sdk-checksum-algorithm header is invalid.");
    return NULL;
}

/* Of the header fields, or of the trailer that x-amz-trailer has promised. */
static const tn_error *
read_checksums(tn_ctx *c, const tn_s3_chunks *chunks, tn_s3_body *body)
{
    const char *promised = tn_request_header(c->request, "x-amz-trailer");

    TN_TRY(refuse_unknown(c));
    for (size_t i = 0; i < tn_s3_checksum_count; i++) {
        const char *name = tn_arena_printf(c->arena, "x-amz-checksum-%s", tn_s3_checksums[i].name);
        const char *text = tn_request_header(c->request, name);
        const bool is_promised = promised != NULL && tn_text_same_case(promised, name);

        if (text == NULL && chunks != NULL && is_promised) {
            text = tn_s3_chunks_trailer(chunks, name);
            if (text == NULL)
                return tn_error_new(c->arena, 400, "MalformedTrailerError", NULL,
                                    "The request contained trailing data that was not well-formed "
                                    "or did not conform to our published schema.");
        }
        if (text != NULL)
            TN_TRY(take_checksum(c, &tn_s3_checksums[i], text, body));
    }
    return check_algorithm(c, body);
}

const tn_error *
tn_s3_body_take(tn_ctx *c, int64_t max, tn_s3_body *body)
{
    const tn_s3_signature *signature = signature_of(c);
    const int64_t length = tn_s3_length(c);
    tn_s3_chunks *chunks = NULL;

    *body = (tn_s3_body){.incoming = NULL};
    /* signatures of chunks come on top; they are counted off again */
    TN_TRY(tn_incoming_body(c, is_chunked(c) ? max + max / 8 + (1 << 20) : max, &body->incoming));
    if (is_chunked(c))
        TN_TRY(decode(c, body->incoming, max, &body->incoming, &chunks));
    if (tn_incoming_size(body->incoming) > max)
        return too_large(c->arena);
    if (is_chunked(c) && length >= 0 && length != tn_incoming_size(body->incoming))
        return tn_error_new(c->arena, 400, "IncompleteBody", NULL,
                            "You did not provide the number of bytes specified by the "
                            "x-amz-decoded-content-length HTTP header.");
    if (signature->payload == TN_S3_PAYLOAD_HASHED) {
        body->is_hashed = tn_hex_decode(signature->payload_text, body->expected.sha256,
                                        sizeof(body->expected.sha256));
        body->which |= TN_DIGEST_SHA256;
    }
    TN_TRY(read_md5(c, body));
    return read_checksums(c, chunks, body);
}

/* --- checking --------------------------------------------------------------------------------- */

static const tn_error *
hash_mismatch(tn_arena *arena)
{
    return tn_error_new(arena, 400, "XAmzContentSHA256Mismatch", NULL,
                        "The provided 'x-amz-content-sha256' header does not match what was "
                        "computed.");
}

const tn_error *
tn_s3_digest_error(tn_ctx *c, const tn_s3_body *body, const tn_error *error)
{
    const bool is_only_hash = (body->which & ~(unsigned)TN_DIGEST_SHA256) == 0;

    if (error == NULL || strcmp(error->code, "BadDigest") != 0 || !body->is_hashed)
        return error;
    if (is_only_hash || (error->details != NULL && strcmp(error->details, "sha256") == 0))
        return hash_mismatch(c->arena);
    return error;
}

static const tn_error *
compare(tn_ctx *c, const tn_s3_body *body, const tn_digests *digests)
{
    if (body->is_hashed &&
        memcmp(digests->sha256, body->expected.sha256, sizeof(digests->sha256)) != 0)
        return hash_mismatch(c->arena);
    if ((body->which & TN_DIGEST_MD5) != 0 &&
        memcmp(digests->md5, body->expected.md5, sizeof(digests->md5)) != 0)
        return tn_error_new(c->arena, 400, "BadDigest", NULL,
                            "The Content-MD5 you specified did not match what we received.");
    if (body->checksum != NULL &&
        memcmp((const char *)digests + body->checksum->offset,
               (const char *)&body->expected + body->checksum->offset, body->checksum->size) != 0)
        return tn_error_new(c->arena, 400, "BadDigest", NULL,
                            "The %s you specified did not match the calculated checksum.",
                            body->checksum->label);
    return NULL;
}

const tn_error *
tn_s3_body_check(tn_ctx *c, const tn_s3_body *body, unsigned also, tn_digests *digests)
{
    tn_digest *digest = tn_digest_new(c->arena, body->which | also);
    char *piece = tn_arena_alloc(c->arena, PIECE, 1);
    size_t got;

    for (int64_t at = 0;; at += (int64_t)got) {
        TN_TRY(tn_incoming_read(body->incoming, at, piece, PIECE, &got));
        if (got == 0)
            break;
        tn_digest_add(digest, piece, got);
    }
    tn_digest_end(digest, digests);
    return compare(c, body, digests);
}

/* --- small bodies ----------------------------------------------------------------------------- */

const tn_error *
tn_s3_body_text(tn_ctx *c, size_t max, const char **text, size_t *length)
{
    tn_digests digests;
    tn_s3_body body;
    char *bytes;

    TN_TRY(tn_s3_body_take(c, (int64_t)max, &body));
    TN_TRY(tn_s3_body_check(c, &body, 0, &digests));
    bytes = tn_arena_alloc(c->arena, (size_t)tn_incoming_size(body.incoming) + 1, 1);
    *length = 0;
    for (size_t got = 1; got > 0; *length += got)
        TN_TRY(tn_incoming_read(body.incoming, (int64_t)*length, bytes + *length,
                                (size_t)tn_incoming_size(body.incoming) - *length, &got));
    *text = bytes;
    return NULL;
}

const tn_error *
tn_s3_body_xml(tn_ctx *c, const tn_s3_element **root)
{
    const char *text;
    size_t length;

    *root = NULL;
    TN_TRY(tn_s3_body_text(c, TN_S3_XML_MAX, &text, &length));
    return length > 0 ? tn_s3_xml_read(c->arena, text, length, root) : NULL;
}
