/* mail/payload.c: what the send_email and send_sms hooks are told */
#include "mail/payload.h"

#include <string.h>

#include "base/json.h"

static void
add_member(PQExpBuffer out, const char *name, const char *value)
{
    appendPQExpBuffer(out, ",\"%s\":", name);
    tn_buffer_json_string(out, value == NULL ? "" : value);
}

static void
add_user(PQExpBuffer out, const char *user, const char *member, const char *address)
{
    appendPQExpBufferStr(out, "{\"user\":");
    if (user != NULL) {
        appendPQExpBufferStr(out, user);
        return;
    }
    appendPQExpBuffer(out, "{\"%s\":", member);
    tn_buffer_json_string(out, address);
    appendPQExpBufferChar(out, '}');
}

/* The hashes of a change to two addresses are the other way round, as upstream has it: token and
 * token_hash_new are of the current address, token_new and token_hash of the new one. */
static void
add_tokens(PQExpBuffer out, const tn_letter *letter, const tn_letter *other)
{
    appendPQExpBufferStr(out, ",\"email_data\":{\"token\":");
    tn_buffer_json_string(out, letter->code == NULL ? "" : letter->code);
    add_member(out, "token_hash", other == NULL ? letter->token : other->token);
    add_member(out, "token_new", other == NULL ? NULL : other->code);
    add_member(out, "token_hash_new", other == NULL ? NULL : letter->token);
}

const char *
tn_mail_payload(const tn_config *config, tn_arena *arena, const tn_mail_order *order,
                const char *user, const tn_letter *other)
{
    static const char *const more[] = {"old_email", "old_phone", "provider", "factor_type", NULL};
    const tn_letter *letter = order->letter;
    PQExpBuffer out = tn_arena_buffer(arena);
    json_object *data = NULL;

    if (letter->data != NULL)
        (void)!tn_json_parse(arena, letter->data, strlen(letter->data), TN_JSON_DEPTH, &data);
    add_user(out, user, "email", order->recipient);
    add_tokens(out, letter, other);
    add_member(out, "redirect_to",
               letter->redirect_to == NULL ? tn_mail_site_url(config) : letter->redirect_to);
    add_member(out, "email_action_type", tn_mail_kind_find(order->kind)->action);
    add_member(out, "site_url", tn_mail_site_url(config));
    add_member(out, "recipient", order->recipient);
    add_member(out, "new_email", letter->new_email);
    for (const char *const *name = more; *name != NULL; name++)
        add_member(out, *name, tn_json_text(data, *name, NULL));
    appendPQExpBuffer(out, ",\"data\":%s}}", data == NULL ? "{}" : letter->data);
    return tn_buffer_text(out);
}

const char *
tn_sms_payload(tn_arena *arena, const tn_mail_order *order, const char *user, const char *message)
{
    PQExpBuffer out = tn_arena_buffer(arena);

    add_user(out, user, "phone", order->recipient);
    appendPQExpBufferStr(out, ",\"sms\":{\"otp\":");
    tn_buffer_json_string(out, order->letter->code == NULL ? "" : order->letter->code);
    add_member(out, "phone", order->recipient);
    add_member(out, "sms_type", order->kind);
    add_member(out, "message", message);
    appendPQExpBufferStr(out, "}}");
    return tn_buffer_text(out);
}
