/* chat/run.c: one message, answered
 *
 * Between the two transactions no connection is held. The text so far goes to the database every
 * chat.flush_ms, so that a follower in another process sees it, and the reaper finds it should this
 * process die; when the database is away the run goes on without.
 */
#include "chat/run.h"

#include <string.h>

#include "ai/pause.h"
#include "base/clock.h"
#include "base/text.h"
#include "chat/answer.h"
#include "chat/follow.h"
#include "chat/queries.h"

#define FLUSH_BACKOFF_MS 5000 /* after a flush that failed */
#define FLUSH_SHARE 10        /* a tenth of the time may be spent with flushing */
#define STORE_PAUSE_MS 500
#define STORE_MAX_MS 900000 /* so long is it tried to store the end of a run */
/* And so long to take one back of which nobody knows whether it was begun. */
#define WITHDRAW_MAX_MS 20000

struct run {
    tn_ctx *c;
    tn_live *live;
    tn_arena *scratch;
    tn_db_context as_worker; /* made once: each making takes from the request's arena */
    const char *id;
    bool is_streaming;
    size_t flushed; /* bytes */
    int64_t flush_due_ms;
    int64_t heard_ms; /* when something was sent last */
};

/* --- while the provider speaks --------------------------------------------------------------- */

static void
flush(struct run *run)
{
    tn_ctx *c = run->c;
    char position[24];
    size_t length;
    const char *text = tn_live_text(run->live, &length);
    const char *const parameters[] = {run->id, position, text + run->flushed};
    const tn_query query = {
        .statement = &tn_sql_run_flush, .parameters = parameters, .parameter_count = 3};
    const int64_t started_ms = tn_clock_ms();
    const tn_rows *rows;
    int64_t took_ms;

    run->flush_due_ms = started_ms + c->config->chat.flush_ms;
    if (length == run->flushed)
        return;
    (void)snprintf(position, sizeof(position), "%zu", run->flushed);
    if (tn_db_run(c->process->db, run->scratch, &run->as_worker, TN_READ_WRITE_ASYNC, &query, 1,
                  &rows) != NULL) { /* the same text and more, next time */
        run->flush_due_ms = tn_clock_ms() + FLUSH_BACKOFF_MS;
    } else {
        run->flushed = length;
        /* When thousands of streams are flushed each has to wait for its turn. Then seldom is
         * better than slow: the words must not be late because of it. */
        took_ms = tn_clock_ms() - started_ms;
        if (took_ms * FLUSH_SHARE > c->config->chat.flush_ms)
            run->flush_due_ms = tn_clock_ms() + took_ms * FLUSH_SHARE;
        if (tn_rows_count(rows) > 0 && tn_rows_bool(rows, 0, 0))
            tn_live_cancel(run->live);
    }
    tn_arena_reset(run->scratch);
}

static void
take_text(void *context, const char *text, size_t length)
{
    struct run *run = context;
    size_t total;

    tn_live_append(run->live, text, length);
    if (run->is_streaming) {
        (void)tn_live_text(run->live, &total);
        tn_event_delta(run->c, run->scratch, text, length, total);
        run->heard_ms = tn_clock_ms();
    }
    if (tn_clock_ms() >= run->flush_due_ms)
        flush(run);
}

static void
beat(struct run *run)
{
    if (!run->is_streaming ||
        tn_clock_ms() - run->heard_ms < run->c->config->chat.heartbeat_s * 1000)
        return;
    (void)tn_sse_comment(run->c->response, "still there");
    run->heard_ms = tn_clock_ms();
}

static bool
tick(void *context)
{
    struct run *run = context;

    beat(run);
    if (tn_clock_ms() >= run->flush_due_ms)
        flush(run);
    if (run->c->response->client_gone && !run->c->config->chat.finish_without_client)
        return false;
    return !tn_live_is_cancelled(run->live);
}

/* --- what it came to ------------------------------------------------------------------------- */

static void
add_text(PQExpBuffer json, const char *member, const char *text)
{
    if (text == NULL)
        return;
    appendPQExpBuffer(json, ",\"%s\":", member);
    tn_buffer_json_string(json, text);
}

