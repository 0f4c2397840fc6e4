/* chat/follow.c: looks at a run until it has ended */
#include "chat/follow.h"

#include <string.h>

#include "ai/pause.h"
#include "base/clock.h"
#include "chat/answer.h"
#include "chat/live.h"
#include "chat/queries.h"

#define LOOK_FIRST_MS 100
#define LOOK_MAX_MS 1000
#define AWAY_MAX_MS 60000 /* so long may the database be away before a follower is told */

struct follower {
    tn_ctx *c;
    tn_arena *scratch;
    tn_db_context as_caller; /* made once: each making takes from the request's arena */
    const tn_uuid *run_id;
    bool is_sending;     /* events; else it only waits */
    size_t offset;       /* bytes of text that the client has */
    int64_t heard_ms;    /* when something was sent last */
    int64_t deadline_ms; /* 0: none */
    const char *answer;  /* once the run has ended */
};

static bool
is_wanted(const struct follower *f)
{
    return !f->c->response->client_gone && (f->deadline_ms == 0 || tn_clock_ms() < f->deadline_ms);
}

/* A sign of life, when there was none for long. */
static void
beat(struct follower *f)
{
    if (!f->is_sending || tn_clock_ms() - f->heard_ms < f->c->config->chat.heartbeat_s * 1000)
        return;
    (void)tn_sse_comment(f->c->response, "still there");
    f->heard_ms = tn_clock_ms();
}

static bool
tick(void *context)
{
    struct follower *f = context;

    beat(f);
    return is_wanted(f);
}

static void
send_text(struct follower *f, const char *text, size_t length)
{
    if (length == 0)
        return;
    f->offset += length;
    if (!f->is_sending)
        return;
    tn_event_delta(f->c, f->scratch, text, length, f->offset);
    f->heard_ms = tn_clock_ms();
}

/* Sends what of `text`, which begins at byte `position`, lies behind the offset. An offset within a
 * character is moved to its beginning, so that no broken character is sent. */
static void
send_behind(struct follower *f, const char *text, size_t length, size_t position)
{
    size_t skip = f->offset > position ? f->offset - position : 0;

    if (skip >= length)
        return;
    while (skip > 0 && ((unsigned char)text[skip] & 0xC0) == 0x80)
        skip--;
    f->offset = position + skip;
    send_text(f, text + skip, length - skip);
}

/* Follows a run of this process to its end, or as long as it is wanted. */
static void
follow_live(struct follower *f, tn_live *live)
{
    PQExpBuffer text = createPQExpBuffer();
    bool goes_on = true;

    while (goes_on && is_wanted(f)) {
        goes_on = tn_live_wait(live, &f->offset, tn_clock_ms() + LOOK_MAX_MS, text);
        send_text(f, tn_buffer_text(text), text->len);
        resetPQExpBuffer(text);
        beat(f);
    }
    destroyPQExpBuffer(text);
}

/* One look at the database. *has_text: there was something new. */
static const tn_error *
look(struct follower *f, bool *has_text)
{
    tn_ctx *c = f->c;
    tn_arena *arena = tn_arena_new(); /* the look's own, as there may be thousands */
    char offset[24];
    const char *const parameters[] = {f->run_id->text, offset};
    const tn_query query = {
        .statement = &tn_sql_run_state, .parameters = parameters, .parameter_count = 2};
    const tn_rows *rows = NULL;
    const tn_error *error;

    (void)snprintf(offset, sizeof(offset), "%zu", f->offset);
    error = tn_db_run(c->process->db, arena, &f->as_caller, TN_READ_ONLY, &query, 1, &rows);
    *has_text = false;
    if (error != NULL) {
        tn_error *kept =
            tn_error_new(c->arena, error->status, error->code, NULL, "%s", error->message);

        kept->retry_after_s = error->retry_after_s;
        error = kept;
    } else if (tn_rows_count(rows) == 0) {
        error = tn_error_new(c->arena, 404, "run_not_found", NULL, "there is no such run");
    } else {
        f->answer = tn_arena_text(c->arena, tn_rows_text(rows, 0, 1));
        if (tn_rows_text(rows, 0, 3) != NULL) {
            *has_text = true;
            send_behind(f, tn_rows_text(rows, 0, 3), tn_rows_length(rows, 0, 3),
                        (size_t)tn_rows_int(rows, 0, 2, 0));
        }
    }
    tn_arena_free(arena);
    return error;
}

