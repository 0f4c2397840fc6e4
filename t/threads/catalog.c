/* t/threads/catalog.c: one catalog and many threads, for the thread sanitizer
 *
 * Readers take snapshots and look into every corner of them, some hold one while others come and
 * go, while the tables change, the snapshot is expired again and again, and now and then the
 * connections break. Each snapshot is one state of the database: two tables are always renamed in
 * one transaction, so whoever sees one new name and one old one sees two halves.
 */
#include "t/unit/unit.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "db/catalog.h"
#include "t/unit/database.h"

#define READERS 12
#define NAMES 5
#define RUN_MS 3000

static const char *const schemas[] = {"app"};
static tn_catalog *catalog;
static atomic_bool is_over;
static atomic_int taken, refused, wrong, renewed;

/* The number in the name of the only relation that begins so: of "left_3" 3; -1: none or many. */
static int
number_of(const tn_snapshot *snapshot, const char *beginning)
{
    int found = -1;

    for (int i = 0; i < NAMES; i++) {
        char name[32];
        const tn_relation *relation;

        (void)snprintf(name, sizeof(name), "%s_%d", beginning, i);
        relation = tn_snapshot_relation(snapshot, "app", name);
        if (relation == NULL)
            continue;
        if (found >= 0 || strcmp(relation->name, name) != 0 || relation->key_count != 1)
            return -1;
        found = i;
    }
    return found;
}

/* Reads all texts of it: memory that has gone would be seen. */
static size_t
length_of(const tn_snapshot *snapshot)
{
    const tn_relation *const *relations;
    const tn_function *const *functions;
    size_t relation_count, function_count, length = 0;

    relations = tn_snapshot_relations(snapshot, &relation_count);
    for (size_t i = 0; i < relation_count; i++) {
        length += strlen(relations[i]->name);
        for (size_t k = 0; k < relations[i]->attribute_count; k++)
            length += strlen(relations[i]->attributes[k].type);
        for (size_t k = 0; k < relations[i]->relationship_count; k++)
            length += strlen(relations[i]->relationships[k]->to->name);
    }
    functions = tn_snapshot_all_functions(snapshot, &function_count);
    for (size_t i = 0; i < function_count; i++)
        length += strlen(functions[i]->name);
    return length;
}

static void
check(const tn_snapshot *snapshot)
{
    const int left = number_of(snapshot, "left"), right = number_of(snapshot, "right");
    const tn_relation *relation = tn_snapshot_relation(snapshot, "app", "fixed");

    if (left < 0 || left != right || relation == NULL || relation->relationship_count != 2 ||
        !tn_snapshot_has_time_zone(snapshot, "UTC"))
        atomic_fetch_add(&wrong, 1);
}

/* One request: a snapshot, and every now and then a fresher one because something was missing. */
static void
ask(unsigned round)
{
    tn_arena *arena = tn_arena_new();
    const tn_snapshot *snapshot, *fresh;
    const tn_error *error = tn_catalog_take(catalog, arena, &snapshot);

    if (error != NULL) {
        atomic_fetch_add(error->status == 503 ? &refused : &wrong, 1);
        tn_arena_free(arena);
        return;
    }
    check(snapshot);
    if (round % 5 == 0 && tn_catalog_take_fresh(catalog, arena, snapshot, &fresh) == NULL) {
        check(fresh);
        atomic_fetch_add(&renewed, fresh != snapshot);
    }
    if (round % 3 == 0)
        (void)usleep(round % 7 * 1000); /* the snapshot is held while others replace it */
    if (length_of(snapshot) == 0)
        atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&taken, 1);
    tn_arena_free(arena);
}

static void *
run_reader(void *argument)
{
    for (unsigned round = *(const unsigned *)argument; !atomic_load(&is_over); round++)
        ask(round);
    return NULL;
}

static void *
run_expirer(void *nothing)
{
    (void)nothing;
    while (!atomic_load(&is_over)) {
        tn_catalog_expire(catalog);
        (void)usleep(3000);
    }
    return NULL;
}

/* Renames both tables at once; every tenth time the catalog's connections are ended instead. */
static void
change(unsigned round, bool may_break)
{
    char sql[512];

    if (may_break && round % 10 == 9)
        (void)snprintf(sql, sizeof(sql),
                       "select pg_terminate_backend(pid) from pg_stat_activity where datname = "
                       "current_database() and application_name = 'tenon/catalog'");
    else
        (void)snprintf(sql, sizeof(sql),
                       "do $$ declare o text; begin"
                       "  select substring(relname from 6) into o from pg_class where relname like "
                       "'left_%%' and relkind = 'r';"
                       "  execute format('alter table app.left_%%s rename to left_new', o);"
                       "  execute format('alter table app.right_%%s rename to right_new', o);"
                       "  alter table app.left_new rename to left_%u;"
                       "  alter table app.right_new rename to right_%u; end $$",
                       round % NAMES, round % NAMES);
    scratch_run(sql);
}

static void
test_many_threads(void **state)
{
    pthread_t readers[READERS], expirer;
    unsigned first[READERS], changes = 0;
    const int64_t end_ms = tn_clock_ms() + RUN_MS;
    tn_db *db = tn_db_new(&(tn_db_options){.url = scratch_url,
                                           .pool = "catalog",
                                           .connections = 2,
                                           .wait_ms = 5000,
                                           .statement_timeout_ms = 15000});

    (void)state;
    catalog = tn_catalog_new(db, &(tn_catalog_options){.schemas = schemas, .schema_count = 1});
    for (unsigned i = 0; i < READERS; i++) { /* all at once: one of them reads, the others wait */
        first[i] = i;
        pthread_create(&readers[i], NULL, run_reader, &first[i]);
    }
    pthread_create(&expirer, NULL, run_expirer, NULL);
    while (tn_clock_ms() < end_ms)
        change(++changes, atomic_load(&taken) > 0);
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    pthread_join(expirer, NULL);

    assert_int_equal(wrong, 0);
    assert_int_equal(refused, 0);
    assert_in_range(taken, 50, INT_MAX);
    assert_in_range(renewed, 1, INT_MAX);
    assert_in_range(changes, 10, INT_MAX);
    { /* what was changed last is seen at last */
        tn_arena *arena = tn_arena_new();
        const tn_snapshot *snapshot;
        const int last = (int)(changes + 1) % NAMES;

        change(changes + 1, false);
        (void)usleep(600 * 1000); /* after a failure the catalog waits for half a second */
        tn_catalog_expire(catalog);
        assert_null(tn_catalog_take(catalog, arena, &snapshot));
        assert_int_equal(number_of(snapshot, "left"), last);
        tn_arena_free(arena);
    }
    tn_catalog_free(catalog);
    tn_db_free(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_threads)};

    scratch_create();
    scratch_run("create schema app;"
                "create table app.fixed (id int primary key, next int references app.fixed);"
                "create table app.left_0 (id int primary key, note text);"
                "create table app.right_0 (id int primary key, note text);"
                "create function app.add(a int, b int) returns int language sql as 'select a + b'");
    return tn_unit_run("catalog", tests, TN_COUNT(tests));
}
