/* t/unit/address.c: auth/address.c: what passes for an e-mail address or a telephone number */
#include <string.h>

#include "auth/area.h"
#include "t/unit/unit.h"

static const struct {
    const char *text, *email; /* NULL: refused */
} cases[] = {
    {"a@b.c", "a@b.c"},
    {"Ada.Lovelace+news@Example.COM", "ada.lovelace+news@example.com"},
    {"a@localhost", "a@localhost"},
    {"o'hara!#$%&*/=?^_`{|}~-@x-y.z1", "o'hara!#$%&*/=?^_`{|}~-@x-y.z1"},
    {"a@123.45", "a@123.45"},
    {"", NULL},
    {"a", NULL},
    {"@b.c", NULL},
    {"a@", NULL},
    {"a@b@c.d", NULL},
    {"a b@c.d", NULL},
    {" a@b.c", NULL},
    {"a@b.c ", NULL},
    {"a@b..c", NULL},
    {"a@.b", NULL},
    {"a@b.", NULL},
    {"a@-b.c", NULL},
    {"a@b-.c", NULL},
    {"a@b_c.d", NULL},
    {"a@b.c\n", NULL},
    {"a\r\nbcc: x@b.c", NULL},
    {"\"a\"@b.c", NULL},
    {"a<b@c.d", NULL},
    {"\xC3\xA4@b.c", NULL},
    {"a@\xC3\xA4.de", NULL},
    {"a@[127.0.0.1]", NULL},
    {"a,b@c.d", NULL},
    {"a@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", NULL}, /* 64 */
    {"a@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
     "a@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"},
};

static void
addresses(void **state)
{
    tn_arena *arena = tn_arena_new();
    char *longest = tn_arena_alloc(arena, 300, 1);
    const char *email;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const tn_error *error = tn_email_normalise(arena, cases[i].text, &email);

        TN_CASE("%s", cases[i].text);
        TN_CHECK_TEXT(error == NULL ? email : NULL, cases[i].email);
        TN_CHECK(error == NULL ||
                 (error->status == 400 && strcmp(error->code, "validation_failed") == 0));
    }
    memset(longest, 'a', 255);
    memcpy(longest + 250, "@b.cd", 5);
    assert_null(tn_email_normalise(arena, longest, &email));
    longest[255] = 'd';
    assert_non_null(tn_email_normalise(arena, longest, &email));
    tn_arena_free(arena);
}

static void
phones(void **state)
{
    static const struct {
        const char *text, *phone; /* NULL: refused */
    } numbers[] = {
        {"49123456789", "49123456789"},
        {"+49 123 456789", "49123456789"},
        {"12", "12"},
        {"123456789012345", "123456789012345"},
        {"1234567890123456", NULL},
        {"1", NULL},
        {"", NULL},
        {"+", NULL},
        {"0123456", NULL},
        {"+0123456", NULL},
        {"49-123", NULL},
        {"49(0)123", NULL},
        {"4912a", NULL},
        {"4912\n3", NULL},
        {"\xD9\xA1\xD9\xA2\xD9\xA3", NULL},
    };
    tn_arena *arena = tn_arena_new();
    const char *phone;

    (void)state;
    for (size_t i = 0; i < TN_COUNT(numbers); i++) {
        const tn_error *error = tn_phone_normalise(arena, numbers[i].text, &phone);

        TN_CASE("%s", numbers[i].text);
        TN_CHECK_TEXT(error == NULL ? phone : NULL, numbers[i].phone);
        TN_CHECK(error == NULL ||
                 strcmp(error->message, "Invalid phone number format (E.164 required)") == 0);
    }
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(phones)};

    return tn_unit_run("address", tests, TN_COUNT(tests));
}
