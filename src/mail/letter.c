/* mail/letter.c: what a message says, sealed while it waits in the database */
#include <string.h>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "mail/mail.h"

static void
derive_key(const tn_config *config, uint8_t key[32])
{
    uint8_t secret[32] = {0};

    if (!tn_hex_decode(config->server.secret, secret, sizeof(secret)))
        tn_die("server.secret is not 64 hexadecimal digits");
    tn_derive_key(secret, sizeof(secret), "tenon outbox", key);
}

static void
add_text(json_object *object, const char *name, const char *text)
{
    if (text != NULL)
        json_object_object_add(object, name, json_object_new_string(text));
}

const char *
tn_letter_seal(const tn_config *config, tn_arena *arena, const tn_uuid *tenant,
               const tn_letter *letter)
{
    json_object *object = json_object_new_object();
    const char *text;
    uint8_t key[32];
    size_t length;
    void *sealed;
    char *hex;

    add_text(object, "code", letter->code);
    add_text(object, "token", letter->token);
    add_text(object, "redirect_to", letter->redirect_to);
    add_text(object, "new_email", letter->new_email);
    add_text(object, "data", letter->data);
    text = tn_json_print(arena, object);
    json_object_put(object);

    derive_key(config, key);
    sealed = tn_seal(arena, key, tenant->text, text, strlen(text), &length);
    hex = tn_arena_alloc(arena, length * 2 + 3, 1);
    memcpy(hex, "\\x", 2);
    tn_hex(sealed, length, hex + 2);
    return hex;
}

bool
tn_letter_open(const tn_config *config, tn_arena *arena, const tn_uuid *tenant, const char *sealed,
               tn_letter *letter)
{
    const size_t length = strlen(sealed) < 2 ? 0 : (strlen(sealed) - 2) / 2;
    uint8_t key[32], *bytes = tn_arena_alloc(arena, length + 1, 1);
    json_object *object = NULL;
    size_t text_length;
    void *text;

    *letter = (tn_letter){0};
    derive_key(config, key);
    if (!tn_text_starts(sealed, "\\x") || !tn_hex_decode(sealed + 2, bytes, length) ||
        !tn_open(arena, key, tenant->text, bytes, length, &text, &text_length) ||
        tn_json_parse(arena, text, text_length, TN_JSON_DEPTH, &object) != NULL)
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
