/* cmd/cmd.c: finds the subcommand, reads its options, prints what it finds */
#include "cmd/cmd.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>

#include "base/json.h"
#include "base/text.h"
#include "cmd/help.h"
#include "cmd/queries.h"

#define OPTIONS_MAX 16 /* of one command, beside the common ones */
#define COLUMNS_MAX 12
#define WORDS_MAX 3 /* of a command's name */

const tn_command *const tn_command_tables[] = {
    tn_init_commands,
    tn_migrate_commands,
    tn_serve_commands,
    tn_control_commands,
    tn_status_commands,
    tn_doctor_commands,
    tn_tenant_commands,
    tn_key_commands,
    tn_agent_commands,
    tn_s3_key_commands,
    tn_user_commands,
    tn_provider_commands,
    tn_signing_key_commands,
    tn_routes_commands,
    tn_types_commands,
    tn_mail_commands,
    tn_storage_commands,
    tn_storage_key_commands,
    tn_storage_migrate_commands,
    tn_storage_quarantine_commands,
    NULL,
};

/* --- the line --------------------------------------------------------------------------------- */

/* The command of the first one to three words; `words` tells how many it took. */
static const tn_command *
find_command(int count, char **words, int *taken)
{
    for (int wanted = count < WORDS_MAX ? count : WORDS_MAX; wanted > 0; wanted--) {
        char name[128];

        snprintf(name, sizeof name, "%s%s%s%s%s", words[0], wanted > 1 ? " " : "",
                 wanted > 1 ? words[1] : "", wanted > 2 ? " " : "", wanted > 2 ? words[2] : "");
        for (const tn_command *const *table = tn_command_tables; *table != NULL; table++)
            for (const tn_command *command = *table; command->name != NULL; command++)
                if (strcmp(command->name, name) == 0) {
                    *taken = wanted;
                    return command;
                }
    }
    return NULL;
}

static bool
is_noun(const char *word)
{
    for (const tn_command *const *table = tn_command_tables; *table != NULL; table++)
        for (const tn_command *command = *table; command->name != NULL; command++)
            if (tn_help_is_of(command->name, word))
                return true;
    return false;
}

enum { OPTION_JSON = 256, OPTION_VERSION, OPTION_OWN }; /* OPTION_OWN + index: of the command */

enum wish { WISH_RUN, WISH_HELP, WISH_VERSION };

/* Reads the options up to the first word (`stop_at_word`) or all of them; false after a problem,
 * which is printed. Ends with `optind` at the first word. */
static bool
read_options(tn_command_line *line, int argc, char **argv, bool stop_at_word, const char **values,
             enum wish *wish)
{
    struct option options[OPTIONS_MAX + 5] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"version", no_argument, NULL, OPTION_VERSION},
    };
    const tn_option *own = line->command == NULL ? NULL : line->command->options;
    int found;

    for (int i = 0; own != NULL && own[i].name != NULL; i++) {
        assert(i < OPTIONS_MAX);
        options[4 + i] =
            (struct option){own[i].name, own[i].value == NULL ? no_argument : required_argument,
                            NULL, OPTION_OWN + i};
    }
    optind = 0; /* GNU: start anew */
    opterr = 0;
    while ((found = getopt_long(argc, argv, stop_at_word ? "+:c:h" : ":c:h", options, NULL)) !=
           -1) {
        if (found == 'c')
            line->config_path = optarg;
        else if (found == 'h')
            *wish = WISH_HELP;
        else if (found == OPTION_JSON)
            line->json = true;
        else if (found == OPTION_VERSION)
            *wish = WISH_VERSION;
        else if (found >= OPTION_OWN)
            values[found - OPTION_OWN] = optarg == NULL ? "" : optarg;
        else {
            tn_command_fail(line, TN_EXIT_USAGE, "option_unknown", "Try `tenon --help`.",
                            found == ':' ? "the option %s needs a value" : "there is no option %s",
                            argv[optind - 1]);
            return false;
        }
    }
    return true;
}

