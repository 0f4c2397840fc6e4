/* t/unit/duration.c: auth/attributes.c: durations as Go writes them */
#include "auth/users.h"
#include "t/unit/unit.h"

static const struct {
    const char *text;
    double seconds; /* -1: refused */
} cases[] = {
    {"0", 0},
    {"24h", 86400},
    {"1h30m", 5400},
    {"1.5h", 5400},
    {".5s", 0.5},
    {"1.s", 1},
    {"100ms", 0.1},
    {"2us", 2e-6},
    {"2\xC2\xB5s", 2e-6},
    {"2\xCE\xBCs", 2e-6},
    {"7ns", 7e-9},
    {"1h1h", 7200},
    {"2562047h", 9223369200},
    {"2562048h", -1},
    {"", -1},
    {"0h", 0},
    {"24", -1},
    {"h", -1},
    {".h", -1},
    {"1 h", -1},
    {" 1h", -1},
    {"1h ", -1},
    {"-1h", -1},
    {"+1h", -1},
    {"1d", -1},
    {"1H", -1},
    {"1e3s", -1},
    {"0x10s", -1},
    {"infs", -1},
    {"nans", -1},
    {"1..5s", -1},
    {"99999999999999999999999999999999999999h", -1},
    {"none", -1},
};

static void
durations(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        double seconds;
        const bool is_one = tn_auth_duration(cases[i].text, &seconds);

        TN_CASE("%s", cases[i].text);
        TN_CHECK(is_one == (cases[i].seconds >= 0));
        TN_CHECK(!is_one || (seconds >= cases[i].seconds * (1 - 1e-9) &&
                             seconds <= cases[i].seconds * (1 + 1e-9)));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(durations)};

    return tn_unit_run("duration", tests, TN_COUNT(tests));
}
