/* images/images.h: the door: pictures are made elsewhere, and waited for
 *
 * `tenon` neither reads pictures nor loads libvips. tenon-image does, a process for each picture,
 * which may do nothing but compute (images/sandbox.h): what a picture does to it costs the one
 * request that wanted it. The master keeps tenon-image running (server/helper.h).
 *
 * Threads: any.
 */
#ifndef TN_IMAGES_IMAGES_H
#define TN_IMAGES_IMAGES_H

#include "base/error.h"
#include "images/protocol.h"

/* Reads the picture `source` from its beginning, writes the new one to `output`, which is empty,
 * and says of which format it is (never TN_IMAGE_ORIGIN). `socket` is the master's. A thread that
 * calls it waits for the whole of it, in a queue as well: up to three times the time that one may
 * take.
 *
 * Errors: 400 `InvalidRequest` when the picture is at fault; 503 `images_unavailable` when
 * tenon-image does not answer, or others are before it for too long; 500. */
const tn_error *tn_image_make(tn_arena *arena, int socket, const tn_image_job *job, int source,
                              int output, tn_image_format *made) TN_MUST_CHECK;

/* "image/webp"; of TN_IMAGE_ORIGIN "application/octet-stream". */
const char *tn_image_content_type(tn_image_format format) TN_NEVER_NULL;

#endif
