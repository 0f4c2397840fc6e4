/* data/integer.c: the numbers of limit and offset */
#include <string.h>

#include "data/grammar.h"

/* [start, end) without blanks, and parentheses, around it */
static void
strip(const char **start, const char **end)
{
    for (;;) {
        while (*start < *end && **start == ' ')
            ++*start;
        while (*end > *start && (*end)[-1] == ' ')
            --*end;
        if (*end - *start < 2 || **start != '(' || (*end)[-1] != ')')
            return;
        ++*start;
        --*end;
    }
}

static int
digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : 16;
}

/* Moves *at over the prefix of a base. */
static int
take_base(const char **at, const char *end)
{
    static const char letters[] = "xob";
    static const int bases[] = {16, 8, 2};
    const char *letter = end - *at > 2 && **at == '0' ? strchr(letters, (*at)[1] | 0x20) : NULL;

    if (letter == NULL || *letter == '\0')
        return 10;
    *at += 2;
    return bases[letter - letters];
}

/* Counted downward, for there is one more negative number; saturates. */
static bool
negative_of_digits(const char *at, const char *end, int base, int64_t *value)
{
    *value = 0;
    if (at == end)
        return false;
    for (; at < end; at++) {
        const int digit = digit_value(*at);

        if (digit >= base)
            return false;
        if (__builtin_mul_overflow(*value, base, value) ||
            __builtin_sub_overflow(*value, digit, value))
            *value = INT64_MIN;
    }
    return true;
}

const tn_error *
tn_integer_read(tn_arena *arena, const char *text, bool *is_integer, int64_t *value)
{
    const char *start = text, *end = text + strlen(text);
    bool is_negative;
    int base;

    strip(&start, &end);
    is_negative = start < end && *start == '-';
    if (is_negative) {
        start++;
        strip(&start, &end);
    }
    base = take_base(&start, end);
    *is_integer = negative_of_digits(start, end, base, value);
    if (!*is_integer || is_negative || !__builtin_sub_overflow(0, *value, value))
        return NULL;
    return tn_error_new(arena, 400, "22003", NULL,
                        "value \"%.100s\" is out of range for type bigint", text);
}
