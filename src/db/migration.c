/* db/migration.c: the files of sql/migrations, each once and in order */
#include "db/migration.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "db/queries.h"

#define FILE_SIZE_MAX (16 << 20)

struct file {
    char *name; /* "0007_conversations.sql" */
    int number;
    char *sql;
    char sha256[TN_SHA256_HEX];
};

struct folder {
    const char *path;
    struct file *files;
    size_t count, size;
};

static const tn_error *
refuse(tn_arena *arena, const char *code, const char *hint, const char *text)
{
    return tn_error_new(arena, 409, code, hint, "%s", text);
}

/* --- the folder ----------------------------------------------------------------------------------
 */

/* NNNN_name.sql → NNNN; 0 for a name of another form. */
static int
number_of(const char *name)
{
    const size_t length = strlen(name);
    int number = 0;

    if (length < 10 || name[4] != '_' || strcmp(name + length - 4, ".sql") != 0)
        return 0;
    for (int i = 0; i < 4; i++) {
        if (!isdigit((unsigned char)name[i]))
            return 0;
        number = number * 10 + (name[i] - '0');
    }
    return number;
}

static const tn_error *
read_whole(tn_arena *arena, const char *path, char **text, size_t *length)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    size_t got = 0;

    *text = NULL;
    if (fd >= 0 && fstat(fd, &about) == 0 && about.st_size < FILE_SIZE_MAX) {
        char *bytes = tn_arena_alloc(arena, (size_t)about.st_size + 1, 1);
        ssize_t more = 1;

        while (got < (size_t)about.st_size && more > 0) {
            more = read(fd, bytes + got, (size_t)about.st_size - got);
            got += more > 0 ? (size_t)more : 0;
        }
        if (got == (size_t)about.st_size)
            *text = bytes;
    }
    if (fd >= 0)
        (void)close(fd);
    if (*text == NULL)
        return tn_error_new(arena, 500, "migration_unreadable", NULL, "%s cannot be read: %s", path,
                            strerror(errno));
    if (strlen(*text) != got)
        return tn_error_new(arena, 500, "migration_unreadable", NULL, "%s has a NUL byte in it",
                            path);
    *length = got;
    return NULL;
}

static const tn_error *
add_file(tn_arena *arena, struct folder *folder, const char *name)
{
    struct file file = {.name = tn_arena_text(arena, name), .number = number_of(name)};
    uint8_t digest[TN_SHA256_SIZE];
    size_t length;

    if (file.number == 0)
        return refuse(arena, "migration_name", NULL,
                      tn_arena_printf(arena, "%s/%s: the name must be NNNN_name.sql, from 0001",
                                      folder->path, name));
    TN_TRY(
        read_whole(arena, tn_arena_printf(arena, "%s/%s", folder->path, name), &file.sql, &length));
    tn_sha256(file.sql, length, digest);
    tn_hex(digest, sizeof digest, file.sha256);
    if (folder->count == folder->size) {
        struct file *more = tn_arena_alloc(arena, folder->size * 2 + 16, sizeof *more);

        if (folder->count > 0)
            memcpy(more, folder->files, folder->count * sizeof *more);
        folder->files = more;
        folder->size = folder->size * 2 + 16;
    }
    folder->files[folder->count++] = file;
    return NULL;
}

static int
compare_files(const void *a, const void *b)
{
    const struct file *one = a, *other = b;

    return one->number != other->number ? one->number - other->number
                                        : strcmp(one->name, other->name);
}

/* No number twice, none left out: a gap is a file that somebody forgot to ship. */
static const tn_error *
check_numbers(tn_arena *arena, const struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        const struct file *file = &folder->files[i];

        if (file->number == (int)i + 1)
            continue;
        if (i > 0 && file->number == folder->files[i - 1].number)
            return refuse(arena, "migration_twice", "Give one of them the next free number.",
                          tn_arena_printf(arena, "%s and %s have the same number",
                                          folder->files[i - 1].name, file->name));
        return refuse(
            arena, "migration_missing", NULL,
            tn_arena_printf(arena, "there is no migration %04zu before %s", i + 1, file->name));
    }
    return NULL;
}

static void
close_folder(void *stream)
{
    (void)closedir(stream);
}

static const tn_error *
read_folder(tn_arena *arena, const char *path, struct folder *folder)
{
    DIR *stream = opendir(path);
    const struct dirent *entry;

    *folder = (struct folder){.path = path};
    if (stream == NULL)
        return tn_error_new(arena, 500, "migration_unreadable",
                            "Say where they are: --sql-dir DIR or TENON_SQL_DIR.",
                            "the folder %s cannot be read: %s", path, strerror(errno));
    tn_arena_defer(arena, close_folder, stream);
    while ((entry = readdir(stream)) != NULL) {
        const size_t length = strlen(entry->d_name);

        if (entry->d_name[0] == '.' || length < 4 ||
            strcmp(entry->d_name + length - 4, ".sql") != 0)
            continue;
        TN_TRY(add_file(arena, folder, entry->d_name));
    }
    if (folder->count == 0)
        return refuse(arena, "migration_missing",
                      "Say where they are: --sql-dir DIR or TENON_SQL_DIR.",
                      tn_arena_printf(arena, "the folder %s has no migrations", path));
    qsort(folder->files, folder->count, sizeof *folder->files, compare_files);
    return check_numbers(arena, folder);
}

/* --- the database --------------------------------------------------------------------------------
 */

static const tn_error *
run(tn_session *session, tn_arena *arena, const tn_statement *statement, const tn_rows **rows)
{
    return tn_session_run(session, arena, statement->sql, TN_NO_PARAMS, rows);
}

