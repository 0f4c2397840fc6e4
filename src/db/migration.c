/* db/migration.c: a folder of migrations, each once and in order: ours and the app's */
#include "db/migration.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "db/queries.h"
#include "db/script.h"

#define FILE_SIZE_MAX (16 << 20)

struct file {
    char *name; /* "0007_conversations.sql" */
    int64_t number;
    char *sql;
    char sha256[TN_SHA256_HEX];
};

struct folder {
    const char *path;
    tn_migration_kind kind;
    struct file *files;
    size_t count, size;
};

static const tn_error *
refuse(tn_arena *arena, const char *code, const char *hint, const char *text)
{
    return tn_error_new(arena, 409, code, hint, "%s", text);
}

/* --- the folder ------------------------------------------------------------------------------- */

/* What differs between the two kinds. */
static const struct kind {
    const char *name_rule;
    const tn_statement *exists, *list, *record;
} kinds[] = {
    [TN_MIGRATIONS_OURS] = {"NNNN_name.sql, from 0001", &tn_sql_migration_exists,
                            &tn_sql_migration_list, &tn_sql_migration_record},
    [TN_MIGRATIONS_APP] = {"NNNN_name.sql or YYYYMMDDHHMMSS_name.sql", &tn_sql_app_migration_exists,
                           &tn_sql_app_migration_list, &tn_sql_app_migration_record},
};

/* NNNN_name.sql → NNNN; 0 for a name of another form. The app's may have a moment in its place. */
static int64_t
number_of(tn_migration_kind kind, const char *name)
{
    const size_t length = strlen(name), digits = strspn(name, "0123456789");
    int64_t number = 0;

    if (length < digits + 6 || name[digits] != '_' || strcmp(name + length - 4, ".sql") != 0 ||
        (digits != 4 && !(kind == TN_MIGRATIONS_APP && digits == 14)))
        return 0;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (name[i] - '0');
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
    struct file file = {.name = tn_arena_text(arena, name),
                        .number = number_of(folder->kind, name)};
    uint8_t digest[TN_SHA256_SIZE];
    size_t length;

    if (file.number == 0)
        return refuse(arena, "migration_name", NULL,
                      tn_arena_printf(arena, "%s/%s: the name must be %s", folder->path, name,
                                      kinds[folder->kind].name_rule));
    TN_TRY(
        read_whole(arena, tn_arena_printf(arena, "%s/%s", folder->path, name), &file.sql, &length));
    tn_sha256(file.sql, length, digest);
    tn_hex(digest, sizeof digest, file.sha256);
    if (strncmp(file.sql, "\xEF\xBB\xBF", 3) == 0) /* a byte order mark is no SQL */
        file.sql += 3;
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

    if (one->number != other->number)
        return one->number < other->number ? -1 : 1;
    return strcmp(one->name, other->name);
}

/* No number twice. Of ours none is left out: a gap is a file that somebody forgot to ship. */
static const tn_error *
check_numbers(tn_arena *arena, const struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        const struct file *file = &folder->files[i];

        if (i > 0 && file->number == folder->files[i - 1].number)
            return refuse(arena, "migration_twice", "Give one of them the next free number.",
                          tn_arena_printf(arena, "%s and %s have the same number",
                                          folder->files[i - 1].name, file->name));
        if (folder->kind == TN_MIGRATIONS_OURS && file->number != (int64_t)i + 1)
            return refuse(
                arena, "migration_missing", NULL,
                tn_arena_printf(arena, "there is no migration %04zu before %s", i + 1, file->name));
    }
    return NULL;
}

/* The transaction is begun and ended for a file: one that does so itself could be half done. */
static const tn_error *
check_transactions(tn_arena *arena, const struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        const struct file *file = &folder->files[i];
        tn_script script = {.text = file->sql};
        tn_script_statement statement;

        while (tn_script_next(&script, &statement))
            if (tn_script_ends_transaction(&statement))
                return refuse(arena, "migration_commits",
                              "Take it out: each file runs in a transaction, begun and ended for "
                              "it.",
                              tn_arena_printf(arena, "%s:%zu: %s, in a migration", file->name,
                                              tn_script_line(file->sql, statement.start),
                                              statement.words[0]));
    }
    return NULL;
}

