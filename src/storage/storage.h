/* storage/storage.h: the door of the storage areas: files, in four dialects over one object model
 *
 * Threads: any.
 */
#ifndef TN_STORAGE_STORAGE_H
#define TN_STORAGE_STORAGE_H

#include "http/route.h"

extern const tn_area tn_storage_area;        /* /storage/v1: Supabase Storage */
extern const tn_area tn_storage_render_area; /* /storage/v1/render: transformed images */
extern const tn_area tn_storage_tus_area;    /* /storage/v1/upload/resumable: tus 1.0 */
extern const tn_area tn_storage_s3_area;     /* /storage/v1/s3: Amazon S3 */
extern const tn_area tn_storage_plain_area;  /* /api/storage: one POST, for curl */

#endif