static void
add_number(PQExpBuffer json, const char *member, int64_t number)
{
    if (number >= 0)
        appendPQExpBuffer(json, ",\"%s\":%lld", member, (long long)number);
}

/* RFC 3339, as PostgreSQL reads it. */
static void
add_time(PQExpBuffer json, const char *member, int64_t unix_ms)
{
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    char text[40];

    (void)gmtime_r(&seconds, &parts);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    appendPQExpBuffer(json, ",\"%s\":\"%s.%03dZ\"", member, text, (int)(unix_ms % 1000));
}

/* What an attempt and the run that it decides have in common. */
static void
add_outcome(PQExpBuffer json, const tn_ai_attempt *attempt)
{
    add_text(json, "provider", attempt->candidate->provider->name);
    add_text(json, "model", attempt->candidate->model);
    add_text(json, "response_model", attempt->response_model);
    add_text(json, "response_id", attempt->response_id);
    add_text(json, "finish_reason", attempt->finish_reason);
    add_number(json, "input_tokens", attempt->input_tokens);
    add_number(json, "output_tokens", attempt->output_tokens);
    appendPQExpBuffer(json, ",\"usage_estimated\":%s", attempt->estimated ? "true" : "false");
}

static void
add_attempt(PQExpBuffer json, const tn_ai_attempt *attempt)
{
    appendPQExpBufferStr(json, "{\"outcome\":");
    tn_buffer_json_string(json, tn_ai_outcome_text(attempt->outcome));
    add_outcome(json, attempt);
    if (attempt->provider_status > 0)
        add_number(json, "http_status", attempt->provider_status);
    if (attempt->error != NULL) {
        add_text(json, "error_type", attempt->error->code);
        add_text(json, "error_message", attempt->error->message);
    }
    add_number(json, "time_to_first_token_ms", attempt->first_text_ms);
    add_number(json, "duration_ms", attempt->duration_ms);
    add_time(json, "started_at", attempt->started_unix_ms);
    appendPQExpBufferChar(json, '}');
}

static void
add_error(PQExpBuffer json, const tn_error *error, int provider_status)
{
    appendPQExpBuffer(json, ",\"error\":{\"status\":%d", error->status);
    add_text(json, "code", error->code);
    add_text(json, "message", error->message);
    if (provider_status > 0 && strcmp(error->code, "provider_error") == 0)
        add_number(json, "provider_status", provider_status);
    appendPQExpBufferChar(json, '}');
}

/* The report for tenon.finish_run(). */
static const char *
make_report(const struct run *run, const tn_ai_result *result)
{
    PQExpBuffer json = tn_arena_buffer(run->c->arena);
    const tn_ai_attempt *last = result->last;
    size_t length;
    const char *text = tn_live_text(run->live, &length);

    appendPQExpBufferStr(json, "{\"run_id\":");
    tn_buffer_json_string(json, run->id);
    add_text(json, "status", tn_ai_outcome_text(last->outcome));
    appendPQExpBufferStr(json, ",\"content\":");
    tn_buffer_json_bytes(json, text, length);
    add_outcome(json, last);
    if (last->first_text_ms >= 0)
        add_time(json, "first_byte_at", last->started_unix_ms + last->first_text_ms);
    if (last->outcome == TN_AI_FAILED)
        add_error(json, last->error, last->provider_status);
    appendPQExpBufferStr(json, ",\"calls\":[");
    for (size_t i = 0; i < result->attempt_count; i++) {
        if (i > 0)
            appendPQExpBufferChar(json, ',');
        add_attempt(json, &result->attempts[i]);
    }
    appendPQExpBufferStr(json, "]}");
    return tn_buffer_text(json);
}

/* When the report itself cannot be stored, which is a bug of ours, at least the run must not stay
 * open. */
static const char *
make_emergency_report(const struct run *run)
{
    return tn_arena_printf(
        run->c->arena,
        "{\"run_id\":\"%s\",\"status\":\"failed\",\"finish_reason\":\"error\",\"content\":\"\","
        "\"error\":{\"status\":500,\"code\":\"internal_error\","
        "\"message\":\"the reply could not be stored\"}}",
        run->id);
}

