/* base/arena.h: memory that lives exactly as long as one request
 *
 * Nothing from an arena is freed piece by piece. tn_arena_free() runs what was deferred, newest
 * first, and then releases everything at once, so no path through a handler can leak.
 *
 * Threads: an arena belongs to one thread at a time; there is no lock inside.
 * Errors:  none. Out of memory ends the process and the master replaces it, so callers bound every
 *          size that comes from outside before they allocate.
 */
#ifndef TN_BASE_ARENA_H
#define TN_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buffer.h"

typedef struct tn_arena tn_arena;

/* An empty arena; the caller owns it. Freeing runs the deferred calls first and takes NULL. */
tn_arena *tn_arena_new(void) TN_NEVER_NULL TN_MUST_CHECK;
void tn_arena_free(tn_arena *arena);

/* Empties the arena as tn_arena_free() does, but keeps it (and one chunk) for the next request. */
void tn_arena_reset(tn_arena *arena);

/* What the arena is for, the id of a request: tn_error_internal() writes it into its log line. The
 * text is not copied and must live as long as the arena; a reset forgets it. */
void tn_arena_label(tn_arena *arena, const char *label);
const char *tn_arena_label_text(const tn_arena *arena); /* or NULL */

/* `count` items of `size` bytes each, zeroed, aligned for any type. The arena owns them. */
void *tn_arena_alloc(tn_arena *arena, size_t count, size_t size) TN_NEVER_NULL TN_MUST_CHECK;

/* Copies of text and bytes; a copy of bytes gets a NUL behind it. tn_arena_text(NULL) is NULL. */
char *tn_arena_text(tn_arena *arena, const char *text) TN_MUST_CHECK;
char *tn_arena_bytes(tn_arena *arena, const void *bytes, size_t length) TN_NEVER_NULL TN_MUST_CHECK;

/* A number in decimal: a parameter of SQL. */
char *tn_arena_number(tn_arena *arena, int64_t number) TN_NEVER_NULL TN_MUST_CHECK;

/* printf() into the arena. */
char *tn_arena_printf(tn_arena *arena, const char *format, ...) TN_NEVER_NULL TN_MUST_CHECK
    TN_PRINTF(2, 3);
char *tn_arena_vprintf(tn_arena *arena, const char *format,
                       va_list arguments) TN_NEVER_NULL TN_MUST_CHECK TN_PRINTF(2, 0);

/* Calls release(what) when the arena is freed: for a PGresult, a json_object, a file descriptor. */
void tn_arena_defer(tn_arena *arena, void (*release)(void *what), void *what);

/* libpq's string builder, empty. The arena owns it: never call destroyPQExpBuffer() on it. */
PQExpBuffer tn_arena_buffer(tn_arena *arena) TN_NEVER_NULL TN_MUST_CHECK;

#endif
