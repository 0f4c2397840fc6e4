/* data/logic.c: trees of and, or and not */
#include <string.h>

#include "data/grammar.h"
#include "data/list.h"

const tn_error *
tn_filters_count(const tn_reader *reader, int64_t *filters)
{
    if (++*filters <= reader->limits->filters)
        return NULL;
    return tn_error_new(
        reader->arena, 400, "too_many_filters", "Use in.(…) instead of many equalities.",
        "the request has more than %lld filters", (long long)reader->limits->filters);
}

/* Moves over `and(`, `not.or (`, and the like; otherwise, as for a column of that name, nothing is
 * read. */
static bool
take_opening(tn_reader *reader, tn_logic *logic)
{
    const char *start = reader->at;

    logic->is_negated = tn_reader_take(reader, "not.");
    logic->kind = tn_reader_take(reader, "and")  ? TN_LOGIC_AND
                  : tn_reader_take(reader, "or") ? TN_LOGIC_OR
                                                 : TN_LOGIC_FILTER;
    if (logic->kind != TN_LOGIC_FILTER) {
        tn_reader_skip_blanks(reader);
        if (tn_reader_take(reader, "("))
            return true;
    }
    reader->at = start;
    *logic = (tn_logic){.kind = TN_LOGIC_FILTER};
    return false;
}

static const tn_error *
read_filter(tn_reader *reader, tn_filter *filter)
{
    bool is_operation;

    TN_TRY(tn_reader_field(reader, &filter->field));
    if (!tn_reader_take(reader, "."))
        return tn_reader_unexpected(reader, "\".\" and an operator, or \"(\" after and, or");
    TN_TRY(tn_operation_read(reader, tn_value_read_in_logic, filter, &is_operation));
    return is_operation ? NULL : tn_operation_missing(reader);
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.max_logic_depth */
read_term(tn_reader *reader, int64_t depth, int64_t *filters, tn_logic *logic)
{
    tn_list terms = {0};

    TN_TRY(tn_filters_count(reader, filters));
    if (!take_opening(reader, logic))
        return read_filter(reader, &logic->filter);
    if (depth >= reader->limits->logic_depth)
        return tn_error_new(reader->arena, 400, "logic_too_deep", NULL,
                            "and(…) and or(…) are within each other more than %lld deep",
                            (long long)reader->limits->logic_depth);
    do {
        tn_logic *term = tn_list_add(reader->arena, &terms, sizeof(*term));

        tn_reader_skip_blanks(reader);
        TN_TRY(read_term(reader, depth + 1, filters, term));
        tn_reader_skip_blanks(reader);
    } while (tn_reader_take(reader, ","));
    if (!tn_reader_take(reader, ")"))
        return tn_reader_unexpected(reader, "\",\" or \")\"");
    logic->terms = terms.items;
    logic->term_count = terms.count;
    return NULL;
}

const tn_error *
tn_logic_read(tn_reader *reader, int64_t *filters, tn_logic *logic)
{
    return read_term(reader, 0, filters, logic);
}
