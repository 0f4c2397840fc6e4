/* t/fuzz/view.c: node trees are read within bounds, and no name of a column steers the reader
 *
 * The bytes are read as a tree; what is found is printed as a tree again and must be found again.
 * And they are put into a tree as the name of a column, as PostgreSQL would write it.
 */
#include "db/view_private.h"

#include <string.h>

#include "base/buffer.h"
#include "t/fuzz/fuzz.h"

#define MAX 64

static void
print_target(PQExpBuffer tree, const tn_origin *origin, const char *name)
{
    appendPQExpBuffer(tree,
                      "{TARGETENTRY :expr {VAR :varno 1 :vartype 23} :resno %d :resname %s "
                      ":ressortgroupref 0 :resorigtbl %u :resorigcol %d :resjunk false}",
                      origin->column, name, origin->table, origin->table_column);
}

static size_t
read_tree(PQExpBuffer tree, tn_origin *origins)
{
    const char *text = tn_buffer_text(tree);

    return tn_view_origins(text, tree->len, origins, MAX);
}

static bool
is_same(const tn_origin *a, const tn_origin *b)
{
    return a->column == b->column && a->table == b->table && a->table_column == b->table_column;
}

static void
check_any(tn_arena *arena, const char *bytes, size_t length)
{
    PQExpBuffer tree = tn_arena_buffer(arena);
    tn_origin origins[MAX], again[MAX];
    const size_t count = tn_view_origins(bytes, length, origins, MAX);

    assert(count <= MAX);
    appendPQExpBufferStr(tree, "({QUERY :targetList (");
    for (size_t i = 0; i < count; i++) {
        assert(origins[i].column > 0 && origins[i].table > 0 && origins[i].table_column > 0);
        print_target(tree, &origins[i], "x");
    }
    appendPQExpBufferStr(tree, ")})");
    assert(read_tree(tree, again) == count);
    for (size_t i = 0; i < count; i++)
        assert(is_same(&origins[i], &again[i]));
}

/* outToken() of PostgreSQL: a backslash before blanks, brackets, backslashes, and what would begin
 * a number or another value. */
static void
check_name(tn_arena *arena, const char *bytes, size_t length)
{
    static const tn_origin first = {1, 2, 3}, second = {4, 5, 6};
    PQExpBuffer tree = tn_arena_buffer(arena), name = tn_arena_buffer(arena);
    tn_origin origins[MAX];

    if (length == 0 || memchr(bytes, '\0', length) != NULL)
        return;
    if (strchr("<\"+-0123456789", bytes[0]) != NULL)
        appendPQExpBufferChar(name, '\\');
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \n\t(){}\\", bytes[i]) != NULL)
            appendPQExpBufferChar(name, '\\');
        appendPQExpBufferChar(name, bytes[i]);
    }
    appendPQExpBuffer(tree, "({QUERY :cteList ({COMMONTABLEEXPR :ctename %s}) :targetList (",
                      tn_buffer_text(name));
    print_target(tree, &first, tn_buffer_text(name));
    appendPQExpBufferChar(tree, ' ');
    print_target(tree, &second, tn_buffer_text(name));
    appendPQExpBufferStr(tree, ")})");
    assert(read_tree(tree, origins) == 2);
    assert(is_same(&origins[0], &first) && is_same(&origins[1], &second));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);

    check_any(arena, text, length);
    check_name(arena, text, length);
    tn_arena_free(arena);
    return 0;
}
