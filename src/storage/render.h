/* storage/render.h: what is wanted of a picture, and the pictures that have been made
 *
 * Threads: any.
 */
#ifndef TN_STORAGE_RENDER_H
#define TN_STORAGE_RENDER_H

#include "identity/ctx.h"
#include "images/protocol.h"
#include "objects/object.h"

/* --- what is wanted (render_wish.c) ----------------------------------------------------------- */

typedef struct tn_render_wish {
    tn_image_wish image;
    bool by_accept;   /* the format depends on what the client says it takes */
    const char *text; /* X-Transformations: "height:100,width:200,resize:cover,quality:80" */
} tn_render_wish;

/* By the query: width, height, resize, quality, format. 400 `validation_failed`, worded as in
 * "querystring/width must be integer". What it does not know is ignored. */
const tn_error *tn_render_wish_of_query(tn_ctx *c, tn_render_wish *wish) TN_MUST_CHECK;

/* By the claims of a signed URL, either of which may be NULL. Ours are never wrong, so what cannot
 * be read there is 400 `InvalidSignature`. */
const tn_error *tn_render_wish_of_claims(tn_ctx *c, const char *transformations, const char *format,
                                         tn_render_wish *wish) TN_MUST_CHECK;

/* --- what has been made (render_cache.c) ------------------------------------------------------ */

/* A picture, or what was wrong with it. */
typedef struct tn_rendered {
    int fd; /* of the file, at its beginning, open until the request is over */
    int64_t size;
    tn_image_format format;
    const char *refusal;    /* NULL: it is a picture */
    const char *accel_path; /* where nginx finds it; NULL: it is in no folder */
} tn_rendered;

/* Names a picture: the same for the same bytes and the same wish. 32 hexadecimal digits. */
const char *tn_render_digest(tn_arena *arena, const tn_object *object,
                             const tn_image_wish *wish) TN_NEVER_NULL TN_MUST_CHECK;

/* Makes the picture into the empty file `output`. */
typedef const tn_error *tn_render_make(void *context, int output, tn_image_format *format);

/* The picture of that digest: from the folder of pictures, or made and put there. Who else wants it
 * meanwhile waits for it, up to `wait_ms` (503 `images_unavailable`). That a picture cannot be made
 * (400) is remembered for some minutes. */
const tn_error *tn_render_cached(tn_ctx *c, const tn_object *object, const char *digest,
                                 int64_t wait_ms, tn_render_make *make, void *context,
                                 tn_rendered *rendered) TN_MUST_CHECK;

/* The same without the folder. */
const tn_error *tn_render_uncached(tn_ctx *c, bool in_memory, tn_render_make *make, void *context,
                                   tn_rendered *rendered) TN_MUST_CHECK;

/* --- handlers (render.c) ---------------------------------------------------------------------- */

const tn_error *tn_render_public(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_render_authenticated(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_render_signed(tn_ctx *c) TN_MUST_CHECK;

#endif
