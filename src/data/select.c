/* data/select.c: columns, aggregates and embeds; the lists of order, columns and on_conflict */
#include <string.h>

#include "data/grammar.h"
#include "data/list.h"

static const tn_error *read_items(tn_reader *reader, int64_t depth, tn_select *select);

static const tn_error *
read_cast(tn_reader *reader, const char **cast)
{
    return tn_reader_take(reader, "::") ? tn_reader_word(reader, cast) : NULL;
}

/* .sum() and the like, when a dot comes. */
static const tn_error *
read_aggregate(tn_reader *reader, tn_select_item *item)
{
    static const struct {
        const char *name;
        tn_aggregate aggregate;
    } aggregates[] = {{"sum()", TN_AGGREGATE_SUM},
                      {"avg()", TN_AGGREGATE_AVG},
                      {"count()", TN_AGGREGATE_COUNT},
                      {"max()", TN_AGGREGATE_MAX},
                      {"min()", TN_AGGREGATE_MIN}};

    if (!tn_reader_take(reader, "."))
        return NULL;
    for (size_t i = 0; i < TN_COUNT(aggregates); i++) {
        if (tn_reader_take(reader, aggregates[i].name)) {
            item->aggregate = aggregates[i].aggregate;
            return read_cast(reader, &item->aggregate_cast);
        }
    }
    return tn_reader_unexpected(reader, "sum(), avg(), count(), max() or min()");
}

/* What ends a column; a parenthesis that was never opened ends the whole list. */
static const tn_error *
read_item_end(tn_reader *reader)
{
    tn_reader_skip_blanks(reader);
    if (*reader->at == '\0' || *reader->at == ',' || *reader->at == ')')
        return NULL;
    return tn_reader_unexpected(reader, "\"->\", \"::\", \".\", \"(\", \",\" or end of input");
}

static const tn_error *
read_column(tn_reader *reader, tn_select_item *item)
{
    item->kind = TN_SELECT_FIELD;
    TN_TRY(tn_reader_steps(reader, &item->field));
    TN_TRY(read_cast(reader, &item->cast));
    TN_TRY(read_aggregate(reader, item));
    return read_item_end(reader);
}

/* The hint and the kind of join, in either order; of two of a kind the first counts. */
static const tn_error *
read_modifiers(tn_reader *reader, tn_select_item *item)
{
    for (int i = 0; i < 2 && tn_reader_take(reader, "!"); i++) {
        const bool is_quoted = *reader->at == '"';
        const char *name;

        TN_TRY(tn_reader_name(reader, &name));
        if (!is_quoted && strcmp(name, "inner") == 0)
            item->join = item->join == TN_JOIN_DEFAULT ? TN_JOIN_INNER : item->join;
        else if (!is_quoted && strcmp(name, "left") == 0)
            item->join = item->join == TN_JOIN_DEFAULT ? TN_JOIN_LEFT : item->join;
        else if (item->hint == NULL)
            item->hint = name;
    }
    tn_reader_skip_blanks(reader);
    return NULL;
}

/* !modifiers(…) behind item->target */
static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.max_embed_depth */
read_embed(tn_reader *reader, int64_t depth, tn_select_item *item)
{
    TN_TRY(read_modifiers(reader, item));
    if (!tn_reader_take(reader, "("))
        return tn_reader_unexpected(reader, "\"(\" and the columns of the embed");
    if (depth >= reader->limits->embed_depth)
        return tn_error_new(reader->arena, 400, "embeds_too_deep", NULL,
                            "select has embeds within each other more than %lld deep",
                            (long long)reader->limits->embed_depth);
    if (*reader->at != ')')
        TN_TRY(read_items(reader, depth + 1, &item->children));
    if (!tn_reader_take(reader, ")"))
        return tn_reader_unexpected(reader, "\",\" or \")\"");
    return NULL;
}

