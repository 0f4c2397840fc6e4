/* cmd/storage.c: `tenon storage …`: whether files and rows agree, how much there is, how much there
 * may be
 */
#include "cmd/storage.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cmd/queries.h"
#include "objects/fsck.h"

#define EXIT_TROUBLE                                                            \
    TN_EXIT_USAGE /* 2: as fsck(8) and diff(1) have it: not everything was seen \
                   */

static void
be_oneself_again(void *unused)
{
    (void)unused;
    if (seteuid(getuid()) != 0 || setegid(getgid()) != 0)
        tn_die("seteuid: %s", strerror(errno));
}

tn_exit
tn_storage_as_owner(tn_command_line *line, const tn_config *config)
{
    const char *dir = config->storage.dir;
    struct stat about;

    if (stat(dir, &about) != 0)
        return tn_command_fail(line, TN_EXIT_FAILED, "storage_unavailable",
                               "storage.dir names it; the server makes it.", "%s: %s", dir,
                               strerror(errno));
    if (geteuid() != 0 || about.st_uid == 0)
        return TN_EXIT_OK;
    if (setegid(about.st_gid) != 0 || seteuid(about.st_uid) != 0)
        return tn_command_fail(line, TN_EXIT_FAILED, "storage_unavailable", NULL,
                               "cannot act as the owner of %s: %s", dir, strerror(errno));
    tn_arena_defer(line->arena, be_oneself_again, NULL); /* sanitizers look around at the end */
    return TN_EXIT_OK;
}

/* --- fsck ------------------------------------------------------------------------------------- */

struct report {
    tn_command_line *line;
    int64_t count;
};

/* Names of files are the app's, and must not steer the operator's terminal. */
static const char *
printable(tn_arena *arena, const char *text)
{
    char *copy = tn_arena_printf(arena, "%s", text);

    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return copy;
}

static void
tell_text(tn_arena *arena, const tn_fsck_finding *finding)
{
    printf("%-14s  %s", tn_difference_names[finding->difference], printable(arena, finding->what));
    if (finding->name != NULL)
        printf("  %s/%s", printable(arena, finding->bucket), printable(arena, finding->name));
    if (finding->detail != NULL)
        printf("  (%s)", printable(arena, finding->detail));
    printf("%s\n", finding->is_mended ? "  mended" : "");
}

static void
tell(void *context, const tn_fsck_finding *finding)
{
    struct report *report = context;
    tn_arena *arena = tn_arena_new();
    PQExpBuffer json = tn_arena_buffer(arena);

    if (!report->line->json) {
        tell_text(arena, finding);
    } else {
        appendPQExpBuffer(json, "%s{\"kind\":\"%s\",\"tenant_id\":\"%s\",\"bucket\":",
                          report->count == 0 ? "" : ",\n ",
                          tn_difference_names[finding->difference], finding->tenant_id);
        tn_buffer_json_string(json, finding->bucket);
        appendPQExpBufferStr(json, ",\"name\":");
        tn_buffer_json_string(json, finding->name);
        appendPQExpBufferStr(json, ",\"what\":");
        tn_buffer_json_string(json, finding->what);
        appendPQExpBufferStr(json, ",\"detail\":");
        tn_buffer_json_string(json, finding->detail);
        appendPQExpBuffer(json, ",\"mended\":%s}", finding->is_mended ? "true" : "false");
        fputs(tn_buffer_text(json), stdout);
    }
    report->count++;
    tn_arena_free(arena);
}

/* What is left when all has been told: differences that have not been mended. */
static int64_t
print_sums(tn_command_line *line, const tn_fsck *fsck)
{
    PQExpBuffer kinds = tn_arena_buffer(line->arena);
    int64_t found = 0, mended = 0;

    for (int i = 0; i < TN_DIFFERENCES; i++) {
        found += fsck->found[i];
        mended += fsck->mended[i];
        if (fsck->found[i] > 0)
            appendPQExpBuffer(kinds, "%s\"%s\":%lld", kinds->len > 0 ? "," : "",
                              tn_difference_names[i], (long long)fsck->found[i]);
    }
    if (line->json)
        printf("],\n\"counts\":{%s},\"mended\":%lld,\"rows\":%lld,\"bytes\":%lld,\"files\":%lld,"
               "\"young_files\":%lld,\"lost_objects\":%lld,\"clean\":%s}\n",
               tn_buffer_text(kinds), (long long)mended, (long long)fsck->rows,
               (long long)fsck->bytes, (long long)fsck->files, (long long)fsck->young,
               (long long)fsck->lost, found == mended ? "true" : "false");
    else
        printf("%lld rows of %lld bytes, %lld files (%lld of them new): %lld differences, %lld "
               "mended\n",
               (long long)fsck->rows, (long long)fsck->bytes, (long long)fsck->files,
               (long long)fsck->young, (long long)found, (long long)mended);
    if (!line->json && fsck->lost > 0)
        printf("%lld rows have lost their bytes: storage.lost_objects\n", (long long)fsck->lost);
    return found - mended;
}

