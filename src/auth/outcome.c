/* auth/outcome.c: words that SQL has answered with, as errors */
#include <string.h>

#include "auth/area.h"
#include "auth/users.h"

static const tn_auth_outcome outcomes[] = {
    TN_OUTCOME("user_not_found", 404, "User not found"),
    TN_OUTCOME("email_exists", 422, "A user with this email address has already been registered"),
    TN_OUTCOME("phone_exists", 422, "A user with this phone number has already been registered"),
    TN_OUTCOME("user_already_exists", 422, "A user with this id has already been registered"),
    TN_OUTCOME("mfa_factor_not_found", 404, "Factor not found"),
    TN_OUTCOME("session_not_found", 404, "Session not found"),
    TN_OUTCOME("email_not_confirmed", 422, "Please verify your email first."),
    TN_OUTCOME("phone_not_confirmed", 422, "Please verify your phone first."),
    TN_OUTCOME("validation_failed", 400,
               "Reauthentication requires the user to have an email or a phone number"),
    TN_OUTCOME("reauthentication_needed", 400, "Password update requires reauthentication"),
    TN_OUTCOME("reauthentication_not_valid", 422, "Nonce has expired or is invalid"),
    TN_OUTCOME("current_password_required", 400,
               "Current password required when setting new password."),
    TN_OUTCOME("current_password_invalid", 400,
               "Current password required when setting new password."),
    TN_OUTCOME("same_password", 422, "New password should be different from the old password."),
    TN_OUTCOME("insufficient_aal", 401,
               "AAL2 session is required to update email or password when MFA is enabled."),
    TN_OUTCOME("conflict", 409, "The account has been changed at the same time. Try again."),
    {.word = NULL},
};

const tn_error *
tn_auth_refuse_input(const tn_ctx *c, const char *message)
{
    return tn_error_new(c->arena, 400, "validation_failed", NULL, "%s", message);
}

const tn_error *
tn_auth_refuse_by(const tn_ctx *c, const tn_auth_outcome *table, const char *word)
{
    tn_error *error;

    while (table->word != NULL && strcmp(table->word, word) != 0)
        table++;
    if (table->word == NULL)
        return tn_error_internal(c->arena, "auth.outcome_unknown", "%s", word);
    error = tn_error_new(c->arena, table->status, table->code != NULL ? table->code : table->word,
                         NULL, "%s", table->message);
    error->retry_after_s = table->retry_after_s;
    return error;
}

/* A message of this kind has just been sent. The wait is told as a whole: it is short. */
static const tn_error *
refuse_haste(const tn_ctx *c, const char *outcome, int64_t interval_s)
{
    tn_error *error =
        tn_error_new(c->arena, 429, outcome, NULL,
                     "For security purposes, you can only request this after %lld seconds.",
                     (long long)interval_s);

    error->retry_after_s = (int)interval_s;
    return error;
}

const tn_error *
tn_auth_refuse(const tn_ctx *c, const char *outcome)
{
    if (outcome == NULL)
        outcome = "nothing";
    if (strcmp(outcome, "over_email_send_rate_limit") == 0)
        return refuse_haste(c, "over_email_send_rate_limit", c->config->auth.mail_interval_s);
    if (strcmp(outcome, "over_sms_send_rate_limit") == 0)
        return refuse_haste(c, "over_sms_send_rate_limit", c->config->auth.sms_interval_s);
    return tn_auth_refuse_by(c, outcomes, outcome);
}

const tn_error *
tn_auth_change(tn_ctx *c, const tn_uuid *tenant, const tn_statement *statement,
               const char *const *parameters, size_t count, const tn_rows **rows)
{
    const tn_query query = {
        .statement = statement, .parameters = parameters, .parameter_count = count};
    tn_db_context context = tn_ctx_db_as(c, "tenon_worker");
    const tn_db_work work = {.context = &context,
                             .access = TN_READ_WRITE,
                             .queries = &query,
                             .count = 1,
                             .results = rows,
                             .translate = tn_auth_database_error};

    context.tenant_id = tenant->text;
    context.settings = tn_auth_settings_of_transaction(c->config);
    return tn_db_transact(c->process->db, c->arena, &work);
}

const tn_error *
tn_auth_path_uuid(tn_ctx *c, const char *name, tn_uuid *uuid)
{
    if (!tn_uuid_parse(tn_path_text(c, name), uuid))
        return tn_error_new(c->arena, 404, "validation_failed", NULL, "%s must be a UUID", name);
    return NULL;
}
