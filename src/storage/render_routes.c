/* storage/render_routes.c: transformed images */
#include "storage/area.h"
#include "storage/render.h"
#include "storage/storage.h"

static const tn_route routes[] = {
    {"GET", "/storage/v1/render/image/public/{bucket}/{name...}", tn_render_public,
     .scope = TN_SCOPE_BY_POLICY, .limit = TN_LIMIT_READ, .roles = TN_STORAGE_ANYBODY,
     .waits = true, .summary = "An image of a public bucket in another size or format"},
    {"GET", "/storage/v1/render/image/authenticated/{bucket}/{name...}", tn_render_authenticated,
     .scope = TN_SCOPE_BY_POLICY, .limit = TN_LIMIT_READ, .roles = TN_STORAGE_CALLERS,
     .waits = true, .summary = "An image in another size or format"},
    {"GET", "/storage/v1/render/image/sign/{bucket}/{name...}", tn_render_signed,
     .limit = TN_LIMIT_READ, .roles = TN_ROLE_NONE, .waits = true,
     .summary = "An image as a signed URL says"},
    {.method = NULL},
};

const tn_area tn_storage_render_area = {
    .name = "storage_render",
    .prefix = "/storage/v1/render",
    .routes = routes,
    .any_role = true,
    .identify = tn_storage_identify,
    .render_error = tn_storage_render_error,
};
