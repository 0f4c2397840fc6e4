/* t/unit/error.c: base/error.c: what is copied, and how a process ends */
#include "base/error.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "t/unit/unit.h"

static void
errors_copy_what_they_are_given(void **state)
{
    tn_arena *arena = tn_arena_new();
    char code[] = "some_code", hint[] = "some hint";
    const tn_error *error = tn_error_new(arena, 404, code, hint, "no %s has the id %d", "chat", 7);

    (void)state;
    code[0] = hint[0] = 'X';
    assert_int_equal(error->status, 404);
    assert_string_equal(error->code, "some_code");
    assert_string_equal(error->hint, "some hint");
    assert_string_equal(error->message, "no chat has the id 7");
    assert_null(error->details);
    assert_null(error->members);
    assert_int_equal(error->retry_after_s, 0);
    assert_null(tn_error_new(arena, 400, "c", NULL, "m")->hint);
    tn_arena_free(arena);
}

/* Runs in a child, whose standard error is read. */
static int
status_and_output(void (*act)(void), char *output, size_t size)
{
    int ends[2], status;
    ssize_t got, used = 0;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    (void)fflush(stdout);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], output + used, size - 1 - (size_t)used)) > 0)
        used += got;
    output[used] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
die(void)
{
    tn_die("cause %d", 5);
}

static void
dying_is_logged(void **state)
{
    char output[1024];

    (void)state;
    assert_int_equal(status_and_output(die, output, sizeof(output)), 70);
    assert_non_null(strstr(output, "\"event\":\"process.died\""));
    assert_non_null(strstr(output, "\"cause\":\"cause 5\""));
}

static void
fail_internally(void)
{
    tn_arena *arena = tn_arena_new();
    const tn_error *error;

    tn_arena_label(arena, "request-1");
    error = tn_error_internal(arena, "chat.run.failed", "secret cause %d", 1);
    _exit(error->status == 500 && strcmp(error->code, "internal_error") == 0 &&
                  strstr(error->message, "secret") == NULL
              ? 0
              : 1);
}

static void
our_own_fault_is_logged_and_not_told(void **state)
{
    char output[1024];

    (void)state;
    assert_int_equal(status_and_output(fail_internally, output, sizeof(output)), 0);
    assert_non_null(strstr(output, "\"event\":\"chat.run.failed\""));
    assert_non_null(strstr(output, "\"request_id\":\"request-1\""));
    assert_non_null(strstr(output, "\"cause\":\"secret cause 1\""));
}

static const tn_error *
try_it(const tn_error *error, int *after)
{
    TN_TRY(error);
    *after = 1;
    return NULL;
}

static void
try_returns_the_error(void **state)
{
    const tn_error error = {.status = 400};
    int after = 0;

    (void)state;
    assert_ptr_equal(try_it(&error, &after), &error);
    assert_int_equal(after, 0);
    assert_null(try_it(NULL, &after));
    assert_int_equal(after, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_copy_what_they_are_given),
        cmocka_unit_test(dying_is_logged),
        cmocka_unit_test(our_own_fault_is_logged_and_not_told),
        cmocka_unit_test(try_returns_the_error),
    };

    return tn_unit_run("error", tests, TN_COUNT(tests));
}
