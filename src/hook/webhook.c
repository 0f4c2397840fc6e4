/* hook/webhook.c: a hook that is a URL, signed as Standard Webhooks has it
 *
 * What is signed is `<id>.<time>.<payload>`. The id is the same for both attempts, so that the app
 * can tell that it has seen the question before.
 */
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fetch.h"
#include "hook/hook_private.h"

#define ATTEMPTS 2
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 1000

/* "v1,<base64> v1,<base64>": one signature for each secret, so that secrets can be replaced. */
static const char *
sign(const tn_process *process, tn_arena *arena, const char *id, const char *time,
     const char *payload)
{
    const char *list = process->config->hooks.secrets;
    const char *text = tn_arena_printf(arena, "%s.%s.%s", id, time, payload);
    PQExpBuffer signatures = tn_arena_buffer(arena);
    uint8_t digest[TN_SHA256_SIZE];
    tn_hook_secret secret;

    while (tn_hook_secret_next(arena, &list, &secret)) {
        tn_hmac_sha256(secret.bytes, secret.length, text, strlen(text), digest);
        appendPQExpBuffer(signatures, "%sv1,%s", signatures->len == 0 ? "" : " ",
                          tn_base64(arena, digest, sizeof(digest)));
    }
    return tn_buffer_text(signatures);
}

static void
send(const tn_process *process, tn_arena *arena, const tn_hook_question *question, const char *id,
     int64_t left_ms, tn_fetch_result *result)
{
    const char *time = tn_arena_number(arena, tn_clock_unix());
    const char *const headers[] = {
        "Content-Type: application/json",
        "Accept: application/json",
        tn_arena_printf(arena, "webhook-id: %s", id),
        tn_arena_printf(arena, "webhook-timestamp: %s", time),
        tn_arena_printf(arena, "webhook-signature: %s",
                        sign(process, arena, id, time, question->payload)),
        NULL,
    };
    const tn_fetch fetch = {
        .method = "POST",
        .url = question->address->url,
        .headers = headers,
        .body = question->payload,
        .body_length = strlen(question->payload),
        .connect_timeout_ms = left_ms,
        .total_timeout_ms = left_ms,
        .response_max = TN_HOOK_BYTES_MAX,
        .allow_private = process->config->hooks.allow_private,
    };

    tn_fetch_run(arena, &fetch, result);
}

/* The app was not there, or asks for another attempt. A timeout has used up all the time. */
static bool
is_worth_another(const tn_fetch_result *result)
{
    return result->outcome == TN_FETCH_CONNECT || result->outcome == TN_FETCH_BROKEN ||
           (result->outcome == TN_FETCH_DONE && (result->status == 429 || result->status == 503) &&
            result->retry_after_ms >= 0);
}

/* As long as the app asks for, within reason. */
static void
pause_before_another(const tn_fetch_result *result)
{
    const int64_t wanted_ms = result->retry_after_ms;
    const int64_t ms = wanted_ms < PAUSE_MIN_MS   ? PAUSE_MIN_MS
                       : wanted_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS
                                                  : wanted_ms;

    (void)usleep((useconds_t)ms * 1000);
}

/* `application/json`, with or without parameters. */
static bool
is_json(const char *content_type)
{
    static const char wanted[] = "application/json";
    const size_t length = strlen(wanted);

    return content_type != NULL && strncasecmp(content_type, wanted, length) == 0 &&
           (content_type[length] == '\0' || content_type[length] == ';' ||
            content_type[length] == ' ');
}

static const tn_error *
judge(const tn_process *process, tn_arena *arena, const tn_hook_question *question,
      const tn_fetch_result *result, bool was_retried)
{
    switch (result->outcome) {
    case TN_FETCH_DONE:
        break;
    case TN_FETCH_TIMEOUT:
        return tn_hook_timeout(process, arena, was_retried);
    case TN_FETCH_TOO_LARGE:
        return tn_hook_too_large(arena, "reply");
    case TN_FETCH_CONNECT:
    case TN_FETCH_BROKEN:
    case TN_FETCH_REFUSED:
    case TN_FETCH_STOPPED:
        return tn_hook_failed(arena, question, result->problem);
    }
    if (result->status != 200 && result->status != 202 && result->status != 204)
        return tn_hook_failed(arena, question,
                              tn_arena_printf(arena, "it answered %d", result->status));
    if (result->body_length > 0 && !is_json(result->content_type))
        return tn_error_new(arena, 422, "hook_payload_invalid_content_type", NULL,
                            "The hook's reply is not of the type application/json");
    return NULL;
}

const tn_error *
tn_hook_ask_url(const tn_process *process, tn_arena *arena, const tn_hook_question *question,
                const char **reply)
{
    const int64_t end_ms = tn_clock_ms() + process->config->hooks.timeout_ms;
    const char *id = tn_arena_printf(arena, "msg_%s", tn_uuid_new().text);
    tn_fetch_result result = {0};
    int attempts = 0;

    do {
        int64_t left_ms;

        if (attempts > 0)
            pause_before_another(&result);
        left_ms = end_ms - tn_clock_ms();
        if (left_ms <= 0)
            break;
        result = (tn_fetch_result){0};
        send(process, arena, question, id, left_ms, &result);
        attempts++;
    } while (attempts < ATTEMPTS && is_worth_another(&result));
    TN_TRY(judge(process, arena, question, &result, attempts > 1));
    *reply = result.body;
    return NULL;
}
