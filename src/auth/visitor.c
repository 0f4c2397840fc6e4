/* auth/visitor.c: the end of every sign-in with a provider: whose account it is */
#include "auth/visitor.h"

#include <string.h>

#include "auth/ask.h"
#include "auth/queries.h"
#include "hook/hook.h"
#include "mail/mail.h"

enum { END_FAILURE = TN_VISIT_CLAIMS + 1 };

static const tn_error *
refuse(const tn_ctx *c, const tn_visit *visit, const char *outcome)
{
    static const tn_auth_outcome outcomes[] = {
        TN_OUTCOME("signup_disabled", 422, "Signups not allowed for this instance"),
        TN_OUTCOME("user_banned", 403, "User is banned"),
        TN_OUTCOME("user_not_found", 403, "User from sub claim in JWT does not exist"),
        TN_OUTCOME("email_address_not_provided", 422,
                   "Error getting user email from external provider"),
        TN_OUTCOME("email_exists", 422,
                   "A user with this email address has already been registered"),
        TN_OUTCOME("identity_already_exists", 422, "Identity is already linked to another user"),
        TN_OUTCOME("flow_state_already_used", 400, "OAuth state has been used already"),
        {.word = NULL},
    };
    const char *name = visit->provider->config->name;

    if (strcmp(outcome, "provider_email_needs_verification") == 0)
        return tn_error_new(c->arena, 422, "provider_email_needs_verification", NULL,
                            "Unverified email with %s. A confirmation email has been sent to your "
                            "%s email",
                            name, name);
    return tn_auth_refuse_by(c, outcomes, outcome);
}

/* What triggers and constraints of the app's own have said is for the log. */
static const tn_error *
refuse_by_database(tn_ctx *c, const char *failure)
{
    tn_db_problem problem;

    TN_TRY(tn_ask_read_failure(c, failure, &problem));
    return tn_error_new(c->arena, 500, "unexpected_failure", NULL,
                        "Database error saving new user");
}

/* New people are what the hook is about; whoever has an account is let in without it. */
static const tn_error *
ask_hook(tn_ctx *c, const tn_visit *visit, const char *email)
{
    const tn_oauth_profile *profile = visit->profile;
    json_object *data = NULL;
    const tn_rows *rows;

    if (!tn_hook_is_set(c->config, TN_HOOK_BEFORE_USER_CREATED) || visit->target != NULL)
        return NULL;
    TN_TRY(tn_auth_query(c, &visit->tenant, TN_READ_ONLY, &tn_sql_visitor_known,
                         TN_PARAMS(visit->provider->config->name, profile->subject, email,
                                   profile->email_verified ? "true" : "false", visit->flow),
                         &rows));
    if (tn_rows_bool(rows, 0, 0))
        return NULL;
    TN_TRY(tn_json_parse(c->arena, profile->data, strlen(profile->data), TN_JSON_DEPTH, &data));
    return tn_auth_before_user(
        c, &visit->tenant, tn_auth_user_to_be(c, email, NULL, visit->provider->config->name, data));
}

static const char *
notice(const tn_ctx *c, const tn_visit *visit)
{
    const tn_letter letter = {
        .data = tn_arena_printf(c->arena, "{\"provider\":\"%s\"}", visit->provider->config->name)};

    return tn_letter_seal(c->config, c->arena, &visit->tenant, &letter);
}

static const char *
word(bool value)
{
    return value ? "true" : "false";
}

const tn_error *
tn_visit_end(tn_ctx *c, const tn_visit *visit, const tn_auth_opening *opening, const tn_rows **rows)
{
    const tn_oauth_config *config = visit->provider->config;
    const tn_oauth_profile *profile = visit->profile;
    const tn_challenge no_challenge = {0};
    tn_message confirmation = {0};
    const char *email = NULL, *outcome;
    bool is_verified;

    if (profile->email != NULL && tn_email_normalise(c->arena, profile->email, &email) != NULL)
        email = NULL; /* no address that we would write to */
    is_verified = email != NULL && profile->email_verified;
    TN_TRY(ask_hook(c, visit, email));
    if (email != NULL && !is_verified)
        confirmation = tn_message_new(c, &visit->tenant, false, email, &no_challenge, NULL);

    TN_TRY(tn_auth_query(
        c, &visit->tenant, TN_READ_WRITE, &tn_sql_visitor_sign_in,
        TN_PARAMS(visit->flow, visit->target, config->name, profile->subject, profile->data, email,
                  word(is_verified), word(config->email_optional), word(c->config->auth.signup),
                  word(c->config->auth.autoconfirm), TN_MESSAGE(confirmation), notice(c, visit),
                  opening->address, opening->id.text, opening->token_hash, opening->user_agent,
                  opening->address, opening->lifetime_s, visit->code_hash, visit->access,
                  visit->refresh),
        rows));
    outcome = tn_rows_text(*rows, 0, TN_VISIT_OUTCOME);
    if (strcmp(outcome, "session") == 0 || strcmp(outcome, "code") == 0)
        return NULL;
    if (strcmp(outcome, "database_error") == 0)
        return refuse_by_database(c, tn_rows_text(*rows, 0, END_FAILURE));
    return refuse(c, visit, outcome);
}

const tn_error *
tn_visit_may_link(const tn_ctx *c)
{
    if (c->config->auth.manual_linking)
        return NULL;
    return tn_error_new(c->arena, 404, "manual_linking_disabled", NULL,
                        "Manual linking is disabled");
}

const char *
tn_visit_callback_url(const tn_ctx *c)
{
    return tn_arena_printf(c->arena, "%s/auth/v1/callback", c->config->server.public_url);
}