static tn_exit
run_fsck(tn_command_line *line)
{
    struct report report = {.line = line};
    tn_fsck fsck = {.arena = line->arena,
                    .repairs = tn_command_option(line, "repair") != NULL,
                    .verifies = tn_command_option(line, "verify") != NULL,
                    .forced = tn_command_option(line, "force") != NULL,
                    .told = tell,
                    .context = &report};
    const char *tenant = tn_command_option(line, "tenant");
    const tn_error *error;

    TN_COMMAND_TRY(tn_command_open(line, &fsck.config, &fsck.session));
    if (tenant != NULL)
        TN_COMMAND_TRY(tn_command_tenant(line, fsck.config, fsck.session, tenant, &fsck.tenant_id));
    TN_COMMAND_TRY(tn_storage_as_owner(line, fsck.config));
    fsck.age_s = tn_command_option(line, "now") != NULL ? -1 : fsck.config->storage.orphan_age_s;
    if (line->json)
        fputs("{\"differences\":[", stdout);
    error = tn_fsck_run(&fsck);
    if (error != NULL) {
        if (line->json)
            fputs("],\n\"clean\":false}\n", stdout);
        (void)tn_command_error(line, error);
        return EXIT_TROUBLE;
    }
    if (print_sums(line, &fsck) == 0)
        return TN_EXIT_OK;
    return fsck.found[TN_DIFFERENCE_CLOSED] > 0 ? EXIT_TROUBLE : TN_EXIT_FAILED;
}

/* --- how much --------------------------------------------------------------------------------- */

/* A number, or "none": null. */
static tn_exit
read_limit(tn_command_line *line, const char *option, const char **limit)
{
    const char *text = tn_command_option(line, option);
    int64_t number;

    *limit = NULL;
    if (text == NULL || strcmp(text, "none") == 0)
        return TN_EXIT_OK;
    *limit = text;
    return tn_command_number(line, option, 0, INT64_MAX, &number);
}

static tn_exit
run_quota(tn_command_line *line)
{
    const bool sets_tenant = tn_command_option(line, "bytes") != NULL,
               sets_user = tn_command_option(line, "user-bytes") != NULL;
    const char *tenant, *bytes, *user_bytes;
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(read_limit(line, "bytes", &bytes));
    TN_COMMAND_TRY(read_limit(line, "user-bytes", &user_bytes));
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_tenant(line, config, session, line->arguments[0], &tenant));
    if (sets_tenant || sets_user)
        TN_COMMAND_TRY(tn_command_query(
            line, session, &tn_sql_storage_quota_set,
            TN_PARAMS(tenant, sets_tenant ? "t" : "f", bytes, sets_user ? "t" : "f", user_bytes),
            NULL, NULL));
    TN_COMMAND_TRY(tn_command_query(
        line, session, &tn_sql_storage_quota,
        TN_PARAMS(tenant, tn_arena_number(line->arena, config->storage.tenant_quota),
                  tn_arena_number(line->arena, config->storage.user_quota)),
        "the tenant is gone", &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0), "%s\n", tn_rows_text(rows, 0, 1));
    return TN_EXIT_OK;
}

static tn_exit
run_usage(tn_command_line *line)
{
    static const tn_column tenants[] = {{"TENANT", "tenant"}, {"BYTES", "bytes"},
                                        {"FILES", "objects"}, {"OF BYTES", "quota"},
                                        {"TRASH", "trash"},   {.title = NULL}};
    static const tn_column owners[] = {
        {"OWNER", "owner_id"}, {"BYTES", "bytes"}, {"FILES", "objects"}, {.title = NULL}};
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    const char *tenant;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    if (line->argument_count == 0) {
        TN_COMMAND_TRY(tn_command_query(
            line, session, &tn_sql_storage_usage,
            TN_PARAMS(tn_arena_number(line->arena, config->storage.tenant_quota)), NULL, &rows));
        tn_command_table(line, rows, tenants);
        return TN_EXIT_OK;
    }
    TN_COMMAND_TRY(tn_command_tenant(line, config, session, line->arguments[0], &tenant));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_storage_usage_of_owners,
                                    TN_PARAMS(tenant), NULL, &rows));
    tn_command_table(line, rows, owners);
    return TN_EXIT_OK;
}

static const tn_option fsck_options[] = {
    {"tenant", "NAME", "look at one tenant only, by name or id"},
    {"verify", NULL, "read all bytes and compare their SHA-256"},
    {"repair", NULL, "mend what differs"},
    {"force", NULL, "mend even where the bytes seem to be elsewhere"},
    {"now", NULL, "files without a row count whatever their age; only while nothing is uploaded"},
    {.name = NULL},
};
static const tn_option quota_options[] = {
    {"bytes", "N", "of the whole tenant; none: what storage.tenant_quota says"},
    {"user-bytes", "N", "of each person; none: what storage.user_quota says"},
    {.name = NULL},
};

const tn_command tn_storage_commands[] = {
    {"storage fsck", .summary = "Compare the rows of files with their bytes",
     .help =
         "The server may run. --repair removes files that no row names and that are older than "
         "storage.orphan_age_s, makes\n"
         "rows whose bytes are gone or damaged rows without bytes (storage.lost_objects has what "
         "they had; when the bytes\n"
         "are back it gives them back), and counts anew. Nothing is mended in a folder that is "
         "not the one of before, nor\n"
         "when more than 100 rows and more than 5 % are without their bytes. Exits with 0 when "
         "nothing differs or all is\n"
         "mended, 1 when something differs, 2 when not everything could be looked at or nothing "
         "is mended.\n",
     .options = fsck_options, .run = run_fsck},
    {"storage quota", "TENANT", 1, 1, "How much a tenant may store",
     "Without options: shows it. What is there already stays when it is more.\n", quota_options,
     run_quota},
    {"storage usage", "[TENANT]", 0, 1, "How much tenants store; with TENANT, who stores it", NULL,
     NULL, run_usage},
    {.name = NULL},
};
