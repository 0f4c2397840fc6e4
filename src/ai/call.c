/* ai/call.c: tries, pauses, deadlines, and what goes wrong with providers */
#include "ai/call.h"

#include <string.h>
#include <time.h>

#include "ai/echo.h"
#include "ai/estimate.h"
#include "ai/event_stream.h"
#include "ai/pause.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/text.h"

#define FIRST_PAUSE_MS 200
#define PAUSE_MAX_MS 10000       /* that we choose */
#define RETRY_AFTER_MAX_MS 20000 /* that a provider may ask for; a longer one is not waited for */
#define KEY_SHOWN_MAX 8
#define ERROR_BODY_MAX 65536
#define EVENT_MAX ((size_t)4 * 1024 * 1024)
#define JSON_PER_TEXT 6   /* bytes of JSON for one byte of text, at most */
#define WIRE_PER_TEXT 512 /* bytes on the wire for one byte of text, at most; bounds an answer */

/* One try: what arrives and what became of it. */
struct
try {
    const tn_ai_call *call;
    tn_arena *arena, *scratch; /* scratch is emptied after each event */
    const tn_ai_dialect *dialect;
    tn_ai_answer answer;
    tn_ai_attempt *attempt;
    tn_event_stream *events;
    PQExpBuffer body; /* of an answer that is no stream */
    tn_ai_count said;
    int64_t started_ms;
    int64_t retry_after_ms;
    bool is_misunderstood, is_too_large, is_cancelled;
};

const char *
tn_ai_outcome_text(tn_ai_outcome outcome)
{
    static const char *const texts[] = {"completed", "failed", "cancelled"};

    return texts[outcome];
}

/* --- what arrives ---------------------------------------------------------------------------- */

static bool
take_text(void *context, const char *text, size_t length)
{
    struct try *try = context;

    if ((size_t)try->said.bytes + length > try->call->reply_max) {
        try->is_too_large = true;
        return false;
    }
    if (try->attempt->first_text_ms < 0)
        try->attempt->first_text_ms = tn_clock_ms() - try->started_ms;
    tn_ai_count_add(&try->said, text, length);
    try->call->on_text(try->call->context, text, length);
    return true;
}

static bool
take_event(void *context, const char *name, const char *data, size_t length)
{
    struct try *try = context;

    if (!try->dialect->event(&try->answer, try->scratch, name, data, length))
        try->is_misunderstood = true;
    tn_arena_reset(try->scratch);
    /* Nothing follows the end, and some servers take their time to close. */
    return !try->is_misunderstood && !try->answer.stopped && !try->answer.ended &&
           try->answer.failure == NULL;
}

/* A stream begins with a field or a comment, a JSON text with a brace: some servers send the one
 * and call it the other. */
static bool
looks_like_stream(const char *bytes, size_t length)
{
    size_t at = 0;

    while (at < length && strchr(" \t\r\n", bytes[at]) != NULL)
        at++;
    return at == length || (bytes[at] != '{' && bytes[at] != '[' && bytes[at] != '<');
}

static bool
take_bytes(void *context, int status, const char *bytes, size_t length)
{
    struct try *try = context;

    if (status == 200 && try->body->len == 0 &&
        (try->events != NULL || (try->call->request.stream && looks_like_stream(bytes, length)))) {
        if (try->events == NULL)
            try->events = tn_event_stream_new(try->arena, EVENT_MAX, take_event, try);
        switch (tn_event_stream_feed(try->events, bytes, length)) {
        case TN_EVENTS_FINE:
            return true;
        case TN_EVENTS_TOO_LARGE:
            try->is_too_large = true;
            return false;
        case TN_EVENTS_STOPPED:
            return false;
        }
    }
    if (status != 200 && try->body->len + length > ERROR_BODY_MAX)
        return false;
    if (try->body->len + length > try->call->reply_max * JSON_PER_TEXT + ERROR_BODY_MAX) {
        try->is_too_large = true;
        return false;
    }
    appendBinaryPQExpBuffer(try->body, bytes, length);
    return true;
}

static bool
take_tick(void *context)
{
    struct try *try = context;

    if (!try->is_cancelled && !try->call->on_tick(try->call->context))
        try->is_cancelled = true;
    return !try->is_cancelled;
}

/* --- what went wrong ------------------------------------------------------------------------- */

