/* t/unit/signed.c: storage/signed.c: what a signed URL's token says, and every way in which one is
 * none */
#include "storage/signed.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "identity/token.h"
#include "t/unit/unit.h"

#define SECRET_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER_HEX "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define TENANT "018f0000-0000-7000-8000-00000000000a"

static const tn_config config = {.server = {.secret = SECRET_HEX}};
static const tn_config other_config = {.server = {.secret = OTHER_HEX}};

static tn_signed
example(const char *scope)
{
    const int64_t now = tn_clock_unix();

    return (tn_signed){.scope = scope,
                       .url = "docs/a \"b\"/c",
                       .owner = "somebody",
                       .upsert = true,
                       .tenant_id = {TENANT},
                       .issued_at = now,
                       .expires_at = now + 60};
}

static const char *
check(tn_arena *arena, const char *token, const char *scope, const char *name)
{
    tn_signed what;
    const tn_uuid tenant = {TENANT};
    const tn_error *error =
        tn_signed_check(arena, &config, token, &tenant, scope, "docs", name, &what);

    return error != NULL ? error->code : "fine";
}

static void
what_was_signed_is_read(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_signed upload = example(TN_SIGNED_UPLOAD);
    tn_signed what;

    (void)state;
    assert_null(tn_signed_read(arena, &config, tn_signed_new(arena, &config, &upload), &what));
    TN_CHECK_TEXT(what.scope, "upload");
    TN_CHECK_TEXT(what.url, "docs/a \"b\"/c");
    TN_CHECK_TEXT(what.owner, "somebody");
    TN_CHECK_TEXT(what.tenant_id.text, TENANT);
    assert_true(what.upsert);
    assert_null(what.transformations);
    assert_int_equal(what.expires_at, upload.expires_at);
    tn_arena_free(arena);
}

static void
it_is_for_one_thing(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_signed download = example(TN_SIGNED_DOWNLOAD);
    const char *token = tn_signed_new(arena, &config, &download);

    (void)state;
    TN_CHECK_TEXT(check(arena, token, TN_SIGNED_DOWNLOAD, "a \"b\"/c"), "fine");
    TN_CHECK_TEXT(check(arena, token, TN_SIGNED_UPLOAD, "a \"b\"/c"), "InvalidSignature");
    TN_CHECK_TEXT(check(arena, token, TN_SIGNED_DOWNLOAD, "a \"b\"/cd"), "InvalidSignature");
    TN_CHECK_TEXT(check(arena, token, TN_SIGNED_DOWNLOAD, "a \"b\""), "InvalidSignature");
    download.expires_at = tn_clock_unix();
    TN_CHECK_TEXT(
        check(arena, tn_signed_new(arena, &config, &download), TN_SIGNED_DOWNLOAD, "a \"b\"/c"),
        "InvalidJWT");
    TN_CHECK_TEXT(check(arena, NULL, TN_SIGNED_DOWNLOAD, "c"), "validation_failed");
    tn_arena_free(arena);
}

static void
it_is_for_one_tenant(void **state)
{
    static const tn_uuid others[] = {{"018f0000-0000-7000-8000-00000000000b"}, {""}};
    tn_arena *arena = tn_arena_new();
    const tn_signed upload = example(TN_SIGNED_UPLOAD);
    const char *token = tn_signed_new(arena, &config, &upload);
    const tn_error *error;
    tn_signed what;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(others); i++) {
        error = tn_signed_check(arena, &config, token, &others[i], TN_SIGNED_UPLOAD, "docs",
                                "a \"b\"/c", &what);
        assert_non_null(error);
        TN_CHECK_TEXT(error->code, "InvalidSignature");
    }
    tn_arena_free(arena);
}

/* The token with the byte at `at` changed, so that it stays base64url. */
static const char *
changed(tn_arena *arena, const char *token, size_t at)
{
    char *text = tn_arena_text(arena, token);

    text[at] = text[at] == 'A' ? 'B' : 'A';
    return text;
}

static void
no_byte_can_be_changed(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_signed download = example(TN_SIGNED_DOWNLOAD);
    const char *token = tn_signed_new(arena, &config, &download);

    (void)state;
    for (size_t i = 0; i < strlen(token); i++) {
        TN_CASE("byte %zu", i);
        TN_CHECK_TEXT(check(arena, changed(arena, token, i), TN_SIGNED_DOWNLOAD, "a \"b\"/c"),
                      "InvalidJWT");
    }
    for (size_t i = 0; i < strlen(token); i++) {
        TN_CASE("the first %zu bytes", i);
        TN_CHECK_TEXT(
            check(arena, tn_arena_bytes(arena, token, i), TN_SIGNED_DOWNLOAD, "a \"b\"/c"),
            "InvalidJWT");
    }
    tn_arena_free(arena);
}

static void
no_other_key_signs(void **state)
{
    static const char claims[] =
        "{\"url\":\"docs/c\",\"scope\":\"download\",\"tenant_id\":\"" TENANT
        "\",\"exp\":99999999999}";
    tn_arena *arena = tn_arena_new();
    tn_signed download = example(TN_SIGNED_DOWNLOAD);

    (void)state;
    TN_CHECK_TEXT(check(arena, tn_signed_new(arena, &other_config, &download), TN_SIGNED_DOWNLOAD,
                        "a \"b\"/c"),
                  "InvalidJWT");
    TN_CHECK_TEXT(check(arena, tn_token_hs256(arena, SECRET_HEX, claims), TN_SIGNED_DOWNLOAD, "c"),
                  "InvalidJWT");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_signed_is_read), cmocka_unit_test(it_is_for_one_thing),
        cmocka_unit_test(it_is_for_one_tenant),    cmocka_unit_test(no_byte_can_be_changed),
        cmocka_unit_test(no_other_key_signs),
    };

    return tn_unit_run("signed", tests, TN_COUNT(tests));
}
