/* storage/render_routes.c: transformed images */
#include "storage/storage.h"

static const tn_route routes[] = {
    {.method = NULL},
};

const tn_area tn_storage_render_area = {
    .name = "storage_render",
    .prefix = "/storage/v1/render",
    .routes = routes,
    .render_error = tn_render_error,
};