static bool
wait_tick(void *context)
{
    beat(context);
    return true;
}

/* Stores the end of the run, patiently: it has been paid for. */
static const tn_error *
store(struct run *run, const char *report, const char **answer)
{
    const int64_t give_up_ms = tn_clock_ms() + STORE_MAX_MS;
    bool is_emergency = false;
    const tn_rows *rows;
    const tn_error *error;

    for (;;) {
        error = tn_tx_worker(run->c, TN_READ_WRITE, &tn_sql_run_finish, TN_PARAMS(report), &rows);
        if (error == NULL) {
            *answer = tn_rows_text(rows, 0, 0);
            return *answer != NULL
                       ? NULL
                       : tn_error_internal(run->c->arena, "chat.run.lost", "run %s", run->id);
        }
        if (error->status < 500 || error->status == 500) {
            tn_log(TN_LOG_ERROR, "chat.run.not_stored", TN_STR("request_id", run->c->request->id),
                   TN_STR("run_id", run->id), TN_STR("code", error->code));
            if (is_emergency)
                return error;
            is_emergency = true;
            report = make_emergency_report(run);
            continue;
        }
        if (tn_clock_ms() > give_up_ms) {
            tn_log(TN_LOG_ERROR, "chat.run.not_stored", TN_STR("request_id", run->c->request->id),
                   TN_STR("run_id", run->id), TN_STR("code", error->code));
            return error;
        }
        (void)tn_pause_ms(STORE_PAUSE_MS, wait_tick, run);
    }
}

static void
log_run(const struct run *run, const tn_ai_result *result)
{
    const tn_ai_attempt *last = result->last;

    tn_log(last->outcome == TN_AI_FAILED ? TN_LOG_WARN : TN_LOG_INFO, "chat.run",
           TN_STR("request_id", run->c->request->id), TN_STR("run_id", run->id),
           TN_STR("outcome", tn_ai_outcome_text(last->outcome)),
           TN_STR("provider", last->candidate->provider->name),
           TN_STR("model", last->candidate->model), TN_INT("attempts", result->attempt_count),
           TN_INT("first_text_ms", last->first_text_ms), TN_INT("ms", last->duration_ms),
           TN_INT("input_tokens", last->input_tokens),
           TN_INT("output_tokens", last->output_tokens));
}

/* When the provider said it may be asked again: of this moment, so it is not kept with the run. */
static void
add_retry_after(const struct run *run, const tn_ai_attempt *last, tn_answer *answer)
{
    tn_error *error;

    if (answer->error == NULL || last->error == NULL || last->error->retry_after_s <= 0)
        return;
    error = tn_arena_alloc(run->c->arena, 1, sizeof(*error));
    *error = *answer->error;
    error->retry_after_s = last->error->retry_after_s;
    answer->error = error;
}

static const tn_error *
respond(struct run *run, const tn_ai_result *result, const char *answer_json)
{
    tn_answer answer;
    size_t total;

    TN_TRY(tn_answer_read(run->c, answer_json, &answer));
    add_retry_after(run, result->last, &answer);
    if (!run->is_streaming)
        return tn_answer_respond(run->c, &answer);
    (void)tn_live_text(run->live, &total);
    tn_event_end(run->c, &answer, total, 0);
    return NULL;
}

static const tn_error *
do_run(struct run *run, tn_ai_call *call)
{
    tn_ai_result result;
    const char *answer;
    const tn_error *error;

    tn_ai_call_run(run->c->arena, call, &result);
    log_run(run, &result);
    error = store(run, make_report(run, &result), &answer);
    tn_live_end(run->live);
    if (error == NULL)
        error = respond(run, &result, answer);
    if (error != NULL && run->is_streaming) {
        size_t total;

        (void)tn_live_text(run->live, &total);
        tn_event_error(run->c, error, run->id, total);
        error = NULL;
    }
    return error;
}

static const char *const begun_members[] = {"chat", "message", "run"};

