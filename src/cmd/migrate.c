/* cmd/migrate.c: `tenon migrate`: brings the database to this release */
#include "db/migration.h"

#include "cmd/cmd.h"
#include "cmd/queries.h"
#include "cmd/schema.h"

static const tn_option options[] = {
    {"app", "DIR", "apply the app's own migrations, out of this folder"},
    {"check", NULL, "change nothing; exit with 1 if there is something to do"},
    TN_OPTION_SQL_DIR,
    {.name = NULL},
};

/* Tells as each file is done: the next one may take minutes. */
static void
tell_applied(void *context, const char *file, int64_t ms)
{
    const tn_command_line *line = context;

    if (!line->json) {
        printf("applied %s (%lld ms)\n", file, (long long)ms);
        fflush(stdout);
    }
}

static tn_exit
apply(tn_command_line *line, tn_session *session, const tn_migrations *what)
{
    tn_migration_report report;
    const tn_error *error = tn_migrate(session, line->arena, what, tell_applied, line, &report);

    if (error != NULL)
        return tn_command_error(line, error);
    tn_command_print(
        line,
        tn_arena_printf(line->arena, "{\"applied\":%zu,\"already\":%zu,\"last\":\"%s\"}",
                        report.applied, report.already, report.last),
        "%s: the database is at %s\n", report.applied == 0 ? "nothing to do" : "done", report.last);
    return TN_EXIT_OK;
}

static tn_migrations
our_migrations(const tn_command_line *line)
{
    return (tn_migrations){
        .kind = TN_MIGRATIONS_OURS,
        .folder = tn_arena_printf(line->arena, "%s/migrations", tn_command_sql_dir(line))};
}

tn_exit
tn_schema_migrate(tn_command_line *line, tn_session *session)
{
    const tn_migrations what = our_migrations(line);

    return apply(line, session, &what);
}

static tn_exit
check(tn_command_line *line, tn_session *session, const tn_migrations *what)
{
    tn_migration_report report;
    const tn_error *error = tn_migrate_check(session, line->arena, what, &report);

    if (error != NULL)
        return tn_command_error(line, error);
    tn_command_print(
        line,
        tn_arena_printf(line->arena, "{\"missing\":%zu,\"already\":%zu,\"last\":\"%s\"}",
                        report.missing, report.already, report.last),
        "%zu of %zu migrations are applied%s%s\n", report.already, report.already + report.missing,
        report.next == NULL ? "" : ", next is ", report.next == NULL ? "" : report.next);
    return report.missing == 0 ? TN_EXIT_OK : TN_EXIT_FAILED;
}

static tn_exit
run_migrate(tn_command_line *line)
{
    const char *app = tn_command_option(line, "app");
    const tn_migrations what = app == NULL
                                   ? our_migrations(line)
                                   : (tn_migrations){.kind = TN_MIGRATIONS_APP, .folder = app};
    const tn_config *config;
    tn_session *session;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_act_as_owner, TN_NO_PARAMS, NULL, NULL));
    if (tn_command_option(line, "check") != NULL)
        return check(line, session, &what);
    return apply(line, session, &what);
}

const tn_command tn_migrate_commands[] = {
    {"migrate", .summary = "Bring the database to this release, or to the app's",
     .help = "Applies the files of sql/migrations that have not run yet, in order, each in its own "
             "transaction,\n"
             "as the login of database.owner_url. Whoever migrates at the same time waits. A file "
             "that has run and\n"
             "has changed since is refused, and nothing is applied then.\n"
             "\n"
             "With --app the files of your own folder, in the same way: NNNN_name.sql or, as "
             "Supabase names them,\n"
             "YYYYMMDDHHMMSS_name.sql, as the owner and in the tenant that psql acts in. What has "
             "run is in tenon.app_migrations.\n"
             "Files that begin or end a transaction by themselves are refused.\n",
     .options = options, .run = run_migrate},
    {.name = NULL},
};
