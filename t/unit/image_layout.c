/* t/unit/image_layout.c: sizes of pictures */
#include "images/layout.h"

#include "t/unit/unit.h"

static void
lays_out(void **state)
{
    static const struct {
        int width, height;
        tn_image_wish wish;
        tn_image_layout expected;
    } cases[] = {
        /* nothing is wanted */
        {300, 100, {0, 0, TN_IMAGE_COVER, 0, 80}, {300, 100, 300, 100}},
        {300, 100, {0, 0, TN_IMAGE_FILL, 0, 80}, {300, 100, 300, 100}},
        /* one side */
        {300, 100, {150, 0, TN_IMAGE_COVER, 0, 80}, {150, 50, 150, 50}},
        {300, 100, {0, 50, TN_IMAGE_CONTAIN, 0, 80}, {150, 50, 150, 50}},
        {300, 100, {150, 0, TN_IMAGE_FILL, 0, 80}, {150, 100, 150, 100}},
        {300, 100, {0, 50, TN_IMAGE_FILL, 0, 80}, {300, 50, 300, 50}},
        /* both */
        {300, 100, {50, 50, TN_IMAGE_COVER, 0, 80}, {150, 50, 50, 50}},
        {100, 300, {50, 50, TN_IMAGE_COVER, 0, 80}, {50, 150, 50, 50}},
        {300, 100, {50, 50, TN_IMAGE_CONTAIN, 0, 80}, {50, 17, 50, 17}},
        {100, 300, {50, 50, TN_IMAGE_CONTAIN, 0, 80}, {17, 50, 17, 50}},
        {300, 100, {50, 50, TN_IMAGE_FILL, 0, 80}, {50, 50, 50, 50}},
        /* more than there is: nothing is enlarged */
        {300, 100, {600, 600, TN_IMAGE_CONTAIN, 0, 80}, {300, 100, 300, 100}},
        {300, 100, {600, 600, TN_IMAGE_COVER, 0, 80}, {300, 100, 300, 100}},
        {300, 100, {600, 50, TN_IMAGE_COVER, 0, 80}, {300, 100, 300, 50}},
        {300, 100, {600, 600, TN_IMAGE_FILL, 0, 80}, {100, 100, 100, 100}},
        {300, 100, {2000, 0, TN_IMAGE_FILL, 0, 80}, {300, 15, 300, 15}},
        {300, 100, {0, 2000, TN_IMAGE_COVER, 0, 80}, {300, 100, 300, 100}},
        /* never nothing */
        {10000, 1, {10, 0, TN_IMAGE_COVER, 0, 80}, {10, 1, 10, 1}},
        {1, 10000, {0, 10, TN_IMAGE_CONTAIN, 0, 80}, {1, 10, 1, 10}},
        {1, 1, {2000, 2000, TN_IMAGE_FILL, 0, 80}, {1, 1, 1, 1}},
        {65535, 2, {2000, 1, TN_IMAGE_COVER, 0, 80}, {32768, 1, 2000, 1}},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        const tn_image_layout layout =
            tn_image_lay_out(cases[i].width, cases[i].height, &cases[i].wish);

        assert_int_equal(layout.width, cases[i].expected.width);
        assert_int_equal(layout.height, cases[i].expected.height);
        assert_int_equal(layout.crop_width, cases[i].expected.crop_width);
        assert_int_equal(layout.crop_height, cases[i].expected.crop_height);
    }
}

/* Whatever is wanted: at least one pixel, never more than the picture has, and what is kept is a
 * part of what is scaled. */
static void
never_enlarges(void **state)
{
    static const int sides[] = {1, 2, 3, 7, 99, 640, 2000, 65535};
    static const int wishes[] = {0, 1, 2, 99, 1999, 2000};

    (void)state;
    for (size_t w = 0; w < TN_COUNT(sides) * TN_COUNT(sides); w++)
        for (size_t i = 0; i < TN_COUNT(wishes) * TN_COUNT(wishes) * 3; i++) {
            const int width = sides[w % TN_COUNT(sides)], height = sides[w / TN_COUNT(sides)];
            const tn_image_wish wish = {.fit = (int)(i % 3),
                                        .width = wishes[i / 3 % TN_COUNT(wishes)],
                                        .height = wishes[i / 3 / TN_COUNT(wishes)]};
            const tn_image_layout layout = tn_image_lay_out(width, height, &wish);

            assert_in_range(layout.width, 1, width);
            assert_in_range(layout.height, 1, height);
            assert_in_range(layout.crop_width, 1, layout.width);
            assert_in_range(layout.crop_height, 1, layout.height);
            if (wish.width > 0)
                assert_true(layout.crop_width <= wish.width || wish.fit != TN_IMAGE_CONTAIN);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lays_out),
        cmocka_unit_test(never_enlarges),
    };

    return tn_unit_run("image_layout", tests, TN_COUNT(tests));
}
