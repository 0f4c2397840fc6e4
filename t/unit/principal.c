/* t/unit/principal.c: identity/principal.c: key and token, in every combination */
#include "identity/principal.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "http/route.h"
#include "identity/key.h"
#include "identity/token.h"
#include "t/unit/fake_db.h"
#include "t/unit/unit.h"

#define SECRET_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HS_SECRET "a secret of at least thirty-two bytes"
#define A "018f0000-0000-7000-8000-00000000000a"
#define B "018f0000-0000-7000-8000-00000000000b"
#define GONE "018f0000-0000-7000-8000-00000000000c"
#define ASLEEP "018f0000-0000-7000-8000-00000000000d"
#define PERSON "018f0000-0000-7000-8000-0000000000aa"
#define SESSION "018f0000-0000-7000-8000-0000000000bb"

#define PUBLISHABLE "tnp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SECRET "tns_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define AGENT "tna_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PLATFORM "tnx_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define OF_B "tns_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
#define UNKNOWN "tnp_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA"

/* --- the database ----------------------------------------------------------------------------- */

static const struct {
    const char *key, *columns[8];
} keys[] = {
    {PUBLISHABLE, {A, A, "anon", NULL, NULL, NULL, "active"}},
    {SECRET, {A, A, "service_role", NULL, NULL, NULL, "active"}},
    {AGENT, {A, A, "agent", "[\"chat:read\", \"tools:*\"]", PERSON, "9999999999", "active"}},
    {PLATFORM, {A, NULL, "tenon_platform", NULL, NULL, NULL, NULL}},
    {OF_B, {B, B, "service_role", NULL, NULL, NULL, "active"}},
};

static const char *const tenants[][8] = {{A, "active"}, {B, "active"}, {ASLEEP, "suspended"}};
static const char *signing_key[1][8];

static const tn_rows *
one_row(tn_arena *arena, const char *const (*texts)[8])
{
    tn_rows *rows = tn_arena_alloc(arena, 1, sizeof(*rows));

    *rows = (tn_rows){.count = texts != NULL ? 1 : 0, .texts = texts};
    return rows;
}

static const tn_error *
answer(tn_arena *arena, const tn_db_context *context, const tn_query *query, const tn_rows **rows)
{
    uint8_t digest[TN_SHA256_SIZE];
    char hex[TN_SHA256_HEX];

    (void)context;
    *rows = one_row(arena, NULL);
    if (strcmp(query->statement->name, "signing_keys_list") == 0)
        *rows = one_row(arena, (const char *const(*)[8])signing_key);
    else if (strcmp(query->statement->name, "tenant_find") == 0) {
        for (size_t i = 0; i < TN_COUNT(tenants); i++)
            if (strcmp(query->parameters[0], tenants[i][0]) == 0)
                *rows = one_row(arena, &tenants[i]);
        if (strcmp(query->parameters[0], "first") == 0)
            *rows = one_row(arena, &tenants[0]);
    } else {
        for (size_t i = 0; i < TN_COUNT(keys); i++) {
            tn_sha256(keys[i].key, strlen(keys[i].key), digest);
            tn_hex(digest, sizeof(digest), hex);
            if (strcmp(query->parameters[0], hex) == 0)
                *rows = one_row(arena, &keys[i].columns);
        }
    }
    return NULL;
}

/* --- the process ------------------------------------------------------------------------------ */

static struct {
    tn_arena *arena;
    tn_config config;
    tn_process process;
    const char *user_a, *user_b, *nobody, *older_anon, *older_service, *older_without_tenant,
        *expired, *owner, *of_gone, *of_sleeper, *without_tenant;
} fixture;

static const char *
sign(const char *claims)
{
    const char *token;

    assert_null(tn_tokens_sign(fixture.process.tokens, fixture.arena,
                               tn_arena_printf(fixture.arena,
                                               "{\"iss\":\"https://app.example/auth/v1\",\"aud\":"
                                               "\"authenticated\",\"exp\":9999999999,%s}",
                                               claims),
                               &token));
    return token;
}

static const char *
hs256(const char *claims)
{
    return tn_token_hs256(fixture.arena, HS_SECRET, claims);
}