/* [alias:]name, and the alias is only known to be one when its colon has come. */
static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.max_embed_depth */
read_named(tn_reader *reader, int64_t depth, tn_select_item *item)
{
    const char *name;

    for (;;) {
        if (tn_reader_take(reader, "count()")) {
            item->kind = TN_SELECT_FIELD;
            item->aggregate = TN_AGGREGATE_COUNT;
            TN_TRY(read_cast(reader, &item->aggregate_cast));
            return read_item_end(reader);
        }
        TN_TRY(tn_reader_name(reader, &name));
        tn_reader_skip_blanks(reader);
        if (item->alias != NULL || *reader->at != ':' || reader->at[1] == ':')
            break;
        reader->at++;
        item->alias = name;
        tn_reader_skip_blanks(reader);
    }
    if ((*reader->at == '!' || *reader->at == '(') && strcmp(name, "count") != 0) {
        item->kind = TN_SELECT_EMBED;
        item->target = name;
        return read_embed(reader, depth, item);
    }
    item->field.name = name;
    return read_column(reader, item);
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.max_embed_depth */
read_item(tn_reader *reader, int64_t depth, tn_select_item *item)
{
    tn_reader_skip_blanks(reader);
    if (tn_reader_take(reader, "*")) {
        item->kind = TN_SELECT_STAR;
        return NULL;
    }
    if (!tn_reader_take(reader, "..."))
        return read_named(reader, depth, item);
    item->kind = TN_SELECT_SPREAD;
    tn_reader_skip_blanks(reader);
    TN_TRY(tn_reader_name(reader, &item->target));
    return read_embed(reader, depth, item);
}

static const tn_error *
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.max_embed_depth */
read_items(tn_reader *reader, int64_t depth, tn_select *select)
{
    tn_list items = {0};

    do {
        TN_TRY(tn_reader_check_items(reader, items.count + 1));
        TN_TRY(
            read_item(reader, depth, tn_list_add(reader->arena, &items, sizeof(tn_select_item))));
        tn_reader_skip_blanks(reader);
    } while (tn_reader_take(reader, ","));
    select->items = items.items;
    select->count = items.count;
    return NULL;
}

/* PostgREST reads as many items as there are and never looks at what follows. So a list whose first
 * item does not even begin is an empty one, and so is one that begins with a spread that is none
 * (`...alias:gardens(name)`); `id,...alias:gardens(name)` has an item missing, and is an error. */
const tn_error *
tn_select_parse(tn_arena *arena, const char *text, const tn_data_limits *limits, tn_select *select)
{
    tn_reader reader = tn_reader_start(arena, limits, "select parameter", text);
    const bool is_spread = strncmp(text, "...", 3) == 0;
    const tn_error *error;
    tn_select_item first = {0};

    *select = (tn_select){0};
    if (is_spread) {
        error = read_item(&reader, 0, &first);
        if (error != NULL && strcmp(error->code, "PGRST100") == 0)
            return NULL;
        reader.at = text;
    } else if (*text != '*' && *text != '\t' && *text != '\n' && !tn_reader_is_at_name(&reader)) {
        return NULL;
    }
    return read_items(&reader, 0, select);
}

static const tn_error *
read_order_term(tn_reader *reader, tn_order_term *term)
{
    const char *name;

    tn_reader_skip_blanks(reader);
    TN_TRY(tn_reader_name(reader, &name));
    if (tn_reader_take(reader, "(")) {
        term->embed = name;
        tn_reader_skip_blanks(reader);
        TN_TRY(tn_reader_field(reader, &term->field));
        tn_reader_skip_blanks(reader);
        if (!tn_reader_take(reader, ")"))
            return tn_reader_unexpected(reader, "\")\"");
    } else {
        term->field.name = name;
        TN_TRY(tn_reader_steps(reader, &term->field));
    }
    term->direction = tn_reader_take(reader, ".asc")    ? TN_DIRECTION_ASC
                      : tn_reader_take(reader, ".desc") ? TN_DIRECTION_DESC
                                                        : TN_DIRECTION_DEFAULT;
    term->nulls = tn_reader_take(reader, ".nullsfirst")  ? TN_NULLS_FIRST
                  : tn_reader_take(reader, ".nullslast") ? TN_NULLS_LAST
                                                         : TN_NULLS_DEFAULT;
    tn_reader_skip_blanks(reader);
    return NULL;
}

const tn_error *
tn_order_parse(tn_arena *arena, const char *text, const tn_data_limits *limits,
               const tn_order_term **terms, size_t *count)
{
    tn_reader reader = tn_reader_start(arena, limits, "order", text);
    tn_list list = {0};

    do {
        TN_TRY(tn_reader_check_items(&reader, list.count + 1));
        TN_TRY(read_order_term(&reader, tn_list_add(arena, &list, sizeof(tn_order_term))));
    } while (tn_reader_take(&reader, ","));
    if (*reader.at != '\0')
        return tn_reader_unexpected(&reader, "asc, desc, nullsfirst, nullslast, \",\" or end of "
                                             "input");
    *terms = list.items;
    *count = list.count;
    return NULL;
}
