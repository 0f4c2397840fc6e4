/* mail/post.c: letter and words → a mail to the transport, or a payload to a hook */
#include "mail/post.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "hook/hook.h"
#include "mail/payload.h"
#include "mail/queries.h"

/* Whom a message is for, and the tenant's own words. */
struct context {
    const char *languages;
    const char *user;  /* JSON, or NULL */
    tn_mail_words own; /* .subject is NULL when the tenant has none */
};

static void
fail(tn_post_outcome *outcome, tn_post_fate fate, const char *stage, const char *problem)
{
    *outcome = (tn_post_outcome){.fate = fate, .stage = stage, .problem = problem};
}

static const tn_error *
read_context(const tn_process *process, tn_arena *arena, const tn_post *message,
             tn_mail_order *order, struct context *context)
{
    const tn_db_context as_worker = {.role = "tenon_worker", .tenant_id = message->tenant.text};
    const char *kind = strcmp(message->channel, "sms") == 0 ? "sms" : message->kind;
    const tn_query query = {.statement = &tn_sql_message_words,
                            .parameters = (const char *const[]){message->user_id, kind},
                            .parameter_count = 2};
    const tn_rows *rows;

    TN_TRY(tn_db_run(process->db, arena, &as_worker, TN_READ_ONLY, &query, 1, &rows));
    *context = (struct context){.languages = tn_rows_text(rows, 0, 0),
                                .user = tn_rows_text(rows, 0, 1),
                                .own = {.kind = kind,
                                        .language = tn_rows_text(rows, 0, 4),
                                        .subject = tn_rows_text(rows, 0, 5),
                                        .text = tn_rows_text(rows, 0, 6),
                                        .html = tn_rows_text(rows, 0, 7)}};
    order->email = tn_rows_text(rows, 0, 2);
    order->metadata = tn_rows_text(rows, 0, 3);
    return NULL;
}

/* In the tenant's words; should they be broken, in ours. */
static void
compose(const tn_process *process, tn_arena *arena, const tn_post *message,
        const struct context *context, const tn_mail_order *order, tn_mail *mail)
{
    const tn_mail_words *built_in =
        tn_mail_words_find(context->own.kind, context->languages == NULL ? "" : context->languages);
    const char *problem;

    if (context->own.subject != NULL) {
        problem = tn_mail_compose(process->config, arena, &context->own, order, mail);
        if (problem == NULL)
            return;
        tn_log(TN_LOG_ERROR, "mail.template_broken", TN_STR("tenant_id", message->tenant.text),
               TN_STR("kind", context->own.kind), TN_STR("language", context->own.language),
               TN_STR("problem", problem));
    }
    problem = tn_mail_compose(process->config, arena, built_in, order, mail);
    if (problem != NULL)
        tn_die("etc/mail, %s: %s", context->own.kind, problem);
}

/* --- by mail --------------------------------------------------------------------------------- */

static void
send_mail(const tn_process *process, tn_transport *transport, tn_arena *arena,
          const tn_post *message, const tn_mail *mail, tn_post_outcome *outcome)
{
    const tn_config *config = process->config;
    tn_mime mime = {
        .from = tn_mail_from(config),
        .from_name = config->mail.from_name,
        .to = message->recipient,
        .id = message->id,
        .kind = message->kind,
        .unix_time = tn_clock_unix(),
        .mail = mail,
    };
    tn_envelope envelope = {.from = mime.from, .to = mime.to};
    tn_sending sending;

    if (!tn_mime_is_address(message->recipient)) {
        fail(outcome, TN_POST_HOPELESS, "recipient", "this is no address that can be written");
        return;
    }
    envelope.bytes = tn_mime_print(arena, &mime, &envelope.length);
    tn_transport_send(transport, arena, &envelope, &sending);
    *outcome = (tn_post_outcome){
        .fate = sending.is_accepted  ? TN_POST_SENT
                : sending.is_refused ? TN_POST_HOPELESS
                                     : TN_POST_LATER,
        .stage = sending.stage,
        .problem = sending.problem,
        .status = sending.status,
    };
}

/* --- by a hook ------------------------------------------------------------------------------- */

static void
ask_hook(const tn_process *process, tn_arena *arena, const tn_post *message, tn_hook hook,
         const char *payload, tn_post_outcome *outcome)
{
    json_object *reply;
    const tn_error *error = tn_hook_run(process, arena, hook, &message->tenant, payload, &reply);

    fail(outcome, error == NULL ? TN_POST_SENT : TN_POST_LATER, "hook",
         error == NULL ? NULL : error->code);
    outcome->status = error == NULL ? 0 : error->status;
}

/* A change of address is told to the current address and to the new one, in one transaction. The
 * hook is asked once for both, by the message to the current address; then both are gone, and
 * whoever has the other in hand meanwhile has nothing left to do. */
