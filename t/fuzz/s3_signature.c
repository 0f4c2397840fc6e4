/* t/fuzz/s3_signature.c: whatever a request of S3 says of itself, it is not signed; and chunks are
 * the same in pieces of any size
 *
 * Up to the first NUL: the header Authorization, or a query when it begins with `?`. Behind it: a
 * body in chunks.
 */
#include <string.h>

#include "base/text.h"
#include "storage/s3_chunks.h"
#include "t/fuzz/fuzz.h"

struct total {
    size_t bytes;
    unsigned sum;
};

static const tn_error *
add(void *context, const void *bytes, size_t length)
{
    struct total *total = context;
    const uint8_t *at = bytes;

    for (size_t i = 0; i < length; i++)
        total->sum = total->sum * 31 + at[i];
    total->bytes += length;
    return NULL;
}

static void
read_request(tn_arena *arena, const char *text)
{
    tn_pair headers[5] = {{"host", "files.example.com"},
                          {"x-amz-date", "20261121T200000Z"},
                          {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"},
                          {"authorization", text}};
    tn_request request = {.method = "GET",
                          .path = "/storage/v1/s3/b/k",
                          .query_text = "",
                          .headers = headers,
                          .header_count = 4,
                          .content_length = -1};
    tn_pair query[32];
    tn_s3_signature signature;
    uint8_t key[TN_SHA256_SIZE];
    const tn_error *error;

    if (*text == '?') {
        request.header_count = 1;
        request.query = query;
        for (const char *at = text + 1; *at != '\0' && request.query_count < 32; at += *at == '&') {
            const size_t length = strcspn(at, "&"), name = strcspn(at, "=&");
            const char *value = name < length ? at + name + 1 : at + length;

            query[request.query_count].name = tn_arena_bytes(arena, at, name);
            query[request.query_count++].value =
                tn_arena_bytes(arena, value, (size_t)(at + length - value));
            at += length;
        }
    }
    if (tn_s3_signature_read(arena, &request, &signature) != NULL ||
        signature.access_key_id == NULL)
        return;
    assert(strlen(signature.signature) == 64 && strcmp(signature.service, "s3") == 0);
    assert(strlen(signature.day) == 8 && strncmp(signature.date, signature.day, 8) == 0);
    assert(strchr(signature.access_key_id, '/') == NULL);
    error = tn_s3_signature_check_region(arena, &signature, "us-east-1");
    assert((error == NULL) == (strcmp(signature.region, "us-east-1") == 0 ||
                               strcmp(signature.region, "auto") == 0 || *signature.region == '\0'));
    error = tn_s3_signature_check_time(arena, &signature, 1795291200);
    assert(error != NULL || signature.is_presigned ||
           llabs(signature.signed_at - 1795291200) <= TN_S3_SKEW_S);
    assert(!tn_s3_signature_verify(arena, &signature, &request, "a secret", key));
}

static bool
decode(tn_arena *arena, tn_s3_payload payload, const char *body, size_t length, size_t step,
       struct total *total)
{
    static const uint8_t key[TN_SHA256_SIZE] = {1};
    static const char zero[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const tn_s3_signature signature = {
        .date = "20261121T200000Z", .scope = "x", .signature = zero, .payload = payload};
    tn_s3_chunks *chunks = tn_s3_chunks_new(arena, &signature, key, add, total);
    const tn_error *error = NULL;

    for (size_t at = 0; at < length && error == NULL; at += step)
        error = tn_s3_chunks_add(chunks, body + at, step < length - at ? step : length - at);
    if (error == NULL)
        error = tn_s3_chunks_end(chunks);
    assert(tn_s3_chunks_decoded(chunks) == (int64_t)total->bytes);
    return error == NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    const size_t head = strlen(text);
    struct total whole = {0}, pieces = {0}, is_signed = {0};

    if (tn_text_is_utf8(text, head))
        read_request(arena, text);
    if (head < length) {
        const char *body = text + head + 1;
        const size_t size = length - head - 1;
        const bool is_read =
            decode(arena, TN_S3_PAYLOAD_UNSIGNED_TRAILER, body, size, size + 1, &whole);

        assert(decode(arena, TN_S3_PAYLOAD_UNSIGNED_TRAILER, body, size, 1, &pieces) == is_read);
        assert(whole.bytes == pieces.bytes && whole.sum == pieces.sum && whole.bytes <= size);
        assert(!decode(arena, TN_S3_PAYLOAD_CHUNKED, body, size, 7, &is_signed));
    }
    tn_arena_free(arena);
    return 0;
}
