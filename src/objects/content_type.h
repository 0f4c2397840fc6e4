/* objects/content_type.h: what a file is: what the client says, and what its bytes say
 *
 * The client's word counts where the content agrees with it, or says little: text is text, a ZIP
 * may be a document, XML may be a drawing. Where the content is surely something else, the content
 * counts, so that a page that calls itself an image is never sent as one.
 *
 * Threads: any.
 */
#ifndef TN_OBJECTS_CONTENT_TYPE_H
#define TN_OBJECTS_CONTENT_TYPE_H

#include <stdbool.h>

#include "base/arena.h"

/* Whether it is one media type (RFC 9110 section 8.3.1), with parameters or without. A comma is
 * refused also inside quotes: browsers take a field with commas apart and believe the last piece.
 */
bool tn_type_is_valid(const char *type) TN_MUST_CHECK;

/* Type and subtype alone, in lower case: "text/plain" of "Text/Plain; charset=UTF-8". */
const char *tn_type_essence(tn_arena *arena, const char *type) TN_NEVER_NULL TN_MUST_CHECK;

/* Which of the two: `said` may be NULL; `found` is what libmagic says. */
const char *tn_type_decide(tn_arena *arena, const char *said,
                           const char *found) TN_NEVER_NULL TN_MUST_CHECK;

/* Whether a browser may run what is in it, in the name of the site that it comes from. */
bool tn_type_is_active(tn_arena *arena, const char *type) TN_MUST_CHECK;

/* Whether it is only ever saved, never shown: pages. */
bool tn_type_is_dangerous(tn_arena *arena, const char *type) TN_MUST_CHECK;

#endif
