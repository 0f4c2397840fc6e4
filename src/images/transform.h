/* images/transform.h: one picture, from descriptor to descriptor, by libvips
 *
 * Threads: tn_transform_start() before any fork, tn_transform() once in a process of its own.
 */
#ifndef TN_IMAGES_TRANSFORM_H
#define TN_IMAGES_TRANSFORM_H

#include <stdbool.h>

#include "base/attributes.h"
#include "images/protocol.h"

/* Loads libvips and closes all of its doors but those for the formats that are read here. Starts no
 * thread. false: it does not work here. */
bool tn_transform_start(const char *program) TN_MUST_CHECK;

tn_image_verdict tn_transform(const tn_image_job *job, int source, int output) TN_MUST_CHECK;

#endif
