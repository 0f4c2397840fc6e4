/* cmd/cmd.h: the operator's command: what `tenon WORD…` can be, and what every subcommand needs
 *
 * A file of this room is one noun. It exports a table of tn_command, as areas export routes; cmd.c
 * finds the command by its words, reads the options with getopt_long() and prints the help, all out
 * of these tables. Results go to standard output: text for people, with --json one JSON value.
 * Problems go to standard error, with --json as {"error":{"code","message","details","hint"}}.
 *
 * Threads: none; a command is a process of its own.
 * Errors:  the exit status, one of tn_exit.
 */
#ifndef TN_CMD_CMD_H
#define TN_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "db/database.h"

typedef enum tn_exit {
    TN_EXIT_OK = 0,
    TN_EXIT_FAILED = 1,      /* understood, and could not be done; doctor: something is wrong */
    TN_EXIT_USAGE = 2,       /* the command line was not understood */
    TN_EXIT_NOT_RUNNING = 3, /* no server is running (as the LSB says it) */
    TN_EXIT_NOT_FOUND = 4,   /* no such tenant, key, user … */
    TN_EXIT_UNAVAILABLE = 5, /* PostgreSQL or the provider cannot be reached */
    TN_EXIT_CONFIG = 6,      /* tenon.conf or the environment is wrong */
} tn_exit;

typedef struct tn_command_line tn_command_line;

typedef struct tn_option {
    const char *name;  /* "tenant" for --tenant; NULL ends the list */
    const char *value; /* what it takes, as the help calls it: "NAME"; NULL: a switch */
    const char *summary;
} tn_option;

typedef struct tn_command {
    const char *name;      /* the words: "migrate", "key create"; NULL ends the table */
    const char *arguments; /* what follows, for the help: "NAME"; NULL: nothing */
    size_t argument_min, argument_max;
    const char *summary;      /* one line */
    const char *help;         /* more lines, each ended; or NULL */
    const tn_option *options; /* beside -c, --json and --help, which all have; or NULL */
    tn_exit (*run)(tn_command_line *line);
} tn_command;

struct tn_command_line {
    tn_arena *arena; /* freed when the command is over */
    const tn_command *command;
    const char
        *config_path; /* -c, else TENON_CONF, else the installed one if it is there, else NULL */
    bool json;
    const char *const *arguments;
    size_t argument_count;
    const char *const *values; /* one per option of the command */
};

extern const tn_command tn_init_commands[], tn_migrate_commands[], tn_serve_commands[],
    tn_control_commands[], tn_status_commands[], tn_doctor_commands[], tn_tenant_commands[],
    tn_key_commands[], tn_agent_commands[], tn_s3_key_commands[], tn_signing_key_commands[],
    tn_user_commands[], tn_provider_commands[], tn_routes_commands[], tn_types_commands[],
    tn_mail_commands[], tn_storage_commands[], tn_storage_key_commands[],
    tn_storage_migrate_commands[], tn_storage_quarantine_commands[];

/* All of `tenon`: returns what the process exits with. */
int tn_command_main(int argc, char **argv);

/* --- what the line says ----------------------------------------------------------------------- */

/* The value of --name; "" for a switch that was given; NULL when it was not. */
const char *tn_command_option(const tn_command_line *line, const char *name);

/* Reads a whole number in [min, max] from --name; an absent option leaves *value. */
tn_exit tn_command_number(tn_command_line *line, const char *name, int64_t min, int64_t max,
                          int64_t *value) TN_MUST_CHECK;

/* Reads the configuration; TN_EXIT_CONFIG, with the reason printed, when it is wrong. */
tn_exit tn_command_config(tn_command_line *line, const tn_config **config) TN_MUST_CHECK;

/* --- what it prints --------------------------------------------------------------------------- */

/* Prints the problem and returns `status`. */
tn_exit tn_command_fail(tn_command_line *line, tn_exit status, const char *code, const char *hint,
                        const char *format, ...) TN_PRINTF(5, 6);

/* The same out of an error: 404 is TN_EXIT_NOT_FOUND, 502 to 504 TN_EXIT_UNAVAILABLE, the rest
 * TN_EXIT_FAILED. */
tn_exit tn_command_error(tn_command_line *line, const tn_error *error);

/* One result: the JSON text with --json, else the text for people. */
void tn_command_print(const tn_command_line *line, const char *json, const char *format, ...)
    TN_PRINTF(3, 4);

typedef struct tn_column {
    const char *title, *member; /* heading, and the member of the row's JSON object; NULL ends */
} tn_column;

/* Rows of one column each, a JSON object: with --json an array of them, else a table. */
void tn_command_table(const tn_command_line *line, const tn_rows *rows, const tn_column *columns);

/* --- the database, as the operator ------------------------------------------------------------ */

/* Configuration and a connection as database.owner_url in the role tenon_platform, closed when the
 * command is over. */
tn_exit tn_command_open(tn_command_line *line, const tn_config **config,
                        tn_session **session) TN_MUST_CHECK;

/* Runs one query; TN_EXIT_NOT_FOUND with `missing` printed when it gives no row and `missing` is
 * not NULL. `rows` may be NULL. */
tn_exit tn_command_query(tn_command_line *line, tn_session *session, const tn_statement *statement,
                         const char *const *parameters, size_t count, const char *missing,
                         const tn_rows **rows) TN_MUST_CHECK;

/* The id of the tenant with this name or id, NULL being data.default_tenant. */
tn_exit tn_command_tenant(tn_command_line *line, const tn_config *config, tn_session *session,
                          const char *wanted, const char **id) TN_MUST_CHECK;

/* The folder with init.sql and migrations/: --sql-dir, else TENON_SQL_DIR, else the installed one.
 */
const char *tn_command_sql_dir(const tn_command_line *line) TN_NEVER_NULL;

#define TN_OPTION_SQL_DIR                                                             \
    {                                                                                 \
        "sql-dir", "DIR", "folder with init.sql and migrations/ (else TENON_SQL_DIR)" \
    }

/* Returns from the command unless the call gave TN_EXIT_OK. */
#define TN_COMMAND_TRY(call)                 \
    do {                                     \
        const tn_exit tn_try_exit_ = (call); \
        if (tn_try_exit_ != TN_EXIT_OK)      \
            return tn_try_exit_;             \
    } while (0)

#endif
