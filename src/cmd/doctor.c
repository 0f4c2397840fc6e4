/* cmd/doctor.c: `tenon doctor`: looks at everything it can reach, and says how to mend what it
 * finds
 *
 * Here: the configuration, files and folders, the server, nginx. PostgreSQL is in
 * doctor_database.c.
 */
#include "cmd/doctor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fetch.h"
#include "server/helper.h"
#include "server/sockets.h"

#define JWT_SECRET_MIN 32 /* bytes: RFC 7518 section 3.2 */
#define FETCH_TIMEOUT_MS 5000

void
tn_doctor_say(tn_doctor *doctor, tn_finding finding, const char *check, const char *mend,
              const char *format, ...)
{
    static const char *const marks[] = {"ok  ", "warn", "BAD "}, *const levels[] = {"ok", "warning",
                                                                                    "error"};
    const char *text;
    va_list arguments;

    va_start(arguments, format);
    text = tn_arena_vprintf(doctor->line->arena, format, arguments);
    va_end(arguments);
    doctor->counts[finding]++;
    if (!doctor->line->json) {
        printf("%s  %-20s %s\n", marks[finding], check, text);
        if (mend != NULL)
            printf("      %-20s → %s\n", "", mend);
        return;
    }
    appendPQExpBuffer(doctor->json, "%s{\"level\":\"%s\",\"check\":\"%s\",\"finding\":",
                      doctor->json->len == 0 ? "" : ",\n ", levels[finding], check);
    tn_buffer_json_string(doctor->json, text);
    appendPQExpBufferStr(doctor->json, ",\"mend\":");
    tn_buffer_json_string(doctor->json, mend);
    appendPQExpBufferChar(doctor->json, '}');
}

/* --- configuration ---------------------------------------------------------------------------- */

