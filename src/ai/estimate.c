/* ai/estimate.c: the rule of thumb */
#include "ai/estimate.h"

void
tn_ai_count_add(tn_ai_count *count, const char *text, size_t length)
{
    count->bytes += (int64_t)length;
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80) /* the first byte of a character */
            count->characters++;
}

int64_t
tn_ai_count_tokens(const tn_ai_count *count)
{
    return (count->characters + 3) / 4 + (count->bytes - count->characters + 1) / 2;
}
