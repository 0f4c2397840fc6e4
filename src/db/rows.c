/* db/rows.c: the result of a query, in the arena of its request */
#include "db/rows_private.h"

#include <assert.h>

#include "base/text.h"

struct tn_rows {
    PGresult *result;
};

static void
clear_result(void *result)
{
    PQclear(result);
}

void
tn_rows_keep(tn_arena *arena, PGresult *result)
{
    tn_arena_defer(arena, clear_result, result);
}

const tn_rows *
tn_rows_new(tn_arena *arena, PGresult *result)
{
    tn_rows *rows = tn_arena_alloc(arena, 1, sizeof *rows);

    assert(result != NULL);
    tn_rows_keep(arena, result);
    rows->result = result;
    return rows;
}

size_t
tn_rows_count(const tn_rows *rows)
{
    return (size_t)PQntuples(rows->result);
}

const char *
tn_rows_text(const tn_rows *rows, size_t row, int column)
{
    assert(row < (size_t)PQntuples(rows->result) && column >= 0 &&
           column < PQnfields(rows->result));
    return PQgetisnull(rows->result, (int)row, column) ? NULL
                                                       : PQgetvalue(rows->result, (int)row, column);
}

size_t
tn_rows_length(const tn_rows *rows, size_t row, int column)
{
    assert(row < (size_t)PQntuples(rows->result) && column >= 0 &&
           column < PQnfields(rows->result));
    return (size_t)PQgetlength(rows->result, (int)row, column);
}

int64_t
tn_rows_int(const tn_rows *rows, size_t row, int column, int64_t fallback)
{
    const char *text = tn_rows_text(rows, row, column);
    const bool is_negative = text != NULL && text[0] == '-';
    int64_t value;

    if (text == NULL || !tn_text_int(text + is_negative, 0, INT64_MAX, &value))
        return fallback;
    return is_negative ? -value : value;
}

bool
tn_rows_bool(const tn_rows *rows, size_t row, int column)
{
    const char *text = tn_rows_text(rows, row, column);

    return text != NULL && text[0] == 't';
}

int64_t
tn_rows_affected(const tn_rows *rows)
{
    int64_t count = 0;

    /* empty for statements that count nothing */
    return tn_text_int(PQcmdTuples(rows->result), 0, INT64_MAX, &count) ? count : 0;
}
