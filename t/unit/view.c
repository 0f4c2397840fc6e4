/* t/unit/view.c: db/view.c: node trees of views, made up and from a real PostgreSQL */
#include "t/unit/unit.h"

#include "base/text.h"
#include "db/view_private.h"
#include "t/unit/database.h"

#define TARGET(number, name, table, column)                                                      \
    "{TARGETENTRY :expr {VAR :varno 1 :varattno 1 :location 7} :resno " number " :resname " name \
    " :ressortgroupref 0 :resorigtbl " table " :resorigcol " column " :resjunk false}"
#define QUERY(targets)                                                                          \
    "({QUERY :commandType 1 :utilityStmt <> :rtable ({RANGETBLENTRY :eref {ALIAS :aliasname t " \
    ":colnames (\"a\")} :relid 7}) :jointree {FROMEXPR :fromlist ({RANGETBLREF :rtindex 1}) "   \
    ":quals <>} :targetList " targets " :override 0 :stmt_len 0})"
#define INNER "{QUERY :targetList (" TARGET("9", "inner", "99", "9") ") :stmt_len 0}"

static tn_arena *arena;

static int
set_up(void **state)
{
    (void)state;
    arena = tn_arena_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tn_arena_free(arena);
    return 0;
}

/* "1:16402.2 3:7.1": column of the view, relation, its column. */
static const char *
describe(const char *tree, size_t length, size_t max)
{
    tn_origin *origins = tn_arena_alloc(arena, max, sizeof *origins);
    const size_t count = tn_view_origins(tree, length, origins, max);
    PQExpBuffer text = tn_arena_buffer(arena);

    for (size_t i = 0; i < count; i++)
        appendPQExpBuffer(text, "%s%d:%u.%d", i == 0 ? "" : " ", origins[i].column,
                          origins[i].table, origins[i].table_column);
    return tn_buffer_text(text);
}

static void
test_trees(void **state)
{
    static const struct {
        const char *name, *tree, *wanted;
    } cases[] = {
        {"one column", QUERY("(" TARGET("1", "id", "16402", "3") ")"), "1:16402.3"},
        {"two columns", QUERY("(" TARGET("1", "a", "7", "1") " " TARGET("2", "b", "8", "2") ")"),
         "1:7.1 2:8.2"},
        {"an expression has no origin",
         QUERY("(" TARGET("1", "a", "0", "0") " " TARGET("2", "b", "8", "2") ")"), "2:8.2"},
        {"lines and tabs", QUERY("(\n\t" TARGET("1", "a", "7", "1") "\n)"), "1:7.1"},
        {"no targets", QUERY("<>"), ""},
        {"a name that reads like a field", QUERY("(" TARGET("1", ":resorigtbl", "7", "1") ")"),
         "1:7.1"},
        {"a name with brackets", QUERY("(" TARGET("1", "\\(\\{\\ \\}", "7", "1") ")"), "1:7.1"},
        {"a name that ends with a backslash", QUERY("(" TARGET("1", "a\\\\", "7", "1") ")"),
         "1:7.1"},
        {"no name", QUERY("(" TARGET("1", "<>", "7", "1") ")"), "1:7.1"},
        {"a value of several words",
         "({QUERY :targetList ({TARGETENTRY :expr {CONST :constvalue 4 [ 1 0 0 0 ]} :resno 1 "
         ":resname (\"x\" \"y\") :resorigtbl 7 :resorigcol 1 :resjunk false})})",
         "1:7.1"},
        {"sorted by only",
         "({QUERY :targetList ({TARGETENTRY :resno 1 :resorigtbl 7 :resorigcol 1 :resjunk true})})",
         ""},
        {"a system column",
         "({QUERY :targetList ({TARGETENTRY :resno 1 :resorigtbl 7 :resorigcol -3 :resjunk "
         "false})})",
         ""},
        {"a subquery in a column",
         QUERY("({TARGETENTRY :expr {SUBLINK :subselect " INNER
               "} :resno 1 :resorigtbl 7 :resorigcol 1 :resjunk false})"),
         "1:7.1"},
        {"subqueries and WITH before the list",
         "({QUERY :cteList ({COMMONTABLEEXPR :ctename :targetList :ctequery " INNER
         "}) :rtable ({RANGETBLENTRY :subquery " INNER
         "}) :targetList (" TARGET("1", "a", "7", "1") ")})",
         "1:7.1"},
        {"numbers beyond",
         QUERY("(" TARGET("40000", "a", "7", "1") " " TARGET("2", "a", "4294967296", "1")
                   TARGET("3", "a", "4294967295", "1") ")"),
         "3:4294967295.1"},
        {"empty", "", ""},
        {"another node", "({UPDATE :targetList (" TARGET("1", "a", "7", "1") ")})", ""},
        {"no list", "{QUERY :targetList (" TARGET("1", "a", "7", "1") ")}", ""},
        {"no rule", "<>", ""},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        TN_CASE("%s", cases[i].name);
        TN_CHECK_TEXT(describe(cases[i].tree, strlen(cases[i].tree), 10), cases[i].wanted);
    }
}

