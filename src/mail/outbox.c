/* mail/outbox.c: the sender: claims what is due in tenon.outbox, and hands it on
 *
 * A claim is a lease: the message is due again when it runs out, so a process that is killed on the
 * way loses nothing. It is deleted when somebody has accepted it, and when it is of no use any
 * more. The threads know nothing of one another; the database gives each message to one of them.
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/lock.h"
#include "base/log.h"
#include "mail/post.h"
#include "mail/queries.h"
#include "mail/transport.h"

#define POLL_MS 1000
#define LEASE_MARGIN_S 60 /* above mail.timeout_s: what a hook and the database may take */
#define STACK_SIZE ((size_t)512 * 1024)
#define FIRST_PAUSE_S 5
#define PAUSE_MAX_S 600
#define FORGET_TRIES 30 /* a second apart: what has been sent shall not be sent again */

struct outbox {
    const tn_process *process;
    tn_lock lock;
    pthread_cond_t changed;
    uint64_t news;         /* guarded by lock, as are the next two: counts notifications */
    bool stopping;         /* nothing new is begun */
    size_t running;        /* threads */
    atomic_bool cancelled; /* what goes on is ended */
    pthread_t *threads;
};

static const tn_error *
run_query(const tn_process *process, tn_arena *arena, const char *tenant, const tn_query *query,
          const tn_rows **rows)
{
    const tn_db_context as_worker = {.role = "tenon_worker", .tenant_id = tenant};

    return tn_db_run(process->db, arena, &as_worker, TN_READ_WRITE, query, 1, rows);
}

#define QUERY(name, ...)                                                 \
    (&(const tn_query){.statement = &tn_sql_##name,                      \
                       .parameters = (const char *const[]){__VA_ARGS__}, \
                       .parameter_count =                                \
                           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)})

/* --- waiting --------------------------------------------------------------------------------- */

static bool
is_stopping(struct outbox *outbox)
{
    bool stopping;

    tn_lock_take(&outbox->lock);
    stopping = outbox->stopping;
    tn_lock_give(&outbox->lock);
    return stopping || atomic_load(outbox->process->draining);
}

/* Until there is news that is not in *seen, a second has passed, or the end has come. */
static void
wait_for_news(struct outbox *outbox, uint64_t *seen)
{
    const int64_t deadline_ms = tn_clock_ms() + POLL_MS;

    tn_lock_take(&outbox->lock);
    while (outbox->news == *seen && !outbox->stopping &&
           tn_lock_wait(&outbox->lock, &outbox->changed, deadline_ms))
        continue;
    *seen = outbox->news;
    tn_lock_give(&outbox->lock);
}

/* --- what becomes of a message --------------------------------------------------------------- */

static void
forget(struct outbox *outbox, tn_arena *arena, const tn_post *message, const char *other_id)
{
    const struct timespec second = {.tv_sec = 1};
    const tn_rows *rows;

    for (int i = 0; i < FORGET_TRIES; i++) {
        if (run_query(outbox->process, arena, message->tenant.text,
                      QUERY(message_done, message->id, other_id), &rows) == NULL)
            return;
        if (atomic_load(&outbox->cancelled))
            break;
        (void)nanosleep(&second, NULL);
    }
    tn_log(TN_LOG_ERROR, "mail.not_forgotten", TN_STR("tenant_id", message->tenant.text),
           TN_STR("message_id", message->id));
}

/* 5 s, 10 s, 20 s … 10 min, and up to a quarter more, so that not all come back at once. */
static int64_t
pause_s(int64_t attempts)
{
    int64_t pause = FIRST_PAUSE_S;
    uint8_t random;

    for (int64_t i = 1; i < attempts && pause < PAUSE_MAX_S; i++)
        pause *= 2;
    tn_random(&random, sizeof(random));
    pause = pause > PAUSE_MAX_S ? PAUSE_MAX_S : pause;
    return pause + pause * random / 1024;
}

static void
postpone(struct outbox *outbox, tn_arena *arena, const tn_post *message, int64_t seconds)
{
    const char *pause = tn_arena_number(arena, seconds);
    const tn_rows *rows;

    /* Should it fail, the lease does the same. */
    (void)!run_query(outbox->process, arena, message->tenant.text,
                     QUERY(message_postpone, message->id, pause), &rows);
}

static void
log_outcome(tn_log_level level, const char *event, const tn_post *message,
            const tn_post_outcome *outcome, int64_t ms)
{
    tn_log(level, event, TN_STR("tenant_id", message->tenant.text),
           TN_STR("message_id", message->id), TN_STR("channel", message->channel),
           TN_STR("kind", message->kind), TN_INT("attempts", message->attempts),
           TN_STR("stage", outcome->stage), TN_INT("status", outcome->status),
           TN_STR("problem", outcome->problem), TN_INT("ms", ms));
}

static void
settle(struct outbox *outbox, tn_arena *arena, const tn_post *message,
       const tn_post_outcome *outcome, int64_t ms)
{
    switch (outcome->fate) {
    case TN_POST_SENT:
        log_outcome(TN_LOG_INFO, "mail.sent", message, outcome, ms);
        forget(outbox, arena, message, outcome->other_id);
        break;
    case TN_POST_HOPELESS:
        log_outcome(TN_LOG_WARN, "mail.dropped", message, outcome, ms);
        forget(outbox, arena, message, NULL);
        break;
    case TN_POST_LATER:
        log_outcome(TN_LOG_WARN, "mail.postponed", message, outcome, ms);
        postpone(outbox, arena, message, pause_s(message->attempts));
        break;
    case TN_POST_WAITS:
        postpone(outbox, arena, message, 1);
        break;
    case TN_POST_GONE:
        break;
    }
}

