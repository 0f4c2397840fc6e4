/* t/unit/s3_signature.c: storage/s3_signature.c and s3_chunks.c: the examples that AWS has
 * published */
#include "storage/s3_signature.h"

#include <string.h>

#include "storage/s3_chunks.h"
#include "t/unit/unit.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define CREDENTIAL "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const tn_pair get_headers[] = {
    {"host", "examplebucket.s3.amazonaws.com"},
    {"authorization", "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                      ",SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"range", "bytes=0-9"},
    {"x-amz-content-sha256", NOTHING},
    {"x-amz-date", "20130524T000000Z"},
};
static const tn_pair put_headers[] = {
    {"host", "examplebucket.s3.amazonaws.com"},
    {"date", "Fri, 24 May 2013 00:00:00 GMT"},
    {"authorization",
     "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
     ",SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
     "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"x-amz-date", "20130524T000000Z"},
    {"x-amz-storage-class", "  REDUCED_REDUNDANCY "},
    {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
};
static const tn_pair lifecycle_headers[] = {
    {"host", "examplebucket.s3.amazonaws.com"},
    {"authorization", "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                      ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                      "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"x-amz-date", "20130524T000000Z"},
    {"x-amz-content-sha256", NOTHING},
};
static const tn_pair list_headers[] = {
    {"host", "examplebucket.s3.amazonaws.com"},
    {"authorization", "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                      ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                      "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"x-amz-date", "20130524T000000Z"},
    {"x-amz-content-sha256", NOTHING},
};
static const tn_pair host_header[] = {{"host", "examplebucket.s3.amazonaws.com"}};
static const tn_pair lifecycle_query[] = {{"lifecycle", ""}};
static const tn_pair list_query[] = {{"max-keys", "2"}, {"prefix", "J"}};
static const tn_pair presigned_query[] = {
    {"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
    {"X-Amz-Credential", CREDENTIAL},
    {"X-Amz-Date", "20130524T000000Z"},
    {"X-Amz-Expires", "86400"},
    {"X-Amz-SignedHeaders", "host"},
    {"X-Amz-Signature", "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
};

#define HEADERS(list) .headers = list, .header_count = TN_COUNT(list)
#define QUERY(list) .query = list, .query_count = TN_COUNT(list)
static const tn_request requests[] = {
    {.method = "GET", .path = "/test.txt", HEADERS(get_headers), .content_length = -1},
    {.method = "PUT", .path = "/test%24file.text", HEADERS(put_headers), .content_length = -1},
    {.method = "PUT", .path = "/test$file.text", HEADERS(put_headers), .content_length = -1},
    {.method = "GET",
     .path = "/",
     HEADERS(lifecycle_headers),
     QUERY(lifecycle_query),
     .content_length = -1},
    {.method = "GET", .path = "/", HEADERS(list_headers), QUERY(list_query), .content_length = -1},
    {.method = "GET",
     .path = "/test.txt",
     HEADERS(host_header),
     QUERY(presigned_query),
     .content_length = -1},
};

static void
examples_of_aws(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(requests); i++) {
        tn_arena *arena = tn_arena_new();
        tn_request request = requests[i];
        tn_s3_signature signature;
        uint8_t key[TN_SHA256_SIZE];

        TN_CASE("request %zu", i);
        TN_CHECK(tn_s3_signature_read(arena, &request, &signature) == NULL);
        TN_CHECK_TEXT(signature.access_key_id, "AKIAIOSFODNN7EXAMPLE");
        TN_CHECK(signature.signed_at == 1369353600);
        TN_CHECK(tn_s3_signature_verify(arena, &signature, &request, SECRET, key));
        TN_CHECK(!tn_s3_signature_verify(arena, &signature, &request, SECRET "x", key));
        request.method = "DELETE";
        TN_CHECK(!tn_s3_signature_verify(arena, &signature, &request, SECRET, key));
        request.method = requests[i].method;
        request.path = "/other";
        TN_CHECK(!tn_s3_signature_verify(arena, &signature, &request, SECRET, key));
        tn_arena_free(arena);
    }
}

static void
time_and_region(void **state)
{
    tn_arena *arena = tn_arena_new();
    const int64_t then = 1369353600;
    tn_s3_signature header, presigned;

    (void)state;
    assert_null(tn_s3_signature_read(arena, &requests[0], &header));
    assert_null(tn_s3_signature_read(arena, &requests[5], &presigned));
    assert_null(tn_s3_signature_check_time(arena, &header, then + 900));
    assert_null(tn_s3_signature_check_time(arena, &header, then - 900));
    assert_string_equal(tn_s3_signature_check_time(arena, &header, then + 901)->code,
                        "RequestTimeTooSkewed");
    assert_string_equal(tn_s3_signature_check_time(arena, &header, then - 901)->code,
                        "RequestTimeTooSkewed");
    assert_null(tn_s3_signature_check_time(arena, &presigned, then + 86399));
    assert_string_equal(tn_s3_signature_check_time(arena, &presigned, then + 86400)->message,
                        "Request has expired");
    assert_string_equal(tn_s3_signature_check_time(arena, &presigned, then - 901)->code,
                        "RequestTimeTooSkewed");
    assert_null(tn_s3_signature_check_region(arena, &header, "eu-central-1"));
    header.region = "eu-central-1";
    assert_null(tn_s3_signature_check_region(arena, &header, "eu-central-1"));
    assert_string_equal(tn_s3_signature_check_region(arena, &header, "eu-west-1")->code,
                        "AuthorizationHeaderMalformed");
    tn_arena_free(arena);
}

/* --- chunks ----------------------------------------------------------------------------------- */

struct counter {
    size_t bytes;
};

static const tn_error wrong = {.status = 400, .code = "x", .message = "another byte"};

static const tn_error *
count(void *context, const void *bytes, size_t length)
{
    struct counter *counter = context;
    const char *text = bytes;

    for (size_t i = 0; i < length; i++)
        if (text[i] != 'a')
            return &wrong;
    counter->bytes += length;
    return NULL;
}

static const struct example {
    tn_s3_payload payload;
    const char *seed, *signatures[3], *end;
} chunked[] = {
    {TN_S3_PAYLOAD_CHUNKED,
     "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
     {"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
      "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
      "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
     "\r\n"},
    {TN_S3_PAYLOAD_CHUNKED_TRAILER,
     "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
     {"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
      "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
      "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
     "x-amz-checksum-crc32c:sOO8/Q==\r\n"
     "x-amz-trailer-signature:"
     "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"},
};

/* The body of the example: 65,536 and 1,024 times the letter a. */
static PQExpBuffer
body_of(tn_arena *arena, const struct example *example)
{
    static const size_t sizes[3] = {65536, 1024, 0};
    PQExpBuffer body = tn_arena_buffer(arena);

    for (size_t i = 0; i < 3; i++) {
        appendPQExpBuffer(body, "%zx;chunk-signature=%s\r\n", sizes[i], example->signatures[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            appendPQExpBufferChar(body, 'a');
        if (sizes[i] > 0)
            appendPQExpBufferStr(body, "\r\n");
    }
    appendPQExpBufferStr(body, example->end);
    return body;
}

/* Decodes it in pieces of `step` bytes. */
static const tn_error *
decode(tn_arena *arena, const struct example *example, const char *body, size_t length, size_t step,
       tn_s3_chunks **chunks, size_t *decoded)
{
    tn_s3_signature *signature = tn_arena_alloc(arena, 1, sizeof(*signature));
    struct counter *counter = tn_arena_alloc(arena, 1, sizeof(*counter));
    uint8_t key[TN_SHA256_SIZE];
    const tn_error *error = NULL;

    *signature = (tn_s3_signature){.date = "20130524T000000Z",
                                   .scope = "20130524/us-east-1/s3/aws4_request",
                                   .signature = example->seed,
                                   .payload = example->payload};
    tn_s3_signing_key(arena, SECRET, "20130524", "us-east-1", "s3", key);
    *chunks = tn_s3_chunks_new(arena, signature, key, count, counter);
    for (size_t at = 0; at < length && error == NULL; at += step)
        error = tn_s3_chunks_add(*chunks, body + at, at + step < length ? step : length - at);
    *decoded = counter->bytes;
    return error != NULL ? error : tn_s3_chunks_end(*chunks);
}

static void
chunks_of_aws(void **state)
{
    static const size_t steps[] = {1, 7, 4096, 1 << 20};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(chunked); i++)
        for (size_t j = 0; j < TN_COUNT(steps); j++) {
            tn_arena *arena = tn_arena_new();
            PQExpBuffer body = body_of(arena, &chunked[i]);
            tn_s3_chunks *chunks;
            size_t decoded;

            TN_CASE("example %zu in pieces of %zu", i, steps[j]);
            TN_CHECK(decode(arena, &chunked[i], body->data, body->len, steps[j], &chunks,
                            &decoded) == NULL);
            TN_CHECK(decoded == 66560 && tn_s3_chunks_decoded(chunks) == 66560);
            TN_CHECK_TEXT(tn_s3_chunks_trailer(chunks, "x-amz-checksum-crc32c"),
                          i == 1 ? "sOO8/Q==" : NULL);
            tn_arena_free(arena);
        }
}

/* Whatever is changed, cut off, left out or added is noticed. */
static void
tampered_chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(chunked); i++) {
        tn_arena *arena = tn_arena_new();
        PQExpBuffer body = body_of(arena, &chunked[i]);
        const size_t second = 5 + 17 + 64 + 2 + 65536 + 2; /* behind the first chunk */
        tn_s3_chunks *chunks;
        size_t decoded;
        char *copy;

        for (size_t at = 6; at < body->len; at += 997) {
            TN_CASE("example %zu changed at %zu", i, at);
            copy = tn_arena_bytes(arena, body->data, body->len);
            copy[at] = copy[at] == '0' ? '1' : '0';
            TN_CHECK(decode(arena, &chunked[i], copy, body->len, 4096, &chunks, &decoded) != NULL);
        }
        TN_CASE("example %zu cut", i);
        TN_CHECK(decode(arena, &chunked[i], body->data, body->len - 70, 4096, &chunks, &decoded) !=
                 NULL);
        TN_CHECK(decode(arena, &chunked[i], body->data, second, 4096, &chunks, &decoded) != NULL);
        TN_CASE("example %zu without its first chunk", i);
        TN_CHECK(decode(arena, &chunked[i], body->data + second, body->len - second, 4096, &chunks,
                        &decoded) != NULL);
        copy = tn_arena_printf(arena, "%sx", body->data);
        TN_CASE("example %zu with something behind it", i);
        TN_CHECK(decode(arena, &chunked[i], copy, body->len + 1, 4096, &chunks, &decoded) != NULL);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_aws),
        cmocka_unit_test(time_and_region),
        cmocka_unit_test(chunks_of_aws),
        cmocka_unit_test(tampered_chunks),
    };

    return tn_unit_run("s3_signature", tests, TN_COUNT(tests));
}
