/* base/uuid.h: identifiers (RFC 9562)
 *
 * Ours are version 7, so that they sort by time; what clients send may be any version.
 *
 * Threads: any.
 */
#ifndef TN_BASE_UUID_H
#define TN_BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

typedef struct tn_uuid {
    char text[37]; /* 36 lower-case characters and NUL; empty when unset */
} tn_uuid;

/* A new version 7 identifier: 48 bits of milliseconds, 74 random bits. */
tn_uuid tn_uuid_new(void) TN_MUST_CHECK;

/* Sixteen bytes in this form; and stamped as version 4 (section 5.4), for which they are random. */
tn_uuid tn_uuid_of(const uint8_t bytes[16]) TN_MUST_CHECK;
tn_uuid tn_uuid_of_random(const uint8_t bytes[16]) TN_MUST_CHECK;

/* The 8-4-4-4-12 form in either letter case, nothing around it; false leaves `uuid` empty. */
bool tn_uuid_parse(const char *text, tn_uuid *uuid) TN_MUST_CHECK;

#endif
