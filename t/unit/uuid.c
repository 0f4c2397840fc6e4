/* t/unit/uuid.c: base/uuid.c: version 7, and what is an identifier */
#include "base/uuid.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "t/unit/unit.h"

static const struct {
    const char *text, *parsed; /* NULL: refused */
} cases[] = {
    {"018f0e2a-7b1c-7def-8abc-0123456789ab", "018f0e2a-7b1c-7def-8abc-0123456789ab"},
    {"018F0E2A-7B1C-7DEF-8ABC-0123456789AB", "018f0e2a-7b1c-7def-8abc-0123456789ab"},
    {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"},
    {NULL, NULL},
    {"", NULL},
    {"018f0e2a7b1c7def8abc0123456789ab", NULL},
    {"{018f0e2a-7b1c-7def-8abc-0123456789ab}", NULL},
    {" 018f0e2a-7b1c-7def-8abc-0123456789ab", NULL},
    {"018f0e2a-7b1c-7def-8abc-0123456789ab ", NULL},
    {"018f0e2a-7b1c-7def-8abc-0123456789a", NULL},
    {"018f0e2a-7b1c-7def-8abc-0123456789abc", NULL},
    {"018f0e2a-7b1c-7def-8abc-0123456789ag", NULL},
    {"018f0e2a-7b1c-7def-8abc0-123456789ab", NULL},
    {"018f0e2a--b1c-7def-8abc-0123456789ab", NULL},
    {"urn:uuid:018f0e2a-7b1c-7def-8abc-012", NULL},
};

static void
only_the_one_form_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_uuid uuid = {.text = "before"};

        TN_CASE("%s", cases[i].text == NULL ? "NULL" : cases[i].text);
        TN_CHECK(tn_uuid_parse(cases[i].text, &uuid) == (cases[i].parsed != NULL));
        TN_CHECK_TEXT(uuid.text, cases[i].parsed == NULL ? "" : cases[i].parsed);
    }
}

static void
new_ones_are_version_7_and_sort(void **state)
{
    tn_uuid before = tn_uuid_new(), same;

    (void)state;
    for (int i = 0; i < 20; i++) {
        const tn_uuid uuid = tn_uuid_new();

        assert_true(tn_uuid_parse(uuid.text, &same));
        assert_string_equal(uuid.text, same.text);
        assert_int_equal(uuid.text[14], '7');
        assert_non_null(strchr("89ab", uuid.text[19]));
        assert_string_not_equal(uuid.text, before.text);
        assert_true(strncmp(uuid.text, before.text, 13) >= 0);
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        before = uuid;
    }
}

static void
the_time_is_in_front(void **state)
{
    const tn_uuid uuid = tn_uuid_new();
    const int64_t now_ms = tn_clock_unix() * 1000;
    unsigned int high, low;

    (void)state;
    assert_int_equal(sscanf(uuid.text, "%8x-%4x", &high, &low), 2);
    assert_true(((int64_t)high << 16 | low) - now_ms < 2000);
    assert_true(now_ms - ((int64_t)high << 16 | low) < 2000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_one_form_is_taken),
        cmocka_unit_test(new_ones_are_version_7_and_sort),
        cmocka_unit_test(the_time_is_in_front),
    };

    return tn_unit_run("uuid", tests, TN_COUNT(tests));
}
