/* t/unit/log.c: base/log.c: every line is one JSON object of bounded size */
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "t/unit/unit.h"

static char folder[] = "/tmp/tenon-log-XXXXXX";
static char path[64], moved[64];

static int
make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/log", folder);
    (void)snprintf(moved, sizeof(moved), "%s/log.1", folder);
    return 0;
}

static int
remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(moved);
    return rmdir(folder);
}

/* The content of the file, which is emptied. */
static const char *
take(tn_arena *arena, const char *name)
{
    char *text = tn_arena_alloc(arena, 100000, 1);
    const int fd = open(name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(read(fd, text, 99999) >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(truncate(name, 0), 0);
    return text;
}

static json_object *
take_line(tn_arena *arena)
{
    const char *text = take(arena, path);
    const size_t length = strlen(text);
    json_object *line;

    assert_true(length > 1 && text[length - 1] == '\n' && strchr(text, '\n') == text + length - 1);
    assert_true(length <= 8192);
    assert_null(tn_json_parse(arena, text, length, 2, &line));
    return line;
}

static void
fields_keep_their_types(void **state)
{
    tn_arena *arena = tn_arena_new();
    const double zero = 0;
    json_object *line;

    (void)state;
    assert_true(tn_log_open(path, TN_LOG_DEBUG));
    tn_log(TN_LOG_WARN, "a.b", TN_STR("text", "a\"\n\xff"), TN_STR("none", NULL), TN_INT("n", -5),
           TN_REAL("r", 0.25), TN_REAL("nan", zero / zero), TN_BOOL("yes", true));
    line = take_line(arena);
    assert_string_equal(tn_json_text(line, "level", NULL), "warn");
    assert_string_equal(tn_json_text(line, "event", NULL), "a.b");
    assert_string_equal(tn_json_text(line, "text", NULL), "a\"\n\xEF\xBF\xBD");
    assert_true(json_object_object_get_ex(line, "none", NULL));
    assert_null(tn_json_get(line, "none"));
    assert_int_equal(tn_json_int(line, "n", 0), -5);
    assert_true(json_object_get_double(tn_json_get(line, "r")) == 0.25);
    assert_null(tn_json_get(line, "nan"));
    assert_true(tn_json_bool(line, "yes", false));
    assert_int_equal(strlen(tn_json_text(line, "ts", "")), strlen("2026-01-02T03:04:05.678Z"));
    tn_log(TN_LOG_INFO, "no.fields");
    assert_string_equal(tn_json_text(take_line(arena), "event", NULL), "no.fields");
    tn_arena_free(arena);
}

static void
the_threshold_holds(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    assert_true(tn_log_open(path, TN_LOG_WARN));
    tn_log(TN_LOG_INFO, "quiet");
    assert_string_equal(take(arena, path), "");
    tn_log(TN_LOG_ERROR, "loud");
    assert_string_equal(tn_json_text(take_line(arena), "event", NULL), "loud");
    tn_arena_free(arena);
}

static void
long_lines_lose_their_longest_texts(void **state)
{
    tn_arena *arena = tn_arena_new();
    char *text = tn_arena_alloc(arena, 30001, 1);
    json_object *line;

    (void)state;
    assert_true(tn_log_open(path, TN_LOG_INFO));
    for (size_t i = 0; i < 10000; i++)
        memcpy(text + 3 * i, "\xE2\x82\xAC", 3);
    tn_log(TN_LOG_INFO, "long", TN_STR("short", "whole"), TN_STR("text", text));
    line = take_line(arena);
    assert_string_equal(tn_json_text(line, "short", NULL), "whole");
    assert_true(strlen(tn_json_text(line, "text", "")) > 2000);
    assert_non_null(strstr(tn_json_text(line, "text", ""), "\xE2\x82\xAC\xE2\x80\xA6"));
    memset(text, 1, 30000); /* each becomes six bytes */
    tn_log(TN_LOG_INFO, text, TN_STR("a", text), TN_STR("b", text), TN_STR("c", text));
    (void)take_line(arena);
    tn_arena_free(arena);
}

static void
reopening_follows_logrotate(void **state)
{
    tn_arena *arena = tn_arena_new();
    struct stat status;

    (void)state;
    assert_true(tn_log_open(path, TN_LOG_INFO));
    assert_int_equal(rename(path, moved), 0);
    tn_log(TN_LOG_INFO, "old");
    assert_true(tn_log_open(path, TN_LOG_INFO));
    tn_log(TN_LOG_INFO, "new");
    assert_non_null(strstr(take(arena, moved), "\"old\""));
    assert_string_equal(tn_json_text(take_line(arena), "event", NULL), "new");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0137, 0);
    assert_false(tn_log_open("/nonexistent/log", TN_LOG_INFO));
    tn_log(TN_LOG_INFO, "kept");
    assert_string_equal(tn_json_text(take_line(arena), "event", NULL), "kept");
    tn_arena_free(arena);
}

static void
dropped_lines_are_counted(void **state)
{
    static _Atomic uint64_t dropped;

    (void)state;
    tn_log_count_drops(&dropped);
    assert_true(tn_log_open("/dev/full", TN_LOG_INFO));
    tn_log(TN_LOG_INFO, "lost");
    tn_log(TN_LOG_INFO, "lost");
    tn_log_count_drops(NULL);
    tn_log(TN_LOG_INFO, "lost");
    assert_int_equal(dropped, 2);
    assert_true(tn_log_open(NULL, TN_LOG_INFO));
}

static void
levels_have_names(void **state)
{
    tn_log_level level = TN_LOG_DEBUG;

    (void)state;
    assert_true(tn_log_level_parse("error", &level));
    assert_int_equal(level, TN_LOG_ERROR);
    assert_false(tn_log_level_parse("Error", &level));
    assert_false(tn_log_level_parse("", &level));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(fields_keep_their_types, make_folder),
        cmocka_unit_test(the_threshold_holds),
        cmocka_unit_test(long_lines_lose_their_longest_texts),
        cmocka_unit_test(reopening_follows_logrotate),
        cmocka_unit_test(dropped_lines_are_counted),
        cmocka_unit_test_teardown(levels_have_names, remove_folder),
    };

    return tn_unit_run("log", tests, TN_COUNT(tests));
}
