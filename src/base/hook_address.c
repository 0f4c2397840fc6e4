/* base/hook_address.c: the texts of [hooks] */
#include "base/hook_address.h"

#include <string.h>

#include "base/crypto.h"
#include "base/error.h"
#include "base/text.h"

#define FUNCTION_PREFIX "pg-functions://postgres/"
#define SECRET_PREFIX "v1,whsec_"
#define SECRET_MIN 24 /* bytes, as Standard Webhooks has it */
#define IDENTIFIER_MAX 63

/* A name as most people give them, which needs no escape in a URL. */
static bool
is_identifier(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char further[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789$";
    const size_t length = strlen(text);

    return length > 0 && length <= IDENTIFIER_MAX && strchr(letters, *text) != NULL &&
           strspn(text, further) == length;
}

const char *
tn_hook_address_read(const tn_config *config, tn_arena *arena, const char *text,
                     tn_hook_address *address)
{
    *address = (tn_hook_address){0};
    if (tn_text_starts(text, FUNCTION_PREFIX)) {
        char *schema = tn_arena_text(arena, text + strlen(FUNCTION_PREFIX));
        char *slash = strchr(schema, '/');

        if (slash == NULL)
            return "expected pg-functions://postgres/SCHEMA/NAME";
        *slash = '\0';
        if (!is_identifier(schema) || !is_identifier(slash + 1))
            return "a schema or function is named with letters, digits, _ and $";
        address->schema = schema;
        address->name = slash + 1;
        return NULL;
    }
    if (tn_text_starts(text, "http://") && !config->hooks.allow_private)
        return "expected https://; http:// is for hooks.allow_private only";
    if (!tn_text_starts(text, "https://") && !tn_text_starts(text, "http://"))
        return "expected pg-functions://postgres/SCHEMA/NAME or a URL that begins with https://";
    if (strpbrk(text, " \t#") != NULL || strchr(text + strlen("https://"), '@') != NULL)
        return "expected a URL without blanks, # and a login";
    address->url = text;
    return NULL;
}

bool
tn_hook_secret_next(tn_arena *arena, const char **list, tn_hook_secret *secret)
{
    const char *text = *list + strspn(*list, "| \t");
    const size_t length = strcspn(text, "| \t");
    const size_t prefix = strlen(SECRET_PREFIX);

    *list = text;
    if (length <= prefix || !tn_text_starts(text, SECRET_PREFIX) ||
        !tn_base64_decode(arena, text + prefix, length - prefix, secret->bytes,
                          sizeof(secret->bytes), &secret->length) ||
        secret->length < SECRET_MIN)
        return false;
    *list = text + length;
    return true;
}

const char *
tn_hooks_check(const tn_config *config, tn_arena *arena)
{
    const struct {
        const char *key, *value;
    } hooks[] = {
        {"custom_access_token", config->hooks.custom_access_token},
        {"send_email", config->hooks.send_email},
        {"send_sms", config->hooks.send_sms},
        {"mfa_verification_attempt", config->hooks.mfa_verification_attempt},
        {"password_verification_attempt", config->hooks.password_verification_attempt},
        {"before_user_created", config->hooks.before_user_created},
        {"after_user_created", config->hooks.after_user_created},
    };
    const char *list = config->hooks.secrets;
    tn_hook_address address;
    tn_hook_secret secret;
    size_t secrets = 0;

    while (tn_hook_secret_next(arena, &list, &secret))
        secrets++;
    if (*list != '\0')
        return "hooks.secrets: expected v1,whsec_ and 24 to 64 bytes in base64, several separated "
               "by |";
    for (size_t i = 0; i < TN_COUNT(hooks); i++) {
        const char *problem;

        if (*hooks[i].value == '\0')
            continue;
        problem = tn_hook_address_read(config, arena, hooks[i].value, &address);
        if (problem == NULL && address.url != NULL && secrets == 0)
            problem = "a hook by HTTP is signed, and hooks.secrets is empty";
        if (problem != NULL)
            return tn_arena_printf(arena, "hooks.%s: %s", hooks[i].key, problem);
    }
    return NULL;
}