static void
close_folder(void *stream)
{
    (void)closedir(stream);
}

static const tn_error *
read_folder(tn_arena *arena, const tn_migrations *what, struct folder *folder)
{
    const char *path = what->folder;
    const char *hint = what->kind == TN_MIGRATIONS_APP
                           ? NULL
                           : "Say where they are: --sql-dir DIR or TENON_SQL_DIR.";
    DIR *stream = opendir(path);
    const struct dirent *entry;

    *folder = (struct folder){.path = path, .kind = what->kind};
    if (stream == NULL)
        return tn_error_new(arena, 500, "migration_unreadable", hint,
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
        return refuse(arena, "migration_missing", hint,
                      tn_arena_printf(arena, "the folder %s has no migrations", path));
    qsort(folder->files, folder->count, sizeof *folder->files, compare_files);
    TN_TRY(check_numbers(arena, folder));
    return check_transactions(arena, folder);
}

/* --- the database ----------------------------------------------------------------------------- */

static const tn_error *
run(tn_session *session, tn_arena *arena, const tn_statement *statement, const tn_rows **rows)
{
    return tn_session_run(session, arena, statement->sql, TN_NO_PARAMS, rows);
}

static const tn_error *
read_applied(tn_session *session, tn_arena *arena, tn_migration_kind kind, const tn_rows **applied)
{
    const tn_rows *exists;

    TN_TRY(run(session, arena, kinds[kind].exists, &exists));
    if (tn_rows_bool(exists, 0, 0))
        return run(session, arena, kinds[kind].list, applied);
    *applied = NULL;
    if (kind == TN_MIGRATIONS_APP) /* 0005 of ours makes the table */
        return refuse(arena, "migration_missing", "Run tenon migrate without --app first.",
                      "the database is not at this release");
    return NULL;
}

/* What has run must be what the folder has, name and content, and come before the rest. */
static const tn_error *
check_applied(tn_arena *arena, const struct folder *folder, const tn_rows *applied)
{
    const size_t count = applied == NULL ? 0 : tn_rows_count(applied);

    for (size_t row = 0; row < count; row++) {
        const int64_t number = tn_rows_int(applied, row, 0, 0);
        const char *name = tn_rows_text(applied, row, 1);
        const struct file *file = row < folder->count ? &folder->files[row] : NULL;

        if (folder->kind == TN_MIGRATIONS_OURS && number != (int64_t)row + 1)
            return refuse(arena, "migration_missing", NULL,
                          tn_arena_printf(arena, "the database has run %s, and not number %04zu",
                                          name, row + 1));
        if (file != NULL && file->number < number)
            return refuse(arena, "migration_late", "Give it a higher number than those.",
                          tn_arena_printf(arena, "%s comes before %s, which has run already",
                                          file->name, name));
        if (file == NULL || file->number > number)
            return refuse(arena, "migration_unknown",
                          folder->kind == TN_MIGRATIONS_OURS
                              ? "Is this an older release than the one that ran it?"
                              : "Put the file back; one that has run is kept.",
                          tn_arena_printf(arena, "the database has run %s, which is not in %s",
                                          name, folder->path));
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
put_place(tn_arena *arena, const tn_error *error, const char *place)
{
    tn_error *placed = tn_error_new(arena, error->status, error->code, error->hint, "%s: %s", place,
                                    error->message);

    placed->details = error->details;
    return placed;
}

/* "FILE:LINE: message", as far as the line is known: PostgreSQL tells a place in the text, or
 * nothing but which statement it was. */
static const tn_error *
place_error(tn_arena *arena, const struct file *file, const tn_script_failure *failure,
            const tn_error *error)
{
    tn_script script = {.text = file->sql};
    tn_script_statement statement;
    size_t offset = failure->offset;
    bool is_found = failure->has_offset;

    for (size_t i = 0; !is_found && i <= failure->statement; i++) {
        if (!tn_script_next(&script, &statement))
            break;
        offset = statement.start;
        is_found = i == failure->statement;
    }
    if (!is_found)
        return error;
    return put_place(
        arena, error,
        tn_arena_printf(arena, "%s:%zu", file->name, tn_script_line(file->sql, offset)));
}

static const tn_error *
apply(tn_session *session, tn_arena *arena, tn_migration_kind kind, const struct file *file,
      int64_t *ms)
{
    const int64_t start_ms = tn_clock_ms();
    const char *parameters[4] = {tn_arena_printf(arena, "%lld", (long long)file->number),
                                 file->name, file->sha256};
    tn_script_failure failure;
    const tn_error *error;

    TN_TRY(run(session, arena, &tn_sql_migration_begin, NULL));
    error = tn_session_run_script(session, arena, file->sql, &failure);
    if (error != NULL)
        return place_error(arena, file, &failure, error);
    if (!tn_session_in_transaction(session))
        return refuse(arena, "migration_commits",
                      "What it did until then is in the database, and it is not recorded.",
                      tn_arena_printf(arena, "%s: it has ended its own transaction", file->name));
    *ms = tn_clock_ms() - start_ms;
    parameters[3] = tn_arena_printf(arena, "%lld", (long long)*ms);
    error = tn_session_run(session, arena, kinds[kind].record->sql, parameters, 4, NULL);
    if (error == NULL)
        error = run(session, arena, &tn_sql_commit, NULL);
    return error == NULL ? NULL : put_place(arena, error, file->name);
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

    TN_TRY(read_applied(session, arena, folder->kind, &applied));
    TN_TRY(check_applied(arena, folder, applied));
    if (applied == NULL)
        TN_TRY(run(session, arena, &tn_sql_migration_prepare, NULL));
    job->report->already = applied == NULL ? 0 : tn_rows_count(applied);
    for (size_t i = job->report->already; i < folder->count; i++) {
        int64_t ms = 0;
        const tn_error *error = apply(session, arena, folder->kind, &folder->files[i], &ms);

        if (error != NULL) {
            if (tn_session_in_transaction(session))
                (void)(run(session, arena, &tn_sql_rollback, NULL) == NULL); /* it is lost anyway */
            return error;
        }
        job->report->applied++;
        if (job->on_applied != NULL)
            job->on_applied(job->context, folder->files[i].name, ms);
    }
    return NULL;
}

const tn_error *
tn_migrate(tn_session *session, tn_arena *arena, const tn_migrations *what,
           void (*on_applied)(void *, const char *file, int64_t ms), void *context,
           tn_migration_report *report)
{
    struct job job = {.on_applied = on_applied, .context = context, .report = report};
    const tn_error *error, *unlock_error;

    *report = (tn_migration_report){0};
    TN_TRY(read_folder(arena, what, &job.folder));
    report->last = job.folder.files[job.folder.count - 1].name;
    TN_TRY(run(session, arena, &tn_sql_migration_lock, NULL));
    error = apply_missing(session, arena, &job);
    unlock_error = run(session, arena, &tn_sql_migration_unlock, NULL);
    return error != NULL ? error : unlock_error;
}

const tn_error *
tn_migrate_check(tn_session *session, tn_arena *arena, const tn_migrations *what,
                 tn_migration_report *report)
{
    struct folder files;
    const tn_rows *applied;

    *report = (tn_migration_report){0};
    TN_TRY(read_folder(arena, what, &files));
    report->last = files.files[files.count - 1].name;
    TN_TRY(read_applied(session, arena, what->kind, &applied));
    TN_TRY(check_applied(arena, &files, applied));
    report->already = applied == NULL ? 0 : tn_rows_count(applied);
    report->missing = files.count - report->already;
    report->next = report->missing > 0 ? files.files[report->already].name : NULL;
    return NULL;
}
