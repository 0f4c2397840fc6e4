/* storage/plain.c: one POST, for people with curl */
#include "storage/storage.h"

static const tn_route routes[] = {
    {.method = NULL},
};

const tn_area tn_storage_plain_area = {
    .name = "storage_plain",
    .prefix = "/api/storage",
    .routes = routes,
    .render_error = tn_render_error,
};
