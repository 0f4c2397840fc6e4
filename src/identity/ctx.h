/* identity/ctx.h: all a handler may touch
 *
 * Threads: a context belongs to the thread that serves its request.
 */
#ifndef TN_IDENTITY_CTX_H
#define TN_IDENTITY_CTX_H

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/uuid.h"
#include "db/database.h"
#include "http/request.h"
#include "http/response.h"
#include "http/route.h"
#include "identity/principal.h"
#include "identity/process.h"

struct tn_ctx {
    tn_arena *arena; /* freed when the request is over */
    const tn_request *request;
    tn_response *response;
    const tn_principal *who;
    const tn_config *config;
    const tn_process *process;
    const tn_match *match;
    void *state; /* of the area, from its start() */
};

/* --- input ---------------------------------------------------------------------------------- */

/* A {name} of the path; as UUID: what is not one is 404 (such a thing cannot exist). */
const char *tn_path_text(const tn_ctx *c, const char *name) TN_NEVER_NULL;
const tn_error *tn_path_uuid(tn_ctx *c, const char *name, tn_uuid *uuid) TN_MUST_CHECK;

/* The body as a JSON object: 400 `bad_json`, 400 `validation_failed` when it is no object. An empty
 * body is an empty object. The object lives as long as the request. */
const tn_error *tn_body_object(tn_ctx *c, json_object **object) TN_MUST_CHECK;

/* Members of a JSON object read into a struct, in the manner of STYLE section 5. A member that is
 * not in the table is 400 `unknown_field`; a wrong type or length is 400 `validation_failed`,
 * naming the member. JSON null equals absent, unless the field asks with `present`. What is absent
 * leaves the struct as it was, but for booleans, which are -1 then. */
typedef enum tn_field_type {
    TN_FIELD_TEXT,
    TN_FIELD_BOOL,
    TN_FIELD_INT,
    TN_FIELD_UUID,
    TN_FIELD_JSON
} tn_field_type;

typedef struct tn_field {
    const char *name; /* NULL ends the table */
    size_t
        offset;  /* of const char *, int (tri-state: -1 absent), int64_t, tn_uuid, json_object * */
    int64_t max; /* text: characters, 0 any number; int: largest value (smallest: 0) */
    tn_field_type type;
    size_t
        present; /* offset + 1 of a bool told whether the member was there (even null); 0: none */
} tn_field;
const tn_error *tn_object_fields(tn_ctx *c, json_object *object, const tn_field *fields,
                                 void *into) TN_MUST_CHECK;
const tn_error *tn_body_fields(tn_ctx *c, const tn_field *fields, void *into) TN_MUST_CHECK;

/* The same for protocols that ignore members they do not know (Supabase's, OpenAI's). */
const tn_error *tn_object_known_fields(tn_ctx *c, json_object *object, const tn_field *fields,
                                       void *into) TN_MUST_CHECK;

/* --- database ------------------------------------------------------------------------------- */

/* The transaction context of the caller, with or without another role in its place. */
tn_db_context tn_ctx_db(const tn_ctx *c);
tn_db_context tn_ctx_db_as(const tn_ctx *c, const char *role);

/* One query as the caller, in its own transaction. `row` of tn_tx_row is NULL when there is none.
 */
const tn_error *tn_tx_rows(tn_ctx *c, tn_access access, const tn_statement *statement,
                           const char *const *parameters, size_t count,
                           const tn_rows **rows) TN_MUST_CHECK;
/* As tenon_worker: the server's own bookkeeping within the caller's tenant. */
const tn_error *tn_tx_worker(tn_ctx *c, tn_access access, const tn_statement *statement,
                             const char *const *parameters, size_t count,
                             const tn_rows **rows) TN_MUST_CHECK;

/* --- answer --------------------------------------------------------------------------------- */

const tn_error *tn_respond_json(tn_ctx *c, int status, const char *json); /* always NULL */
const tn_error *tn_respond_empty(tn_ctx *c, int status);                  /* always NULL */

#endif
