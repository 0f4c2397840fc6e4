/* auth/passkey_admin.c: people's passkeys, for the operator (auth-js: admin.passkey.*) */
#include "auth/factor.h"
#include "auth/queries.h"
#include "auth/users.h"

/* GET /auth/v1/admin/users/{id}/passkeys */
const tn_error *
tn_admin_passkeys_list(tn_ctx *c)
{
    tn_uuid tenant, person;
    const tn_rows *rows;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_path_uuid(c, "id", &person));
    TN_TRY(tn_auth_query(c, &tenant, TN_READ_ONLY, &tn_sql_auth_admin_passkeys,
                         TN_PARAMS(person.text), &rows));
    if (tn_rows_text(rows, 0, 0) == NULL)
        return tn_auth_refuse(c, "user_not_found");
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

/* DELETE /auth/v1/admin/users/{id}/passkeys/{passkey_id} */
const tn_error *
tn_admin_passkeys_delete(tn_ctx *c)
{
    tn_uuid tenant, person, passkey;
    const tn_rows *rows;

    TN_TRY(tn_auth_require_admin(c, &tenant));
    TN_TRY(tn_auth_path_uuid(c, "id", &person));
    TN_TRY(tn_auth_path_uuid(c, "passkey_id", &passkey));
    TN_TRY(tn_auth_query(
        c, &tenant, TN_READ_WRITE, &tn_sql_auth_admin_passkey_delete,
        TN_PARAMS(person.text, passkey.text, tn_request_client_address(c->request)), &rows));
    if (!tn_rows_bool(rows, 0, 0))
        return tn_error_new(c->arena, 404, "validation_failed", NULL, "Passkey not found");
    return tn_respond_empty(c, 204);
}
