/* t/unit/unit.h: cmocka with TAP on standard output, and what the unit tests share
 *
 * cmocka's header wants four others in front of it, and chooses its output by a call. Do not use
 * its skip(): cmocka 1.1.5 prints that as a failure.
 */
#ifndef TN_T_UNIT_UNIT_H
#define TN_T_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/attributes.h"

/* Names the row of a table in which an assertion is about to fail or not; cmocka prints it then. */
#define TN_CASE(...) (void)snprintf(tn_unit_case, sizeof(tn_unit_case), __VA_ARGS__)
static char tn_unit_case[256] TN_UNUSED;

/* Like assert_true(), but says in which row it failed. */
#define TN_CHECK(condition)                               \
    do {                                                  \
        if (!(condition))                                 \
            fail_msg("%s: %s", tn_unit_case, #condition); \
    } while (0)

/* Texts of which either may be NULL. */
#define TN_CHECK_TEXT(got, wanted)                                                          \
    do {                                                                                    \
        const char *got_ = (got), *wanted_ = (wanted);                                      \
        if (got_ == NULL || wanted_ == NULL ? got_ != wanted_ : strcmp(got_, wanted_) != 0) \
            fail_msg("%s: got %s, wanted %s", tn_unit_case, got_ == NULL ? "NULL" : got_,   \
                     wanted_ == NULL ? "NULL" : wanted_);                                   \
    } while (0)

/* Runs the tests and gives the exit status of the process. */
static inline int
tn_unit_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL) == 0 ? 0 : 1;
}

#endif
