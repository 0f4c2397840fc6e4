/* storage/s3_routes.c: Amazon S3 */
#include "storage/storage.h"

static const tn_route routes[] = {
    {.method = NULL},
};

const tn_area tn_storage_s3_area = {
    .name = "storage_s3",
    .prefix = "/storage/v1/s3",
    .routes = routes,
    .render_error = tn_render_error,
};