static const tn_error *
find_other(const tn_process *process, tn_arena *arena, const tn_post *message,
           tn_post_outcome *outcome, tn_letter *other)
{
    const tn_db_context as_worker = {.role = "tenon_worker", .tenant_id = message->tenant.text};
    const tn_query query = {.statement = &tn_sql_message_other,
                            .parameters = (const char *const[]){message->id},
                            .parameter_count = 1};
    const tn_rows *rows;

    TN_TRY(tn_db_run(process->db, arena, &as_worker, TN_READ_ONLY, &query, 1, &rows));
    if (tn_rows_count(rows) == 0)
        outcome->fate = TN_POST_GONE;
    else if (tn_rows_text(rows, 0, 0) != NULL &&
             tn_letter_open(process->config, arena, &message->tenant, tn_rows_text(rows, 0, 1),
                            other))
        outcome->other_id = tn_rows_text(rows, 0, 0);
    return NULL;
}

static void
send_by_hook(const tn_process *process, tn_arena *arena, const tn_post *message,
             const tn_mail_order *order, const char *user, tn_post_outcome *outcome)
{
    const bool is_change = strcmp(message->kind, "email_change") == 0;
    const char *new_email = order->letter->new_email, *other_id;
    tn_letter other;

    *outcome = (tn_post_outcome){0};
    if (is_change && find_other(process, arena, message, outcome, &other) != NULL) {
        fail(outcome, TN_POST_LATER, "database", "away");
        return;
    }
    if (outcome->fate == TN_POST_GONE)
        return;
    if (outcome->other_id != NULL && new_email != NULL &&
        strcmp(message->recipient, new_email) == 0) {
        outcome->fate = TN_POST_WAITS;
        return;
    }
    other_id = outcome->other_id;
    ask_hook(process, arena, message, TN_HOOK_SEND_EMAIL,
             tn_mail_payload(process->config, arena, order, user, other_id == NULL ? NULL : &other),
             outcome);
    outcome->other_id = other_id;
}

/* The app is told of an account that has been made; of one that is gone by now, nothing. */
static void
tell_of_user(const tn_process *process, tn_arena *arena, const tn_post *message,
             tn_post_outcome *outcome)
{
    tn_mail_order order = {.kind = message->kind};
    struct context context;

    if (!tn_hook_is_set(process->config, TN_HOOK_AFTER_USER_CREATED))
        fail(outcome, TN_POST_HOPELESS, "hook", "hooks.after_user_created is not set");
    else if (read_context(process, arena, message, &order, &context) != NULL)
        fail(outcome, TN_POST_LATER, "database", "away");
    else if (context.user == NULL)
        fail(outcome, TN_POST_HOPELESS, "user", "gone");
    else
        ask_hook(process, arena, message, TN_HOOK_AFTER_USER_CREATED,
                 tn_arena_printf(arena,
                                 "{\"metadata\":{\"uuid\":\"%s\",\"name\":\"after-user-created\"},"
                                 "\"user\":%s}",
                                 message->id, context.user),
                 outcome);
}

/* --- either ---------------------------------------------------------------------------------- */

void
tn_post_send(const tn_process *process, tn_transport *transport, tn_arena *arena,
             const tn_post *message, tn_post_outcome *outcome)
{
    const bool is_sms = strcmp(message->channel, "sms") == 0;
    tn_letter letter;
    tn_mail_order order = {
        .kind = message->kind, .recipient = message->recipient, .letter = &letter};
    struct context context;
    tn_mail mail;

    if (strcmp(message->channel, "hook") == 0) {
        tell_of_user(process, arena, message, outcome);
        return;
    }
    if (!tn_letter_open(process->config, arena, &message->tenant, message->sealed, &letter)) {
        fail(outcome, TN_POST_HOPELESS, "letter", "sealed with another server.secret");
    } else if (!is_sms && tn_mail_kind_find(message->kind) == NULL) {
        fail(outcome, TN_POST_HOPELESS, "kind", "there is no such kind");
    } else if (is_sms && !tn_hook_is_set(process->config, TN_HOOK_SEND_SMS)) {
        fail(outcome, TN_POST_HOPELESS, "hook", "hooks.send_sms is not set");
    } else if (read_context(process, arena, message, &order, &context) != NULL) {
        fail(outcome, TN_POST_LATER, "database", "away");
    } else if (is_sms) {
        compose(process, arena, message, &context, &order, &mail);
        ask_hook(process, arena, message, TN_HOOK_SEND_SMS,
                 tn_sms_payload(arena, &order, context.user, mail.text), outcome);
    } else if (tn_hook_is_set(process->config, TN_HOOK_SEND_EMAIL)) {
        send_by_hook(process, arena, message, &order, context.user, outcome);
    } else {
        compose(process, arena, message, &context, &order, &mail);
        send_mail(process, transport, arena, message, &mail, outcome);
    }
}
