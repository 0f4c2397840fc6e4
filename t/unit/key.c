/* t/unit/key.c: identity/key.c: keys and tenants, and when they stop */
#include "identity/key.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "t/unit/fake_db.h"
#include "t/unit/unit.h"

#define TENANT "018f0000-0000-7000-8000-00000000000a"
#define KEY "018f0000-0000-7000-8000-00000000000b"

/* One row: the key whose hash is `hash`, or the tenant of any name but "none". */
static struct {
    char hash[TN_SHA256_HEX];
    const char *texts[1][8];
    tn_rows found, nothing;
} stored;

static const tn_error *
answer(tn_arena *arena, const tn_db_context *context, const tn_query *query, const tn_rows **rows)
{
    const char *wanted = query->parameters[0];
    const bool is_key = strcmp(query->statement->name, "key_find") == 0;
    const bool is_there = is_key ? strcmp(wanted, stored.hash) == 0 : strcmp(wanted, "none") != 0;

    (void)arena;
    assert_null(context->role); /* before the tenant is known, nobody is anybody */
    assert_null(context->tenant_id);
    *rows = is_there ? &stored.found : &stored.nothing;
    return NULL;
}

static void
store(const char *text, const char *role, const char *expires, const char *status)
{
    uint8_t digest[TN_SHA256_SIZE];

    tn_sha256(text, strlen(text), digest);
    tn_hex(digest, sizeof(digest), stored.hash);
    stored.texts[0][0] = KEY;
    stored.texts[0][1] = strcmp(role, "tenon_platform") == 0 ? NULL : TENANT;
    stored.texts[0][2] = role;
    stored.texts[0][3] = strcmp(role, "agent") == 0 ? "[\"chat:read\"]" : NULL;
    stored.texts[0][4] = NULL;
    stored.texts[0][5] = expires;
    stored.texts[0][6] = status;
    stored.found = (tn_rows){.count = 1, .texts = (const char *const(*)[8])stored.texts};
    stored.nothing = (tn_rows){0};
    fake_db = answer;
}

static void
new_keys_are_formed(void **state)
{
    static const char *const kinds[] = {"publishable", "secret", "agent", "platform"};
    static const char *const malformed[] = {
        "",
        "tnp_",
        "rubbish",
        "tnp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",   /* 42 */
        "tnp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* 44 */
        "tnq_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "TNP_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "tnp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "tnp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
    };
    tn_arena *arena = tn_arena_new();

    (void)state;
    for (size_t i = 0; i < TN_COUNT(kinds); i++)
        for (int j = 0; j < 50; j++)
            assert_true(tn_key_is_formed(tn_key_new(arena, kinds[i])));
    assert_null(tn_key_new(arena, "other"));
    for (size_t i = 0; i < TN_COUNT(malformed); i++) {
        TN_CASE("%s", malformed[i]);
        TN_CHECK(!tn_key_is_formed(malformed[i]));
    }
    tn_arena_free(arena);
}

static const struct {
    const char *name, *role, *status;
    int64_t expires_in; /* 0: never */
    int http_status;    /* 0: good */
    const char *code;
} cases[] = {
    {"publishable", "anon", "active", 0, 0, NULL},
    {"secret", "service_role", "active", 0, 0, NULL},
    {"agent", "agent", "active", 60, 0, NULL},
    {"platform", "tenon_platform", "", 0, 0, NULL},
    {"expired", "agent", "active", -1, 401, "invalid_key"},
    {"of a suspended tenant", "anon", "suspended", 0, 403, "tenant_suspended"},
};

static void
keys_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        tn_keys *keys = tn_keys_new(NULL, 60);
        const char *text = tn_key_new(arena, "secret");
        const tn_error *error;
        tn_key key;

        TN_CASE("%s", cases[i].name);
        store(text, cases[i].role,
              cases[i].expires_in == 0
                  ? NULL
                  : tn_arena_printf(arena, "%lld",
                                    (long long)(tn_clock_unix() + cases[i].expires_in)),
              cases[i].status);
        tn_keys_enable_cache(keys, true);
        for (int j = 0; j < 2; j++) { /* the second time from the cache: judged again */
            error = tn_keys_find(keys, arena, text, &key);
            TN_CHECK((error == NULL ? 0 : error->status) == cases[i].http_status);
            TN_CHECK_TEXT(error == NULL ? NULL : error->code, cases[i].code);
            if (error != NULL)
                continue;
            TN_CHECK_TEXT(key.role, cases[i].role);
            TN_CHECK_TEXT(key.id.text, KEY);
            TN_CHECK_TEXT(key.tenant_id.text, *cases[i].status == '\0' ? "" : TENANT);
            TN_CHECK_TEXT(key.scopes, strcmp(key.role, "agent") == 0 ? "[\"chat:read\"]" : "");
        }
        tn_keys_free(keys);
        tn_arena_free(arena);
    }
}

