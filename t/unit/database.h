/* t/unit/database.h: a scratch database for one test program
 *
 * Made in the cluster of TENON_TEST_SUPERUSER_URL, which ./check and `make check` set, and dropped
 * as the program ends. Without it the program fails: a test of the database that did not run is no
 * pass.
 */
#ifndef TN_T_UNIT_DATABASE_H
#define TN_T_UNIT_DATABASE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/database.h"

static char scratch_url[1024] TN_UNUSED; /* of the database, as its superuser */
static char scratch_name[64] TN_UNUSED;

/* The same URL with another path: everything up to the last / behind the host, and what follows ?.
 */
static inline void
scratch_url_of(const char *url, const char *database, char *into, size_t size)
{
    const char *host = strstr(url, "://");
    const char *slash = host == NULL ? NULL : strchr(host + 3, '/');
    const char *options = host == NULL ? NULL : strchr(host + 3, '?');
    const size_t head = slash != NULL     ? (size_t)(slash - url)
                        : options != NULL ? (size_t)(options - url)
                                          : strlen(url);

    snprintf(into, size, "%.*s/%s%s", (int)head, url, database, options == NULL ? "" : options);
}

static inline const char *
scratch_server(void)
{
    const char *url = getenv("TENON_TEST_SUPERUSER_URL");

    if (url == NULL || url[0] == '\0') {
        printf("Bail out! TENON_TEST_SUPERUSER_URL is not set\n");
        exit(1);
    }
    return url;
}

/* Runs SQL text on a connection of its own; ends the program when it fails. Gives the first value.
 */
static inline void
scratch_run_on(const char *url, const char *sql, char *value, size_t size)
{
    tn_arena *arena = tn_arena_new();
    const char *problem = "";
    tn_session *session = tn_session_open(url, arena, &problem);
    const tn_rows *rows = NULL;
    const tn_error *error =
        session == NULL ? NULL : tn_session_run(session, arena, sql, NULL, 0, &rows);

    if (session == NULL || error != NULL) {
        printf("Bail out! %s: %s\n", sql, error == NULL ? problem : error->message);
        exit(1);
    }
    if (value != NULL)
        snprintf(value, size, "%s",
                 tn_rows_count(rows) > 0 && tn_rows_text(rows, 0, 0) != NULL
                     ? tn_rows_text(rows, 0, 0)
                     : "");
    tn_session_close(session);
    tn_arena_free(arena);
}

static inline void
scratch_run(const char *sql)
{
    scratch_run_on(scratch_url, sql, NULL, 0);
}

static inline int64_t
scratch_number(const char *sql)
{
    char value[64];

    scratch_run_on(scratch_url, sql, value, sizeof value);
    return strtoll(value, NULL, 10);
}

static inline void
scratch_drop(void)
{
    char sql[128];

    snprintf(sql, sizeof sql, "drop database if exists %s with (force)", scratch_name);
    scratch_run_on(scratch_server(), sql, NULL, 0);
}

/* In the first test of a program: the database, and roles that need not be ours. */
static inline void
scratch_create(void)
{
    char sql[128];

    snprintf(scratch_name, sizeof scratch_name, "tenon_unit_%d", (int)getpid());
    snprintf(sql, sizeof sql, "create database %s", scratch_name);
    scratch_url_of(scratch_server(), scratch_name, scratch_url, sizeof scratch_url);
    scratch_run_on(scratch_server(), sql, NULL, 0);
    atexit(scratch_drop);
    /* roles belong to the cluster, where other programs make the same ones at the same time */
    scratch_run("do $$ begin create role tenon_unit_reader; exception when duplicate_object or "
                "unique_violation then null; end $$;"
                "do $$ begin create role tenon_unit_writer; exception when duplicate_object or "
                "unique_violation then null; end $$;");
}

#endif
