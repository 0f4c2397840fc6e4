/* auth/user_delete.c: the end of an account, by its person */
#include <string.h>

#include "auth/account.h"
#include "auth/area.h"
#include "auth/queries.h"
#include "auth/users.h"
#include "base/text.h"

struct proof {
    const char *password, *nonce;
};

static const tn_field proof_fields[] = {
    {.name = "password", .offset = offsetof(struct proof, password)},
    {.name = "nonce", .offset = offsetof(struct proof, nonce)},
    {.name = NULL},
};

/* Somebody's open laptop must not be enough: the password, a code, or a sign-in of a moment ago.
 * Who is anonymous has nothing that could be asked for. */
static const tn_error *
check_proof(tn_ctx *c, const struct proof *in, const tn_account *account)
{
    bool is_right;

    if (account->needs_second_factor)
        return tn_auth_refuse(c, "insufficient_aal");
    if (tn_text_is_given(in->password)) {
        TN_TRY(tn_account_try_password(c, account, in->password, &is_right));
        return is_right ? NULL
                        : tn_error_new(c->arena, 400, "current_password_invalid", NULL,
                                       "This is not the password of the account");
    }
    if (tn_text_is_given(in->nonce) || account->is_fresh || account->is_anonymous)
        return NULL;
    return tn_error_new(c->arena, 400, "reauthentication_needed",
                        "Sign in again, or send password, or nonce from GET /reauthenticate.",
                        "Deleting the account requires reauthentication");
}

/* DELETE /auth/v1/user */
const tn_error *
tn_auth_user_delete(tn_ctx *c)
{
    struct proof in = {0};
    const char *outcome;
    tn_account account;
    json_object *body;
    const tn_rows *rows;

    TN_TRY(tn_auth_require_person(c));
    TN_TRY(tn_body_object(c, &body));
    TN_TRY(tn_object_known_fields(c, body, proof_fields, &in));
    TN_TRY(tn_account_find(c, NULL, NULL, &account));
    TN_TRY(check_proof(c, &in, &account));
    TN_TRY(tn_auth_change(c, &c->who->tenant_id, &tn_sql_auth_user_delete,
                          TN_PARAMS(c->who->user_id.text,
                                    tn_text_is_given(in.password) ? account.hash : NULL,
                                    tn_text_is_given(in.nonce) && !tn_text_is_given(in.password)
                                        ? tn_account_nonce_hash(c, &account, in.nonce)
                                        : NULL,
                                    tn_request_client_address(c->request)),
                          &rows));
    outcome = tn_rows_text(rows, 0, 0);
    if (strcmp(outcome, "deleted") != 0)
        return tn_auth_refuse(c, outcome);
    return tn_respond_json(c, 200, "{}");
}
