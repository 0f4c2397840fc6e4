/* cmd/doctor_database.c: what `tenon doctor` asks PostgreSQL
 *
 * Isolation is judged by the catalog: a loop over every table, view and function that requests can
 * reach, never a list of ours.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/doctor.h"
#include "cmd/queries.h"
#include "db/migration.h"
#include "identity/token.h"
#include "objects/folder.h"
#include "server/pools.h"

#define SKEW_WARN_MS 2000
#define SKEW_WRONG_MS 30000

/* Holes in row security, by the first minor release that has closed them. */
static const struct hole {
    int major, minor;
    const char *name;
} holes[] = {
    {15, 3, "CVE-2023-2455 (policies of the wrong role after inlining)"},
    {15, 4, "CVE-2023-39418 (MERGE ignores policies)"},
    {15, 9, "CVE-2024-10976 (plans of another role reused in subqueries)"},
    {16, 5, "CVE-2024-10976 (plans of another role reused in subqueries)"},
    {17, 1, "CVE-2024-10976 (plans of another role reused in subqueries)"},
    {15, 14, "CVE-2025-8713 (statistics show hidden rows)"},
    {16, 10, "CVE-2025-8713 (statistics show hidden rows)"},
    {17, 6, "CVE-2025-8713 (statistics show hidden rows)"},
    {15, 19, "CVE-2026-14666 (plans kept after roles have changed)"},
    {16, 15, "CVE-2026-14666 (plans kept after roles have changed)"},
    {17, 11, "CVE-2026-14666 (plans kept after roles have changed)"},
    {18, 5, "CVE-2026-14666 (plans kept after roles have changed)"},
};
#define OLDEST_MAJOR 15

/* Queries of which each row is a finding. OBJECT in `mend` is its first column. */
static const struct audit {
    const tn_statement *statement;
    const char *check;
    tn_finding finding;
    const char *fine, *mend;
} audits[] = {
    {&tn_sql_doctor_roles, "database.roles", TN_WRONG, "attributes of the roles are right",
     "Run tenon init again: it sets them."},
    {&tn_sql_doctor_memberships, "database.members", TN_WRONG,
     "no request role has another's power",
     "revoke the membership; tenon init grants what is needed"},
    {&tn_sql_doctor_tables_open, "rls.tables", TN_WRONG,
     "every table that requests reach has row security, forced",
     "select tenon.protect('OBJECT'); or revoke the grants on it"},
    {&tn_sql_doctor_tables_without_wall, "rls.tenant", TN_WRONG,
     "every table with a tenant_id keeps tenants apart", "select tenon.protect('OBJECT');"},
    {&tn_sql_doctor_agents, "rls.agents", TN_WARN,
     "what agents reach they reach by their scopes, and by what their people may",
     "select tenon.protect('OBJECT'), or name authenticated in the policy as well"},
    {&tn_sql_doctor_views, "rls.views", TN_WRONG, "views ask with the caller's rights",
     "if it is a view: alter view OBJECT set (security_invoker = true); else keep what requests "
     "may "
     "see in a protected table, and revoke the grants on it"},
    {&tn_sql_doctor_functions, "rls.functions", TN_WRONG,
     "no function of more power is open to requests",
     "make it security invoker, or give it an ordinary owner and set search_path = '', or revoke "
     "execute from public"},
    {&tn_sql_doctor_grants, "rls.grants", TN_WRONG,
     "no request role has rights that policies do not bind", "revoke it"},
    {&tn_sql_doctor_event_trigger, "rls.event_trigger", TN_WRONG,
     "new tables are protected as they are made, and the workers told of changes",
     "Run tenon init again, as a superuser."},
    {&tn_sql_doctor_natural_keys, "rls.keys", TN_WARN,
     "no primary key is a value that tenants choose",
     "make it (tenant_id, …): alter table OBJECT drop constraint …, add primary key (tenant_id, "
     "…); keys to it name the tenant too"},
    {&tn_sql_doctor_uniques, "rls.uniques", TN_WARN, "what is unique is so within a tenant",
     "mend the reason, and then: select tenon.protect('OBJECT');"},
    {&tn_sql_doctor_conflict_targets, "rls.conflicts", TN_WARN,
     "functions that say on conflict name a key", "say on conflict (tenant_id, …)"},
};

/* Asks one query; NULL after saying that it failed. */
static const tn_rows *
ask(tn_doctor *doctor, tn_session *session, const char *check, const tn_statement *statement,
    const char *const *parameters, size_t count)
{
    const tn_rows *rows = NULL;
    const tn_error *error =
        tn_session_run(session, doctor->line->arena, statement->sql, parameters, count, &rows);

    if (error == NULL)
        return rows;
    tn_doctor_say(doctor, TN_WRONG, check, error->hint, "the question failed: %s", error->message);
    return NULL;
}

