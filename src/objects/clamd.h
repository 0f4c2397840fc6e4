/* objects/clamd.h: asking clamd about a file (clamd(8), command INSTREAM)
 *
 * Threads: any.
 */
#ifndef TN_OBJECTS_CLAMD_H
#define TN_OBJECTS_CLAMD_H

#include <stdint.h>

#include "base/arena.h"
#include "base/attributes.h"

typedef enum tn_verdict {
    TN_VERDICT_CLEAN,
    TN_VERDICT_INFECTED,
    TN_VERDICT_UNKNOWN /* it could not be asked, or did not say */
} tn_verdict;

typedef struct tn_clamd_answer {
    tn_verdict verdict;
    const char *signature; /* of what was found, "Eicar-Test-Signature" */
    const char *problem;   /* when the verdict is unknown: for the log */
} tn_clamd_answer;

/* Sends `size` bytes of `fd`, from its beginning on, to `address` ("unix:/path" or "host:port").
 * Everything together takes `timeout_ms` at most. */
void tn_clamd_ask(tn_arena *arena, const char *address, int64_t timeout_ms, int fd, int64_t size,
                  tn_clamd_answer *answer);

/* What a reply means: "stream: OK", "stream: NAME FOUND", "… ERROR". */
void tn_clamd_read(tn_arena *arena, const char *reply, tn_clamd_answer *answer);

#endif
