/* auth/message_limit.c: how much a tenant's visitors may cause, whoever they are */
#include <string.h>

#include "auth/area.h"
#include "identity/limit.h"

const tn_error *
tn_auth_take_message(tn_ctx *c, const tn_uuid *tenant, const char *channel)
{
    const bool is_sms = strcmp(channel, "sms") == 0;
    const tn_error *limit;
    tn_error *error;

    if (!is_sms && c->config->auth.autoconfirm)
        return NULL;
    limit = tn_limits_take_for(c->process->limits, c->config, c->arena,
                               is_sms ? TN_LIMIT_SMS : TN_LIMIT_MAIL, tenant->text, "");
    if (limit == NULL)
        return NULL;
    error = is_sms ? tn_error_new(c->arena, 429, "over_sms_send_rate_limit", NULL,
                                  "SMS rate limit exceeded")
                   : tn_error_new(c->arena, 429, "over_email_send_rate_limit", NULL,
                                  "email rate limit exceeded");
    error->retry_after_s = limit->retry_after_s;
    return error;
}

const tn_error *
tn_auth_take_anonymous(tn_ctx *c)
{
    return tn_limits_take(c->process->limits, c->config, c->arena, TN_LIMIT_ANONYMOUS,
                          c->request->remote_address != NULL ? c->request->remote_address : "", "");
}

const tn_error *
tn_auth_look_for_password(tn_ctx *c, const tn_uuid *tenant, const char *account)
{
    return tn_limits_look_for(c->process->limits, c->config, c->arena, TN_LIMIT_PASSWORD,
                              tenant->text, account);
}

const tn_error *
tn_auth_count_password(tn_ctx *c, const tn_uuid *tenant, const char *account, bool is_right)
{
    if (is_right)
        return tn_auth_look_for_password(c, tenant, account);
    return tn_limits_take_for(c->process->limits, c->config, c->arena, TN_LIMIT_PASSWORD,
                              tenant->text, account);
}
