/* t/unit/vault.c: objects/vault.c: which key opens what, and what none opens */
#include "objects/vault.h"

#include <string.h>

#include "base/crypto.h"
#include "t/unit/unit.h"

#define MASTER_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define MASTER_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define MASTER_C "ee0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const tn_uuid tenant = {"01a1ffbb-581f-7031-8c32-68fac8b82d86"};
static const tn_uuid other_tenant = {"01a1ffbb-581f-7031-8c32-68fac8b82d87"};

static tn_config
config_of(const char *master, const char *old)
{
    return (tn_config){.storage = {.master_key = master, .old_master_keys = old}};
}

static void
a_tenants_key_opens_under_its_master(void **state)
{
    const struct {
        const char *name, *master, *old;
        bool opens, is_old;
    } cases[] = {
        {"the same", MASTER_A, "", true, false},
        {"an old one", MASTER_B, MASTER_A, true, true},
        {"one of several old ones", MASTER_B, MASTER_C " , " MASTER_A, true, true},
        {"another", MASTER_B, "", false, false},
        {"only others", MASTER_B, MASTER_C, false, false},
        {"none", "", "", false, false},
        {"no master key, an old one", "", MASTER_A, true, true},
        {"a text that is no key", "secret", "words, more", false, false},
    };
    tn_arena *arena = tn_arena_new();
    const tn_config sealing = config_of(MASTER_A, "");
    tn_tenant_key key;
    const char *sealed;

    (void)state;
    tn_tenant_key_make(&tenant, 7, &key);
    sealed = tn_tenant_key_seal(arena, &sealing, &key);
    assert_non_null(sealed);
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const tn_config config = config_of(cases[i].master, cases[i].old);
        tn_tenant_key opened = {.tenant_id = tenant, .generation = 7};
        bool is_old;
        const tn_error *error = tn_tenant_key_open(arena, &config, sealed, &opened, &is_old);

        TN_CASE("%s", cases[i].name);
        TN_CHECK((error == NULL) == cases[i].opens);
        TN_CHECK(is_old == cases[i].is_old);
        TN_CHECK(error != NULL || memcmp(opened.bytes, key.bytes, sizeof(key.bytes)) == 0);
        TN_CHECK(error == NULL || strcmp(error->code, "encryption_unavailable") == 0);
    }
    tn_arena_free(arena);
}

static void
a_tenants_key_is_bound_to_whom_and_when(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_config config = config_of(MASTER_A, ""), none = config_of("", "");
    tn_tenant_key key, of_other = {.tenant_id = other_tenant, .generation = 1},
                       of_next = {.tenant_id = tenant, .generation = 2};
    const char *sealed;

    (void)state;
    tn_tenant_key_make(&tenant, 1, &key);
    sealed = tn_tenant_key_seal(arena, &config, &key);
    assert_non_null(tn_tenant_key_open(arena, &config, sealed, &of_other, NULL));
    assert_non_null(tn_tenant_key_open(arena, &config, sealed, &of_next, NULL));
    assert_non_null(tn_tenant_key_open(arena, &config, "\\x00", &key, NULL));
    assert_non_null(tn_tenant_key_open(arena, &config, "words", &key, NULL));
    assert_null(tn_tenant_key_seal(arena, &none, &key));
    assert_null(tn_master_key_name(arena, &none));
    tn_arena_free(arena);
}

static void
a_master_keys_name_tells_them_apart(void **state)
{
    tn_arena *arena = tn_arena_new();
    const tn_config a = config_of(MASTER_A, ""), b = config_of(MASTER_B, "");
    const char *name = tn_master_key_name(arena, &a);

    (void)state;
    assert_int_equal(strlen(name), 16);
    assert_string_equal(name, tn_master_key_name(arena, &a));
    assert_string_not_equal(name, tn_master_key_name(arena, &b));
    assert_null(strstr(MASTER_A, name));
    tn_arena_free(arena);
}

/* The row's column: changed anywhere, it opens no more. */
static void
a_data_key_opens_under_its_tenants_key_only(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_tenant_key key, other;
    tn_data_key data_key, opened;
    const char *sealed;
    char *changed;

    (void)state;
    tn_tenant_key_make(&tenant, 0x01020304, &key);
    tn_data_key_make(&data_key);
    sealed = tn_data_key_seal(arena, &key, &data_key);
    assert_int_equal(strlen(sealed), 2 + 2 * (5 + 12 + 32 + 16));
    assert_int_equal(tn_data_key_generation(sealed), 0x01020304);
    assert_null(tn_data_key_open(arena, &key, sealed, &opened));
    assert_memory_equal(opened.bytes, data_key.bytes, sizeof(opened.bytes));

    tn_tenant_key_make(&tenant, 0x01020304, &other);
    assert_non_null(tn_data_key_open(arena, &other, sealed, &opened));
    other = key;
    other.tenant_id = other_tenant;
    assert_non_null(tn_data_key_open(arena, &other, sealed, &opened));
    other = key;
    other.generation = 5;
    assert_non_null(tn_data_key_open(arena, &other, sealed, &opened));
    changed = tn_arena_text(arena, sealed);
    for (size_t i = 2; i < strlen(sealed); i++) {
        changed[i] = sealed[i] == '0' ? '1' : '0';
        TN_CASE("digit %zu", i);
        TN_CHECK(tn_data_key_open(arena, &key, changed, &opened) != NULL);
        changed[i] = sealed[i];
    }
    tn_arena_free(arena);
}

static void
what_is_no_sealed_key_has_no_generation(void **state)
{
    static const char *const texts[] = {"",
                                        "\\x",
                                        "\\x01",
                                        "\\x0100000001",
                                        "\\x020000000100",
                                        "x",
                                        "\\xzz00000001aa",
                                        "\\x010000000",
                                        "0100000001aa"};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(texts); i++) {
        TN_CASE("%s", texts[i]);
        TN_CHECK(tn_data_key_generation(texts[i]) == 0);
    }
    assert_int_equal(tn_data_key_generation(NULL), 0);
    assert_int_equal(tn_data_key_generation("\\x0100000102aa"), 258);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenants_key_opens_under_its_master),
        cmocka_unit_test(a_tenants_key_is_bound_to_whom_and_when),
        cmocka_unit_test(a_master_keys_name_tells_them_apart),
        cmocka_unit_test(a_data_key_opens_under_its_tenants_key_only),
        cmocka_unit_test(what_is_no_sealed_key_has_no_generation),
    };

    return tn_unit_run("vault", tests, TN_COUNT(tests));
}
