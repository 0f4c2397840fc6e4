/* images/layout.c: sizes */
#include "images/layout.h"

static int
scaled(int length, double shrink)
{
    const int result = (int)(length / shrink + 0.5);

    return result < 1 ? 1 : result;
}

static int
smaller(int a, int b)
{
    return a < b ? a : b;
}

tn_image_layout
tn_image_lay_out(int width, int height, const tn_image_wish *wish)
{
    double across = wish->width > 0 ? (double)width / wish->width : 1;
    double down = wish->height > 0 ? (double)height / wish->height : 1;
    tn_image_layout layout;

    if (wish->fit != TN_IMAGE_FILL) {
        if (wish->width == 0)
            across = down;
        else if (wish->height == 0)
            down = across;
        else
            across = down = (wish->fit == TN_IMAGE_COVER) == (across < down) ? across : down;
    }
    if (across < 1) { /* would enlarge: so much less on the other side */
        down /= across;
        across = 1;
    }
    if (down < 1) {
        across /= down;
        down = 1;
    }
    layout.width = scaled(width, across);
    layout.height = scaled(height, down);
    layout.crop_width = layout.width;
    layout.crop_height = layout.height;
    if (wish->fit == TN_IMAGE_COVER && wish->width > 0 && wish->height > 0) {
        layout.crop_width = smaller(layout.width, wish->width);
        layout.crop_height = smaller(layout.height, wish->height);
    }
    return layout;
}