/* `mend` with the name of what is to be mended in the place of the word OBJECT. */
static const char *
name_object(tn_arena *arena, const char *mend, const char *name)
{
    const char *word = strstr(mend, "OBJECT");

    return word == NULL ? mend
                        : tn_arena_printf(arena, "%.*s%s%s", (int)(word - mend), mend, name,
                                          word + strlen("OBJECT"));
}

static void
say_rows(tn_doctor *doctor, tn_finding finding, const char *check, const char *mend,
         const tn_rows *rows)
{
    for (size_t row = 0; row < tn_rows_count(rows); row++) {
        const char *name = tn_rows_text(rows, row, 0);

        tn_doctor_say(doctor, finding, check, name_object(doctor->line->arena, mend, name), "%s %s",
                      name, tn_rows_text(rows, row, 1));
    }
}

/* --- server and logins ------------------------------------------------------------------------ */

static void
check_version(tn_doctor *doctor, const tn_session *session)
{
    const int version = tn_session_server_version(session);
    const int major = version / 10000, minor = version % 10000;
    const size_t before = doctor->counts[TN_WRONG];

    if (major < OLDEST_MAJOR)
        tn_doctor_say(doctor, TN_WRONG, "database.version", "Upgrade PostgreSQL.",
                      "PostgreSQL %d.%d is older than %d", major, minor, OLDEST_MAJOR);
    for (size_t i = 0; i < TN_COUNT(holes); i++)
        if (holes[i].major == major && minor < holes[i].minor)
            tn_doctor_say(doctor, TN_WRONG, "database.version",
                          tn_arena_printf(doctor->line->arena, "Upgrade to %d.%d or newer.", major,
                                          holes[i].minor),
                          "PostgreSQL %d.%d has a hole in row security: %s", major, minor,
                          holes[i].name);
    if (doctor->counts[TN_WRONG] == before)
        tn_doctor_say(doctor, TN_FINE, "database.version", NULL, "PostgreSQL %d.%d", major, minor);
}

/* Connects as one of the two logins; NULL after saying why not. */
static tn_session *
try_login(tn_doctor *doctor, const char *setting, const char *url, const char *wanted)
{
    const char *problem = NULL;
    tn_session *session = tn_session_open(url, doctor->line->arena, &problem);
    const tn_rows *rows;
    const char *who;

    if (session == NULL) {
        tn_doctor_say(
            doctor, TN_WRONG, setting,
            "Is PostgreSQL running, the password right, and the login allowed in pg_hba.conf?",
            "no connection: %s", problem);
        return NULL;
    }
    rows = ask(doctor, session, setting, &tn_sql_doctor_login, TN_NO_PARAMS);
    if (rows == NULL)
        return session;
    who = tn_rows_text(rows, 0, 0);
    if (tn_rows_bool(rows, 0, 4))
        tn_doctor_say(doctor, TN_WRONG, setting,
                      tn_arena_printf(doctor->line->arena, "Use the login %s.", wanted),
                      "%s is a superuser or bypasses row security, so tenants are not kept apart",
                      who);
    else if (strcmp(who, wanted) != 0)
        tn_doctor_say(doctor, TN_WARN, setting,
                      tn_arena_printf(doctor->line->arena, "Use the login %s.", wanted),
                      "connects as %s", who);
    else if (tn_rows_bool(rows, 0, 3))
        tn_doctor_say(doctor, TN_WRONG, setting,
                      "Name the primary, or several hosts and target_session_attrs=read-write.",
                      "leads to a standby, which cannot write");
    else
        tn_doctor_say(doctor, TN_FINE, setting, NULL, "connects as %s to %s", who,
                      tn_rows_text(rows, 0, 2));
    return session;
}

static void
check_clock(tn_doctor *doctor, tn_session *session)
{
    const int64_t start_us = tn_clock_us();
    struct timespec here;
    int64_t skew_ms, waited_us;
    const tn_rows *rows = ask(doctor, session, "clock", &tn_sql_doctor_clock, TN_NO_PARAMS);

    if (rows == NULL)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &here);
    waited_us = tn_clock_us() - start_us;
    /* the database looked at its clock about half way */
    skew_ms = (int64_t)here.tv_sec * 1000 + here.tv_nsec / 1000000 - waited_us / 2000 -
              tn_rows_int(rows, 0, 0, 0);
    if (llabs(skew_ms) < SKEW_WARN_MS)
        tn_doctor_say(doctor, TN_FINE, "clock", NULL, "%" PRId64 " ms from the database's",
                      skew_ms);
    else
        tn_doctor_say(doctor, llabs(skew_ms) < SKEW_WRONG_MS ? TN_WARN : TN_WRONG, "clock",
                      "Run NTP on both machines (chrony).",
                      "%" PRId64
                      " ms from the database's: tokens and keys expire at the wrong moment",
                      skew_ms);
}

