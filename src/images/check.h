/* images/check.h: whether the sandbox holds, and whether pictures can be made in it
 *
 * Threads: the only one.
 */
#ifndef TN_IMAGES_CHECK_H
#define TN_IMAGES_CHECK_H

/* `tenon-image --check`: tries in confined processes what must not work, then each format; prints
 * a line for each. Returns the exit code. */
int tn_image_check(void);

#endif
