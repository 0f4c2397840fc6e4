/* auth/reauthenticate.c: a code that shows that it is still the person, before what matters */
#include <string.h>

#include "auth/account.h"
#include "auth/area.h"
#include "auth/ask.h"
#include "auth/queries.h"
#include "auth/users.h"

/* GET /auth/v1/reauthenticate */
const tn_error *
tn_auth_reauthenticate(tn_ctx *c)
{
    const tn_principal *who = c->who;
    const tn_challenge none = {0};
    const char *address, *outcome;
    tn_message message;
    tn_account account;
    const tn_rows *rows;
    bool by_phone;

    TN_TRY(tn_account_find(c, NULL, NULL, &account));
    by_phone = *account.email == '\0';
    address = by_phone ? account.phone : account.email;
    if (*address == '\0')
        return tn_auth_refuse_input(
            c, "Reauthentication requires the user to have an email or a phone "
               "number");
    TN_TRY(tn_auth_take_message(c, &who->tenant_id, by_phone ? "sms" : "email"));
    message = tn_message_new(c, &who->tenant_id, by_phone, address, &none, NULL);
    TN_TRY(tn_auth_query(c, &who->tenant_id, TN_READ_WRITE, &tn_sql_auth_reauthenticate,
                         TN_PARAMS(who->user_id.text, address, message.hash, message.sealed,
                                   message.lifetime_s, message.interval_s,
                                   tn_request_client_address(c->request)),
                         &rows));
    outcome = tn_rows_text(rows, 0, 0);
    if (strcmp(outcome, "sent") != 0)
        return tn_auth_refuse(c, outcome);
    return tn_respond_json(c, 200, "{}");
}
