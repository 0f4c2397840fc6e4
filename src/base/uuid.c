/* base/uuid.c: version 7 from the clock and OpenSSL's randomness */
#include "base/uuid.h"

#include <string.h>
#include <time.h>

#include "base/crypto.h"

#define TEXT_LENGTH 36

static bool
is_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

tn_uuid
tn_uuid_of(const uint8_t bytes[16])
{
    char digits[33];
    tn_uuid uuid = {.text = ""};
    size_t digit = 0;

    tn_hex(bytes, 16, digits);
    for (size_t at = 0; at < TEXT_LENGTH; at++)
        if (is_dash(at))
            uuid.text[at] = '-';
        else
            uuid.text[at] = digits[digit++];
    return uuid;
}

/* RFC 9562 sections 4.1 and 4.2: variant and version. */
static void
stamp(uint8_t bytes[16], unsigned version)
{
    bytes[6] = (uint8_t)(version << 4 | (bytes[6] & 0x0Fu));
    bytes[8] = (uint8_t)(0x80u | (bytes[8] & 0x3Fu));
}

tn_uuid
tn_uuid_new(void)
{
    struct timespec now;
    uint64_t ms;
    uint8_t bytes[16];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    tn_random(bytes + 6, sizeof(bytes) - 6);
    for (size_t i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (8 * (5 - i)));
    stamp(bytes, 7);
    return tn_uuid_of(bytes);
}

tn_uuid
tn_uuid_of_random(const uint8_t bytes[16])
{
    uint8_t stamped[16];

    memcpy(stamped, bytes, sizeof(stamped));
    stamp(stamped, 4);
    return tn_uuid_of(stamped);
}

static char
hex_lower(char digit)
{
    if ((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'))
        return digit;
    if (digit >= 'A' && digit <= 'F')
        return (char)(digit - 'A' + 'a');
    return '\0';
}

bool
tn_uuid_parse(const char *text, tn_uuid *uuid)
{
    *uuid = (tn_uuid){.text = ""};
    if (text == NULL || strnlen(text, TEXT_LENGTH + 1) != TEXT_LENGTH)
        return false;
    for (size_t at = 0; at < TEXT_LENGTH; at++) {
        uuid->text[at] = hex_lower(text[at]);
        if (is_dash(at) && text[at] == '-')
            uuid->text[at] = '-';
        if (uuid->text[at] == '\0' || is_dash(at) != (uuid->text[at] == '-')) {
            *uuid = (tn_uuid){.text = ""};
            return false;
        }
    }
    return true;
}