/* What the client may see of what was admitted: not the history, which it knows. */
static const char *
make_begun(tn_ctx *c, json_object *admitted)
{
    PQExpBuffer json = tn_arena_buffer(c->arena);

    for (size_t i = 0; i < TN_COUNT(begun_members); i++)
        appendPQExpBuffer(json, "%c\"%s\":%s", i == 0 ? '{' : ',', begun_members[i],
                          tn_json_print(c->arena, tn_json_get(admitted, begun_members[i])));
    appendPQExpBufferChar(json, '}');
    return tn_buffer_text(json);
}

const tn_error *
tn_run_do(tn_ctx *c, tn_live *live, const tn_message *message, json_object *admitted)
{
    struct run run = {
        .c = c,
        .live = live,
        .as_worker = tn_ctx_db_as(c, "tenon_worker"),
        .id = message->run_id.text,
        .is_streaming = message->is_streaming,
        .flush_due_ms = tn_clock_ms() + c->config->chat.flush_ms,
        .heard_ms = tn_clock_ms(),
    };
    tn_ai_call call = {
        .reply_max = (size_t)c->config->chat.reply_max,
        .request_id = c->request->id,
        .metrics = c->process->metrics,
        .on_text = take_text,
        .on_tick = tick,
        .context = &run,
    };
    const tn_error *error = tn_message_call(c, admitted, &call);
    const char *answer;

    if (error != NULL) { /* the run is open: close it */
        (void)store(&run, make_emergency_report(&run), &answer);
        tn_live_end(live);
        return error;
    }
    if (run.is_streaming && tn_sse_open(c->response))
        tn_event_run(c, make_begun(c, admitted));
    for (size_t i = 0; i < TN_COUNT(begun_members); i++) /* thousands of streams would hold them */
        json_object_object_del(admitted, begun_members[i]);
    run.scratch = tn_arena_new();
    error = do_run(&run, &call);
    tn_arena_free(run.scratch);
    return error;
}

/* --- routes ---------------------------------------------------------------------------------- */

/* What begin_run() refuses: {"status", "code", "message", "members"}. */
static const tn_error *
read_problem(tn_ctx *c, json_object *problem)
{
    json_object *members = tn_json_get(problem, "members");
    const char *text = members == NULL ? "{}" : tn_json_print(c->arena, members);
    tn_error *error = tn_arena_alloc(c->arena, 1, sizeof(*error));

    *error = (tn_error){
        .status = (int)tn_json_int(problem, "status", 500),
        .code = tn_json_text(problem, "code", "internal_error"),
        .message = tn_json_text(problem, "message", ""),
    };
    if (strcmp(text, "{}") != 0) /* without the braces */
        error->members = tn_arena_bytes(c->arena, text + 1, strlen(text) - 2);
    return error;
}

/* The same request came before. */
static const tn_error *
replay(tn_ctx *c, const tn_message *message, json_object *earlier)
{
    json_object *run = tn_json_get(earlier, "run");
    tn_answer answer;
    tn_uuid run_id;

    if (!tn_uuid_parse(tn_json_text(run, "id", ""), &run_id))
        return tn_error_internal(c->arena, "chat.replay.odd", "a run without an id");
    if (message->is_streaming)
        return tn_follow_events(c, &run_id, 0);
    if (strcmp(tn_json_text(run, "status", ""), "running") == 0)
        return tn_follow_answer(c, &run_id);
    TN_TRY(tn_answer_read(c, tn_json_print(c->arena, earlier), &answer));
    return tn_answer_respond(c, &answer);
}

/* The connection broke while COMMIT was on its way: the run may be open, and nobody would ever do
 * it. So it is taken back if it is there, before the client hears that it may try again; should the
 * database stay away, the reaper fails it within hours. */
static void
withdraw(tn_ctx *c, const tn_message *message)
{
    const int64_t give_up_ms = tn_clock_ms() + WITHDRAW_MAX_MS;
    const tn_rows *rows;

    while (tn_tx_worker(c, TN_READ_WRITE, &tn_sql_run_withdraw, TN_PARAMS(message->run_id.text),
                        &rows) != NULL &&
           tn_clock_ms() < give_up_ms)
        (void)tn_pause_ms(STORE_PAUSE_MS, NULL, NULL);
}

