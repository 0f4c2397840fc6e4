/* t/fuzz/script.c: a statement alone is the statement it was in its file, and all of the file is
 * read */
#include <string.h>

#include "base/arena.h"
#include "db/script.h"
#include "t/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, (const char *)bytes, length);
    tn_script script = {.text = text};
    tn_script_statement statement;
    size_t end = 0, line = 1;

    while (tn_script_next(&script, &statement)) {
        tn_script alone = {
            .text = tn_arena_bytes(arena, text + statement.start, script.offset - statement.start)};
        tn_script_statement same, none;

        assert(statement.start >= end && script.offset > statement.start);
        assert(tn_script_line(text, statement.start) >= line);
        assert(tn_script_next(&alone, &same) && same.start == 0);
        assert(memcmp(same.words, statement.words, sizeof same.words) == 0);
        assert(!tn_script_next(&alone, &none));
        end = script.offset;
        line = tn_script_line(text, statement.start);
    }
    assert(strlen(text + end) == strlen(text) - end);
    tn_arena_free(arena);
    return 0;
}