static void
make_tokens(void)
{
    fixture.user_a = sign("\"sub\":\"" PERSON "\",\"role\":\"authenticated\",\"tenant_id\":\"" A
                          "\",\"session_id\":\"" SESSION "\",\"email\":\"a@b.c\"");
    fixture.user_b =
        sign("\"sub\":\"" PERSON "\",\"role\":\"authenticated\",\"tenant_id\":\"" B "\"");
    fixture.of_gone =
        sign("\"sub\":\"" PERSON "\",\"role\":\"authenticated\",\"tenant_id\":\"" GONE "\"");
    fixture.of_sleeper =
        sign("\"sub\":\"" PERSON "\",\"role\":\"authenticated\",\"tenant_id\":\"" ASLEEP "\"");
    fixture.nobody = sign("\"role\":\"authenticated\",\"tenant_id\":\"" A "\"");
    fixture.owner = hs256("{\"role\":\"tenon_owner\",\"tenant_id\":\"" A "\"}");
    fixture.older_anon = hs256("{\"role\":\"anon\",\"tenant_id\":\"" A "\"}");
    fixture.older_service = hs256("{\"role\":\"service_role\",\"tenant_id\":\"" A "\"}");
    fixture.older_without_tenant = hs256("{\"role\":\"anon\"}");
    fixture.without_tenant = hs256("{\"sub\":\"" PERSON "\",\"role\":\"authenticated\"}");
    fixture.expired = hs256("{\"sub\":\"" PERSON "\",\"role\":\"authenticated\",\"tenant_id\":\"" A
                            "\",\"exp\":5}");
}

