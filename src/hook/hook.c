/* hook/hook.c: a question to the app, and what its reply means */
#include "hook/hook.h"

#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "hook/hook_private.h"

#define STATUS_MIN 400
#define STATUS_MAX 599

static const struct {
    const char *name;
    size_t offset; /* of its text in the configuration */
} settings[TN_HOOKS] = {
#define SETTING(name)                          \
    {                                          \
#name, offsetof(tn_config, hooks.name) \
    }
    [TN_HOOK_CUSTOM_ACCESS_TOKEN] = SETTING(custom_access_token),
    [TN_HOOK_SEND_EMAIL] = SETTING(send_email),
    [TN_HOOK_SEND_SMS] = SETTING(send_sms),
    [TN_HOOK_MFA_VERIFICATION_ATTEMPT] = SETTING(mfa_verification_attempt),
    [TN_HOOK_PASSWORD_VERIFICATION_ATTEMPT] = SETTING(password_verification_attempt),
    [TN_HOOK_BEFORE_USER_CREATED] = SETTING(before_user_created),
    [TN_HOOK_AFTER_USER_CREATED] = SETTING(after_user_created),
#undef SETTING
};

static const char *
setting_of(const tn_config *config, tn_hook hook)
{
    return *(const char *const *)((const char *)config + settings[hook].offset);
}

bool
tn_hook_is_set(const tn_config *config, tn_hook hook)
{
    const char *text = setting_of(config, hook);

    return text != NULL && *text != '\0';
}

const char *
tn_hook_addresses(const tn_config *config, tn_arena *arena)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    for (tn_hook hook = 0; hook < TN_HOOKS; hook++) {
        if (!tn_hook_is_set(config, hook))
            continue;
        appendPQExpBuffer(text, "%c\"hooks.%s\":", text->len == 0 ? '{' : ',', settings[hook].name);
        tn_buffer_json_string(text, setting_of(config, hook));
    }
    return text->len == 0 ? "{}" : tn_arena_printf(arena, "%s}", tn_buffer_text(text));
}

/* --- what can go wrong ------------------------------------------------------------------------ */

const tn_error *
tn_hook_timeout(const tn_process *process, tn_arena *arena, bool was_retried)
{
    const double seconds = (double)process->config->hooks.timeout_ms / 1000;

    return was_retried
               ? tn_error_new(arena, 422, "hook_timeout_after_retry", NULL,
                              "Failed to reach hook within %g seconds, after a second attempt",
                              seconds)
               : tn_error_new(arena, 422, "hook_timeout", NULL,
                              "Failed to reach hook within maximum time of %g seconds", seconds);
}

const tn_error *
tn_hook_too_large(tn_arena *arena, const char *what)
{
    return tn_error_new(arena, 422, "hook_payload_over_size_limit", NULL,
                        "The hook's %s is larger than %d bytes", what, TN_HOOK_BYTES_MAX);
}

const tn_error *
tn_hook_failed(tn_arena *arena, const tn_hook_question *question, const char *cause)
{
    tn_log(TN_LOG_ERROR, "hook.failed", TN_STR("request_id", tn_arena_label_text(arena)),
           TN_STR("hook", question->name), TN_STR("tenant_id", question->tenant->text),
           TN_STR("cause", cause));
    return tn_error_new(arena, 500, "unexpected_failure", NULL, "Error running hook: %s",
                        question->name);
}

/* --- the reply -------------------------------------------------------------------------------- */

/* `{"error": {"http_code": 403, "message": "…"}}` is the app's word for the client. */
static const tn_error *
relay_error(tn_arena *arena, json_object *reply)
{
    json_object *error = tn_json_get(reply, "error");
    int64_t status;

    if (error == NULL)
        return NULL;
    status = tn_json_int(error, "http_code", 500);
    if (status < STATUS_MIN || status > STATUS_MAX)
        status = 500;
    return tn_error_new(arena, (int)status, status >= 500 ? "unexpected_failure" : "unknown", NULL,
                        "%s", tn_json_text(error, "message", "The app refused this"));
}

static const tn_error *
read_reply(tn_arena *arena, const tn_hook_question *question, const char *text, json_object **reply)
{
    const size_t length = text == NULL ? 0 : strlen(text);
    json_object *object = NULL;

    if (length > TN_HOOK_BYTES_MAX)
        return tn_hook_too_large(arena, "reply");
    if (length > 0 && tn_json_parse(arena, text, length, TN_JSON_DEPTH, &object) != NULL)
        return tn_hook_failed(arena, question, "the reply is no JSON");
    if (object == NULL && tn_json_parse(arena, "{}", strlen("{}"), TN_JSON_DEPTH, &object) != NULL)
        return tn_hook_failed(arena, question, "no memory for an object");
    if (!json_object_is_type(object, json_type_object))
        return tn_hook_failed(arena, question, "the reply is no object");
    TN_TRY(relay_error(arena, object));
    *reply = object;
    return NULL;
}

const tn_error *
tn_hook_run(const tn_process *process, tn_arena *arena, tn_hook hook, const tn_uuid *tenant,
            const char *payload, json_object **reply)
{
    tn_hook_address address;
    const tn_hook_question question = {
        .name = settings[hook].name, .address = &address, .tenant = tenant, .payload = payload};
    const char *problem =
        tn_hook_address_read(process->config, arena, setting_of(process->config, hook), &address);
    const char *text = NULL;

    if (problem != NULL) /* the settings have been checked: nobody asked whether it is set */
        return tn_hook_failed(arena, &question, problem);
    if (strlen(payload) > TN_HOOK_BYTES_MAX)
        return tn_hook_too_large(arena, "payload");
    TN_TRY((address.url != NULL ? tn_hook_ask_url : tn_hook_ask_function)(process, arena, &question,
                                                                          &text));
    return read_reply(arena, &question, text, reply);
}