/* Follows to the end. NULL with no answer: nobody wants it any more. */
static const tn_error *
follow(struct follower *f)
{
    tn_live *live = tn_lives_find(f->c->state, f->run_id);
    int64_t pause_ms = LOOK_FIRST_MS, away_since_ms = 0;

    if (live != NULL) {
        follow_live(f, live);
        tn_live_give(f->c->state, live);
    }
    while (is_wanted(f)) {
        bool has_text;
        const tn_error *error = look(f, &has_text);

        if (error == NULL && f->answer != NULL)
            return NULL;
        if (error == NULL)
            away_since_ms = 0;
        else if (away_since_ms == 0)
            away_since_ms = tn_clock_ms();
        if (error != NULL && (error->status != 503 || tn_clock_ms() - away_since_ms > AWAY_MAX_MS))
            return error;
        pause_ms = has_text ? LOOK_FIRST_MS : pause_ms * 3 / 2;
        if (pause_ms > LOOK_MAX_MS)
            pause_ms = LOOK_MAX_MS;
        (void)tn_pause_ms(pause_ms, tick, f);
    }
    return NULL;
}

/* The run as it stands, for the event `run`; and whether the caller has one of that id. */
static const tn_error *
read_run(struct follower *f, const char **json)
{
    const tn_rows *rows;

    TN_TRY(tn_tx_rows(f->c, TN_READ_ONLY, &tn_sql_run_begun, TN_PARAMS(f->run_id->text), &rows));
    if (tn_rows_count(rows) == 0)
        return tn_error_new(f->c->arena, 404, "run_not_found", NULL, "there is no such run");
    *json = tn_rows_text(rows, 0, 0);
    return NULL;
}

/* The text of the answer that the client has not seen, and its end. */
static const tn_error *
send_rest(struct follower *f, uint64_t seen)
{
    tn_answer answer;

    TN_TRY(tn_answer_read(f->c, f->answer, &answer));
    send_behind(f, answer.text, answer.text_length, 0);
    tn_event_end(f->c, &answer, answer.text_length, seen);
    return NULL;
}

const tn_error *
tn_follow_events(tn_ctx *c, const tn_uuid *run_id, uint64_t seen)
{
    struct follower f = {
        .c = c,
        .scratch = tn_arena_new(),
        .as_caller = tn_ctx_db(c),
        .run_id = run_id,
        .is_sending = true,
        .offset = (size_t)seen,
        .heard_ms = tn_clock_ms(),
    };
    const tn_error *error;
    const char *begun = NULL;

    error = read_run(&f, &begun);
    if (error == NULL && tn_sse_open(c->response)) {
        if (seen == 0)
            tn_event_run(c, begun);
        error = follow(&f);
        if (error == NULL && f.answer != NULL)
            error = send_rest(&f, seen);
        if (error != NULL) {
            tn_event_error(c, error, run_id->text, f.offset);
            error = NULL; /* it has been told */
        }
    }
    tn_arena_free(f.scratch);
    return error;
}

const tn_error *
tn_follow_answer(tn_ctx *c, const tn_uuid *run_id)
{
    struct follower f = {
        .c = c,
        .as_caller = tn_ctx_db(c),
        .run_id = run_id,
        .deadline_ms = tn_clock_ms() + c->config->server.request_timeout_s * 1000,
    };
    tn_answer answer;
    tn_error *error;

    TN_TRY(follow(&f));
    if (f.answer != NULL) {
        TN_TRY(tn_answer_read(c, f.answer, &answer));
        return tn_answer_respond(c, &answer);
    }
    error =
        tn_error_new(c->arena, 409, "run_in_progress", "Ask again with the same Idempotency-Key.",
                     "the same request is still being answered");
    error->members = tn_arena_printf(c->arena, "\"run_id\":\"%s\"", run_id->text);
    error->retry_after_s = 5;
    return error;
}
