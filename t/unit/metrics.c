/* t/unit/metrics.c: base/metrics.c: which bucket a duration falls into */
#include "base/metrics.h"

#include "t/unit/unit.h"

static const struct {
    int64_t us;
    size_t bucket;
} cases[] = {
    {-5, 0}, {0, 0}, {500, 0}, {501, 1}, {1000, 1}, {30000000, 11}, {30000001, 12}, {INT64_MAX, 12},
};

static void
durations_fall_into_the_first_bucket_that_holds_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_histogram histogram = {0};

        TN_CASE("%lld us", (long long)cases[i].us);
        tn_histogram_add(&histogram, cases[i].us);
        TN_CHECK(histogram.bucket[cases[i].bucket] == 1);
        TN_CHECK(histogram.count == 1);
        TN_CHECK(histogram.sum_us == (uint64_t)(cases[i].us < 0 ? 0 : cases[i].us));
    }
}

static void
bounds_ascend(void **state)
{
    (void)state;
    for (size_t i = 1; i < TN_METRIC_BUCKETS; i++)
        assert_true(tn_metric_bounds_us[i] > tn_metric_bounds_us[i - 1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_fall_into_the_first_bucket_that_holds_them),
        cmocka_unit_test(bounds_ascend),
    };

    return tn_unit_run("metrics", tests, TN_COUNT(tests));
}
