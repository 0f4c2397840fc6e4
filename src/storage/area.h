/* storage/area.h: what the files of this room share
 *
 * Threads: any.
 */
#ifndef TN_STORAGE_AREA_H
#define TN_STORAGE_AREA_H

#include "identity/ctx.h"

/* Supabase's form: {"statusCode","error","message","code"}, HTTP 400 for nearly everything. */
void tn_storage_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                             tn_response *response);

/* Who calls routes that need no key: of a signed URL (query `token`) the server itself in the
 * tenant that the token names, with its `owner`; of a public one nobody, in the tenant of the query
 * member `tenant` (name or id) or in data.default_tenant. Everybody else as everywhere. */
const tn_error *tn_storage_identify(const tn_process *process, const tn_area *area,
                                    const tn_route *route, const tn_request *request,
                                    tn_arena *arena, struct tn_principal *who) TN_MUST_CHECK;

#endif