static int
set_up(void **state)
{
    const char *kid, *public_jwk;
    const void *sealed;
    size_t length;
    char *hex;

    (void)state;
    fake_db = answer;
    fixture.arena = tn_arena_new();
    tn_signing_key_new(fixture.arena, SECRET_HEX, &kid, &public_jwk, &sealed, &length);
    hex = tn_arena_alloc(fixture.arena, 2 * length + 1, 1);
    tn_hex(sealed, length, hex);
    memcpy(signing_key[0], (const char *const[8]){kid, "active", public_jwk, hex},
           sizeof(signing_key[0]));
    fixture.config = (tn_config){
        .server = {.secret = SECRET_HEX, .public_url = "https://app.example"},
        .auth = {.jwt_secret = HS_SECRET,
                 .audience = "authenticated",
                 .issuer = "",
                 .cache_ttl_s = 60},
        .data = {.default_tenant = ""},
    };
    fixture.process = (tn_process){.config = &fixture.config,
                                   .keys = tn_keys_new(NULL, 60),
                                   .tokens = tn_tokens_new(&fixture.config, NULL)};
    make_tokens();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tn_arena_free(fixture.arena);
    tn_tokens_free(fixture.process.tokens);
    tn_keys_free(fixture.process.keys);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static const tn_area area = {.name = "test"};

static const tn_error *
identify(const char *key, const char *authorization, tn_principal *who)
{
    tn_pair headers[2];
    tn_request request = {.headers = headers};

    if (key != NULL)
        headers[request.header_count++] = (tn_pair){"apikey", key};
    if (authorization != NULL)
        headers[request.header_count++] = (tn_pair){"authorization", authorization};
    return tn_principal_identify(&fixture.process, &area, &request, fixture.arena, who);
}

static const char *
bearer(const char *text)
{
    return text == NULL ? NULL : tn_arena_printf(fixture.arena, "Bearer %s", text);
}

struct expected {
    unsigned role;
    const char *tenant, *user, *token_error;
};

struct combination {
    const char *name, *key, *bearer;
    const char *error; /* NULL: none */
    struct expected is;
};

static void
check(const struct combination *c)
{
    tn_principal who;
    const tn_error *error = identify(c->key, bearer(c->bearer), &who);

    TN_CASE("%s", c->name);
    TN_CHECK_TEXT(error == NULL ? NULL : error->code, c->error);
    if (error != NULL)
        return;
    TN_CHECK(who.role == c->is.role);
    TN_CHECK_TEXT(who.tenant_id.text, c->is.tenant);
    TN_CHECK_TEXT(who.user_id.text, c->is.user);
    TN_CHECK_TEXT(who.token_error == NULL ? NULL : who.token_error->code, c->is.token_error);
    TN_CHECK(who.token_error == NULL || who.token_error->status == 401);
    TN_CHECK(who.role == TN_ROLE_NONE || strstr(who.claims, who.role_name) != NULL);
}

static void
combinations(void **state)
{
    const struct expected none = {TN_ROLE_NONE, "", "", NULL}, anon = {TN_ROLE_ANON, A, "", NULL},
                          service = {TN_ROLE_SERVICE, A, "", NULL},
                          person = {TN_ROLE_AUTHENTICATED, A, PERSON, NULL},
                          agent = {TN_ROLE_AGENT, A, PERSON, NULL},
                          platform = {TN_ROLE_PLATFORM, "", "", NULL},
                          none_bad = {TN_ROLE_NONE, "", "", "bad_jwt"},
                          anon_bad = {TN_ROLE_ANON, A, "", "bad_jwt"},
                          anon_elsewhere = {TN_ROLE_ANON, A, "", "tenant_mismatch"};
    const struct combination all[] = {
        {"nothing", NULL, NULL, NULL, none},
        {"an empty key", "", NULL, NULL, none},
        {"publishable", PUBLISHABLE, NULL, NULL, anon},
        {"publishable as bearer", NULL, PUBLISHABLE, NULL, anon},
        {"publishable as both", PUBLISHABLE, PUBLISHABLE, NULL, anon},
        {"secret", SECRET, NULL, NULL, service},
        {"secret as both", SECRET, SECRET, NULL, service},
        {"publishable, secret as bearer", PUBLISHABLE, SECRET, NULL, service},
        {"secret, publishable as bearer", SECRET, PUBLISHABLE, NULL, anon},
        {"agent", AGENT, NULL, NULL, agent},
        {"agent as bearer", NULL, AGENT, NULL, agent},
        {"an agent does not become a person", AGENT, fixture.user_a, NULL, agent},
        {"nor a service", AGENT, SECRET, NULL, agent},
        {"platform", PLATFORM, NULL, NULL, platform},
        {"an unknown key", UNKNOWN, NULL, "invalid_key", none},
        {"an unknown key as bearer", NULL, UNKNOWN, "invalid_key", none},
        {"an unknown key beside a good one",
         PUBLISHABLE,
         UNKNOWN,
         NULL,
         {TN_ROLE_ANON, A, "", "invalid_key"}},
        {"an unknown key beside a person", UNKNOWN, fixture.user_a, "invalid_key", none},
        {"rubbish for a key", "rubbish", NULL, "invalid_key", none},
        {"key and person", PUBLISHABLE, fixture.user_a, NULL, person},
        {"secret and person: the person", SECRET, fixture.user_a, NULL, person},
        {"person alone", NULL, fixture.user_a, NULL, person},
        {"a person without sub", NULL, fixture.nobody, NULL, {TN_ROLE_AUTHENTICATED, A, "", NULL}},
        {"a person of another tenant", PUBLISHABLE, fixture.user_b, NULL, anon_elsewhere},
        {"a key of another tenant as bearer", PUBLISHABLE, OF_B, NULL, anon_elsewhere},
        {"a secret of b with a person of a",
         OF_B,
         fixture.user_a,
         NULL,
         {TN_ROLE_SERVICE, B, "", "tenant_mismatch"}},
        {"an expired token", PUBLISHABLE, fixture.expired, NULL, anon_bad},
        {"an expired token alone", NULL, fixture.expired, NULL, none_bad},
        {"rubbish for a token", PUBLISHABLE, "a.b.c", NULL, anon_bad},
        {"a role of the database", PUBLISHABLE, fixture.owner, NULL, anon_bad},
        {"a tenant that is gone", NULL, fixture.of_gone, NULL, none_bad},
        {"a tenant that is suspended", NULL, fixture.of_sleeper, "tenant_suspended", none},
        {"an older key", fixture.older_anon, NULL, NULL, anon},
        {"an older key as bearer", NULL, fixture.older_service, NULL, service},
        {"an older key as both", fixture.older_service, fixture.older_service, NULL, service},
        {"an older key and a person", fixture.older_anon, fixture.user_a, NULL, person},
        {"an older key and a person of b", fixture.older_anon, fixture.user_b, NULL,
         anon_elsewhere},
        {"an older key with a role of the database", fixture.owner, NULL, "invalid_key", none},
        {"a user's token for a key", fixture.user_a, NULL, "invalid_key", none},
        {"an expired token for a key", fixture.expired, NULL, "invalid_key", none},
        {"an older key without tenant", fixture.older_without_tenant, NULL, "tenant_required",
         none},
        {"a person without tenant",
         NULL,
         fixture.without_tenant,
         NULL,
         {TN_ROLE_NONE, "", "", "tenant_required"}},
    };

    (void)state;
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < TN_COUNT(all); j++)
            check(&all[j]);
        tn_keys_enable_cache(fixture.process.keys, true); /* and all of it again from the caches */
        tn_tokens_enable_cache(fixture.process.tokens, true);
    }
}