static tn_exit
run_command(tn_command_line *line, int argc, char **argv)
{
    const tn_command *command = line->command;
    const char *values[OPTIONS_MAX] = {NULL};
    enum wish wish = WISH_RUN;
    size_t count;

    if (!read_options(line, argc, argv, false, values, &wish))
        return TN_EXIT_USAGE;
    if (wish == WISH_HELP) {
        tn_help_print_command(stdout, command);
        return TN_EXIT_OK;
    }
    count = (size_t)(argc - optind);
    if (count < command->argument_min || count > command->argument_max)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "usage: tenon %s%s%s [OPTION]...", command->name,
                               command->arguments == NULL ? "" : " ",
                               command->arguments == NULL ? "" : command->arguments);
    line->arguments = (const char *const *)(argv + optind);
    line->argument_count = count;
    line->values = values;
    return command->run(line);
}

static const char *
default_config_path(void)
{
    static const char installed[] = TN_SYSCONF_DIR "/tenon.conf";
    const char *named = getenv("TENON_CONF");

    if (named != NULL && named[0] != '\0')
        return named;
    return access(installed, F_OK) == 0 ? installed : NULL;
}

/* The common options in front, the command's words, and the rest. */
static tn_exit
run_line(tn_command_line *line, int argc, char **argv)
{
    enum wish wish = WISH_RUN;
    int words = 0, count;
    char **rest;
    bool help;

    if (!read_options(line, argc, argv, true, NULL, &wish))
        return TN_EXIT_USAGE;
    if (wish == WISH_VERSION) {
        puts("tenon " PACKAGE_VERSION);
        return TN_EXIT_OK;
    }
    help = wish == WISH_HELP;
    rest = argv + optind;
    count = argc - optind;
    if (count == 0) {
        tn_help_print(help ? stdout : stderr, NULL);
        return help ? TN_EXIT_OK : TN_EXIT_USAGE;
    }
    if (strcmp(rest[0], "help") == 0 && count > 1) { /* `tenon help key create` */
        rest++, count--;
        help = true;
    }
    line->command = find_command(count, rest, &words);
    if (line->command != NULL && help) {
        tn_help_print_command(stdout, line->command);
        return TN_EXIT_OK;
    }
    if (line->command != NULL)
        return run_command(line, count - words + 1, rest + words - 1);
    if (strcmp(rest[0], "help") == 0 || (help && strcmp(rest[0], "all") == 0)) {
        if (strcmp(rest[0], "all") == 0)
            tn_help_print_all(stdout);
        else
            tn_help_print(stdout, NULL);
        return TN_EXIT_OK;
    }
    if (!is_noun(rest[0]))
        return tn_command_fail(line, TN_EXIT_USAGE, "command_unknown", "Try `tenon --help`.",
                               "there is no command %s", rest[0]);
    /* a noun alone, or with a verb it does not have */
    help = help || (count > 1 && (strcmp(rest[1], "--help") == 0 || strcmp(rest[1], "-h") == 0));
    tn_help_print(help ? stdout : stderr, rest[0]);
    return help ? TN_EXIT_OK : TN_EXIT_USAGE;
}

int
tn_command_main(int argc, char **argv)
{
    tn_command_line line = {.arena = tn_arena_new(), .config_path = default_config_path()};
    tn_exit status = run_line(&line, argc, argv);

    if (fflush(stdout) != 0 && status == TN_EXIT_OK)
        status = TN_EXIT_FAILED; /* a full disk behind `tenon … >file` */
    tn_arena_free(line.arena);
    return (int)status;
}

const char *
tn_command_option(const tn_command_line *line, const char *name)
{
    const tn_option *options = line->command->options;

    for (size_t i = 0; options != NULL && options[i].name != NULL; i++)
        if (strcmp(options[i].name, name) == 0)
            return line->values[i];
    assert(false && "an option that the command does not have");
    return NULL;
}

