/* t/fuzz/id_token.c: no token of a provider passes that its keys have not signed, whatever is in
 * token, header or key set
 *
 * The first byte chooses: the rest as a whole token, as the header of a token that is otherwise
 * right, or as the key set with which a token that is right is verified.
 */
#include <string.h>

#include "base/crypto.h"
#include "identity/jws.h"
#include "t/fuzz/fuzz.h"

static const char key_set[] =
    "{\"keys\":[{\"kty\":\"EC\",\"x\":\"UMy85uhW7QplWxG4T1rp-32YIDY3ePPanhJXwvzhC70\""
    ",\"y\":\"3_FuzIvJEXbc021o1Y-KNUIVlhUMsHNc06-opxmgm_8\",\"crv\":\"P-256\",\"kid\""
    ":\"ec\",\"use\":\"sig\"},{\"kty\":\"RSA\",\"n\":\"tTdJNZYLwgUa_8Nn9hGwxW1PrDh8rR"
    "T6gmxbSLnoWXhfgK7fTvS9T2nI_W4MNgFslY1YSBYTW4UnTiNNWRJbWSKj1Ko80BB5GKH2-roNabasWA"
    "2Kg9AL6imMXzg7C81BCFuMWVxdbOIFe2FLmEiQH7sy-5y7dLbQ48zvP32GOjd6004rbeDNj9CWaUM66p"
    "GQqDxhh-ucWH2T1c6at7CB1PKPA_r6zv_zTLLe_j4-UjrPtZtnvae2VXa1-fo2R1WBsb3IqyQjlJrOU9"
    "Eun4qB-xoZLNsyX350zDK8hAGsrYcNQPuy3OO07vx4kqVMoxBjRIFSn1BpPbcnVFXHwJHXdQ\",\"e\""
    ":\"AQAB\",\"kid\":\"rsa\",\"alg\":\"RS256\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519"
    "\",\"x\":\"JRQxEZ6TNMIm4MxvX0R3jrwq57-CxKxGSUJLdzLWyRk\",\"kid\":\"ed\",\"key_op"
    "s\":[\"verify\"]}]}";
static const char good[] =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwi"
    "c3ViIjoiMSIsImF1ZCI6Im91cnMifQ.ekE-LPpbFMPd_6oz6y9u9JxhGGiVPW3Zt5HzCas-hvgE8OFrR"
    "xFpaohvxqKD3DJzwoIj4pUe2GjqDf5sNkBoqA";

static json_object *
parse(tn_arena *arena, const char *text, size_t length)
{
    json_object *object = NULL;

    if (tn_json_parse(arena, text, length, TN_JSON_DEPTH, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return object;
}

/* What passes is one of the two that were signed. */
static void
try_token(tn_arena *arena, const char *text)
{
    tn_jws jws;
    const tn_jws_outcome outcome =
        tn_jws_verify(arena, text, parse(arena, key_set, strlen(key_set)), &jws);

    assert(outcome != TN_JWS_GOOD || strcmp(tn_json_text(jws.claims, "sub", ""), "1") == 0);
    assert((outcome == TN_JWS_GOOD) == (jws.problem == NULL));
    if (outcome == TN_JWS_GOOD && strncmp(text, good, 16) == 0)
        assert(strcmp(text, good) == 0);
}

static void
try_header(tn_arena *arena, const char *text)
{
    const char *header = tn_base64url(arena, text, strlen(text));
    const char *token = tn_arena_printf(arena, "%s%s", header, strchr(good, '.'));
    tn_jws jws;

    assert(strcmp(token, good) == 0 ||
           tn_jws_verify(arena, token, parse(arena, key_set, strlen(key_set)), &jws) !=
               TN_JWS_GOOD);
}

static void
try_keys(tn_arena *arena, const char *text, size_t length)
{
    json_object *keys = parse(arena, text, length);
    tn_jws jws;

    if (keys != NULL && tn_jws_verify(arena, good, keys, &jws) == TN_JWS_GOOD)
        assert(strstr(text, "\"EC\"") != NULL || strchr(text, '\\') != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes + (length > 0), length - (length > 0));

    if (length > 0 && bytes[0] % 3 == 0)
        try_token(arena, text);
    else if (length > 0 && bytes[0] % 3 == 1)
        try_header(arena, text);
    else if (length > 0)
        try_keys(arena, text, length - 1);
    tn_arena_free(arena);
    return 0;
}
