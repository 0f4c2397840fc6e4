/* t/unit/db_script.c: db/script.c: a file of SQL seen as statements */
#include "t/unit/unit.h"

#include "base/arena.h"
#include "db/script.h"

static void
test_statements(void **state)
{
    /* the line of each statement and its first word, and a mark for those that end a transaction */
    static const struct {
        const char *sql, *expected;
    } cases[] = {
        {"", ""},
        {" \n;; -- nothing; at all\n/* select; /* nested; */ */", ""},
        {"select 1", "1 select"},
        {"select 1;\nselect 2;\n\n  SELECT 3", "1 select, 2 select, 4 select"},
        {"select ';'; insert", "1 select, 1 insert"},
        {"select 'it''s;', E'it\\'s;', e'\\\\'; insert", "1 select, 1 insert"},
        {"select 'no escape\\'; insert", "1 select, 1 insert"},
        {"select \"a;\"\";b\"; insert", "1 select, 1 insert"},
        {"select $$;$$, $a$ $$;$b$; $a$; insert", "1 select, 1 insert"},
        {"select $1; insert", "1 select, 1 insert"},
        {"select a$b$; insert", "1 select, 1 insert"},
        {"do $$\nbegin;\ncommit;\n$$;\ninsert", "1 do, 5 insert"},
        {"-- a comment\n/* and\nanother */ select", "3 select"},
        {"create rule r as on insert to t do (a; b); insert", "1 create, 1 insert"},
        {"create function f() returns int begin atomic select 1; select case when true then 2 end; "
         "end; insert",
         "1 create, 1 insert"},
        {"create or replace procedure p() begin atomic\nselect 1;\nend;\ninsert",
         "1 create, 4 insert"},
        {"create function f() returns int language sql return 1; begin", "1 create, 1 begin!"},
        {"BEGIN; start transaction; commit work; End; abort; rollback; rollback work; "
         "prepare transaction 'x'",
         "1 begin!, 1 start!, 1 commit!, 1 end!, 1 abort!, 1 rollback!, 1 rollback!, 1 prepare!"},
        {"savepoint a; rollback to a; rollback work to savepoint a; release a; prepare x as select "
         "1",
         "1 savepoint, 1 rollback, 1 rollback, 1 release, 1 prepare"},
        {"select 'open; insert", "1 select"},
        {"select $$open; insert", "1 select"},
        {"select /* open; insert", "1 select"},
        {"select \"open; insert", "1 select"},
        {"select (; insert", "1 select"},
        {"\xc3\xa4; $", "1 \xc3\xa4, 1 "},
        {"averyveryverylongword", "1 averyveryverylo"},
    };

    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        PQExpBuffer found = tn_arena_buffer(arena);
        tn_script script = {.text = cases[i].sql};
        tn_script_statement statement;

        TN_CASE("%s", cases[i].sql);
        while (tn_script_next(&script, &statement))
            appendPQExpBuffer(found, "%s%zu %s%s", found->len == 0 ? "" : ", ",
                              tn_script_line(cases[i].sql, statement.start), statement.words[0],
                              tn_script_ends_transaction(&statement) ? "!" : "");
        TN_CHECK_TEXT(tn_buffer_text(found), cases[i].expected);
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_statements)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
