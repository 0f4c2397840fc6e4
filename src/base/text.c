/* base/text.c: UTF-8, numbers and percent-escapes */
#include "base/text.h"

#include <string.h>

#define DISTANCE_MAX 256 /* bytes; beyond it nobody has mistyped a name */

static bool
is_continuation(char byte)
{
    return ((uint8_t)byte & 0xC0) == 0x80;
}

/* The table of RFC 3629 section 4: only the second byte has bounds that depend on the first. They
 * keep out overlong forms, the surrogates U+D800 to U+DFFF and what is above U+10FFFF. */
size_t
tn_text_utf8_size(const char *text, size_t length)
{
    const uint8_t first = length == 0 ? 0 : (uint8_t)text[0];
    uint8_t low = 0x80, high = 0xBF;
    size_t size;

    if (length == 0)
        return 0;
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (length < size)
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    if ((uint8_t)text[1] < low || (uint8_t)text[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (!is_continuation(text[i]))
            return 0;
    return size;
}

bool
tn_text_is_utf8(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        const size_t size = tn_text_utf8_size(text + at, length - at);

        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

bool
tn_text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* tolower() would ask the locale. */
static char
lower(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return (char)(letter - 'A' + 'a');
    return letter;
}

bool
tn_text_same_case(const char *a, const char *b)
{
    for (; *a != '\0' && lower(*a) == lower(*b); a++)
        b++;
    return lower(*a) == lower(*b);
}

char *
tn_text_lower(tn_arena *arena, const char *text)
{
    char *copy = tn_arena_bytes(arena, text, strlen(text));

    for (char *at = copy; *at != '\0'; at++)
        *at = lower(*at);
    return copy;
}

bool
tn_text_int(const char *text, int64_t min, int64_t max, int64_t *value)
{
    const bool negative = *text == '-';
    const char *digit = negative ? text + 1 : text;
    int64_t number = 0;

    if (*digit == '\0' || (digit[0] == '0' && digit[1] != '\0') || (negative && *digit == '0'))
        return false; /* nothing, 007, -0 */
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, *digit - '0', &number))
            return false; /* counted downward, for there is one more negative number */
    }
    if (!negative && __builtin_sub_overflow(0, number, &number))
        return false;
    if (number < min || number > max)
        return false;
    *value = number;
    return true;
}

static int
hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = lower(digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

char *
tn_text_url_decode(tn_arena *arena, const char *text, size_t length, bool plus_is_space)
{
    char *decoded = tn_arena_alloc(arena, length + 1, 1);
    size_t used = 0;

    for (size_t at = 0; at < length; at++) {
        char byte = text[at];

        if (byte == '+' && plus_is_space) {
            byte = ' ';
        } else if (byte == '%') {
            const int high = length - at > 2 ? hex_value(text[at + 1]) : -1;
            const int low = length - at > 2 ? hex_value(text[at + 2]) : -1;

            if (high >= 0 && low >= 0) {
                byte = (char)(high * 16 + low);
                at += 2;
            } else if (!plus_is_space) {
                return NULL;
            }
        }
        if (byte == '\0')
            return NULL;
        decoded[used++] = byte;
    }
    return tn_text_is_utf8(decoded, used) ? decoded : NULL;
}

const char *const *
tn_text_split(tn_arena *arena, const char *text, size_t *count)
{
    static const char blanks[] = " \t\r\n";
    const char **items;
    size_t commas = 0;

    for (const char *at = text; *at != '\0'; at++)
        commas += *at == ',';
    items = tn_arena_alloc(arena, commas + 1, sizeof *items);
    *count = 0;
    for (;;) {
        const size_t length = strcspn(text, ",");
        const size_t lead = strspn(text, blanks);
        size_t end = length;

        while (end > lead && strchr(blanks, text[end - 1]) != NULL)
            end--;
        if (lead < end)
            items[(*count)++] = tn_arena_bytes(arena, text + lead, end - lead);
        if (text[length] == '\0')
            return items;
        text += length + 1;
    }
}

size_t
tn_text_distance(const char *a, const char *b, size_t limit)
{
    const size_t a_length = strlen(a), b_length = strlen(b);
    size_t row[DISTANCE_MAX + 1];

    if (a_length > DISTANCE_MAX || b_length > DISTANCE_MAX || a_length + limit <= b_length ||
        b_length + limit <= a_length)
        return limit;
    for (size_t k = 0; k <= b_length; k++)
        row[k] = k;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0], least = i;

        row[0] = i;
        for (size_t k = 1; k <= b_length; k++) {
            const size_t above = row[k];
            size_t best = diagonal + (a[i - 1] != b[k - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[k - 1] + 1 < best)
                best = row[k - 1] + 1;
            row[k] = best;
            diagonal = above;
            if (best < least)
                least = best;
        }
        if (least >= limit)
            return limit;
    }
    return row[b_length];
}

const char *
tn_text_excerpt(tn_arena *arena, const char *text, size_t most)
{
    size_t length = strnlen(text, most + 1);

    if (length <= most)
        return text;
    for (length = most; length > 0 && is_continuation(text[length]);)
        length--;
    return tn_arena_printf(arena, "%.*s\xE2\x80\xA6", (int)length, text);
}
