/* storage/s3_chunks.c: a decoder for aws-chunked */
#include "storage/s3_chunks.h"

#include "base/text.h"

#define LINE_MAX_BYTES 4096
#define HEX_MAX 15 /* digits of a chunk's size */

enum state { SIZE_LINE, DATA, DATA_END, TRAILER_LINE, DONE };

struct tn_s3_chunks {
    tn_arena *arena;
    const tn_s3_signature *signature;
    uint8_t key[TN_SHA256_SIZE];
    tn_s3_chunk_sink *sink;
    void *context;

    enum state state;
    char line[LINE_MAX_BYTES];
    size_t line_length;
    int64_t left, decoded; /* of this chunk, in all */
    tn_sha256_state *hash; /* of this chunk; NULL: chunks are not signed */
    char wanted[65];       /* the signature that this chunk says it has */
    char previous[65];

    tn_pair trailers[TN_S3_TRAILERS_MAX];
    size_t trailer_count;
    const char *trailer_signature;
};

static bool
is_signed(const tn_s3_chunks *chunks)
{
    return chunks->signature->payload == TN_S3_PAYLOAD_CHUNKED ||
           chunks->signature->payload == TN_S3_PAYLOAD_CHUNKED_TRAILER;
}

static bool
has_trailer(const tn_s3_chunks *chunks)
{
    return chunks->signature->payload == TN_S3_PAYLOAD_CHUNKED_TRAILER ||
           chunks->signature->payload == TN_S3_PAYLOAD_UNSIGNED_TRAILER;
}

tn_s3_chunks *
tn_s3_chunks_new(tn_arena *arena, const tn_s3_signature *signature,
                 const uint8_t key[TN_SHA256_SIZE], tn_s3_chunk_sink *sink, void *context)
{
    tn_s3_chunks *chunks = tn_arena_alloc(arena, 1, sizeof(*chunks));

    chunks->arena = arena;
    chunks->signature = signature;
    memcpy(chunks->key, key, sizeof(chunks->key));
    chunks->sink = sink;
    chunks->context = context;
    memcpy(chunks->previous, signature->signature, 65);
    if (is_signed(chunks))
        chunks->hash = tn_sha256_begin(arena);
    return chunks;
}

static const tn_error *
malformed(const tn_s3_chunks *chunks, const char *message)
{
    return tn_error_new(chunks->arena, 400, "InvalidRequest", NULL, "%s", message);
}

static const tn_error *
refuse_signature(const tn_s3_chunks *chunks)
{
    return tn_error_new(chunks->arena, 403, "SignatureDoesNotMatch", NULL,
                        "The signature of a chunk does not match the one calculated from it.");
}

/* --- signatures ------------------------------------------------------------------------------- */

static bool
matches(const tn_s3_chunks *chunks, const char *kind, const char *hashes, const char *wanted)
{
    char text[1024];
    const int length =
        snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%s", kind, chunks->signature->date,
                 chunks->signature->scope, chunks->previous, hashes);

    return length > 0 && (size_t)length < sizeof(text) &&
           tn_s3_signature_is(chunks->key, text, (size_t)length, wanted);
}

static const tn_error *
end_chunk(tn_s3_chunks *chunks)
{
    uint8_t digest[TN_SHA256_SIZE];
    char hashes[2 * TN_SHA256_HEX], hex[TN_SHA256_HEX];

    if (!is_signed(chunks))
        return NULL;
    tn_sha256("", 0, digest);
    tn_hex(digest, sizeof(digest), hashes);
    tn_sha256_end(chunks->hash, digest);
    tn_hex(digest, sizeof(digest), hex);
    hashes[64] = '\n';
    memcpy(hashes + 65, hex, sizeof(hex));
    if (!matches(chunks, "AWS4-HMAC-SHA256-PAYLOAD", hashes, chunks->wanted))
        return refuse_signature(chunks);
    memcpy(chunks->previous, chunks->wanted, sizeof(chunks->previous));
    return NULL;
}

