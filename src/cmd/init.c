/* cmd/init.c: `tenon init`: an empty PostgreSQL becomes Tenon's
 *
 * The order: database, roles (init.sql), passwords, migrations, init.sql once more for what needs
 * their functions (the event trigger), the first signing keys, and a look whether both logins work.
 * Every step leaves alone what is there, so running it again is harmless and mends what has
 * drifted.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cmd/queries.h"
#include "cmd/schema.h"

#define INIT_SQL_MAX (1 << 20)

struct plan {
    const tn_config *config;
    const char *superuser_url, *database;
    tn_session *session; /* the superuser's, in the database */
};

static void
close_session(void *session)
{
    tn_session_close(session);
}

static void
say(const tn_command_line *line, const char *what, const char *which)
{
    if (!line->json)
        printf("%s%s%s\n", what, which == NULL ? "" : " ", which == NULL ? "" : which);
}

static tn_exit
open_superuser(tn_command_line *line, const struct plan *plan, const char *database,
               tn_session **session)
{
    const char *problem = NULL;
    const tn_rows *rows;

    *session = tn_session_open_at(plan->superuser_url, database, line->arena, &problem);
    if (*session == NULL)
        return tn_command_fail(line, TN_EXIT_UNAVAILABLE, "database_unavailable", NULL,
                               "no connection with --superuser-url: %s", problem);
    tn_arena_defer(line->arena, close_session, *session);
    TN_COMMAND_TRY(
        tn_command_query(line, *session, &tn_sql_is_superuser, TN_NO_PARAMS, NULL, &rows));
    if (!tn_rows_bool(rows, 0, 0))
        return tn_command_fail(
            line, TN_EXIT_FAILED, "not_superuser",
            "The event trigger that protects new tables can only be made by one.",
            "the login of --superuser-url is no superuser");
    return TN_EXIT_OK;
}

/* The first session holds a lock until the command is over. */
static tn_exit
create_database(tn_command_line *line, struct plan *plan)
{
    tn_session *session;
    const tn_rows *rows;
    const tn_error *error;

    TN_COMMAND_TRY(open_superuser(line, plan, NULL, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_init_lock, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_database_exists,
                                    TN_PARAMS(plan->database), NULL, &rows));
    if (tn_rows_count(rows) == 0) {
        TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_database_create_text,
                                        TN_PARAMS(plan->database), NULL, &rows));
        error = tn_session_run(session, line->arena, tn_rows_text(rows, 0, 0), TN_NO_PARAMS, NULL);
        /* made by somebody else in this moment: just as well */
        if (error != NULL && strcmp(error->code, "unique_violation") != 0)
            return tn_command_error(line, error);
        say(line, "created the database", plan->database);
    }
    return open_superuser(line, plan, plan->database, &plan->session);
}

static tn_exit
read_init_sql(tn_command_line *line, const char **sql)
{
    const char *path = tn_arena_printf(line->arena, "%s/init.sql", tn_command_sql_dir(line));
    char *text = tn_arena_alloc(line->arena, INIT_SQL_MAX, 1);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;
    size_t length = 0;

    while (fd >= 0 && length < INIT_SQL_MAX - 1 &&
           (got = read(fd, text + length, INIT_SQL_MAX - 1 - length)) > 0)
        length += (size_t)got;
    if (fd >= 0)
        (void)close(fd);
    if (got != 0)
        return tn_command_fail(line, TN_EXIT_FAILED, "init_sql_unreadable",
                               "Say where it is: --sql-dir DIR or TENON_SQL_DIR.",
                               "%s cannot be read: %s", path, strerror(errno));
    *sql = text;
    return TN_EXIT_OK;
}

static tn_exit
run_init_sql(tn_command_line *line, const struct plan *plan, const char *sql)
{
    const tn_error *error;

    TN_COMMAND_TRY(
        tn_command_query(line, plan->session, &tn_sql_act_as_login, TN_NO_PARAMS, NULL, NULL));
    error = tn_session_run(plan->session, line->arena, sql, TN_NO_PARAMS, NULL);
    return error == NULL ? TN_EXIT_OK : tn_command_error(line, error);
}

/* The password of the option, or else the one that the URL of the configuration has. */
static tn_exit
set_password(tn_command_line *line, const struct plan *plan, const char *role, const char *option,
             const char *url)
{
    const char *password = tn_command_option(line, option);
    const tn_error *error;

    if (password == NULL)
        password = tn_url_part(line->arena, url, "password");
    if (password == NULL || password[0] == '\0')
        return TN_EXIT_OK;
    error = tn_session_set_password(plan->session, line->arena, role, password);
    return error == NULL ? TN_EXIT_OK : tn_command_error(line, error);
}

