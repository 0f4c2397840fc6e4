/* auth/captcha.c: whether a person is there, as hCaptcha or Turnstile says
 *
 * Both take the same form, secret, response and remoteip, and answer JSON with `success`.
 */
#include <string.h>

#include "auth/area.h"
#include "base/fetch.h"
#include "base/log.h"

#define TIMEOUT_MS 10000
#define ANSWER_MAX 65536
#define TOKEN_MAX 16384

/* application/x-www-form-urlencoded */
static void
add_field(PQExpBuffer form, const char *name, const char *value)
{
    appendPQExpBuffer(form, "%s%s=", form->len == 0 ? "" : "&", name);
    tn_buffer_url_value(form, value);
}

static const tn_error *
verifier_is_down(tn_ctx *c, const char *cause)
{
    tn_log(TN_LOG_ERROR, "auth.captcha.unavailable", TN_STR("request_id", c->request->id),
           TN_STR("cause", cause));
    return tn_error_new(c->arena, 500, "unexpected_failure", NULL,
                        "captcha verification process failed");
}

static const tn_error *
refuse(const tn_ctx *c, const char *why)
{
    return tn_error_new(c->arena, 400, "captcha_failed", NULL,
                        "captcha protection: request disallowed (%s)", why);
}

/* What the verifier says is wrong, for people: "invalid-input-response". */
static const char *
first_problem(json_object *answer)
{
    json_object *codes = tn_json_get(answer, "error-codes");
    const char *code = NULL;

    if (json_object_is_type(codes, json_type_array) && json_object_array_length(codes) > 0)
        code = json_object_get_string(json_object_array_get_idx(codes, 0));
    return code != NULL ? code : "not verified";
}

static void
fetch(tn_ctx *c, PQExpBuffer form, tn_fetch_result *result)
{
    static const char *const urls[] = {
        [TN_CAPTCHA_HCAPTCHA] = "https://api.hcaptcha.com/siteverify",
        [TN_CAPTCHA_TURNSTILE] = "https://challenges.cloudflare.com/turnstile/v0/siteverify"};
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    const char *url = c->config->auth.captcha_url;

    tn_fetch_run(c->arena,
                 &(tn_fetch){.method = "POST",
                             .url = *url != '\0' ? url : urls[c->config->auth.captcha_provider],
                             .headers = headers,
                             .body = form->data,
                             .body_length = form->len,
                             .connect_timeout_ms = TIMEOUT_MS,
                             .total_timeout_ms = TIMEOUT_MS,
                             .response_max = ANSWER_MAX,
                             .allow_private = c->config->auth.captcha_allow_private},
                 result);
}

static const tn_error *
ask(tn_ctx *c, const char *token)
{
    const char *address = tn_request_client_address(c->request);
    PQExpBuffer form = tn_arena_buffer(c->arena);
    tn_fetch_result result = {0};
    json_object *answer = NULL;

    add_field(form, "secret", c->config->auth.captcha_secret);
    add_field(form, "response", token);
    if (address != NULL)
        add_field(form, "remoteip", address);
    TN_TRY(tn_auth_enter_wait(c));
    fetch(c, form, &result);
    tn_auth_leave_wait(c);
    if (result.outcome != TN_FETCH_DONE)
        return verifier_is_down(c, result.problem);
    if (result.status != 200)
        return verifier_is_down(c, tn_arena_printf(c->arena, "it answered %d", result.status));
    if (tn_json_parse(c->arena, result.body, result.body_length, TN_JSON_DEPTH, &answer) != NULL ||
        !json_object_is_type(answer, json_type_object))
        return verifier_is_down(c, "its answer is no JSON object");
    return tn_json_bool(answer, "success", false) ? NULL : refuse(c, first_problem(answer));
}

const tn_error *
tn_auth_check_captcha(tn_ctx *c, json_object *body)
{
    const char *token;

    if (c->config->auth.captcha_provider == TN_CAPTCHA_NONE ||
        (c->who->token_error == NULL && tn_principal_is_service(c->who)))
        return NULL;
    token = tn_json_text(tn_json_get(body, "gotrue_meta_security"), "captcha_token", "");
    if (*token == '\0')
        return refuse(c, "no captcha_token found");
    if (strlen(token) > TOKEN_MAX)
        return refuse(c, "captcha_token too long");
    return ask(c, token);
}