static const tn_error *
begin(tn_ctx *c, const tn_message *message, tn_live *live)
{
    const tn_error *error;
    json_object *admitted;
    const tn_rows *rows;
    const char *json;

    error =
        tn_tx_rows(c, TN_READ_WRITE, &tn_sql_run_begin, TN_PARAMS(message->request_json), &rows);
    if (error != NULL && strcmp(error->code, "commit_unknown") == 0)
        withdraw(c, message);
    TN_TRY(error);
    json = tn_rows_text(rows, 0, 0);
    TN_TRY(tn_json_parse(c->arena, json, strlen(json), TN_JSON_DEPTH * 2, &admitted));
    if (tn_json_get(admitted, "problem") != NULL)
        return read_problem(c, tn_json_get(admitted, "problem"));
    if (tn_json_get(admitted, "replay") != NULL) {
        tn_live_end(live); /* it stands for nothing: the earlier run is another one */
        return replay(c, message, tn_json_get(admitted, "replay"));
    }
    return tn_run_do(c, live, message, admitted);
}

static const tn_error *
send(tn_ctx *c, const tn_uuid *chat_id)
{
    tn_message message;
    tn_live *live;
    const tn_error *error;

    TN_TRY(tn_message_read(c, chat_id, &message));
    /* Before the run exists, so that no cancellation can come too early. */
    live = tn_lives_open(c->state, &message.run_id);
    error = begin(c, &message, live);
    tn_live_give(c->state, live);
    return error;
}

const tn_error *
tn_message_send(tn_ctx *c)
{
    const tn_uuid none = {""};

    return send(c, &none);
}

const tn_error *
tn_message_send_to(tn_ctx *c)
{
    tn_uuid chat_id;

    if (!tn_uuid_parse(tn_path_text(c, "id"), &chat_id))
        return tn_error_new(c->arena, 404, "chat_not_found", NULL, "there is no such chat");
    return send(c, &chat_id);
}

static const tn_error *
path_run(tn_ctx *c, tn_uuid *run_id)
{
    if (!tn_uuid_parse(tn_path_text(c, "run_id"), run_id))
        return tn_error_new(c->arena, 404, "run_not_found", NULL, "there is no such run");
    return NULL;
}

const tn_error *
tn_run_read(tn_ctx *c)
{
    const tn_rows *rows;
    tn_uuid run_id;

    TN_TRY(path_run(c, &run_id));
    TN_TRY(tn_tx_rows(c, TN_READ_ONLY, &tn_sql_run_read, TN_PARAMS(run_id.text), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(c->arena, 404, "run_not_found", NULL, "there is no such run");
    return tn_respond_json(c, 200, tn_rows_text(rows, 0, 0));
}

const tn_error *
tn_run_events(tn_ctx *c)
{
    const char *last = tn_request_header(c->request, "last-event-id");
    int64_t seen = 0;
    tn_uuid run_id;

    TN_TRY(path_run(c, &run_id));
    if (last == NULL)
        last = tn_request_query(c->request, "last_event_id");
    if (last != NULL && *last != '\0' && !tn_text_int(last, 0, INT32_MAX, &seen))
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "Last-Event-ID is the id of an event of this run, a whole number");
    return tn_follow_events(c, &run_id, (uint64_t)seen);
}

const tn_error *
tn_run_cancel(tn_ctx *c)
{
    const tn_rows *rows;
    tn_uuid run_id;

    TN_TRY(path_run(c, &run_id));
    TN_TRY(tn_tx_rows(c, TN_READ_WRITE, &tn_sql_run_cancel, TN_PARAMS(run_id.text), &rows));
    if (tn_rows_text(rows, 0, 0) == NULL)
        return tn_error_new(c->arena, 404, "run_not_found", NULL, "there is no such run");
    tn_lives_cancel(c->state, run_id.text); /* others hear of it by NOTIFY */
    return tn_respond_json(c, 200,
                           tn_arena_printf(c->arena, "{\"run\":%s}", tn_rows_text(rows, 0, 0)));
}
