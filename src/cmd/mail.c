/* cmd/mail.c: `tenon mail …`: what mails say, how they look, and whether they leave */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/queries.h"
#include "mail/compose.h"
#include "mail/template.h"
#include "mail/transport.h"

/* --- files and text --------------------------------------------------------------------------- */

/* A template out of a file, `-` for standard input; NULL when the option is not there. */
static tn_exit
read_option_file(tn_command_line *line, const char *option, const char **text)
{
    const char *path = tn_command_option(line, option);
    char *bytes;
    size_t length;
    FILE *file;

    *text = NULL;
    if (path == NULL)
        return TN_EXIT_OK;
    file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (file == NULL)
        return tn_command_fail(line, TN_EXIT_FAILED, "file_unreadable", NULL, "cannot read %s: %s",
                               path, strerror(errno));
    bytes = tn_arena_alloc(line->arena, TN_TEMPLATE_MAX + 2, 1);
    length = fread(bytes, 1, TN_TEMPLATE_MAX + 1, file);
    if (file != stdin)
        (void)fclose(file);
    if (length == 0 || length > TN_TEMPLATE_MAX || strlen(bytes) != length)
        return tn_command_fail(line, TN_EXIT_FAILED, "template_wrong", NULL,
                               "--%s: expected text, up to %zu bytes", option, TN_TEMPLATE_MAX);
    *text = bytes;
    return TN_EXIT_OK;
}