static const tn_error *
read_applied(tn_session *session, tn_arena *arena, const tn_rows **applied)
{
    const tn_rows *exists;

    TN_TRY(run(session, arena, &tn_sql_migration_exists, &exists));
    if (!tn_rows_bool(exists, 0, 0)) {
        *applied = NULL;
        return NULL;
    }
    return run(session, arena, &tn_sql_migration_list, applied);
}

/* What has run must be what the folder has, name and content. */
static const tn_error *
check_applied(tn_arena *arena, const struct folder *folder, const tn_rows *applied)
{
    const size_t count = applied == NULL ? 0 : tn_rows_count(applied);

    for (size_t row = 0; row < count; row++) {
        const int64_t number = tn_rows_int(applied, row, 0, 0);
        const char *name = tn_rows_text(applied, row, 1);
        const struct file *file;

        if (number != (int64_t)row + 1)
            return refuse(arena, "migration_missing", NULL,
                          tn_arena_printf(arena, "the database has run %s, and not number %04zu",
                                          name, row + 1));
        if (row >= folder->count)
            return refuse(arena, "migration_unknown",
                          "Is this an older release than the one that ran it?",
                          tn_arena_printf(arena, "the database has run %s, which is not in %s",
                                          name, folder->path));
        file = &folder->files[row];
        if (strcmp(file->name, name) != 0 ||
            strcmp(file->sha256, tn_rows_text(applied, row, 2)) != 0)
            return refuse(arena, "migration_changed",
                          "A migration that has run is never edited: put the file back, and the "
                          "change into a new one.",
                          tn_arena_printf(arena, "%s is not what the database has run as %s",
                                          file->name, name));
    }
    return NULL;
}

static const tn_error *
apply(tn_session *session, tn_arena *arena, const struct file *file, int64_t *ms)
{
    const int64_t start_ms = tn_clock_ms();
    const char *parameters[4] = {tn_arena_printf(arena, "%d", file->number), file->name,
                                 file->sha256};

    TN_TRY(run(session, arena, &tn_sql_migration_begin, NULL));
    TN_TRY(tn_session_run(session, arena, file->sql, TN_NO_PARAMS, NULL));
    if (!tn_session_in_transaction(session))
        return refuse(arena, "migration_commits", "Its transaction is begun and ended for it.",
                      "the file ends its transaction by itself");
    *ms = tn_clock_ms() - start_ms;
    parameters[3] = tn_arena_printf(arena, "%lld", (long long)*ms);
    TN_TRY(tn_session_run(session, arena, tn_sql_migration_record.sql, parameters, 4, NULL));
    return run(session, arena, &tn_sql_commit, NULL);
}

static const tn_error *
name_file(tn_arena *arena, const struct file *file, const tn_error *error)
{
    tn_error *named = tn_error_new(arena, error->status, error->code, error->hint, "%s: %s",
                                   file->name, error->message);

    named->details = error->details;
    return named;
}

struct job {
    struct folder folder;
    void (*on_applied)(void *, const char *file, int64_t ms);
    void *context;
    tn_migration_report *report;
};

/* With the lock held. */
static const tn_error *
apply_missing(tn_session *session, tn_arena *arena, const struct job *job)
{
    const struct folder *folder = &job->folder;
    const tn_rows *applied;

    TN_TRY(read_applied(session, arena, &applied));
    TN_TRY(check_applied(arena, folder, applied));
    if (applied == NULL)
        TN_TRY(run(session, arena, &tn_sql_migration_prepare, NULL));
    job->report->already = applied == NULL ? 0 : tn_rows_count(applied);
    for (size_t i = job->report->already; i < folder->count; i++) {
        int64_t ms = 0;
        const tn_error *error = apply(session, arena, &folder->files[i], &ms);

        if (error != NULL) {
            if (tn_session_in_transaction(session))
                (void)(run(session, arena, &tn_sql_rollback, NULL) == NULL); /* it is lost anyway */
            return name_file(arena, &folder->files[i], error);
        }
        job->report->applied++;
        if (job->on_applied != NULL)
            job->on_applied(job->context, folder->files[i].name, ms);
    }
    return NULL;
}

const tn_error *
tn_migrate(tn_session *session, tn_arena *arena, const char *folder,
           void (*on_applied)(void *, const char *file, int64_t ms), void *context,
           tn_migration_report *report)
{
    struct job job = {.on_applied = on_applied, .context = context, .report = report};
    const tn_error *error, *unlock_error;

    *report = (tn_migration_report){0};
    TN_TRY(read_folder(arena, folder, &job.folder));
    report->last = job.folder.files[job.folder.count - 1].name;
    TN_TRY(run(session, arena, &tn_sql_migration_lock, NULL));
    error = apply_missing(session, arena, &job);
    unlock_error = run(session, arena, &tn_sql_migration_unlock, NULL);
    return error != NULL ? error : unlock_error;
}

const tn_error *
tn_migrate_check(tn_session *session, tn_arena *arena, const char *folder,
                 tn_migration_report *report)
{
    struct folder files;
    const tn_rows *applied;

    *report = (tn_migration_report){0};
    TN_TRY(read_folder(arena, folder, &files));
    report->last = files.files[files.count - 1].name;
    TN_TRY(read_applied(session, arena, &applied));
    TN_TRY(check_applied(arena, &files, applied));
    report->already = applied == NULL ? 0 : tn_rows_count(applied);
    report->missing = files.count - report->already;
    return NULL;
}
