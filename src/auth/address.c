/* auth/address.c: e-mail addresses
 *
 * The form is the one that browsers hold <input type=email> to (WHATWG HTML, "valid e-mail
 * address"), which is what upstream checks as well.
 */
#include <string.h>

#include "auth/area.h"
#include "base/text.h"

#define EMAIL_MAX 255
#define LABEL_MAX 63

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
