/* areas.c: everything that this program serves */
#include "areas.h"

#include "auth/auth.h"
#include "chat/chat.h"
#include "data/data.h"
#include "jobs/jobs.h"
#include "mail/mail.h"
#include "objects/store.h"
#include "objects/sweeper.h"
#include "storage/storage.h"

/* What is under no area's prefix: nothing, said in our own dialect. */
static const tn_route no_routes[] = {{.method = NULL}};
static const tn_area elsewhere = {
    .name = "elsewhere", .prefix = "", .routes = no_routes, .render_error = tn_render_error};

static const tn_area *const areas[] = {
    &tn_auth_area,
    &tn_chat_area,
    &tn_data_area,
    &tn_data_plain_area,
    &tn_storage_area,
    &tn_storage_render_area,
    &tn_storage_tus_area,
    &tn_storage_s3_area,
    &tn_storage_plain_area,
    &elsewhere,
    NULL,
};

static const tn_service *const services[] = {&tn_mail_service, &tn_objects_service, NULL};

const tn_application tn_application_all = {
    .areas = areas,
    .services = services,
    .store_new = tn_store_new,
    .store_free = tn_store_free,
    .helper = "tenon-image",
    .heartbeat = tn_jobs_heartbeat,
    .farewell = tn_jobs_farewell,
    .fail_worker = tn_jobs_fail_worker,
    .run_jobs = tn_jobs_run,
};
