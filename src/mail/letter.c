/* mail/letter.c: what a message says, sealed while it waits in the database */
#include <string.h>

#include "base/crypto.h"
#include "base/json.h"
#include "mail/mail.h"

static void
derive_key(const tn_config *config, uint8_t key[32])
{
    tn_derive_server_key(config->server.secret, "tenon outbox", key);
}

static void
add_text(json_object *object, const char *name, const char *text)
{
    if (text != NULL)
        (void)json_object_object_add(object, name, json_object_new_string(text));
}

const char *
tn_letter_seal(const tn_config *config, tn_arena *arena, const tn_uuid *tenant,
               const tn_letter *letter)
{
    json_object *object = json_object_new_object();
    const char *text;
    uint8_t key[32];

    add_text(object, "code", letter->code);
    add_text(object, "token", letter->token);
    add_text(object, "redirect_to", letter->redirect_to);
    add_text(object, "new_email", letter->new_email);
    add_text(object, "data", letter->data);
    text = tn_json_print(arena, object);
    (void)json_object_put(object);
    derive_key(config, key);
    return tn_seal_text(arena, key, tenant->text, text);
}

bool
tn_letter_open(const tn_config *config, tn_arena *arena, const tn_uuid *tenant, const char *sealed,
               tn_letter *letter)
{
    json_object *object = NULL;
    const char *text;
    uint8_t key[32];

    *letter = (tn_letter){0};
    derive_key(config, key);
    text = tn_open_text(arena, key, tenant->text, sealed);
    if (text == NULL || tn_json_parse(arena, text, strlen(text), TN_JSON_DEPTH, &object) != NULL)
        return false;
    *letter = (tn_letter){
        .code = tn_json_text(object, "code", NULL),
        .token = tn_json_text(object, "token", NULL),
        .redirect_to = tn_json_text(object, "redirect_to", NULL),
        .new_email = tn_json_text(object, "new_email", NULL),
        .data = tn_json_text(object, "data", NULL),
    };
    return true;
}
