/* storage/multipart.h: multipart/form-data (RFC 7578, RFC 2046 section 5.1) out of a file
 *
 * Parts are found, not copied: each is told by where it begins and how long it is. Memory is one
 * window and the part's headers, whatever the size of the body and of its parts.
 *
 * Taken: a preamble and an epilogue, blanks behind a boundary, names that are empty or missing.
 * Refused: a boundary that is none, line ends other than CRLF around a boundary and in headers,
 * headers of a part with more than TN_MULTIPART_HEADERS_MAX bytes, text that is no UTF-8, a body
 * that ends before its last boundary.
 *
 * Threads: one at a time.
 */
#ifndef TN_STORAGE_MULTIPART_H
#define TN_STORAGE_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TN_MULTIPART_HEADERS_MAX 8192

/* Up to `size` bytes from `offset` on; `got` 0 at the end. */
typedef const tn_error *tn_multipart_read(void *context, int64_t offset, void *bytes, size_t size,
                                          size_t *got);

typedef struct tn_part {
    const char *name;         /* "" when it has none */
    const char *filename;     /* NULL: it is a field */
    const char *content_type; /* NULL: not said */
    int64_t offset, length;   /* of its content, in bytes */
} tn_part;

typedef struct tn_multipart tn_multipart;

bool tn_multipart_is(const char *content_type) TN_MUST_CHECK;

/* 400 `InvalidRequest` when the type says no boundary. */
const tn_error *tn_multipart_new(tn_arena *arena, const char *content_type, tn_multipart_read *read,
                                 void *context, tn_multipart **multipart) TN_MUST_CHECK;

/* The next part; `found` false after the last. 400 `InvalidRequest`. */
const tn_error *tn_multipart_next(tn_multipart *multipart, tn_part *part,
                                  bool *found) TN_MUST_CHECK;

#endif
