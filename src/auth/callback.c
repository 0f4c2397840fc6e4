/* auth/callback.c: GET and POST /auth/v1/callback: a browser comes back from a provider
 *
 * Whatever goes wrong, the browser is sent on: to where its flow was to end, or, when there is no
 * such flow, to the site. A state is taken once, before the provider is asked, so that of two
 * requests with the same one only one goes on.
 */
#include <string.h>

#include "auth/flow.h"
#include "auth/queries.h"
#include "auth/visitor.h"
#include "base/log.h"
#include "base/text.h"

#define STATE_LIFETIME_S "600" /* people look for their phone on the way */
#define WORD_MAX 64
#define DESCRIPTION_MAX 500

enum { BACK_OUTCOME, BACK_PROVIDER, BACK_IMPLICIT, BACK_TO, BACK_SEALED };

struct back {
    tn_uuid tenant;
    const char *state, *provider, *to, *sealed;
};

/* --- which flow it is ------------------------------------------------------------------------- */

static const tn_error *
bad_state(const tn_ctx *c)
{
    return tn_error_new(c->arena, 400, "bad_oauth_state", NULL,
                        "OAuth callback with invalid state");
}

static const tn_error *
read_answer(const tn_ctx *c, tn_oauth_answer *answer)
{
    const tn_request *request = c->request;

    if (strcmp(request->method, "POST") == 0)
        return tn_oauth_answer_read(c->arena, request->body, request->body_length, answer);
    return tn_oauth_answer_read(c->arena, request->query_text, strlen(request->query_text), answer);
}

static const tn_error *
take_flow(tn_ctx *c, const tn_oauth_answer *answer, struct back *back)
{
    const char *outcome;
    const tn_rows *rows;
    tn_uuid state;

    if (answer->state == NULL || *answer->state == '\0')
        return tn_error_new(c->arena, 400, "bad_oauth_callback", NULL,
                            "OAuth state parameter missing");
    if (!tn_uuid_parse(answer->state, &state))
        return bad_state(c);
    TN_TRY(tn_flow_tenant(c, answer->state, &back->tenant));
    if (back->tenant.text[0] == '\0')
        return bad_state(c);
    TN_TRY(tn_auth_query(c, &back->tenant, TN_READ_WRITE, &tn_sql_visitor_return,
                         TN_PARAMS(answer->state, STATE_LIFETIME_S), &rows));
    outcome = tn_rows_text(rows, 0, BACK_OUTCOME);
    if (strcmp(outcome, "flow_state_already_used") == 0)
        return tn_error_new(c->arena, 400, "flow_state_already_used", NULL,
                            "OAuth state has been used already");
    if (strcmp(outcome, "flow") != 0)
        return bad_state(c);
    back->state = answer->state;
    back->provider = tn_rows_text(rows, 0, BACK_PROVIDER);
    back->to = tn_rows_text(rows, 0, BACK_TO);
    back->sealed = tn_rows_text(rows, 0, BACK_SEALED);
    return NULL;
}

/* --- what the provider says ------------------------------------------------------------------- */

/* The provider's own error is passed on (RFC 6749 section 4.1.2.1), in its words. */
static const tn_error *
refuse_by_provider(const tn_ctx *c, const tn_oauth_answer *answer)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    const bool is_word = strlen(answer->error) <= WORD_MAX &&
                         strspn(answer->error, allowed) == strlen(answer->error);
    const char *description = answer->error_description;
    tn_error *error = tn_error_new(c->arena, 400, "bad_oauth_callback", NULL, "%s",
                                   description != NULL && *description != '\0'
                                       ? tn_text_excerpt(c->arena, description, DESCRIPTION_MAX)
                                       : "The provider has refused");

    error->reason = is_word ? answer->error : "server_error";
    return error;
}

static const tn_error *
ask_provider(tn_ctx *c, const struct back *back, const tn_oauth_answer *answer,
             tn_oauth_provider *provider, tn_oauth_tokens *tokens, tn_oauth_profile *profile)
{
    tn_oauth_request request;

    if (answer->error != NULL)
        return refuse_by_provider(c, answer);
    if (!tn_oauth_request_unpack(c->arena, tn_flow_open(c, &back->tenant, back->sealed), &request))
        return bad_state(c); /* of before a change of server.secret */
    TN_TRY(tn_oauth_open(tn_auth_of(c)->oauth, c->arena, back->provider, provider));
    TN_TRY(
        tn_oauth_exchange(provider, c->arena, answer, &request, tn_visit_callback_url(c), tokens));
    return tn_oauth_profile_read(provider, c->arena, tokens, &request, answer, profile);
}

/* --- and where the browser goes --------------------------------------------------------------- */

static const tn_error *
finish(tn_ctx *c, const struct back *back, const tn_oauth_answer *answer)
{
    const tn_auth_opening opening = tn_auth_open(c);
    const tn_flow_code code = tn_flow_code_new(c->arena);
    tn_oauth_provider provider;
    tn_oauth_tokens tokens = {0};
    tn_oauth_profile profile;
    tn_visit visit = {
        .tenant = back->tenant,
        .provider = &provider,
        .profile = &profile,
        .flow = back->state,
        .code_hash = code.hash,
    };
    tn_flow_extras extras;
    const tn_rows *rows;

    TN_TRY(ask_provider(c, back, answer, &provider, &tokens, &profile));
    visit.access = tn_flow_seal(c, &back->tenant, tokens.access_token);
    visit.refresh = tn_flow_seal(c, &back->tenant, tokens.refresh_token);
    TN_TRY(tn_visit_end(c, &visit, &opening, &rows));
    if (strcmp(tn_rows_text(rows, 0, TN_VISIT_OUTCOME), "code") == 0)
        return tn_flow_land_code(c, 302, back->to, code.code);
    extras = (tn_flow_extras){.provider_token = tokens.access_token,
                              .provider_refresh_token = tokens.refresh_token};
    return tn_flow_land_session(c, 302, back->to, tn_rows_text(rows, 0, TN_VISIT_CLAIMS),
                                opening.token, &extras);
}

/* What people are refused for is OAuth's access_denied. */
static const tn_error *
as_oauth_says(const tn_ctx *c, const tn_error *error)
{
    static const char *const denied[] = {"signup_disabled", "user_banned",
                                         "provider_email_needs_verification"};
    tn_error *copy = tn_error_new(c->arena, error->status, error->code, NULL, "%s", error->message);

    copy->reason = error->reason;
    for (size_t i = 0; i < TN_COUNT(denied); i++)
        if (strcmp(denied[i], error->code) == 0)
            copy->reason = "access_denied";
    tn_log(TN_LOG_INFO, "auth.callback.refused", TN_STR("request_id", c->request->id),
           TN_STR("code", error->code), TN_INT("status", error->status));
    return copy;
}

/* GET or POST /auth/v1/callback */
const tn_error *
tn_auth_callback(tn_ctx *c)
{
    struct back back = {0};
    tn_oauth_answer answer;
    const tn_error *error = read_answer(c, &answer);

    tn_response_header(c->response, "Referrer-Policy", "no-referrer");
    if (error == NULL)
        error = take_flow(c, &answer, &back);
    if (error != NULL)
        return tn_flow_land_error(c, 303, tn_auth_site_url(c->config), as_oauth_says(c, error),
                                  true);
    error = finish(c, &back, &answer);
    return error == NULL ? NULL
                         : tn_flow_land_error(c, 302, back.to, as_oauth_says(c, error), true);
}