/* A provider's words, if they hold nothing of a key: some quote it, in part or in whole. */
static const char *
safe_words(struct try *try, int status, const char *words)
{
    const char *key = try->attempt->candidate->provider->key;

    if (words == NULL || *words == '\0' || status == 401 || status == 403)
        return NULL;
    /* the beginning is enough: some put stars in its place from the middle on */
    if (key != NULL && *key != '\0' &&
        strstr(words, tn_arena_bytes(try->arena, key, strnlen(key, KEY_SHOWN_MAX))) != NULL)
        return NULL;
    return words;
}

static const tn_error *
provider_error(struct try *try, int status, const char *words)
{
    const char *name = try->attempt->candidate->provider->name;
    const char *safe = safe_words(try, status, words);
    const char *colon = safe == NULL ? "" : ": ";
    tn_error *error;

    if (status == 0)
        error = tn_error_new(try->arena, 502, "provider_error", NULL,
                             "the provider %s reported an error%s%s", name, colon,
                             safe == NULL ? "" : safe);
    else
        error = tn_error_new(try->arena, 502, "provider_error", NULL,
                             "the provider %s answered with status %d%s%s", name, status, colon,
                             safe == NULL ? "" : safe);
    if (status != 0)
        error->members = tn_arena_printf(try->arena, "\"provider_status\":%d", status);
    if (try->retry_after_ms > 0)
        error->retry_after_s = (int)((try->retry_after_ms + 999) / 1000);
    return error;
}

static const tn_error *
bad_answer(struct try *try, const char *why)
{
    return tn_error_new(try->arena, 502, "provider_bad_answer", NULL, "the provider %s %s",
                        try->attempt->candidate->provider->name, why);
}

static const tn_error *
too_large(struct try *try)
{
    return tn_error_new(try->arena, 502, "reply_too_large", NULL,
                        "the reply grew beyond %zu bytes and was cut off", try->call->reply_max);
}

static const tn_error *
unreachable(struct try *try)
{
    return tn_error_new(try->arena, 502, "provider_unreachable", NULL,
                        "the provider %s cannot be reached right now",
                        try->attempt->candidate->provider->name);
}

/* An answer with status 200 that has ended, by itself or because we stopped it. */
static const tn_error *
judge_answer(struct try *try)
{
    if (try->is_too_large)
        return too_large(try);
    if (try->events == NULL && !try->answer.ended && try->answer.failure == NULL &&
        !try->dialect->whole(&try->answer, try->scratch, tn_buffer_text(try->body), try->body->len))
        try->is_misunderstood = !try->is_too_large;
    if (try->is_too_large)
        return too_large(try);
    if (try->answer.failure != NULL)
        return provider_error(try, 0, try->answer.failure);
    if (try->is_misunderstood)
        return bad_answer(try, "gave an answer that cannot be understood");
    /* Some servers leave out the end marker; why it ended is as good. */
    if (!try->answer.ended && try->answer.finish_reason == NULL)
        return bad_answer(try, "broke off in the middle of its answer");
    return NULL;
}

static const tn_error *
judge(struct try *try, const tn_fetch_result *result)
{
    switch (result->outcome) {
    case TN_FETCH_DONE:
        break;
    case TN_FETCH_STOPPED:
        if (result->status == 200)
            return judge_answer(try);
        break; /* an error page that is too long to be read */
    case TN_FETCH_TIMEOUT:
        if (try->answer.ended)
            return judge_answer(try);
        return tn_error_new(try->arena, 504, "provider_timeout", NULL,
                            "the provider %s did not answer in time (%s)",
                            try->attempt->candidate->provider->name, result->phase);
    case TN_FETCH_TOO_LARGE:
        return too_large(try);
    case TN_FETCH_BROKEN:
        if (try->answer.ended)
            return judge_answer(try);
        if (result->status == 200)
            return bad_answer(try, "broke off in the middle of its answer");
        return unreachable(try);
    case TN_FETCH_REFUSED:
    case TN_FETCH_CONNECT:
        return unreachable(try);
    }
    if (result->status != 200)
        return provider_error(
            try, result->status,
            tn_ai_error_words(try->arena, tn_buffer_text(try->body), try->body->len));
    return judge_answer(try);
}

/* --- one try --------------------------------------------------------------------------------- */

static const char *
make_url(tn_arena *arena, const char *base, const char *path)
{
    const size_t length = strlen(base);

    /* both ways of writing Anthropic's base URL are common */
    if (tn_text_starts(path, "/v1/") && length >= 3 && strcmp(base + length - 3, "/v1") == 0)
        path += 3;
    return tn_arena_printf(arena, "%s%s", base, path);
}

