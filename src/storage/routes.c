/* storage/routes.c: what /storage/v1 answers: Supabase Storage */
#include "storage/storage.h"

static const tn_route routes[] = {
    {.method = NULL},
};

const tn_area tn_storage_area = {
    .name = "storage",
    .prefix = "/storage/v1",
    .routes = routes,
    .render_error = tn_render_error,
};
