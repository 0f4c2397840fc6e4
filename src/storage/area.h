/* storage/area.h: what the files of this room share
 *
 * Threads: any.
 */
#ifndef TN_STORAGE_AREA_H
#define TN_STORAGE_AREA_H

#include "db/error.h"
#include "identity/ctx.h"
#include "objects/object.h"
#include "storage/signed.h"

/* Everybody with a key or a token, of a role of the app's own too; and everybody. */
#define TN_STORAGE_CALLERS (TN_ANY_KEY | TN_ROLE_CUSTOM)
#define TN_STORAGE_ANYBODY (TN_ANYBODY | TN_ROLE_CUSTOM)

/* --- errors (error.c) ------------------------------------------------------------------------- */

/* Supabase's form: {"statusCode","error","message","code"}, HTTP 400 for nearly everything. */
void tn_storage_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                             tn_response *response);

/* PostgreSQL's words → those of storage: AccessDenied, BucketAlreadyExists, ResourceNotEmpty … */
const tn_error *tn_storage_translate(tn_arena *arena,
                                     const tn_db_problem *problem) TN_NEVER_NULL TN_MUST_CHECK;

/* 404 `NoSuchBucket`, `NoSuchKey`. */
const tn_error *tn_storage_no_bucket(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;
const tn_error *tn_storage_no_object(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;
/* 403 `secret_key_required` to everybody but the service role. */
const tn_error *tn_storage_require_service(tn_ctx *c) TN_MUST_CHECK;

/* --- who (identify.c) ------------------------------------------------------------------------- */

/* Who calls routes that need no key: of a signed URL (query `token`; of resumable uploads the
 * header `x-signature`, and never the other) nobody in particular, in the tenant that the token
 * names: what it allows is in the token (storage/signed.h). Of a public one nobody, in the tenant
 * of the query member `tenant` (name or id), of the key, or in data.default_tenant. Where a key may
 * be left out, a bad one is none. Everybody else as everywhere. */
const tn_error *tn_storage_identify(const tn_process *process, const tn_area *area,
                                    const tn_route *route, const tn_request *request,
                                    tn_arena *arena, struct tn_principal *who) TN_MUST_CHECK;
/* The `sub` of the caller's token, any text: whose becomes what the caller makes. NULL: nobody's.
 */
const char *tn_storage_subject(tn_ctx *c) TN_MUST_CHECK;
/* What the token of this request allows: of the caller's tenant, and for this (TN_SIGNED_…). Errors
 * as of tn_signed_check(). */
const tn_error *tn_storage_signed(tn_ctx *c, const char *scope, const char *bucket,
                                  const char *name, tn_signed *what) TN_MUST_CHECK;

/* --- bodies (body.c) -------------------------------------------------------------------------- */

/* The body as a JSON object; an empty one is {}. The readers below leave `into` as it is when the
 * member is absent or null; what cannot be taken is 400 `validation_failed` and names the member,
 * as in "body/expiresIn must be >= 1". Numbers and booleans may be texts. */
const tn_error *tn_storage_body(tn_ctx *c, json_object **body) TN_MUST_CHECK;
const tn_error *tn_storage_text(tn_ctx *c, json_object *body, const char *name,
                                const char **into) TN_MUST_CHECK;
const tn_error *tn_storage_flag(tn_ctx *c, json_object *body, const char *name,
                                bool *into) TN_MUST_CHECK;
const tn_error *tn_storage_number(tn_ctx *c, json_object *body, const char *name, int64_t min,
                                  int64_t max, int64_t *into) TN_MUST_CHECK;
/* One of `choices`, which NULL ends. */
const tn_error *tn_storage_choice(tn_ctx *c, json_object *body, const char *name,
                                  const char *const *choices, const char **into) TN_MUST_CHECK;
/* An object, NULL when it is absent. */
const tn_error *tn_storage_object(tn_ctx *c, json_object *body, const char *name,
                                  json_object **into) TN_MUST_CHECK;
/* From `min` to `max` texts; absent: none, and an error when `min` is more. */
const tn_error *tn_storage_texts(tn_ctx *c, json_object *body, const char *name, size_t min,
                                 size_t max, const char *const **into, size_t *count) TN_MUST_CHECK;
/* 400 when `value` is NULL: the member is required. */
const tn_error *tn_storage_required(tn_ctx *c, const char *name, const void *value) TN_MUST_CHECK;
const tn_error *tn_storage_invalid(tn_arena *arena, const char *format,
                                   ...) TN_NEVER_NULL TN_MUST_CHECK TN_PRINTF(2, 3);

/* --- database and answers (answer.c) ---------------------------------------------------------- */

/* One query as the caller within storage.operation, in one round trip. */
const tn_error *tn_storage_rows(tn_ctx *c, const char *operation, tn_access access,
                                const tn_statement *statement, const char *const *parameters,
                                size_t count, const tn_rows **rows) TN_MUST_CHECK;

/* 200 with JSON that nobody may keep; {"message": …}. Always NULL. */
const tn_error *tn_storage_json(tn_ctx *c, const char *json);
const tn_error *tn_storage_message(tn_ctx *c, const char *message);

/* The row as Supabase Storage gives it. */
void tn_storage_append_row(PQExpBuffer json, const tn_object *object);
/* "<bucket>/<name>" */
const char *tn_storage_key(tn_arena *arena, const char *bucket,
                           const char *name) TN_NEVER_NULL TN_MUST_CHECK;

/* Content-Disposition as the query member `download` wants it; NULL: it is not there. (download.c)
 */
const char *tn_storage_disposition(const tn_ctx *c) TN_MUST_CHECK;

/* --- handlers --------------------------------------------------------------------------------- */

const tn_error *tn_storage_bucket_create(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_bucket_list(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_bucket_get(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_bucket_update(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_bucket_empty(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_bucket_delete(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_bucket_feature(tn_ctx *c) TN_MUST_CHECK;

const tn_error *tn_storage_upload_admit(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_upload(tn_ctx *c) TN_MUST_CHECK;

const tn_error *tn_storage_download(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_download_public(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_download_signed(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_info(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_info_public(tn_ctx *c) TN_MUST_CHECK;

const tn_error *tn_storage_list(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_list_v2(tn_ctx *c) TN_MUST_CHECK;

const tn_error *tn_storage_sign(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_sign_many(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_sign_upload(tn_ctx *c) TN_MUST_CHECK;

const tn_error *tn_storage_move(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_copy(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_remove(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_remove_many(tn_ctx *c) TN_MUST_CHECK;

const tn_error *tn_storage_purge(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_health(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_status(tn_ctx *c) TN_MUST_CHECK;
const tn_error *tn_storage_version(tn_ctx *c) TN_MUST_CHECK;

#endif