static const tn_error *
end_trailers(tn_s3_chunks *chunks)
{
    PQExpBuffer text = tn_arena_buffer(chunks->arena);

    chunks->state = DONE;
    if (!is_signed(chunks))
        return NULL;
    for (size_t i = 0; i < chunks->trailer_count; i++)
        appendPQExpBuffer(text, "%s:%s\n", chunks->trailers[i].name, chunks->trailers[i].value);
    if (chunks->trailer_signature == NULL ||
        !matches(chunks, "AWS4-HMAC-SHA256-TRAILER",
                 tn_sha256_hex(chunks->arena, tn_buffer_text(text)), chunks->trailer_signature))
        return refuse_signature(chunks);
    return NULL;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* "10000;chunk-signature=…" */
static const tn_error *
read_size(tn_s3_chunks *chunks)
{
    static const char name[] = ";chunk-signature=";
    const size_t hex_digits = strspn(chunks->line, "0123456789abcdefABCDEF");
    const char *rest = chunks->line + hex_digits;

    if (hex_digits == 0 || hex_digits > HEX_MAX)
        return malformed(chunks, "a chunk does not begin with its size in hexadecimal");
    chunks->left = strtoll(chunks->line, NULL, 16);
    if (is_signed(chunks)) {
        if (strncmp(rest, name, sizeof(name) - 1) != 0 || strlen(rest) != sizeof(name) - 1 + 64)
            return malformed(chunks, "a chunk has no chunk-signature of 64 digits");
        memcpy(chunks->wanted, rest + sizeof(name) - 1, sizeof(chunks->wanted));
    } else if (*rest != '\0' && *rest != ';') {
        return malformed(chunks, "there is something behind the size of a chunk");
    }
    if (chunks->left > 0) {
        chunks->state = DATA;
        return NULL;
    }
    TN_TRY(end_chunk(chunks));
    chunks->state = has_trailer(chunks) ? TRAILER_LINE : DATA_END;
    return NULL;
}

static const tn_error *
refuse_trailer(const tn_s3_chunks *chunks, const char *message)
{
    return tn_error_new(chunks->arena, 400, "MalformedTrailerError", NULL, "%s", message);
}

/* "x-amz-checksum-crc32c:sOO8/Q==", or the empty line that ends it all. */
static const tn_error *
read_trailer(tn_s3_chunks *chunks)
{
    const char *colon = strchr(chunks->line, ':');
    const char *name, *value;
    size_t length;

    if (*chunks->line == '\0')
        return end_trailers(chunks);
    if (colon == NULL || colon == chunks->line)
        return refuse_trailer(chunks, "a trailer is not of the form name:value");
    name = tn_text_lower(
        chunks->arena, tn_arena_bytes(chunks->arena, chunks->line, (size_t)(colon - chunks->line)));
    value = colon + 1 + strspn(colon + 1, " ");
    length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\n'))
        length--;
    value = tn_arena_bytes(chunks->arena, value, length);
    if (strcmp(name, "x-amz-trailer-signature") == 0) {
        chunks->trailer_signature = value;
        return NULL;
    }
    if (chunks->trailer_count == TN_S3_TRAILERS_MAX)
        return refuse_trailer(chunks, "there are too many trailers");
    chunks->trailers[chunks->trailer_count++] = (tn_pair){.name = name, .value = value};
    return NULL;
}

static const tn_error *
end_line(tn_s3_chunks *chunks)
{
    chunks->line[chunks->line_length] = '\0';
    chunks->line_length = 0;
    if (strlen(chunks->line) > 0 && strchr(chunks->line, '\r') != NULL)
        return malformed(chunks, "a line of the chunked body has a carriage return inside");
    switch (chunks->state) {
    case SIZE_LINE:
        return read_size(chunks);
    case TRAILER_LINE:
        return read_trailer(chunks);
    case DATA_END: /* the empty line behind the bytes of a chunk; behind the last one it is the end
                    */
        if (*chunks->line != '\0')
            return malformed(chunks, "a chunk has more bytes than its size says");
        chunks->state = chunks->left < 0 ? SIZE_LINE : DONE;
        return NULL;
    default:
        return malformed(chunks, "there is something behind the last chunk");
    }
}

/* One byte of a line; lines end in CR LF. */
static const tn_error *
add_to_line(tn_s3_chunks *chunks, char byte)
{
    if (byte == '\0')
        return malformed(chunks, "a line of the chunked body has a NUL inside");
    if (byte == '\n' && chunks->line_length > 0 && chunks->line[chunks->line_length - 1] == '\r') {
        chunks->line_length--;
        return end_line(chunks);
    }
    if (chunks->line_length == LINE_MAX_BYTES - 1)
        return malformed(chunks, "a line of the chunked body is too long");
    chunks->line[chunks->line_length++] = byte;
    return NULL;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static const tn_error *
take_data(tn_s3_chunks *chunks, const char *bytes, size_t length)
{
    if (chunks->hash != NULL)
        tn_sha256_add(chunks->hash, bytes, length);
    chunks->left -= (int64_t)length;
    chunks->decoded += (int64_t)length;
    TN_TRY(chunks->sink(chunks->context, bytes, length));
    if (chunks->left > 0)
        return NULL;
    TN_TRY(end_chunk(chunks));
    chunks->left = -1; /* not the last chunk */
    chunks->state = DATA_END;
    return NULL;
}

const tn_error *
tn_s3_chunks_add(tn_s3_chunks *chunks, const char *bytes, size_t length)
{
    while (length > 0) {
        size_t size = 1;

        if (chunks->state == DONE)
            return malformed(chunks, "there is something behind the last chunk");
        if (chunks->state == DATA) {
            size = (int64_t)length < chunks->left ? length : (size_t)chunks->left;
            TN_TRY(take_data(chunks, bytes, size));
        } else {
            TN_TRY(add_to_line(chunks, *bytes));
        }
        bytes += size;
        length -= size;
    }
    return NULL;
}

const tn_error *
tn_s3_chunks_end(const tn_s3_chunks *chunks)
{
    /* some clients leave out the empty line behind the last chunk */
    if (chunks->state == DONE || (chunks->state == DATA_END && chunks->left == 0))
        return NULL;
    return tn_error_new(chunks->arena, 400, "IncompleteBody", NULL,
                        "The chunked body ends before its last chunk.");
}

int64_t
tn_s3_chunks_decoded(const tn_s3_chunks *chunks)
{
    return chunks->decoded;
}

const char *
tn_s3_chunks_trailer(const tn_s3_chunks *chunks, const char *name)
{
    for (size_t i = 0; i < chunks->trailer_count; i++)
        if (strcmp(chunks->trailers[i].name, name) == 0)
            return chunks->trailers[i].value;
    return NULL;
}