/* Lines of others must not steer the operator's terminal. */
static void
print_lines(const char *text)
{
    for (; *text != '\0'; text++)
        fputc(((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t') || *text == 0x7f
                  ? '?'
                  : *text,
              stdout);
}

static void
add_text(PQExpBuffer json, const char *name, const char *text)
{
    appendPQExpBuffer(json, "%s\"%s\":", json->len == 0 ? "{" : ",", name);
    tn_buffer_json_string(json, text);
}

/* A mail, or the words of one: all of it as JSON, else the part that was asked for. */
static void
print_parts(tn_command_line *line, const char *source, const tn_mail *mail)
{
    PQExpBuffer json = tn_arena_buffer(line->arena);
    const bool wants_html = tn_command_option(line, "html") != NULL;
    const char *part = wants_html || mail->text == NULL ? mail->html : mail->text;

    if (line->json) {
        add_text(json, "source", source);
        add_text(json, "language", mail->language);
        add_text(json, "subject", mail->subject);
        add_text(json, "text", mail->text);
        add_text(json, "html", mail->html);
        printf("%s}\n", tn_buffer_text(json));
        return;
    }
    if (!wants_html) {
        print_lines(mail->subject);
        fputs("\n\n", stdout);
    }
    print_lines(part == NULL ? "" : part);
}

static tn_exit
check_kind(tn_command_line *line, const char *kind)
{
    if (tn_mail_kind_find(kind) != NULL)
        return TN_EXIT_OK;
    return tn_command_fail(line, TN_EXIT_NOT_FOUND, "kind_unknown",
                           "`tenon mail kinds` lists them.", "there is no kind of message %s",
                           kind);
}

/* The language as templates have it: `de_AT` is de-at. */
static const char *
wanted_language(tn_command_line *line)
{
    const char *given = tn_command_option(line, "language");
    char *language = tn_text_lower(line->arena, given == NULL ? "en" : given);

    for (char *c = language; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
    return language;
}

static tn_exit
open_tenant(tn_command_line *line, const tn_config **config, tn_session **session,
            const char **tenant)
{
    TN_COMMAND_TRY(tn_command_open(line, config, session));
    return tn_command_tenant(line, *config, *session, tn_command_option(line, "tenant"), tenant);
}

/* --- templates -------------------------------------------------------------------------------- */

static tn_exit
run_kinds(tn_command_line *line)
{
    PQExpBuffer json = tn_arena_buffer(line->arena);

    for (const tn_mail_kind *kind = tn_mail_kinds; kind->name != NULL; kind++) {
        appendPQExpBufferStr(json, json->len == 0 ? "[" : ",");
        tn_buffer_json_string(json, kind->name);
        if (!line->json)
            printf("%s\n", kind->name);
    }
    if (line->json)
        printf("%s]\n", tn_buffer_text(json));
    return TN_EXIT_OK;
}

static tn_exit
run_list(tn_command_line *line)
{
    static const tn_column columns[] = {{"KIND", "kind"},       {"LANGUAGE", "language"},
                                        {"SUBJECT", "subject"}, {"FORMS", "forms"},
                                        {"CHANGED", "changed"}, {.title = NULL}};
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    const char *tenant;

    TN_COMMAND_TRY(open_tenant(line, &config, &session, &tenant));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_mail_template_list, TN_PARAMS(tenant),
                                    NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

static tn_exit
run_set(tn_command_line *line)
{
    tn_mail_words words = {.kind = line->arguments[0],
                           .language = wanted_language(line),
                           .subject = tn_command_option(line, "subject")};
    const char *tenant, *problem;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(check_kind(line, words.kind));
    if (words.subject == NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL, "--subject is missing");
    TN_COMMAND_TRY(read_option_file(line, "text", &words.text));
    TN_COMMAND_TRY(read_option_file(line, "html", &words.html));
    problem = tn_mail_words_check(line->arena, &words);
    if (problem != NULL)
        return tn_command_fail(line, TN_EXIT_FAILED, "template_wrong",
                               "docs/mail.md lists the variables.", "%s", problem);
    TN_COMMAND_TRY(open_tenant(line, &config, &session, &tenant));
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_mail_template_set,
        TN_PARAMS(tenant, words.kind, words.language, words.subject, words.text, words.html), NULL,
        &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s in %s is set\n", words.kind,
                     words.language);
    return TN_EXIT_OK;
}

/* The words of a tenant in the best language that it has, else the built-in ones. */
static tn_exit
find_words(tn_command_line *line, const tn_config **config, tn_mail_words *words,
           const char **source)
{
    const char *kind = line->arguments[0], *language = wanted_language(line), *tenant;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(check_kind(line, kind));
    TN_COMMAND_TRY(open_tenant(line, config, &session, &tenant));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_mail_template_find,
                                    TN_PARAMS(tenant, kind, language), NULL, &rows));
    *source = tn_rows_text(rows, 0, 1) != NULL ? "tenant" : "built-in";
    if (tn_rows_text(rows, 0, 1) == NULL)
        *words = *tn_mail_words_find(kind, tn_rows_text(rows, 0, 0));
    else
        *words = (tn_mail_words){.kind = kind,
                                 .language = tn_rows_text(rows, 0, 1),
                                 .subject = tn_rows_text(rows, 0, 2),
                                 .text = tn_rows_text(rows, 0, 3),
                                 .html = tn_rows_text(rows, 0, 4)};
    return TN_EXIT_OK;
}

static tn_exit
run_show(tn_command_line *line)
{
    const tn_config *config;
    tn_mail_words words;
    const char *source;

    TN_COMMAND_TRY(find_words(line, &config, &words, &source));
    print_parts(line, source,
                &(tn_mail){.subject = words.subject,
                           .text = words.text,
                           .html = words.html,
                           .language = words.language});
    return TN_EXIT_OK;
}

static tn_exit
run_remove(tn_command_line *line)
{
    const char *kind = line->arguments[0], *language = wanted_language(line), *tenant;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(open_tenant(line, &config, &session, &tenant));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_mail_template_remove,
                                    TN_PARAMS(tenant, kind, language),
                                    "the tenant has no such template", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s in %s is removed\n", kind, language);
    return TN_EXIT_OK;
}

static tn_exit
run_language(tn_command_line *line)
{
    const char *tenant, *language = line->argument_count > 0 ? line->arguments[0] : NULL;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(open_tenant(line, &config, &session, &tenant));
    if (language != NULL)
        TN_COMMAND_TRY(
            tn_command_query(line, session, &tn_sql_mail_language_set, TN_PARAMS(tenant, language),
                             "that is no language: expected de, de-AT, zh-Hant …", NULL));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_mail_language, TN_PARAMS(tenant),
                                    "the tenant is gone", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s\n", tn_rows_text(rows, 0, 1));
    return TN_EXIT_OK;
}

/* --- a look, and a try ------------------------------------------------------------------------ */

static tn_exit
compose_example(tn_command_line *line, const tn_config *config, const tn_mail_words *words,
                const char *recipient, tn_mail *mail)
{
    const tn_letter letter = {
        .code = "123456",
        .token = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        .new_email = "new@example.com",
        .data = "{\"old_email\":\"old@example.com\",\"phone\":\"4915112345678\",\"old_phone\":"
                "\"4915187654321\",\"provider\":\"github\",\"factor_type\":\"totp\",\"team\":"
                "\"Example\",\"inviter\":\"Ada\",\"role\":\"member\",\"name\":\"Example\"}"};
    const tn_mail_order order = {.kind = words->kind, .recipient = recipient, .letter = &letter};
    const char *problem = tn_mail_compose(config, line->arena, words, &order, mail);

    if (problem != NULL)
        return tn_command_fail(line, TN_EXIT_FAILED, "template_wrong", NULL, "%s", problem);
    return TN_EXIT_OK;
}

static tn_exit
run_preview(tn_command_line *line)
{
    const tn_config *config;
    tn_mail_words words;
    const char *source;
    tn_mail mail;

    TN_COMMAND_TRY(find_words(line, &config, &words, &source));
    TN_COMMAND_TRY(compose_example(line, config, &words, "you@example.com", &mail));
    print_parts(line, source, &mail);
    return TN_EXIT_OK;
}

static void
send_example(tn_command_line *line, const tn_config *config, const tn_mail *mail,
             tn_sending *sending)
{
    const tn_uuid id = tn_uuid_new();
    tn_mime mime = {
        .from = tn_mail_from(config),
        .from_name = config->mail.from_name,
        .to = line->arguments[0],
        .id = id.text,
        .kind = "test",
        .unix_time = tn_clock_unix(),
        .mail = mail,
    };
    tn_envelope envelope = {.from = mime.from, .to = mime.to};
    tn_transport *transport = tn_transport_new(config, NULL);

    envelope.bytes = tn_mime_print(line->arena, &mime, &envelope.length);
    tn_transport_send(transport, line->arena, &envelope, sending);
    tn_transport_free(transport);
}

/* Straight to the mail server, past the outbox: so that the operator sees what it says. */
static tn_exit
run_test(tn_command_line *line)
{
    PQExpBuffer json = tn_arena_buffer(line->arena);
    const tn_config *config;
    const char *where;
    tn_sending sending;
    tn_mail mail;

    if (!tn_mime_is_address(line->arguments[0]))
        return tn_command_fail(line, TN_EXIT_USAGE, "address_wrong", NULL,
                               "%s is no address in ASCII", line->arguments[0]);
    TN_COMMAND_TRY(tn_command_config(line, &config));
    TN_COMMAND_TRY(
        compose_example(line, config, tn_mail_words_find("test", "en"), line->arguments[0], &mail));
    send_example(line, config, &mail, &sending);
    where = config->mail.url[0] != '\0' ? config->mail.url : config->mail.maildir;
    if (!sending.is_accepted)
        return tn_command_fail(line, TN_EXIT_FAILED, "mail_not_sent", sending.reply,
                               "%s did not take it (%s): %s", where, sending.stage,
                               sending.problem);
    add_text(json, "sent_to", line->arguments[0]);
    add_text(json, "through", where);
    tn_command_print(line, tn_arena_printf(line->arena, "%s}", tn_buffer_text(json)),
                     "accepted by %s\n", where);
    return TN_EXIT_OK;
}

static tn_exit
run_queue(tn_command_line *line)
{
    static const tn_column columns[] = {
        {"ID", "id"},       {"TENANT", "tenant"},    {"CHANNEL", "channel"},
        {"KIND", "kind"},   {"DOMAIN", "domain"},    {"TRIES", "attempts"},
        {"NEXT", "due_at"}, {"UNTIL", "expires_at"}, {.title = NULL}};
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_mail_queue, TN_NO_PARAMS, NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

#define TENANT_OPTION                                                        \
    {                                                                        \
        "tenant", "NAME", "tenant, by name or id (else data.default_tenant)" \
    }
#define LANGUAGE_OPTION                                   \
    {                                                     \
        "language", "LANGUAGE", "de, de-AT … (else en)" \
    }

static const tn_option tenant_options[] = {TENANT_OPTION, {.name = NULL}};
static const tn_option one_options[] = {TENANT_OPTION, LANGUAGE_OPTION, {.name = NULL}};
static const tn_option show_options[] = {
    TENANT_OPTION, LANGUAGE_OPTION, {"html", NULL, "the HTML, and nothing else"}, {.name = NULL}};
static const tn_option set_options[] = {
    TENANT_OPTION,
    LANGUAGE_OPTION,
    {"subject", "TEXT", "the subject; variables may stand in it"},
    {"text", "FILE", "the plain text; - is standard input"},
    {"html", "FILE", "the HTML; one of the two may be missing"},
    {.name = NULL},
};

const tn_command tn_mail_commands[] = {
    {"mail kinds", .summary = "The kinds of messages that have a template", .run = run_kinds},
    {"mail template list", NULL, 0, 0, "Templates of a tenant", NULL, tenant_options, run_list},
    {"mail template set", "KIND", 1, 1, "Give a tenant words of its own for a kind of mail",
     "Variables are Supabase's: {{ .ConfirmationURL }}, {{ .Token }}, {{ .Data.x }} …; one that "
     "is\n"
     "unknown is refused.\n",
     set_options, run_set},
    {"mail template show", "KIND", 1, 1, "A tenant's template, or the built-in one", NULL,
     show_options, run_show},
    {"mail template remove", "KIND", 1, 1, "Go back to the built-in words", NULL, one_options,
     run_remove},
    {"mail preview", "KIND", 1, 1, "A mail as people get it, with example values", NULL,
     show_options, run_preview},
    {"mail language", "[LANGUAGE]", 0, 1, "The language for people who have named none", NULL,
     tenant_options, run_language},
    {"mail queue", .summary = "Messages that wait to be sent, of all tenants", .run = run_queue},
    {"mail test", "ADDRESS", 1, 1, "Send a mail now, and say what the mail server said", NULL, NULL,
     run_test},
    {.name = NULL},
};
