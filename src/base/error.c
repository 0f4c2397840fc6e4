/* base/error.c: building errors, and ending the process */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

#define EXIT_SOFTWARE 70 /* EX_SOFTWARE of sysexits.h */

tn_error *
tn_error_new(tn_arena *arena, int status, const char *code, const char *hint, const char *format,
             ...)
{
    tn_error *error = tn_arena_alloc(arena, 1, sizeof(*error));
    va_list arguments;

    va_start(arguments, format);
    error->message = tn_arena_vprintf(arena, format, arguments);
    va_end(arguments);
    error->status = status;
    error->code = tn_arena_text(arena, code);
    error->hint = tn_arena_text(arena, hint);
    return error;
}

const tn_error *
tn_error_internal(tn_arena *arena, const char *event, const char *format, ...)
{
    va_list arguments;
    const char *cause;

    va_start(arguments, format);
    cause = tn_arena_vprintf(arena, format, arguments);
    va_end(arguments);
    tn_log(TN_LOG_ERROR, event, TN_STR("request_id", tn_arena_label_text(arena)),
           TN_STR("cause", cause));
    return tn_error_new(arena, 500, "internal_error",
                        "Try again; if it stays, give the request id to the operator.",
                        "the server could not do this, and it is not your fault");
}

void
tn_die(const char *format, ...)
{
    char cause[512]; /* not from an arena: memory may be what is missing */
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(cause, sizeof(cause), format, arguments);
    va_end(arguments);
    tn_log(TN_LOG_ERROR, "process.died", TN_INT("pid", getpid()), TN_STR("cause", cause));
    _exit(EXIT_SOFTWARE);
}