static void
the_cache_is_dropped(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_keys *keys = tn_keys_new(NULL, 60);
    const char *text = tn_key_new(arena, "publishable"), *other = tn_key_new(arena, "publishable");
    int before;
    tn_key key;

    (void)state;
    store(text, "anon", NULL, "active");
    before = fake_db_queries;
    for (int i = 0; i < 3; i++) /* not enabled: asked each time */
        assert_null(tn_keys_find(keys, arena, text, &key));
    assert_int_equal(fake_db_queries - before, 3);
    tn_keys_enable_cache(keys, true);
    before = fake_db_queries;
    for (int i = 0; i < 3; i++)
        assert_null(tn_keys_find(keys, arena, text, &key));
    assert_int_equal(fake_db_queries - before, 1);
    for (int i = 0; i < 3; i++) /* what is not there is not kept */
        assert_non_null(tn_keys_find(keys, arena, other, &key));
    assert_int_equal(fake_db_queries - before, 4);

    stored.found.count = 0; /* revoked */
    tn_keys_drop(keys, stored.hash);
    assert_non_null(tn_keys_find(keys, arena, text, &key));
    stored.found.count = 1;
    assert_null(tn_keys_find(keys, arena, text, &key));
    stored.texts[0][6] = "suspended";
    tn_keys_drop(keys, NULL);
    assert_non_null(tn_keys_find(keys, arena, text, &key));
    tn_keys_free(keys);
    tn_arena_free(arena);
}

static void
agents_are_asked_for_each_time(void **state)
{
    static const struct {
        const char *text, *code, *claims;
        int64_t rate;
    } agents[] = {
        {KEY " 60 active {\"role\": \"agent\"}", NULL, "{\"role\": \"agent\"}", 60},
        {KEY " 0 nobody {\"role\": \"agent\"}", NULL, "{\"role\": \"agent\"}", 0},
        {KEY " 60 banned {}", "user_banned", NULL, 0},
        {KEY, "internal_error", NULL, 0},
    };
    tn_arena *arena = tn_arena_new();
    tn_keys *keys = tn_keys_new(NULL, 60);
    const char *text = tn_key_new(arena, "agent");

    (void)state;
    tn_keys_enable_cache(keys, true);
    for (size_t i = 0; i < TN_COUNT(agents); i++) {
        const tn_error *error;
        tn_key key;

        TN_CASE("%s", agents[i].text);
        store(text, "agent", "9999999999", "active");
        stored.texts[0][7] = agents[i].text; /* the same key, and another agent behind it */
        error = tn_keys_find(keys, arena, text, &key);
        TN_CHECK_TEXT(error == NULL ? NULL : error->code, agents[i].code);
        if (error != NULL)
            continue;
        TN_CHECK_TEXT(key.agent_id.text, KEY);
        TN_CHECK_TEXT(key.claims, agents[i].claims);
        TN_CHECK(key.rate_per_minute == agents[i].rate);
    }
    stored.texts[0][7] = NULL;
    tn_keys_free(keys);
    tn_arena_free(arena);
}

static void
tenants_are_found(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_keys *keys = tn_keys_new(NULL, 60);
    const tn_error *error;
    tn_uuid id;

    (void)state;
    store("x", "anon", NULL, "active");
    stored.texts[0][0] = TENANT;
    stored.texts[0][1] = "active";
    assert_null(tn_keys_tenant(keys, arena, "default", &id));
    assert_string_equal(id.text, TENANT);
    assert_null(tn_keys_tenant(keys, arena, "none", &id));
    assert_string_equal(id.text, "");
    stored.texts[0][1] = "suspended";
    error = tn_keys_tenant(keys, arena, "default", &id);
    assert_true(error != NULL && error->status == 403);
    tn_keys_free(keys);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_keys_are_formed),  cmocka_unit_test(keys_are_judged),
        cmocka_unit_test(the_cache_is_dropped), cmocka_unit_test(agents_are_asked_for_each_time),
        cmocka_unit_test(tenants_are_found),
    };

    return tn_unit_run("key", tests, TN_COUNT(tests));
}
