/* t/unit/data_prefer.c: data/prefer.c: preferences, and what is echoed of them */
#include <string.h>

#include "data/prefer.h"
#include "t/unit/unit.h"

static const struct {
    const char *header;
    const char *applied; /* all of it made effective; NULL: nothing to say */
    const char *unknown;
    bool is_refused;
} cases[] = {
    {NULL, NULL, NULL, false},
    {"", NULL, NULL, false},
    {" , ,", NULL, NULL, false},
    {"return=minimal", "return=minimal", NULL, false},
    {"return=headers-only", "return=headers-only", NULL, false},
    {"return=representation", "return=representation", NULL, false},
    {"count=exact", "count=exact", NULL, false},
    {"count=planned", "count=planned", NULL, false},
    {"count=estimated", "count=estimated", NULL, false},
    {"resolution=merge-duplicates", "resolution=merge-duplicates", NULL, false},
    {"resolution=ignore-duplicates", "resolution=ignore-duplicates", NULL, false},
    {"missing=default", "missing=default", NULL, false},
    {"missing=null", "missing=null", NULL, false},
    {"tx=commit", "tx=commit", NULL, false},
    {"tx=rollback", "tx=rollback", NULL, false},
    {"handling=lenient", "handling=lenient", NULL, false},
    {"handling=strict", "handling=strict", NULL, false},
    {"timezone=Europe/Berlin", "timezone=Europe/Berlin", NULL, false},
    {"timezone=", "timezone=", NULL, false},
    {"params=single-object", "params=single-object", NULL, false},
    {"max-affected=10", "max-affected=10", NULL, false},
    {"max-affected=0", "max-affected=0", NULL, false},
    {"max-affected=9,timezone=UTC,handling=strict,tx=commit,count=exact,params=single-object,"
     "return=minimal,missing=null,resolution=ignore-duplicates",
     "resolution=ignore-duplicates, missing=null, return=minimal, params=single-object, "
     "count=exact, tx=commit, handling=strict, timezone=UTC, max-affected=9",
     NULL, false},
    /* per preference the first that is recognised */
    {"count=planned, count=exact", "count=planned", NULL, false},
    {"count=many, count=exact", "count=exact", "count=many", false},
    {"return=minimal,return=representation", "return=minimal", NULL, false},
    {"handling=lenient, handling=strict, foo", "handling=lenient", "foo", false},
    {"timezone=Nowhere, timezone=UTC", "timezone=Nowhere", NULL, false},
    {"max-affected=1,max-affected=2", "max-affected=1", NULL, false},
    {"  count=exact\t,\ttx=commit ", "count=exact, tx=commit", NULL, false},
    /* what is unknown */
    {"bogus=1", NULL, "bogus=1", false},
    {"Count=exact", NULL, "Count=exact", false},
    {"count = exact", NULL, "count = exact", false},
    {"count=exact; foo=bar", NULL, "count=exact; foo=bar", false},
    {"max-affected=x,max-affected=-1,max-affected=", NULL,
     "max-affected=x, max-affected=-1, max-affected=", false},
    {"params=multiple-objects", NULL, "params=multiple-objects", false},
    {"handling=strict, bogus,  a b ,x=", "handling=strict", "bogus, a b, x=", true},
    {"bogus=1,handling=strict", "handling=strict", "bogus=1", true},
};

static void
headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        tn_prefer prefer;
        const tn_error *error;

        TN_CASE("%s", cases[i].header == NULL ? "(none)" : cases[i].header);
        tn_prefer_parse(arena, cases[i].header, &prefer);
        error = tn_prefer_check(arena, &prefer);
        TN_CHECK_TEXT(tn_prefer_applied(arena, &prefer), cases[i].applied);
        TN_CHECK_TEXT(prefer.unknown, cases[i].unknown);
        TN_CHECK((error != NULL) == cases[i].is_refused);
        if (error != NULL) {
            TN_CHECK(error->status == 400);
            TN_CHECK_TEXT(error->code, "PGRST122");
            TN_CHECK(strstr(error->details, cases[i].unknown) != NULL);
        }
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers)};

    return tn_unit_run("data_prefer", tests, TN_COUNT(tests));
}
