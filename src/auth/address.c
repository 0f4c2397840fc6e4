/* auth/address.c: e-mail addresses and telephone numbers
 *
 * The form is the one that browsers hold <input type=email> to (WHATWG HTML, "valid e-mail
 * address"), which is what upstream checks as well.
 */
#include <string.h>

#include "auth/area.h"
#include "base/text.h"

#define EMAIL_MAX 255
#define LABEL_MAX 63
#define PHONE_MIN 2
#define PHONE_MAX 15 /* E.164 section 6.1 */

static const char letters_and_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/* One label of the domain: letters, digits and, inside, dashes. */
static bool
is_label(const char *text, size_t length)
{
    if (length == 0 || length > LABEL_MAX || text[0] == '-' || text[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] != '-' && strchr(letters_and_digits, text[i]) == NULL)
            return false;
    return true;
}

static bool
is_domain(const char *text)
{
    for (;;) {
        const size_t length = strcspn(text, ".");

        if (!is_label(text, length))
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

static bool
is_email(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  ".!#$%&'*+/=?^_`{|}~-";
    const size_t local_length = strspn(text, allowed);

    return local_length > 0 && text[local_length] == '@' && is_domain(text + local_length + 1);
}

const tn_error *
tn_email_normalise(tn_arena *arena, const char *text, const char **email)
{
    if (strnlen(text, EMAIL_MAX + 1) > EMAIL_MAX)
        return tn_error_new(arena, 400, "validation_failed", NULL, "An email address is too long");
    if (!is_email(text))
        return tn_error_new(arena, 400, "validation_failed", NULL,
                            "Unable to validate email address: invalid format");
    *email = tn_text_lower(arena, text);
    return NULL;
}

const tn_error *
tn_phone_normalise(tn_arena *arena, const char *text, const char **phone)
{
    char *digits = tn_arena_alloc(arena, PHONE_MAX + 1, 1);
    size_t length = 0;

    for (; *text != '\0' && length <= PHONE_MAX; text++) {
        if (*text == '+' || *text == ' ')
            continue;
        if (*text < '0' || *text > '9' || length == PHONE_MAX)
            length = PHONE_MAX + 1;
        else
            digits[length++] = *text;
    }
    if (length < PHONE_MIN || length > PHONE_MAX || digits[0] == '0')
        return tn_error_new(arena, 400, "validation_failed", NULL,
                            "Invalid phone number format (E.164 required)");
    digits[length] = '\0';
    *phone = digits;
    return NULL;
}
