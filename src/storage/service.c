/* storage/service.c: what is asked about the service itself */
#include "storage/area.h"

/* DELETE /storage/v1/cdn/…: there is no cache in front that would have to forget it. */
const tn_error *
tn_storage_purge(tn_ctx *c)
{
    TN_TRY(tn_storage_require_service(c));
    return tn_storage_message(c, "success");
}

/* GET /storage/v1/health */
const tn_error *
tn_storage_health(tn_ctx *c)
{
    return tn_storage_json(c, "{\"healthy\":true}");
}

/* GET /storage/v1/status */
const tn_error *
tn_storage_status(tn_ctx *c)
{
    return tn_respond_empty(c, 200);
}

/* GET /storage/v1/version */
const tn_error *
tn_storage_version(tn_ctx *c)
{
    tn_response_text(c->response, 200, "text/plain; charset=utf-8", PACKAGE_VERSION,
                     sizeof(PACKAGE_VERSION) - 1);
    return NULL;
}