static void
check_connections(tn_doctor *doctor, tn_session *session)
{
    const tn_rows *rows =
        ask(doctor, session, "database.connections", &tn_sql_doctor_connections, TN_NO_PARAMS);
    int64_t wanted = 0, there;

    if (rows == NULL)
        return;
    there = tn_rows_int(rows, 0, 0, 0);
    for (tn_pool_id id = 0; id < TN_POOLS; id++) {
        const tn_pool_config *pool = tn_pool_settings(doctor->config, id);
        const int64_t processes =
            pool->processes > 0 ? pool->processes : sysconf(_SC_NPROCESSORS_ONLN);

        wanted += processes * (pool->connections + 1); /* and the one that listens */
    }
    if (wanted <= there)
        tn_doctor_say(doctor, TN_FINE, "database.connections", NULL,
                      "%" PRId64 " of %" PRId64 " at most", wanted, there);
    else
        tn_doctor_say(doctor, TN_WARN, "database.connections",
                      "Raise max_connections, or lower connections of the pools.",
                      "the pools may open %" PRId64 " connections, and the server has %" PRId64
                      "; a reload needs twice as many for a moment",
                      wanted, there);
}

/* --- schema ----------------------------------------------------------------------------------- */

static void
check_migrations(tn_doctor *doctor, tn_session *session)
{
    tn_arena *arena = doctor->line->arena;
    tn_migration_report report;
    const tn_error *error = tn_migrate_check(
        session, arena,
        &(tn_migrations){
            .kind = TN_MIGRATIONS_OURS,
            .folder = tn_arena_printf(arena, "%s/migrations", tn_command_sql_dir(doctor->line))},
        &report);

    if (error != NULL)
        tn_doctor_say(doctor, TN_WRONG, "migrations", error->hint, "%s", error->message);
    else if (report.missing > 0)
        tn_doctor_say(doctor, TN_WRONG, "migrations", "tenon migrate", "%zu of %zu are missing",
                      report.missing, report.missing + report.already);
    else
        tn_doctor_say(doctor, TN_FINE, "migrations", NULL, "%zu applied, unchanged, newest %s",
                      report.already, report.last);
}

static void
run_audits(tn_doctor *doctor, tn_session *session)
{
    const tn_rows *rows;

    for (size_t i = 0; i < TN_COUNT(audits); i++) {
        rows = ask(doctor, session, audits[i].check, audits[i].statement, TN_NO_PARAMS);
        if (rows != NULL && tn_rows_count(rows) == 0)
            tn_doctor_say(doctor, TN_FINE, audits[i].check, NULL, "%s", audits[i].fine);
        else if (rows != NULL)
            say_rows(doctor, audits[i].finding, audits[i].check, audits[i].mend, rows);
    }
    rows = ask(doctor, session, "rls.tables", &tn_sql_doctor_tables_of_nobody,
               TN_PARAMS(doctor->config->data.schemas));
    if (rows != NULL)
        say_rows(doctor, TN_WARN, "rls.tables", "select tenon.protect('OBJECT');", rows);
}

static void
check_tenants(tn_doctor *doctor, tn_session *session)
{
    const char *wanted = doctor->config->data.default_tenant;
    const tn_rows *rows = ask(doctor, session, "tenants", &tn_sql_doctor_tenants, TN_NO_PARAMS);

    if (rows == NULL)
        return;
    if (tn_rows_int(rows, 0, 0, 0) == 0)
        tn_doctor_say(doctor, TN_WARN, "tenants", "tenon tenant create NAME",
                      "there is no tenant yet");
    else
        tn_doctor_say(doctor, TN_FINE, "tenants", NULL, "%s, of which %s active",
                      tn_rows_text(rows, 0, 0), tn_rows_text(rows, 0, 1));
    if (wanted == NULL || wanted[0] == '\0')
        return;
    rows = ask(doctor, session, "tenants", &tn_sql_tenant_by_name, TN_PARAMS(wanted));
    if (rows != NULL && tn_rows_count(rows) == 0)
        tn_doctor_say(doctor, TN_WRONG, "tenants", "Create it, or change data.default_tenant.",
                      "data.default_tenant is %s, and there is no such tenant", wanted);
}

