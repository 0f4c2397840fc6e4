/* auth/users.h: what the files about accounts and their management share
 *
 * Threads: any.
 */
#ifndef TN_AUTH_USERS_H
#define TN_AUTH_USERS_H

#include "identity/ctx.h"

/* --- outcomes and errors (outcome.c) ---------------------------------------------------------- */

/* The error for a word that SQL has answered with: "email_exists" … */
const tn_error *tn_auth_refuse(const tn_ctx *c, const char *outcome) TN_NEVER_NULL TN_MUST_CHECK;

/* tn_auth_query() that writes, where triggers and constraints of the app's own may say no: what
 * they say is the answer. */
const tn_error *tn_auth_change(tn_ctx *c, const tn_uuid *tenant, const tn_statement *statement,
                               const char *const *parameters, size_t count,
                               const tn_rows **rows) TN_MUST_CHECK;

/* A {name} of the path that is a UUID: 404 `validation_failed` when it is none. */
const tn_error *tn_auth_path_uuid(tn_ctx *c, const char *name, tn_uuid *uuid) TN_MUST_CHECK;

/* --- pages of lists (page.c) ------------------------------------------------------------------ */

typedef struct tn_auth_page {
    int64_t number, size;     /* from 1 */
    const char *first, *most; /* rows to leave out and to give: parameters of SQL */
} tn_auth_page;

/* `page` and `per_page` of the query; absent and empty are 1 and 50. 400 `validation_failed`. */
const tn_error *tn_auth_page_read(const tn_ctx *c, tn_auth_page *page) TN_MUST_CHECK;

/* X-Total-Count and Link (RFC 8288), in the form that auth-js takes apart: `page` is the first
 * member of the query. `path` is relative to /auth/v1: "/admin/users". */
void tn_auth_page_headers(tn_ctx *c, const tn_auth_page *page, const char *path, int64_t total);

/* --- JSON for SQL (attributes.c) -------------------------------------------------------------- */

/* An object to be filled with json-c; the request's arena owns it. */
json_object *tn_auth_object(const tn_ctx *c) TN_NEVER_NULL;

/* A member that is a text; NULL leaves it out. */
void tn_auth_object_text(json_object *object, const char *name, const char *text);

/* A duration as Go writes it ("1h30m", "24h") in seconds; false when it is none. */
bool tn_auth_duration(const char *text, double *seconds);

/* What an admin's request says of a person, read and checked, as SQL wants it
 * (auth.apply_attributes()).
 */
typedef struct tn_auth_attributes {
    const char *email;    /* in lower case, or NULL */
    const char *password; /* as it came, not hashed, or NULL */
    json_object *object;  /* everything but the password's hash */
} tn_auth_attributes;

const tn_error *tn_auth_attributes_read(tn_ctx *c, tn_auth_attributes *out) TN_MUST_CHECK;

/* --- handlers --------------------------------------------------------------------------------- */

const tn_error *tn_auth_user_update(tn_ctx *c);
const tn_error *tn_auth_user_delete(tn_ctx *c);
const tn_error *tn_auth_user_export(tn_ctx *c);
const tn_error *tn_auth_user_audit(tn_ctx *c);
const tn_error *tn_auth_reauthenticate(tn_ctx *c);
const tn_error *tn_auth_sessions_list(tn_ctx *c);
const tn_error *tn_auth_sessions_delete(tn_ctx *c);

const tn_error *tn_admin_users_list(tn_ctx *c);
const tn_error *tn_admin_users_create(tn_ctx *c);
const tn_error *tn_admin_users_get(tn_ctx *c);
const tn_error *tn_admin_users_update(tn_ctx *c);
const tn_error *tn_admin_users_delete(tn_ctx *c);
const tn_error *tn_admin_factors_list(tn_ctx *c);
const tn_error *tn_admin_factors_update(tn_ctx *c);
const tn_error *tn_admin_factors_delete(tn_ctx *c);
const tn_error *tn_admin_sessions_list(tn_ctx *c);
const tn_error *tn_admin_sessions_delete(tn_ctx *c);
const tn_error *tn_admin_audit(tn_ctx *c);
const tn_error *tn_admin_invite(tn_ctx *c);
const tn_error *tn_admin_generate_link(tn_ctx *c);

#endif
