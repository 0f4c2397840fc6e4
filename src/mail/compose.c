/* mail/compose.c: kinds of messages, their words, and the values of variables */
#include "mail/compose.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "mail/template.h"
#include "mail/words.h"

#define SUBJECT_MAX 500 /* bytes, filled in */

const tn_mail_kind tn_mail_kinds[] = {
    {"confirmation", "signup", "signup"},
    {"recovery", "recovery", "recovery"},
    {"magiclink", "magiclink", "magiclink"},
    {"invite", "invite", "invite"},
    {"email_change", "email_change", "email_change"},
    {"reauthentication", NULL, "reauthentication"},
    {"team_invitation", NULL, "team_invitation"},
    {"password_changed", NULL, "password_changed_notification"},
    {"email_changed", NULL, "email_changed_notification"},
    {"phone_changed", NULL, "phone_changed_notification"},
    {"identity_linked", NULL, "identity_linked_notification"},
    {"identity_unlinked", NULL, "identity_unlinked_notification"},
    {"factor_added", NULL, "mfa_factor_enrolled_notification"},
    {"factor_removed", NULL, "mfa_factor_unenrolled_notification"},
    {"passkey_added", NULL, "passkey_added_notification"},
    {"passkey_removed", NULL, "passkey_removed_notification"},
    {"recovery_codes_generated", NULL, "recovery_codes_generated_notification"},
    {"agent_created", NULL, "agent_created_notification"},
    {"sms", NULL, "sms"}, /* the words of text messages, whatever they are for */
    {"test", NULL, "test"},
    {.name = NULL},
};

const tn_mail_kind *
tn_mail_kind_find(const char *name)
{
    for (const tn_mail_kind *kind = tn_mail_kinds; kind->name != NULL; kind++)
        if (strcmp(kind->name, name) == 0)
            return kind;
    return NULL;
}

/* --- words ----------------------------------------------------------------------------------- */

static const tn_mail_words *
find_built_in(const char *kind, const char *language, size_t length)
{
    for (const tn_mail_words *words = built_in; words->kind != NULL; words++)
        if (strcmp(words->kind, kind) == 0 && strlen(words->language) == length &&
            memcmp(words->language, language, length) == 0)
            return words;
    return NULL;
}

const tn_mail_words *
tn_mail_words_find(const char *kind, const char *languages)
{
    while (*languages != '\0') {
        const size_t length = strcspn(languages, ",");
        const tn_mail_words *words = find_built_in(kind, languages, length);

        if (words != NULL)
            return words;
        languages += length + (languages[length] == ',' ? 1 : 0);
    }
    return find_built_in(kind, "en", 2);
}

const tn_mail_words *
tn_mail_words_all(void)
{
    return built_in;
}

static const char *
check_part(tn_arena *arena, const char *part, const char *text)
{
    tn_template *parsed;
    const char *problem =
        text == NULL ? NULL : tn_template_parse(arena, text, strlen(text), &parsed);

    return problem == NULL ? NULL : tn_arena_printf(arena, "%s: %s", part, problem);
}

const char *
tn_mail_words_check(tn_arena *arena, const tn_mail_words *words)
{
    const char *problem = check_part(arena, "subject", words->subject);

    if (words->subject[0] == '\0' || strpbrk(words->subject, "\r\n") != NULL)
        return "subject: expected one line";
    if (problem == NULL)
        problem = check_part(arena, "text", words->text);
    if (problem == NULL)
        problem = check_part(arena, "html", words->html);
    if (problem == NULL && words->text == NULL && words->html == NULL)
        return "expected a text, HTML, or both";
    return problem;
}

/* --- values ---------------------------------------------------------------------------------- */

const char *
tn_mail_from(const tn_config *config)
{
    return config->mail.from[0] != '\0' ? config->mail.from : "tenon@localhost";
}

const char *
tn_mail_site_url(const tn_config *config)
{
    return config->auth.site_url[0] != '\0' ? config->auth.site_url : config->server.public_url;
}

/* The page's own query and fragment stay as they are. */
static const char *
add_to_query(tn_arena *arena, const char *page, const char *name, const char *value)
{
    const size_t length = strcspn(page, "#");
    PQExpBuffer url = tn_arena_buffer(arena);

    appendBinaryPQExpBuffer(url, page, length);
    appendPQExpBuffer(url, "%c%s=", memchr(page, '?', length) == NULL ? '?' : '&', name);
    tn_buffer_url_value(url, value);
    appendPQExpBufferStr(url, page + length);
    return tn_buffer_text(url);
}

