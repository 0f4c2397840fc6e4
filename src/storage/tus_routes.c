/* storage/tus_routes.c: resumable uploads */
#include "storage/storage.h"

static const tn_route routes[] = {
    {.method = NULL},
};

const tn_area tn_storage_tus_area = {
    .name = "storage_tus",
    .prefix = "/storage/v1/upload/resumable",
    .routes = routes,
    .render_error = tn_render_error,
};