static void
check_prices(tn_doctor *doctor, tn_session *session)
{
    const tn_config *config = doctor->config;

    for (size_t i = 0; i < config->provider_count; i++) {
        const tn_provider_config *provider = &config->providers[i];

        for (size_t m = 0; m < provider->model_count || m == 0; m++) {
            const char *model = provider->model_count == 0 ? "*" : provider->models[m].name;
            const tn_rows *rows = ask(doctor, session, "prices", &tn_sql_doctor_unpriced,
                                      TN_PARAMS(provider->name, model));

            if (rows != NULL && tn_rows_count(rows) > 0)
                tn_doctor_say(
                    doctor, TN_WARN, "prices",
                    tn_arena_printf(doctor->line->arena,
                                    "tenon provider price %s '%s' --input MICROS --output MICROS",
                                    provider->name, model),
                    "no price for %s %s: its cost counts as unknown, and budgets cannot hold it",
                    provider->name, model);
        }
    }
}

/* Signs a token the way a worker does: with its login, its transaction and the key opened by
 * server.secret. */
static void
check_signing(tn_doctor *doctor)
{
    tn_db *db = tn_db_new(&(tn_db_options){.url = doctor->config->database.url,
                                           .pool = "doctor",
                                           .connections = 1,
                                           .wait_ms = 2000,
                                           .statement_timeout_ms = 5000,
                                           .lock_timeout_ms = 2000});
    tn_tokens *tokens = tn_tokens_new(doctor->config, db);
    tn_arena *arena = tn_arena_new(); /* what it keeps refers to `tokens` */
    const char *token = NULL;
    const tn_error *error = tn_tokens_sign(tokens, arena, "{}", &token);

    if (error != NULL)
        tn_doctor_say(doctor, TN_WRONG, "signing_keys",
                      "tenon signing-key list. Is server.secret the one with which the keys were "
                      "made? Else: tenon signing-key rotate",
                      "no token can be signed: %s", error->message);
    else
        tn_doctor_say(doctor, TN_FINE, "signing_keys", NULL, "a token can be signed");
    tn_arena_free(arena);
    tn_tokens_free(tokens);
    tn_db_free(db);
}

/* Whether storage.dir is the folder of the files that the database knows. */
static void
check_storage_folder(tn_doctor *doctor, tn_session *session)
{
    const tn_rows *rows =
        ask(doctor, session, "storage.id", &tn_sql_doctor_storage_folder, TN_NO_PARAMS);
    tn_folder folder;
    const char *id;

    if (rows == NULL || tn_rows_count(rows) == 0)
        return;
    id = tn_rows_text(rows, 0, 0);
    folder = tn_folder_look(doctor->config, id, tn_rows_bool(rows, 0, 1));
    if (folder == TN_FOLDER_OURS)
        tn_doctor_say(doctor, TN_FINE, "storage.id", NULL,
                      "storage.dir has the files of this database");
    else if (folder == TN_FOLDER_NEW)
        tn_doctor_say(doctor, TN_FINE, "storage.id", NULL, "storage.dir has not been used yet");
    else
        tn_doctor_say(doctor, folder == TN_FOLDER_UNREADABLE ? TN_WARN : TN_WRONG, "storage.id",
                      tn_folder_hint(doctor->line->arena, doctor->config, id, folder), "%s",
                      tn_folder_problem(folder));
}

static void
check_as_owner(tn_doctor *doctor, tn_session *session)
{
    const tn_rows *rows = ask(doctor, session, "schema", &tn_sql_doctor_has_schema, TN_NO_PARAMS);

    check_migrations(doctor, session);
    if (rows == NULL || !tn_rows_bool(rows, 0, 0)) {
        tn_doctor_say(doctor, TN_WRONG, "schema", "tenon init --superuser-url URL",
                      "the database is not Tenon's yet");
        return;
    }
    rows = ask(doctor, session, "database.roles", &tn_sql_act_as_platform, TN_NO_PARAMS);
    if (rows == NULL)
        return;
    run_audits(doctor, session);
    check_tenants(doctor, session);
    check_prices(doctor, session);
    check_storage_folder(doctor, session);
}

void
tn_doctor_database(tn_doctor *doctor)
{
    const tn_config *config = doctor->config;
    tn_session *owner =
        try_login(doctor, "database.owner_url", config->database.owner_url, "tenon_admin");
    tn_session *worker =
        try_login(doctor, "database.url", config->database.url, "tenon_authenticator");

    if (worker != NULL) {
        check_version(doctor, worker);
        check_clock(doctor, worker);
        check_connections(doctor, worker);
        if (doctor->has_secret)
            check_signing(doctor);
    }
    if (owner != NULL)
        check_as_owner(doctor, owner);
    tn_session_close(worker);
    tn_session_close(owner);
}