tn_exit
tn_command_number(tn_command_line *line, const char *name, int64_t min, int64_t max, int64_t *value)
{
    const char *text = tn_command_option(line, name);

    if (text != NULL && !tn_text_int(text, min, max, value))
        return tn_command_fail(line, TN_EXIT_USAGE, "number_wrong", NULL,
                               "--%s takes a whole number from %lld to %lld, not %s", name,
                               (long long)min, (long long)max, text);
    return TN_EXIT_OK;
}

tn_exit
tn_command_config(tn_command_line *line, const tn_config **config)
{
    tn_config *loaded = tn_arena_alloc(line->arena, 1, sizeof *loaded);
    const char *problem = tn_config_load(line->arena, line->config_path, loaded);

    if (problem != NULL)
        return tn_command_fail(line, TN_EXIT_CONFIG, "config_wrong", NULL, "%s", problem);
    *config = loaded;
    return TN_EXIT_OK;
}

/* --- output ----------------------------------------------------------------------------------- */

/* Text of others (names, addresses) must not steer the operator's terminal. */
static void
print_plain(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

static void
print_member(PQExpBuffer json, const char *name, const char *text)
{
    appendPQExpBuffer(json, ",\"%s\":", name);
    tn_buffer_json_string(json, text);
}

static void
print_problem(const tn_command_line *line, const tn_error *error)
{
    if (line->json) {
        PQExpBuffer json = tn_arena_buffer(line->arena);

        appendPQExpBufferStr(json, "{\"error\":{\"code\":");
        tn_buffer_json_string(json, error->code);
        print_member(json, "message", error->message);
        print_member(json, "details", error->details);
        print_member(json, "hint", error->hint);
        appendPQExpBufferStr(json, "}}");
        fprintf(stderr, "%s\n", tn_buffer_text(json));
        return;
    }
    fprintf(stderr, "tenon: %s\n", error->message);
    if (error->details != NULL)
        fprintf(stderr, "  %s\n", error->details);
    if (error->hint != NULL)
        fprintf(stderr, "  %s\n", error->hint);
}

tn_exit
tn_command_fail(tn_command_line *line, tn_exit status, const char *code, const char *hint,
                const char *format, ...)
{
    tn_error error = {.code = code, .hint = hint};
    va_list arguments;

    va_start(arguments, format);
    error.message = tn_arena_vprintf(line->arena, format, arguments);
    va_end(arguments);
    print_problem(line, &error);
    return status;
}

tn_exit
tn_command_error(tn_command_line *line, const tn_error *error)
{
    print_problem(line, error);
    if (error->status == 404)
        return TN_EXIT_NOT_FOUND;
    return error->status >= 502 && error->status <= 504 ? TN_EXIT_UNAVAILABLE : TN_EXIT_FAILED;
}

void
tn_command_print(const tn_command_line *line, const char *json, const char *format, ...)
{
    va_list arguments;

    if (line->json) {
        printf("%s\n", json);
        return;
    }
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}

/* Characters, as far as a terminal has one column for each. */
static int
text_width(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void
print_cells(const char *const *cells, const int *widths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_plain(stdout, cells[i]);
        if (i + 1 < count)
            printf("%*s", widths[i] - text_width(cells[i]) + 2, "");
    }
    putchar('\n');
}

static void
print_table(tn_arena *arena, const tn_rows *rows, const tn_column *columns)
{
    const size_t count = tn_rows_count(rows);
    const char **cells;
    int widths[COLUMNS_MAX];
    size_t width = 0;

    while (columns[width].title != NULL)
        width++;
    assert(width <= COLUMNS_MAX);
    cells = tn_arena_alloc(arena, (count + 1) * width, sizeof *cells);
    for (size_t i = 0; i < width; i++) {
        cells[i] = columns[i].title;
        widths[i] = text_width(cells[i]);
    }
    for (size_t row = 0; row < count; row++) {
        json_object *object = NULL;
        const tn_error *error = tn_json_parse(arena, tn_rows_text(rows, row, 0),
                                              tn_rows_length(rows, row, 0), TN_JSON_DEPTH, &object);

        assert(error == NULL); /* PostgreSQL made it */
        for (size_t i = 0; i < width; i++) {
            json_object *value = tn_json_get(object, columns[i].member);
            const char *text = value == NULL ? "" : json_object_get_string(value);

            cells[(row + 1) * width + i] = text;
            if (text_width(text) > widths[i])
                widths[i] = text_width(text);
        }
    }
    for (size_t row = 0; row <= count; row++)
        print_cells(cells + row * width, widths, width);
}

void
tn_command_table(const tn_command_line *line, const tn_rows *rows, const tn_column *columns)
{
    const size_t count = tn_rows_count(rows);

    if (!line->json) {
        print_table(line->arena, rows, columns);
        return;
    }
    putchar('[');
    for (size_t row = 0; row < count; row++)
        printf("%s%s", row == 0 ? "" : ",\n ", tn_rows_text(rows, row, 0));
    puts("]");
}

/* --- the database ----------------------------------------------------------------------------- */

static void
close_session(void *session)
{
    tn_session_close(session);
}

tn_exit
tn_command_open(tn_command_line *line, const tn_config **config, tn_session **session)
{
    const char *problem = NULL;

    TN_COMMAND_TRY(tn_command_config(line, config));
    if ((*config)->database.owner_url[0] == '\0')
        return tn_command_fail(line, TN_EXIT_CONFIG, "config_wrong",
                               "Set it to the login tenon_admin, or TENON_DATABASE_OWNER_URL.",
                               "database.owner_url is not set");
    *session = tn_session_open((*config)->database.owner_url, line->arena, &problem);
    if (*session == NULL)
        return tn_command_fail(line, TN_EXIT_UNAVAILABLE, "database_unavailable",
                               "`tenon doctor` looks closer.", "no connection to the database: %s",
                               problem);
    tn_arena_defer(line->arena, close_session, *session);
    return tn_command_query(line, *session, &tn_sql_act_as_platform, TN_NO_PARAMS, NULL, NULL);
}

tn_exit
tn_command_query(tn_command_line *line, tn_session *session, const tn_statement *statement,
                 const char *const *parameters, size_t count, const char *missing,
                 const tn_rows **rows)
{
    const tn_rows *found = NULL;
    const tn_error *error =
        tn_session_run(session, line->arena, statement->sql, parameters, count, &found);

    assert(count == (size_t)statement->parameters);
    if (error != NULL)
        return tn_command_error(line, error);
    if (missing != NULL && tn_rows_count(found) == 0)
        return tn_command_fail(line, TN_EXIT_NOT_FOUND, "not_found", NULL, "%s", missing);
    if (rows != NULL)
        *rows = found;
    return TN_EXIT_OK;
}

tn_exit
tn_command_tenant(tn_command_line *line, const tn_config *config, tn_session *session,
                  const char *wanted, const char **id)
{
    const tn_rows *rows = NULL;

    if (wanted == NULL)
        wanted = config->data.default_tenant;
    if (wanted == NULL || wanted[0] == '\0')
        return tn_command_fail(line, TN_EXIT_USAGE, "tenant_missing", "Or set data.default_tenant.",
                               "which tenant? Say --tenant NAME");
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_tenant_by_name, TN_PARAMS(wanted),
                                    tn_arena_printf(line->arena, "there is no tenant %s", wanted),
                                    &rows));
    *id = tn_rows_text(rows, 0, 0);
    return TN_EXIT_OK;
}

const char *
tn_command_sql_dir(const tn_command_line *line)
{
    const char *named = tn_command_option(line, "sql-dir");

    if (named == NULL)
        named = getenv("TENON_SQL_DIR");
    return named == NULL || named[0] == '\0' ? TN_SQL_DIR : named;
}
