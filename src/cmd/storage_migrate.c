/* cmd/storage_migrate.c: `tenon storage migrate`: files moved between the disk and a remote store
 */
#include <string.h>

#include "cmd/storage.h"
#include "objects/migrate.h"

static void
tell(void *context, const char *bucket, const char *name, const char *version, const char *why)
{
    (void)context;
    (void)fprintf(stderr, "%s  %s  ", version, why);
    for (const char *part = bucket; part != NULL; part = part == bucket ? name : NULL) {
        for (const char *c = part; *c != '\0'; c++)
            (void)fputc((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c, stderr);
        (void)fputs(part == bucket && name != NULL ? "/" : "\n", stderr);
    }
}

static tn_exit
read_direction(tn_command_line *line, tn_migration_move *move)
{
    const char *to = tn_command_option(line, "to");

    if (to == NULL || (strcmp(to, "remote") != 0 && strcmp(to, "disk") != 0))
        return tn_command_fail(line, TN_EXIT_USAGE, "direction_missing", NULL,
                               "where to? --to remote or --to disk");
    move->to_remote = strcmp(to, "remote") == 0;
    return TN_EXIT_OK;
}

/* What is new would go on coming to where it is taken away. */
static void
warn_of_new_files(const tn_migration_move *move)
{
    if (move->to_remote == move->config->storage.backend_writes)
        return;
    (void)fprintf(stderr, "tenon: new files still go to the %s: storage.backend_writes is %s\n",
                  move->to_remote ? "disk" : "remote store", move->to_remote ? "off" : "on");
}

static tn_exit
print_sums(tn_command_line *line, const tn_migration_move *move)
{
    tn_command_print(line,
                     tn_arena_printf(line->arena,
                                     "{\"copied\":%lld,\"bytes\":%lld,\"there\":%lld,\"pruned\":"
                                     "%lld,\"missing\":%lld,\"damaged\":%lld}",
                                     (long long)move->copied, (long long)move->copied_bytes,
                                     (long long)move->there, (long long)move->pruned,
                                     (long long)move->missing, (long long)move->damaged),
                     "%lld files of %lld bytes copied, %lld were there, %lld removed at the "
                     "source; %lld are missing, %lld damaged\n",
                     (long long)move->copied, (long long)move->copied_bytes, (long long)move->there,
                     (long long)move->pruned, (long long)move->missing, (long long)move->damaged);
    return move->missing + move->damaged == 0 ? TN_EXIT_OK : TN_EXIT_FAILED;
}

static tn_exit
run_migrate(tn_command_line *line)
{
    tn_migration_move move = {.told = tell, .prunes = tn_command_option(line, "prune") != NULL};
    const char *tenant = tn_command_option(line, "tenant");
    const tn_error *error;

    TN_COMMAND_TRY(read_direction(line, &move));
    TN_COMMAND_TRY(tn_command_open(line, &move.config, &move.session));
    if (*move.config->storage.backend_url == '\0')
        return tn_command_fail(line, TN_EXIT_CONFIG, "backend_missing", NULL,
                               "storage.backend_url is not set: there is only the disk");
    if (tenant != NULL)
        TN_COMMAND_TRY(tn_command_tenant(line, move.config, move.session, tenant, &move.tenant_id));
    TN_COMMAND_TRY(tn_storage_as_owner(line, move.config));
    warn_of_new_files(&move);
    error = tn_objects_migrate(&move, line->arena);
    if (error != NULL)
        return tn_command_error(line, error);
    return print_sums(line, &move);
}

static const tn_option migrate_options[] = {
    {"to", "PLACE", "remote or disk"},
    {"prune", NULL, "remove at the source what the destination has, once it has been read back"},
    {"tenant", "NAME", "files of one tenant only, by name or id"},
    {.name = NULL},
};

const tn_command tn_storage_migrate_commands[] = {
    {"storage migrate", .summary = "Move files between the disk and the store of backend_url",
     .help =
         "While the server runs, which reads from both places as long as storage.backend_url is "
         "set.\n"
         "To the store: set backend_url, reload, --to remote, --to remote --prune.\n"
         "To the disk: set backend_writes = off, reload, --to disk, and then unset backend_url "
         "and reload.\n"
         "What has been copied is not copied again, so an interrupted one is begun again.\n",
     .options = migrate_options, .run = run_migrate},
    {.name = NULL},
};