static void
check_file(tn_doctor *doctor)
{
    const char *path = doctor->config->path;
    struct stat about;

    if (path == NULL) {
        tn_doctor_say(doctor, TN_WARN, "config.file", "Say which: -c FILE, or TENON_CONF.",
                      "no configuration file: only defaults and the environment");
        return;
    }
    if (stat(path, &about) != 0) {
        tn_doctor_say(doctor, TN_WRONG, "config.file", NULL, "%s: %s", path, strerror(errno));
        return;
    }
    if ((about.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
        tn_doctor_say(doctor, TN_WRONG, "config.file",
                      tn_arena_printf(doctor->line->arena, "chmod 0640 %s", path),
                      "%s has secrets in it, and its mode %04o lets others read or write it", path,
                      about.st_mode & 07777);
    else
        tn_doctor_say(doctor, TN_FINE, "config.file", NULL, "%s (mode %04o)", path,
                      about.st_mode & 07777);
}

static void
check_secret_files(tn_doctor *doctor)
{
    const tn_config *config = doctor->config;

    for (size_t i = 0; i < config->secret_file_count; i++) {
        const char *path = config->secret_files[i];
        struct stat about;

        if (stat(path, &about) == 0 && (about.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
            tn_doctor_say(doctor, TN_WRONG, "config.secret_file",
                          tn_arena_printf(doctor->line->arena, "chmod 0640 %s", path),
                          "%s is a secret, and its mode %04o lets others read or write it", path,
                          about.st_mode & 07777);
    }
}

static void
check_secrets(tn_doctor *doctor)
{
    const tn_config *config = doctor->config;
    uint8_t bytes[32];

    check_secret_files(doctor);
    doctor->has_secret =
        config->server.secret != NULL && tn_hex_decode(config->server.secret, bytes, sizeof bytes);
    if (!doctor->has_secret)
        tn_doctor_say(doctor, TN_WRONG, "config.secret",
                      "Set it to the output of: openssl rand -hex 32",
                      "server.secret is not 64 hexadecimal digits");
    else
        tn_doctor_say(doctor, TN_FINE, "config.secret", NULL, "server.secret is set");
    if (config->auth.jwt_secret != NULL && config->auth.jwt_secret[0] != '\0' &&
        strlen(config->auth.jwt_secret) < JWT_SECRET_MIN)
        tn_doctor_say(doctor, TN_WARN, "config.jwt_secret",
                      "Make it longer, or leave it empty if nobody brings tokens.",
                      "auth.jwt_secret is shorter than %d bytes and can be guessed",
                      JWT_SECRET_MIN);
}

static void
check_public_url(tn_doctor *doctor)
{
    const char *url = doctor->config->server.public_url;
    const bool is_local = strstr(url, "://127.") != NULL || strstr(url, "://localhost") != NULL ||
                          strstr(url, "://[::1]") != NULL;

    if (strncmp(url, "https://", 8) == 0 || is_local)
        tn_doctor_say(doctor, TN_FINE, "config.public_url", NULL, "%s", url);
    else
        tn_doctor_say(doctor, TN_WARN, "config.public_url",
                      "Serve it over TLS, and set server.public_url to https://…",
                      "%s: keys and tokens travel in the clear", url);
}

static void
check_providers(tn_doctor *doctor)
{
    const tn_config *config = doctor->config;

    if (tn_config_provider(config, config->chat.provider) == NULL)
        tn_doctor_say(doctor, TN_WRONG, "config.providers",
                      "Add the section [provider NAME], or change chat.provider.",
                      "chat.provider is %s, and there is no such provider", config->chat.provider);
    for (size_t i = 0; i < config->provider_count; i++) {
        const tn_provider_config *provider = &config->providers[i];
        const bool is_plain =
            provider->base_url != NULL && strncmp(provider->base_url, "http://", 7) == 0;

        if (is_plain && provider->key != NULL && !provider->allow_private)
            tn_doctor_say(doctor, TN_WARN, "config.providers", "Use https:// in its base_url.",
                          "the key of provider %s travels in the clear", provider->name);
    }
}

/* --- files and folders ------------------------------------------------------------------------ */

/* Whether the workers' user may enter the folder and make files there; by its bits, for whoever
 * asks. */
static bool
may_write(const struct passwd *user, const struct stat *about)
{
    gid_t groups[64];
    int count = 64;

    if (user->pw_uid == 0)
        return true;
    if (about->st_uid == user->pw_uid)
        return (about->st_mode & 0300) == 0300;
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
        count = 64;
    for (int i = 0; i < count; i++)
        if (groups[i] == about->st_gid)
            return (about->st_mode & 0030) == 0030;
    return (about->st_mode & 0003) == 0003;
}

static void
check_folder(tn_doctor *doctor, const char *check, const char *path, const char *user_name)
{
    tn_arena *arena = doctor->line->arena;
    const struct passwd *user = user_name[0] == '\0' ? getpwuid(geteuid()) : getpwnam(user_name);
    struct stat about;

    if (user == NULL) {
        tn_doctor_say(doctor, TN_WRONG, check, "Create it, or change server.user.",
                      "there is no user %s", user_name);
    } else if (stat(path, &about) != 0) {
        tn_doctor_say(doctor, TN_WRONG, check,
                      tn_arena_printf(arena, "install -d -o %s -m 0755 %s", user->pw_name, path),
                      "%s: %s", path, strerror(errno));
    } else if (!S_ISDIR(about.st_mode)) {
        tn_doctor_say(doctor, TN_WRONG, check, NULL, "%s is no folder", path);
    } else if ((about.st_mode & S_IWOTH) != 0 && (about.st_mode & S_ISVTX) == 0) {
        tn_doctor_say(doctor, TN_WRONG, check, tn_arena_printf(arena, "chmod o-w %s", path),
                      "%s may be written by everybody", path);
    } else if (about.st_uid != 0 &&
               !may_write(user, &about)) { /* root's: the master started as root */
        tn_doctor_say(doctor, TN_WARN, check,
                      tn_arena_printf(arena, "chown %s %s", user->pw_name, path),
                      "%s cannot write in %s", user->pw_name, path);
    } else {
        tn_doctor_say(doctor, TN_FINE, check, NULL, "%s", path);
    }
}

static void
check_folders(tn_doctor *doctor)
{
    const tn_config *config = doctor->config;
    const char *user = config->server.user == NULL ? "" : config->server.user;
    const char *log = config->log.file;
    const char *slash = log == NULL ? NULL : strrchr(log, '/');

    check_folder(doctor, "folder.run", config->server.run_dir, user);
    if (slash != NULL)
        check_folder(doctor, "folder.log",
                     tn_arena_bytes(doctor->line->arena, log, (size_t)(slash - log)), user);
}

/* --- files ------------------------------------------------------------------------------------ */

#define ROOM_MIN ((uint64_t)1 << 30) /* bytes that should be free */

/* A spooled upload is given another name; on another filesystem it would have to be copied. */
static void
check_spool(tn_doctor *doctor, const struct stat *storage)
{
    const char *spool =
        tn_arena_printf(doctor->line->arena, "%s/spool", doctor->config->storage.dir);
    struct stat about;

    if (stat(spool, &about) != 0)
        tn_doctor_say(doctor, TN_WARN, "storage.spool",
                      "Set client_body_temp_path in nginx's site to it; nginx makes it.",
                      "%s: %s: uploads cannot be taken from nginx", spool, strerror(errno));
    else if (about.st_dev != storage->st_dev)
        tn_doctor_say(doctor, TN_WRONG, "storage.spool",
                      "Have it on the filesystem of storage.dir.", "%s is on another filesystem",
                      spool);
    else
        tn_doctor_say(doctor, TN_FINE, "storage.spool", NULL, "%s is on the same filesystem",
                      spool);
}

static void
check_room(tn_doctor *doctor)
{
    const char *dir = doctor->config->storage.dir;
    struct statvfs about;
    uint64_t bytes;

    if (statvfs(dir, &about) != 0)
        return;
    bytes = (uint64_t)about.f_bavail * about.f_frsize;
    if (bytes < ROOM_MIN || about.f_favail < 10000)
        tn_doctor_say(doctor, TN_WARN, "storage.room", "Make room, or set quotas.",
                      "%llu MiB and %llu names are left in %s", (unsigned long long)bytes >> 20,
                      (unsigned long long)about.f_favail, dir);
    else
        tn_doctor_say(doctor, TN_FINE, "storage.room", NULL, "%llu MiB are free",
                      (unsigned long long)bytes >> 20);
}

static void
check_images(tn_doctor *doctor)
{
    tn_helper helper = {.ours = -1, .theirs = -1};

    tn_helper_open(&helper, doctor->line->arena, "tenon-image");
    if (helper.path == NULL)
        tn_doctor_say(doctor, TN_WARN, "storage.images",
                      "Build it (docs/deploy.md), unless nobody wants images transformed.",
                      "there is no tenon-image beside this program");
    else
        tn_doctor_say(doctor, TN_FINE, "storage.images", NULL, "%s", helper.path);
}

static void
check_storage(tn_doctor *doctor)
{
    const tn_config *config = doctor->config;
    struct stat about;

    if (stat(config->storage.dir, &about) != 0) {
        tn_doctor_say(doctor, TN_WARN, "storage.folder",
                      "The server makes it when its parent is there and may be written.",
                      "%s: %s: files cannot be stored", config->storage.dir, strerror(errno));
        return;
    }
    check_folder(doctor, "storage.folder", config->storage.dir,
                 config->server.user == NULL ? "" : config->server.user);
    check_spool(doctor, &about);
    check_room(doctor);
    check_images(doctor);
}

/* --- what runs -------------------------------------------------------------------------------- */

static void
check_server(tn_doctor *doctor)
{
    const char *run_dir = doctor->config->server.run_dir;
    const int pid = tn_pid_file_holder(run_dir);

    if (pid > 0)
        tn_doctor_say(doctor, TN_FINE, "server", NULL, "runs as process %d", pid);
    else
        tn_doctor_say(doctor, TN_WRONG, "server", "systemctl start tenon, or tenon serve -c FILE",
                      "no server runs with the folder %s", run_dir);
}

/* Through nginx, as a client comes. */
static void
check_nginx(tn_doctor *doctor)
{
    tn_arena *arena = doctor->line->arena;
    const char *url =
        tn_arena_printf(arena, "%s/auth/v1/health", doctor->config->server.public_url);
    const tn_fetch fetch = {.method = "GET",
                            .url = url,
                            .connect_timeout_ms = FETCH_TIMEOUT_MS,
                            .total_timeout_ms = FETCH_TIMEOUT_MS,
                            .response_max = 65536,
                            .allow_private = true};
    tn_fetch_result result;

    tn_fetch_global_init();
    tn_fetch_run(arena, &fetch, &result);
    if (result.outcome != TN_FETCH_DONE)
        tn_doctor_say(
            doctor, TN_WRONG, "nginx",
            "Is nginx running (nginx -t), and does this machine resolve and reach the name?",
            "%s: %s", url, result.problem == NULL ? "no answer" : result.problem);
    else if (result.status == 502 || result.status == 504)
        tn_doctor_say(doctor, TN_WRONG, "nginx",
                      "Is the server running, and may nginx's user connect to its sockets?",
                      "nginx answers, but does not reach the workers (%d)", result.status);
    else if (result.status != 200)
        tn_doctor_say(doctor, TN_WRONG, "nginx",
                      "Does server.public_url lead to this stack's site?", "%s answers %d", url,
                      result.status);
    else
        tn_doctor_say(doctor, TN_FINE, "nginx", NULL, "%s answers in %lld ms", url,
                      (long long)result.total_ms);
}

static tn_exit
run_doctor(tn_command_line *line)
{
    tn_doctor doctor = {.line = line, .json = tn_arena_buffer(line->arena)};
    tn_exit status;

    TN_COMMAND_TRY(
        tn_command_config(line, &doctor.config)); /* without it there is nothing to look at */
    check_file(&doctor);
    check_secrets(&doctor);
    check_public_url(&doctor);
    check_providers(&doctor);
    check_folders(&doctor);
    check_storage(&doctor);
    tn_doctor_database(&doctor);
    check_server(&doctor);
    check_nginx(&doctor);

    status = doctor.counts[TN_WRONG] == 0 ? TN_EXIT_OK : TN_EXIT_FAILED;
    tn_command_print(line,
                     tn_arena_printf(line->arena, "{\"ok\":%s,\"findings\":[\n %s]}",
                                     status == TN_EXIT_OK ? "true" : "false",
                                     tn_buffer_text(doctor.json)),
                     "\n%zu fine, %zu to think about, %zu wrong\n", doctor.counts[TN_FINE],
                     doctor.counts[TN_WARN], doctor.counts[TN_WRONG]);
    return status;
}

static const tn_option options[] = {TN_OPTION_SQL_DIR, {.name = NULL}};

const tn_command tn_doctor_commands[] = {
    {"doctor", .summary = "Look at everything, and say how to mend what is wrong",
     .help = "Changes nothing. Exits with 1 when something is wrong; what one should only think "
             "about does not count.\n",
     .options = options, .run = run_doctor},
    {.name = NULL},
};