static const tn_error *
ask(struct try *try, const tn_ai_request *request)
{
    const tn_provider_config *provider = try->attempt->candidate->provider;
    const char *body = try->dialect->body(try->arena, provider, request);
    const tn_fetch fetch = {
        .method = "POST",
        .url = make_url(try->arena, provider->base_url, try->dialect->path),
        .headers = try->dialect->headers(try->arena, provider),
        .body = body,
        .body_length = strlen(body),
        .connect_timeout_ms = provider->connect_timeout_ms,
        .first_byte_timeout_ms = provider->first_byte_timeout_ms,
        .silence_timeout_ms = provider->silence_timeout_ms,
        .total_timeout_ms = provider->total_timeout_ms,
        .response_max = try->call->reply_max * WIRE_PER_TEXT + EVENT_MAX,
        .allow_private = provider->allow_private,
        .on_data = take_bytes,
        .on_tick = take_tick,
        .context = try,
    };
    tn_fetch_result result = {0};
    const tn_error *error;

    tn_fetch_run(try->arena, &fetch, &result);
    try->retry_after_ms = result.retry_after_ms;
    try->attempt->provider_status = result.status;
    tn_ai_answer_name(&try->answer, result.request_id, NULL);
    if (try->is_cancelled)
        return NULL;
    error = judge(try, &result);
    if (error != NULL)
        tn_log(TN_LOG_WARN, "ai.call.failed", TN_STR("request_id", try->call->request_id),
               TN_STR("provider", provider->name), TN_STR("code", error->code),
               TN_INT("status", result.status), TN_STR("phase", result.phase),
               TN_STR("problem", result.problem), TN_INT("ms", tn_clock_ms() - try->started_ms));
    return error;
}

/* What was used. Where the provider has not told: nothing if it gave no text, else an estimate. */
static void
count_tokens(struct try *try)
{
    tn_ai_attempt *attempt = try->attempt;
    const bool has_text = attempt->first_text_ms >= 0;

    attempt->input_tokens = try->answer.input_tokens;
    attempt->output_tokens = try->answer.output_tokens;
    if (attempt->outcome != TN_AI_COMPLETED && !has_text && attempt->output_tokens < 0) {
        attempt->input_tokens = -1;
        return;
    }
    attempt->estimated = attempt->input_tokens < 0 || attempt->output_tokens < 0;
    if (attempt->input_tokens < 0)
        attempt->input_tokens = try->call->input_estimate;
    if (attempt->output_tokens < 0)
        attempt->output_tokens = tn_ai_count_tokens(&try->said);
}

static int64_t
unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
finish_attempt(struct try *try, const tn_error *error)
{
    tn_ai_attempt *attempt = try->attempt;

    attempt->outcome = try->is_cancelled ? TN_AI_CANCELLED
                       : error != NULL   ? TN_AI_FAILED
                                         : TN_AI_COMPLETED;
    attempt->error = error;
    attempt->finish_reason = try->is_cancelled                   ? "cancelled"
                             : error != NULL                     ? "error"
                             : try->answer.finish_reason != NULL ? try->answer.finish_reason
                                                                 : "stop";
    attempt->response_model = try->answer.model;
    attempt->response_id = try->answer.id;
    attempt->duration_ms = tn_clock_ms() - try->started_ms;
    count_tokens(try);
}

static void
count_metrics(tn_metrics *metrics, const tn_ai_attempt *attempt)
{
    if (metrics == NULL)
        return;
    atomic_fetch_add(&metrics->ai_calls, 1);
    if (attempt->outcome == TN_AI_FAILED)
        atomic_fetch_add(&metrics->ai_failures, 1);
    if (attempt->input_tokens > 0)
        atomic_fetch_add(&metrics->ai_input_tokens, (uint64_t)attempt->input_tokens);
    if (attempt->output_tokens > 0)
        atomic_fetch_add(&metrics->ai_output_tokens, (uint64_t)attempt->output_tokens);
}