/* No text that is cut off somewhere makes it read beyond, or make up columns. */
static void
test_cut_off(void **state)
{
    static const char tree[] =
        QUERY("(" TARGET("1", "a\\ b", "7", "1") " " TARGET("2", "b", "8", "2") ")");

    (void)state;
    for (size_t length = 0; length < sizeof tree; length++) {
        const char *copy = tn_arena_bytes(arena, tree, length);
        const char *got = describe(copy, length, 10);

        TN_CASE("%zu bytes", length);
        TN_CHECK(got[0] == '\0' || tn_text_starts("1:7.1 2:8.2", got) ||
                 tn_text_starts(got, "1:7.1"));
    }
}

static void
test_max(void **state)
{
    static const char tree[] = QUERY("(" TARGET("1", "a", "7", "1") TARGET("2", "b", "8", "2")
                                         TARGET("3", "c", "9", "3") ")");

    (void)state;
    assert_string_equal(describe(tree, strlen(tree), 2), "1:7.1 2:8.2");
}

/* What this PostgreSQL makes of queries: the names of the tables' columns behind a view's. */
static void
test_views(void **state)
{
    static const struct {
        const char *query, *wanted;
    } cases[] = {
        {"select a, b as c from one", "1:one.1 2:one.2"},
        {"select b, upper(b), a + 1 as n, a::int, a::text as t from one", "1:one.2 4:one.1"},
        {"select * from one join two using (a)", "1:one.1 2:one.2 3:two.2"},
        {"select * from one full join two using (a)", "2:one.2 3:two.2"},
        {"select s.x from (select a as x from one) s", "1:one.1"},
        {"with w as (select c from two) select w.c, one.a from w, one", "1:two.2 2:one.1"},
        {"select a from one order by b", "1:one.1"},
        {"select a, count(*) from one group by a", "1:one.1"},
        {"select (select c from two limit 1) as c, a from one", "2:one.1"},
        {"select a as \"(\", b as \"\\ { :resno 7\" from one", "1:one.1 2:one.2"},
        {"select 'x ) } \\ :targetList' as t, a from one where b <> '({QUERY'", "2:one.1"},
        {"select ctid as c, tableoid as t, a from one", "3:one.1"},
        {"select distinct on (a) b from one order by a", "1:one.2"},
        {"select v.x from base v", "1:base.1"},
        {"select 1 as n where exists (select from one)", ""},
        {"select o.a from one o, lateral (select c from two where two.a = o.a) l", "1:one.1"},
        {"values (1), (2)", ""},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        char sql[2048], tree[32768];
        PQExpBuffer got = tn_arena_buffer(arena);
        tn_origin origins[10];
        size_t count;

        TN_CASE("%s", cases[i].query);
        snprintf(sql, sizeof sql, "create or replace view v%zu as %s", i, cases[i].query);
        scratch_run(sql);
        snprintf(sql, sizeof sql,
                 "select ev_action from pg_rewrite where ev_class = 'v%zu'::regclass", i);
        scratch_run_on(scratch_url, sql, tree, sizeof tree);
        count = tn_view_origins(tree, strlen(tree), origins, TN_COUNT(origins));
        for (size_t k = 0; k < count; k++) {
            char name[64];

            snprintf(sql, sizeof sql, "select %u::regclass", origins[k].table);
            scratch_run_on(scratch_url, sql, name, sizeof name);
            appendPQExpBuffer(got, "%s%d:%s.%d", k == 0 ? "" : " ", origins[k].column, name,
                              origins[k].table_column);
        }
        TN_CHECK_TEXT(tn_buffer_text(got), cases[i].wanted);
    }
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_trees),
        TEST(test_cut_off),
        TEST(test_max),
        TEST(test_views),
    };

    scratch_create();
    scratch_run("create table one (a int, b text); create table two (a int, c text);"
                "create view base as select a as x from one;");
    return tn_unit_run("view", tests, TN_COUNT(tests));
}
