/* images/layout.h: from the size of a picture and what is wanted to the sizes to make
 *
 * As imgproxy does it for Supabase: nothing is enlarged. A box that is larger than the picture is
 * made smaller, with its proportions kept where it is filled or covered.
 *
 * Threads: no state.
 */
#ifndef TN_IMAGES_LAYOUT_H
#define TN_IMAGES_LAYOUT_H

#include "images/protocol.h"

typedef struct tn_image_layout {
    int width, height;           /* scale the picture to this */
    int crop_width, crop_height; /* then keep so much of its middle; never larger */
} tn_image_layout;

/* The picture is at least 1×1, after its orientation has been applied. */
tn_image_layout tn_image_lay_out(int width, int height, const tn_image_wish *wish);

#endif