/* Gives the pause that the provider asked for, 0 for none. */
static int64_t
run_attempt(tn_arena *arena, const tn_ai_call *call, tn_ai_attempt *attempt)
{
    tn_ai_request request = call->request;
    struct try try = {
        .call = call,
        .arena = arena,
        .scratch = tn_arena_new(),
        .answer = TN_AI_ANSWER_INIT,
        .attempt = attempt,
        .body = tn_arena_buffer(arena),
        .started_ms = tn_clock_ms(),
    };
    const tn_provider_config *provider = attempt->candidate->provider;
    const tn_error *error = NULL;

    try.answer.arena = arena;
    try.answer.on_text = take_text;
    try.answer.context = &try;
    request.model = attempt->candidate->model;
    request.max_tokens = attempt->candidate->max_tokens;
    attempt->first_text_ms = -1;
    attempt->started_unix_ms = unix_ms();
    if (provider->kind == TN_ECHO) {
        tn_ai_echo(arena, provider, &request, &try.answer, take_tick);
        error = try.is_too_large ? too_large(&try) : NULL;
    } else {
        try.dialect = provider->kind == TN_OPENAI ? &tn_ai_openai : &tn_ai_anthropic;
        error = ask(&try, &request);
    }
    finish_attempt(&try, error);
    count_metrics(call->metrics, attempt);
    tn_arena_free(try.scratch);
    return try.retry_after_ms;
}

/* --- the tries ------------------------------------------------------------------------------- */

enum next { GIVE_UP, NEXT_PROVIDER, AGAIN };

/* What to do after a failed try. A fault of the request is everybody's fault; a timeout is not
 * worth waiting for again. */
static enum next
decide(const tn_ai_attempt *attempt, int64_t retry_after_ms)
{
    const int status = attempt->provider_status;

    if (attempt->outcome != TN_AI_FAILED || attempt->first_text_ms >= 0)
        return GIVE_UP;
    if (strcmp(attempt->error->code, "provider_unreachable") == 0)
        return AGAIN;
    if (strcmp(attempt->error->code, "provider_timeout") == 0)
        return NEXT_PROVIDER;
    if (status == 429 || status >= 500)
        return retry_after_ms > RETRY_AFTER_MAX_MS ? NEXT_PROVIDER : AGAIN;
    return status == 401 || status == 403 ? NEXT_PROVIDER : GIVE_UP;
}

/* Doubles from try to try, with jitter, so that callers who were refused together do not come back
 * together. */
static int64_t
pause_before(int64_t tries, int64_t retry_after_ms)
{
    int64_t pause = FIRST_PAUSE_MS;
    uint32_t random;

    for (int64_t i = 1; i < tries && pause < PAUSE_MAX_MS; i++)
        pause *= 2;
    tn_random(&random, sizeof(random));
    pause += (int64_t)(random % (uint32_t)(pause / 4 + 1));
    return pause > retry_after_ms ? pause : retry_after_ms;
}

static bool
tick(void *context)
{
    const tn_ai_call *call = context;

    return call->on_tick(call->context);
}

void
tn_ai_call_run(tn_arena *arena, const tn_ai_call *call, tn_ai_result *result)
{
    /* tn_pause_ms() hands on one pointer, and it is not const */
    tn_ai_call copy = *call;
    tn_ai_attempt *attempts;
    size_t most = 0, count = 0;

    for (size_t i = 0; i < call->candidate_count; i++)
        most += (size_t)call->candidates[i].provider->retries + 1;
    attempts = tn_arena_alloc(arena, most, sizeof(*attempts));
    for (size_t i = 0; i < call->candidate_count; i++) {
        enum next next = AGAIN;

        for (int64_t tries = 1; next == AGAIN; tries++) {
            tn_ai_attempt *attempt = &attempts[count++];
            int64_t retry_after_ms;

            attempt->candidate = &call->candidates[i];
            retry_after_ms = run_attempt(arena, &copy, attempt);
            next = decide(attempt, retry_after_ms);
            if (next == AGAIN && tries > attempt->candidate->provider->retries)
                next = NEXT_PROVIDER;
            if (next == AGAIN && call->metrics != NULL)
                atomic_fetch_add(&call->metrics->ai_retries, 1);
            if (next == AGAIN && !tn_pause_ms(pause_before(tries, retry_after_ms), tick, &copy)) {
                attempt->outcome = TN_AI_CANCELLED;
                attempt->finish_reason = "cancelled";
                next = GIVE_UP;
            }
        }
        if (next == GIVE_UP)
            break;
    }
    *result = (tn_ai_result){
        .attempts = attempts,
        .attempt_count = count,
        .last = &attempts[count - 1],
    };
}