/* --- a thread -------------------------------------------------------------------------------- */

static void
drop_expired(struct outbox *outbox, tn_arena *arena)
{
    const tn_query query = {.statement = &tn_sql_messages_drop_expired};
    const tn_rows *rows;

    if (run_query(outbox->process, arena, NULL, &query, &rows) != NULL)
        return;
    for (size_t i = 0; i < tn_rows_count(rows); i++)
        tn_log(TN_LOG_WARN, "mail.expired", TN_STR("tenant_id", tn_rows_text(rows, i, 0)),
               TN_STR("message_id", tn_rows_text(rows, i, 1)),
               TN_STR("channel", tn_rows_text(rows, i, 2)),
               TN_STR("kind", tn_rows_text(rows, i, 3)),
               TN_INT("attempts", tn_rows_int(rows, i, 4, 0)));
}

/* One message that is due; false: there is none, or no database. */
static bool
claim(struct outbox *outbox, tn_arena *arena, tn_post *message)
{
    const char *lease =
        tn_arena_number(arena, outbox->process->config->mail.timeout_s + LEASE_MARGIN_S);
    const tn_rows *rows;

    if (run_query(outbox->process, arena, NULL, QUERY(messages_claim, "1", lease), &rows) != NULL ||
        tn_rows_count(rows) == 0)
        return false;
    *message = (tn_post){
        .id = tn_rows_text(rows, 0, 1),
        .channel = tn_rows_text(rows, 0, 2),
        .kind = tn_rows_text(rows, 0, 3),
        .recipient = tn_rows_text(rows, 0, 4),
        .user_id = tn_rows_text(rows, 0, 5),
        .sealed = tn_rows_text(rows, 0, 6),
        .attempts = tn_rows_int(rows, 0, 7, 1),
    };
    return tn_uuid_parse(tn_rows_text(rows, 0, 0), &message->tenant);
}

static void *
run_thread(void *context)
{
    struct outbox *outbox = context;
    tn_transport *transport = tn_transport_new(outbox->process->config, &outbox->cancelled);
    tn_arena *arena = tn_arena_new();
    uint64_t seen = 0;

    while (!is_stopping(outbox)) {
        tn_post message;
        tn_post_outcome outcome;
        int64_t began_ms;

        if (!claim(outbox, arena, &message)) {
            drop_expired(outbox, arena);
            tn_arena_reset(arena);
            wait_for_news(outbox, &seen);
            continue;
        }
        began_ms = tn_clock_ms();
        tn_post_send(outbox->process, transport, arena, &message, &outcome);
        settle(outbox, arena, &message, &outcome, tn_clock_ms() - began_ms);
        tn_arena_reset(arena);
    }
    tn_arena_free(arena);
    tn_transport_free(transport);
    tn_crypto_thread_end();
    tn_lock_take(&outbox->lock);
    outbox->running--;
    (void)pthread_cond_broadcast(&outbox->changed);
    tn_lock_give(&outbox->lock);
    return NULL;
}

/* --- the service ----------------------------------------------------------------------------- */

static void
start_thread(struct outbox *outbox, pthread_t *thread)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int failed;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    failed = pthread_create(thread, &attributes, run_thread, outbox);
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        tn_die("no thread to send mails: error %d", failed);
}

static void *
start(const tn_process *process)
{
    const size_t count = (size_t)process->config->mail.senders;
    struct outbox *outbox = calloc(1, sizeof(*outbox));

    if (outbox == NULL || (outbox->threads = calloc(count, sizeof(pthread_t))) == NULL)
        tn_die("out of memory");
    outbox->process = process;
    outbox->running = count;
    tn_lock_init(&outbox->lock);
    tn_condition_init(&outbox->changed);
    for (size_t i = 0; i < count; i++)
        start_thread(outbox, &outbox->threads[i]);
    return outbox;
}

/* What is being sent has server.drain_timeout_s to end. */
static void
stop(void *state)
{
    struct outbox *outbox = state;
    const tn_config *config = outbox->process->config;
    const int64_t deadline_ms = tn_clock_ms() + config->server.drain_timeout_s * 1000;

    tn_lock_take(&outbox->lock);
    outbox->stopping = true;
    (void)pthread_cond_broadcast(&outbox->changed);
    while (outbox->running > 0 && tn_lock_wait(&outbox->lock, &outbox->changed, deadline_ms))
        continue;
    tn_lock_give(&outbox->lock);
    atomic_store(&outbox->cancelled, true);
    for (size_t i = 0; i < (size_t)config->mail.senders; i++)
        (void)pthread_join(outbox->threads[i], NULL);
    (void)pthread_cond_destroy(&outbox->changed);
    tn_lock_release(&outbox->lock);
    free(outbox->threads);
    free(outbox);
}

static void
on_notify(void *state, const char *channel, const char *payload)
{
    struct outbox *outbox = state;

    if (strcmp(channel, "tenon") != 0 || strcmp(payload, "outbox") != 0)
        return;
    tn_lock_take(&outbox->lock);
    outbox->news++;
    (void)pthread_cond_broadcast(&outbox->changed);
    tn_lock_give(&outbox->lock);
}

const tn_service tn_mail_service = {
    .name = "mail", .start = start, .stop = stop, .on_notify = on_notify};
