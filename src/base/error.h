/* base/error.h: the one type in which anything that can fail says so
 *
 * What can fail returns `const tn_error *`, NULL for success, and gives its result through its last
 * parameter. Errors live in the request's arena. The text is for the client: the cause of a fault
 * of our own goes to the log (tn_error_internal()), never into the answer.
 *
 * Threads: any; an error belongs to its arena's thread.
 */
#ifndef TN_BASE_ERROR_H
#define TN_BASE_ERROR_H

#include "base/arena.h"
#include "base/attributes.h"

typedef struct tn_error {
    int status;          /* HTTP status, 400 to 599; raised by SQL of the app's also others */
    const char *code;    /* for programs, never changes: "conversation_not_found" */
    const char *message; /* for people: what is wrong with this request */
    const char *details; /* more about it, or NULL */
    const char *hint;    /* what to do about it, or NULL */
    const char *members; /* further members of the body, JSON text without braces, or NULL:
                            "\"run_id\":\"018f…\"" */
    int retry_after_s;   /* for the Retry-After header (RFC 9110 section 10.2.3); 0: none */
    const char *reason;  /* phrase of the status line; NULL: the usual one */
    const char *const *headers; /* further header fields: name, value, …, NULL; or NULL. Checked:
                                   no CR, LF or NUL */
} tn_error;

/* Returns the error of `call` to the caller; the only macro of ours that hides a return. */
#define TN_TRY(call)                            \
    do {                                        \
        const tn_error *tn_try_error_ = (call); \
        if (tn_try_error_ != NULL)              \
            return tn_try_error_;               \
    } while (0)

/* A new error; `hint` may be NULL, the message is built as printf() does. Everything is copied. */
tn_error *tn_error_new(tn_arena *arena, int status, const char *code, const char *hint,
                       const char *format, ...) TN_NEVER_NULL TN_MUST_CHECK TN_PRINTF(5, 6);

/* Our own fault: 500 internal_error. The cause is logged as `event` and is not in the answer. */
const tn_error *tn_error_internal(tn_arena *arena, const char *event, const char *format,
                                  ...) TN_NEVER_NULL TN_MUST_CHECK TN_PRINTF(3, 4);

/* Writes the message to the log as an error and ends the process with status 70 (EX_SOFTWARE). */
void tn_die(const char *format, ...) TN_NORETURN TN_PRINTF(1, 2);

#endif
