/* auth/password_rule.c: what a new password must be like */
#include <string.h>

#include "auth/area.h"
#include "auth/password_leaked.h"

#define LENGTH_MAX 72 /* bytes; bcrypt's, so that a password works wherever its user moves */

static size_t
count_characters(const char *text)
{
    size_t characters = 0;

    for (; *text != '\0'; text++)
        characters += ((unsigned char)*text & 0xC0) != 0x80;
    return characters;
}

/* The next set of auth.password_required, without its escapes; false at the end. */
static bool
next_set(const char **list, char *set, size_t size)
{
    size_t length = 0;

    if (**list == '\0')
        return false;
    while (**list != '\0' && **list != ':') {
        if (**list == '\\' && (*list)[1] == ':')
            (*list)++;
        if (length + 1 < size)
            set[length++] = **list;
        (*list)++;
    }
    if (**list == ':')
        (*list)++;
    set[length] = '\0';
    return true;
}

/* Has it a character of each set? Otherwise `wanted` gets the sets, for people. */
static bool
has_required(const tn_config *config, const char *password, PQExpBuffer wanted)
{
    const char *list = config->auth.password_required;
    bool has_all = true;
    char set[256];

    while (next_set(&list, set, sizeof(set))) {
        if (*set == '\0')
            continue;
        has_all = has_all && strpbrk(password, set) != NULL;
        appendPQExpBuffer(wanted, "%s%s", wanted->len == 0 ? "" : ", ", set);
    }
    return has_all;
}

static void
add(PQExpBuffer message, PQExpBuffer reasons, const char *reason, const char *words)
{
    appendPQExpBuffer(message, "%s%s", message->len == 0 ? "" : " ", words);
    appendPQExpBuffer(reasons, "%s\"%s\"", reasons->len == 0 ? "" : ",", reason);
}

bool
tn_password_is_weak(const tn_config *config, tn_arena *arena, const char *password,
                    tn_password_weakness *weakness)
{
    PQExpBuffer message = tn_arena_buffer(arena), reasons = tn_arena_buffer(arena);
    PQExpBuffer wanted = tn_arena_buffer(arena);

    if (count_characters(password) < (size_t)config->auth.password_min)
        add(message, reasons, "length",
            tn_arena_printf(arena, "Password should be at least %lld characters.",
                            (long long)config->auth.password_min));
    if (!has_required(config, password, wanted))
        add(message, reasons, "characters",
            tn_arena_printf(arena, "Password should contain at least one character of each: %s.",
                            wanted->data));
    if (*config->auth.leaked_passwords != '\0' &&
        tn_password_is_leaked(config->auth.leaked_passwords, password))
        add(message, reasons, "pwned",
            "Password is known to be weak and easy to guess, please choose a different one.");
    *weakness = (tn_password_weakness){tn_buffer_text(message), tn_buffer_text(reasons)};
    return reasons->len > 0;
}

const tn_error *
tn_password_check(const tn_config *config, tn_arena *arena, const char *password)
{
    tn_password_weakness weakness;
    tn_error *error;

    if (strlen(password) > LENGTH_MAX)
        return tn_error_new(arena, 400, "validation_failed", NULL,
                            "Password cannot be longer than %d characters", LENGTH_MAX);
    if (!tn_password_is_weak(config, arena, password, &weakness))
        return NULL;
    error = tn_error_new(arena, 422, "weak_password", NULL, "%s", weakness.message);
    error->members =
        tn_arena_printf(arena, "\"weak_password\":{\"reasons\":[%s]}", weakness.reasons);
    return error;
}
