/* images/protocol.h: what tenon and tenon-image say to each other
 *
 * A job is one message of fixed size on the socket that the master has made before it forked, with
 * three descriptors: the source (readable), the output (writable, empty), and a socket for the
 * verdict. Both programs are of the same build; a job of another one is refused by its version.
 *
 * Threads: no state.
 */
#ifndef TN_IMAGES_PROTOCOL_H
#define TN_IMAGES_PROTOCOL_H

#include <stdint.h>

#define TN_IMAGE_PROTOCOL 0x746e6901 /* changes with the structs below */

#define TN_IMAGE_SIDE_MAX 2000
#define TN_IMAGE_PROCESSES_MAX 64

typedef enum tn_image_fit {
    TN_IMAGE_COVER,   /* fills the box, what sticks out is cut off */
    TN_IMAGE_CONTAIN, /* as large as fits into the box */
    TN_IMAGE_FILL     /* exactly the box, whatever becomes of the proportions */
} tn_image_fit;

typedef enum tn_image_format {
    TN_IMAGE_ORIGIN, /* as the source is */
    TN_IMAGE_JPEG,
    TN_IMAGE_PNG,
    TN_IMAGE_WEBP,
    TN_IMAGE_GIF,
    TN_IMAGE_AVIF,
    TN_IMAGE_FORMATS
} tn_image_format;

/* What is wanted. Width or height 0: as the other one and the source's proportions say. */
typedef struct tn_image_wish {
    int32_t width, height; /* 0 to TN_IMAGE_SIDE_MAX */
    int32_t fit;           /* tn_image_fit */
    int32_t format;        /* tn_image_format */
    int32_t quality;       /* 20 to 100 */
} tn_image_wish;

typedef struct tn_image_limits {
    int64_t pixels;     /* of the source */
    int64_t memory_mib; /* of the process that does it, besides what it has before it begins */
    int64_t timeout_s;
    int64_t processes; /* at once */
} tn_image_limits;

typedef struct tn_image_job {
    uint32_t protocol; /* TN_IMAGE_PROTOCOL */
    tn_image_wish wish;
    tn_image_limits limits;
} tn_image_job;

typedef enum tn_image_outcome {
    TN_IMAGE_MADE,
    TN_IMAGE_NOT_AN_IMAGE, /* or none of the formats that are read */
    TN_IMAGE_TOO_MANY_PIXELS,
    TN_IMAGE_BROKEN,        /* damaged, cut off */
    TN_IMAGE_TOO_EXPENSIVE, /* of memory, time or output; or what reads it has crashed */
    TN_IMAGE_REFUSED,       /* the job makes no sense to this tenon-image */
    TN_IMAGE_FAULT,         /* our own: no process, no sandbox */
    TN_IMAGE_OUTCOMES
} tn_image_outcome;

typedef struct tn_image_verdict {
    int32_t outcome; /* tn_image_outcome */
    int32_t format;  /* TN_IMAGE_MADE: what the output is, never TN_IMAGE_ORIGIN */
    int32_t end;     /* how the process has ended, when not by itself: a signal, or -exit code */
} tn_image_verdict;

#endif