static void
default_tenant(void **state)
{
    tn_uuid tenant;
    const struct combination all[] = {
        {"nobody stays nobody", NULL, NULL, NULL, {TN_ROLE_NONE, "", "", NULL}},
        {"a person without tenant",
         NULL,
         fixture.without_tenant,
         NULL,
         {TN_ROLE_AUTHENTICATED, A, PERSON, NULL}},
        {"an older key without tenant",
         fixture.older_without_tenant,
         NULL,
         NULL,
         {TN_ROLE_ANON, A, "", NULL}},
        {"a person without tenant with b's key",
         OF_B,
         fixture.without_tenant,
         NULL,
         {TN_ROLE_SERVICE, B, "", "tenant_mismatch"}},
        {"one of b stays in b",
         NULL,
         fixture.user_b,
         NULL,
         {TN_ROLE_AUTHENTICATED, B, PERSON, NULL}},
    };

    (void)state;
    fixture.config.data.default_tenant = "first";
    for (size_t i = 0; i < TN_COUNT(all); i++)
        check(&all[i]);
    fixture.config.data.default_tenant = "misspelt";
    assert_non_null(tn_principal_default_tenant(&fixture.process, fixture.arena, &tenant));
}

static void
what_a_person_carries(void **state)
{
    tn_principal who;

    (void)state;
    assert_null(identify(PUBLISHABLE, bearer(fixture.user_a), &who));
    assert_string_equal(who.session_id.text, SESSION);
    assert_string_equal(who.key_id.text, A);
    assert_string_equal(who.email, "a@b.c");
    assert_true(who.has_bearer_user);
    assert_non_null(strstr(who.claims, SESSION));
}

static void
schemes(void **state)
{
    static const struct {
        const char *value, *bearer;
    } cases[] = {
        {"Bearer x", "x"}, {"bearer x", "x"}, {"BEARER   x  ", "x"},
        {"Bearer", NULL},  {"Bearer ", NULL}, {"Basic x", NULL},
        {"Bearerx", NULL}, {"", NULL},        {"Bearer a b", "a b"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_pair header = {"authorization", cases[i].value};
        const tn_request request = {.headers = &header, .header_count = 1};

        TN_CASE("\"%s\"", cases[i].value);
        TN_CHECK_TEXT(tn_principal_bearer(&request, fixture.arena), cases[i].bearer);
    }
}

static void
scopes(void **state)
{
    tn_principal who;

    (void)state;
    assert_null(identify(AGENT, NULL, &who));
    assert_true(tn_principal_has_scope(&who, "chat:read"));
    assert_false(tn_principal_has_scope(&who, "chat:write"));
    assert_false(tn_principal_has_scope(&who, "chat"));
    assert_true(tn_principal_has_scope(&who, "tools:call"));
    assert_false(tn_principal_has_scope(&who, "toolshed"));
    assert_null(identify(PUBLISHABLE, NULL, &who));
    assert_true(tn_principal_has_scope(&who, "anything"));
    assert_false(tn_principal_is_service(&who));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(combinations), TEST(default_tenant), TEST(what_a_person_carries),
        TEST(schemes),      TEST(scopes),
    };

    return tn_unit_run("principal", tests, TN_COUNT(tests));
}