/* {{ .ConfirmationURL }}; NULL where a message has no link. */
static const char *
build_link(const tn_config *config, tn_arena *arena, const tn_mail_kind *kind,
           const tn_letter *letter, const char *redirect_to)
{
    PQExpBuffer url;

    if (letter->token == NULL || kind == NULL) /* the kinds of text messages are others */
        return NULL;
    if (strcmp(kind->name, "team_invitation") == 0)
        return add_to_query(arena, redirect_to, "team_invitation", letter->token);
    if (kind->type == NULL)
        return NULL;
    url = tn_arena_buffer(arena);
    appendPQExpBuffer(url, "%s/auth/v1/verify?token=", config->server.public_url);
    tn_buffer_url_value(url, letter->token);
    appendPQExpBuffer(url, "&type=%s&redirect_to=", kind->type);
    tn_buffer_url_value(url, redirect_to);
    return tn_buffer_text(url);
}

static json_object *
parse_object(tn_arena *arena, const char *text)
{
    json_object *object = NULL;

    if (text == NULL || tn_json_parse(arena, text, strlen(text), TN_JSON_DEPTH, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return object;
}

static void
fill_values(const tn_config *config, tn_arena *arena, const tn_mail_order *order, json_object *data,
            tn_template_values *values)
{
    const tn_letter *letter = order->letter;
    const char *site_url = tn_mail_site_url(config);
    const char *redirect_to = letter->redirect_to != NULL ? letter->redirect_to : site_url;
    const char **texts = values->texts;

    texts[TN_VAR_CONFIRMATION_URL] =
        build_link(config, arena, tn_mail_kind_find(order->kind), letter, redirect_to);
    texts[TN_VAR_TOKEN] = letter->code;
    texts[TN_VAR_TOKEN_HASH] = letter->token;
    texts[TN_VAR_SITE_URL] = site_url;
    texts[TN_VAR_REDIRECT_TO] = redirect_to;
    texts[TN_VAR_EMAIL] =
        order->email == NULL || order->email[0] == '\0' ? order->recipient : order->email;
    texts[TN_VAR_NEW_EMAIL] = letter->new_email;
    texts[TN_VAR_OLD_EMAIL] = tn_json_text(data, "old_email", NULL);
    texts[TN_VAR_PHONE] = tn_json_text(data, "phone", NULL);
    texts[TN_VAR_OLD_PHONE] = tn_json_text(data, "old_phone", NULL);
    texts[TN_VAR_PROVIDER] = tn_json_text(data, "provider", NULL);
    texts[TN_VAR_FACTOR_TYPE] = tn_json_text(data, "factor_type", NULL);
}

/* --- the mail -------------------------------------------------------------------------------- */

/* A subject is one line, whatever people have put into their metadata. */
static const char *
flatten(tn_arena *arena, const char *text)
{
    char *line = tn_arena_text(arena, tn_text_excerpt(arena, text, SUBJECT_MAX));

    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return line;
}

static const char *
render_part(tn_arena *arena, const char *text, const tn_template_values *values, bool is_html,
            const char **rendered)
{
    tn_template *parsed;
    const char *problem;

    *rendered = NULL;
    if (text == NULL)
        return NULL;
    problem = tn_template_parse(arena, text, strlen(text), &parsed);
    if (problem == NULL)
        *rendered = tn_template_render(arena, parsed, values, is_html);
    return problem;
}

const char *
tn_mail_compose(const tn_config *config, tn_arena *arena, const tn_mail_words *words,
                const tn_mail_order *order, tn_mail *mail)
{
    json_object *own = parse_object(arena, order->letter->data);
    json_object *metadata = parse_object(arena, order->metadata);
    json_object *const data[] = {own != NULL ? own : metadata, own != NULL ? metadata : NULL, NULL};
    tn_template_values values = {.data = data};
    const char *problem, *subject;

    *mail = (tn_mail){.language = words->language};
    fill_values(config, arena, order, own, &values);
    problem = render_part(arena, words->subject, &values, false, &subject);
    if (problem == NULL)
        problem = render_part(arena, words->text, &values, false, &mail->text);
    if (problem == NULL)
        problem = render_part(arena, words->html, &values, true, &mail->html);
    if (problem == NULL)
        mail->subject = flatten(arena, subject);
    return problem;
}