static tn_exit
add_signing_keys(tn_command_line *line, const struct plan *plan)
{
    const tn_rows *rows;

    TN_COMMAND_TRY(
        tn_command_query(line, plan->session, &tn_sql_act_as_owner, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(tn_command_query(line, plan->session, &tn_sql_signing_key_is_active,
                                    TN_NO_PARAMS, NULL, &rows));
    if (tn_rows_count(rows) > 0)
        return TN_EXIT_OK;
    TN_COMMAND_TRY(tn_signing_key_add(line, plan->config, plan->session, "active"));
    TN_COMMAND_TRY(tn_signing_key_add(line, plan->config, plan->session, "next"));
    say(line, "made the first signing keys", NULL);
    return TN_EXIT_OK;
}

static tn_exit
try_login(tn_command_line *line, const char *setting, const char *url)
{
    const char *problem = NULL;
    tn_session *session = tn_session_open(url, line->arena, &problem);

    if (session == NULL)
        return tn_command_fail(line, TN_EXIT_FAILED, "login_failed",
                               "Check the password in the URL (or give --owner-password and "
                               "--worker-password) and pg_hba.conf.",
                               "everything is in place, but %s does not connect: %s", setting,
                               problem);
    tn_session_close(session);
    return TN_EXIT_OK;
}

static tn_exit
prepare(tn_command_line *line, struct plan *plan)
{
    const char *other;

    TN_COMMAND_TRY(tn_command_config(line, &plan->config));
    TN_COMMAND_TRY(tn_command_secret(line, plan->config));
    plan->superuser_url = tn_command_option(line, "superuser-url");
    if (plan->superuser_url == NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "say how a superuser connects: --superuser-url "
                               "postgresql:///postgres?host=/run/postgresql");
    plan->database = tn_url_part(line->arena, plan->config->database.url, "dbname");
    other = tn_url_part(line->arena, plan->config->database.owner_url, "dbname");
    if (plan->database == NULL || other == NULL || strcmp(plan->database, other) != 0)
        return tn_command_fail(line, TN_EXIT_CONFIG, "config_wrong", NULL,
                               "database.url and database.owner_url must name the same database");
    return TN_EXIT_OK;
}

static tn_exit
run_init(tn_command_line *line)
{
    struct plan plan = {.config = NULL};
    const char *sql = NULL;

    TN_COMMAND_TRY(prepare(line, &plan));
    TN_COMMAND_TRY(read_init_sql(line, &sql));
    TN_COMMAND_TRY(create_database(line, &plan));
    TN_COMMAND_TRY(run_init_sql(line, &plan, sql));
    TN_COMMAND_TRY(set_password(line, &plan, "tenon_admin", "owner-password",
                                plan.config->database.owner_url));
    TN_COMMAND_TRY(set_password(line, &plan, "tenon_authenticator", "worker-password",
                                plan.config->database.url));
    say(line, "roles are in place", NULL);
    TN_COMMAND_TRY(
        tn_command_query(line, plan.session, &tn_sql_act_as_owner, TN_NO_PARAMS, NULL, NULL));
    TN_COMMAND_TRY(tn_schema_migrate(line, plan.session));
    TN_COMMAND_TRY(run_init_sql(line, &plan, sql));
    TN_COMMAND_TRY(add_signing_keys(line, &plan));
    TN_COMMAND_TRY(try_login(line, "database.owner_url", plan.config->database.owner_url));
    TN_COMMAND_TRY(try_login(line, "database.url", plan.config->database.url));
    say(line, "both logins connect. Next: tenon tenant create NAME", NULL);
    return TN_EXIT_OK;
}

static const tn_option options[] = {
    {"superuser-url", "URL", "how a superuser connects; only this command needs one"},
    {"owner-password", "TEXT", "for tenon_admin (else the one in database.owner_url)"},
    {"worker-password", "TEXT", "for tenon_authenticator (else the one in database.url)"},
    TN_OPTION_SQL_DIR,
    {.name = NULL},
};

const tn_command tn_init_commands[] = {
    {"init", .summary = "Make roles, database, schema and the first signing keys",
     .help =
         "Makes what is missing in the PostgreSQL that database.url names, and leaves the rest as "
         "it is: running\n"
         "it again is harmless. It changes roles of the whole cluster (tenon_owner, tenon_admin,\n"
         "tenon_authenticator, anon, authenticated, agent, service_role, tenon_worker, "
         "tenon_platform).\n",
     .options = options, .run = run_init},
    {.name = NULL},
};
