/* mail/mime.h: a mail as it goes over the wire (RFC 5322, MIME: RFC 2045 to 2047)
 *
 * Header fields are ASCII: what is not becomes encoded words. Bodies are quoted-printable, text and
 * HTML as alternatives of one another. No value can begin a new header field or end the headers.
 *
 * Threads: any.
 */
#ifndef TN_MAIL_MIME_H
#define TN_MAIL_MIME_H

#include <stdint.h>

#include "mail/compose.h"

typedef struct tn_mime {
    const char *from, *from_name; /* from_name may be empty */
    const char *to;
    const char *id;   /* the message's own: the left side of Message-ID */
    const char *kind; /* X-Tenon-Kind */
    int64_t unix_time;
    const tn_mail *mail;
} tn_mime;

/* Whether an address can stand in a header and in a command to a mail server as it is: printable
 * ASCII, one @, nothing that quotes. Others need SMTPUTF8 (RFC 6531), which is not spoken here. */
bool tn_mime_is_address(const char *address) TN_MUST_CHECK;

/* Lines end in CR LF. Both addresses have passed tn_mime_is_address(). */
const char *tn_mime_print(tn_arena *arena, const tn_mime *mime,
                          size_t *length) TN_NEVER_NULL TN_MUST_CHECK;

#endif
