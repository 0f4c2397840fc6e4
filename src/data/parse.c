/* data/parse.c: the query string: its parameters, and which part of the grammar each belongs to */
#include <string.h>

#include "base/text.h"
#include "data/grammar.h"
#include "data/list.h"

/* What is being collected: the lists of a tn_data_query while they grow. */
struct parse {
    tn_arena *arena;
    tn_dialect dialect;
    const tn_data_limits *limits;
    tn_data_query *query;
    tn_list conditions, orderings, windows, arguments;
    int64_t filters; /* conditions and their terms so far */
};

static bool
is_same_path(const tn_embed_path *a, const tn_embed_path *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->names[i], b->names[i]) != 0)
            return false;
    return true;
}

static const tn_error *
read_names(struct parse *parse, const char *kind, const char *key, tn_embed_path *path)
{
    tn_reader reader = tn_reader_start(parse->arena, parse->limits, kind, key);

    return tn_reader_names(&reader, '.', &path->names, &path->count);
}

/* The path before the last word of a key. */
static const tn_error *
read_path(struct parse *parse, const char *key, tn_embed_path *path)
{
    TN_TRY(read_names(parse, "tree path", key, path));
    path->count--;
    return NULL;
}

static const tn_error *
read_select(struct parse *parse, const char *value)
{
    if (parse->query->has_select)
        return NULL;
    parse->query->has_select = true;
    return tn_select_parse(parse->arena, value, parse->limits, &parse->query->select);
}

static const tn_error *
read_columns(struct parse *parse, const char *value)
{
    tn_reader reader = tn_reader_start(parse->arena, parse->limits, "columns parameter", value);

    if (parse->query->has_columns)
        return NULL;
    parse->query->has_columns = true;
    return tn_reader_names(&reader, ',', &parse->query->columns, &parse->query->column_count);
}

static const tn_error *
read_on_conflict(struct parse *parse, const char *value)
{
    tn_reader reader = tn_reader_start(parse->arena, parse->limits, "on_conflict parameter", value);

    if (parse->query->on_conflict != NULL)
        return NULL;
    return tn_reader_names(&reader, ',', &parse->query->on_conflict,
                           &parse->query->on_conflict_count);
}

static const tn_error *
read_order(struct parse *parse, const char *key, const char *value)
{
    tn_ordering ordering = {0}, *known = parse->orderings.items;

    TN_TRY(read_path(parse, key, &ordering.path));
    TN_TRY(tn_order_parse(parse->arena, value, parse->limits, &ordering.terms, &ordering.count));
    for (size_t i = 0; i < parse->orderings.count; i++)
        if (is_same_path(&known[i].path, &ordering.path))
            return NULL;
    known = tn_list_add(parse->arena, &parse->orderings, sizeof(ordering));
    *known = ordering;
    return NULL;
}

static tn_window *
find_window(struct parse *parse, const tn_embed_path *path)
{
    tn_window *known = parse->windows.items;

    for (size_t i = 0; i < parse->windows.count; i++)
        if (is_same_path(&known[i].path, path))
            return &known[i];
    known = tn_list_add(parse->arena, &parse->windows, sizeof(*known));
    known->path = *path;
    return known;
}

static const tn_error *
read_limit(struct parse *parse, const char *key, const char *value)
{
    tn_embed_path path;
    tn_window *window;

    TN_TRY(read_path(parse, key, &path));
    window = find_window(parse, &path);
    return tn_integer_read(parse->arena, value, &window->has_limit, &window->limit);
}

static const tn_error *
read_offset(struct parse *parse, const char *key, const char *value)
{
    tn_embed_path path;
    tn_window *window;

    TN_TRY(read_path(parse, key, &path));
    window = find_window(parse, &path);
    return tn_integer_read(parse->arena, value, &window->has_offset, &window->offset);
}

/* beds.not.or=(…): the last word of the key and the value are one text. Any `not` on the way
 * negates, and is no name of the path. */
static const tn_error *
read_logic(struct parse *parse, const char *key, const char *value)
{
    tn_condition *condition = tn_list_add(parse->arena, &parse->conditions, sizeof(*condition));
    const char *word, **path;
    tn_embed_path names;
    bool is_negated = false;
    tn_reader reader;

    TN_TRY(read_names(parse, "logic path", key, &names));
    word = names.names[names.count - 1];
    path = tn_arena_alloc(parse->arena, names.count, sizeof(*path));
    for (size_t i = 0; i + 1 < names.count; i++) {
        if (strcmp(names.names[i], "not") == 0)
            is_negated = true;
        else
            path[condition->path.count++] = names.names[i];
    }
    condition->path.names = path;
    reader = tn_reader_start(
        parse->arena, parse->limits, "logic tree",
        tn_arena_printf(parse->arena, "%s%s%s", is_negated ? "not." : "", word, value));
    return tn_logic_read(&reader, &parse->filters, &condition->logic);
}

static const tn_error *
add_argument(struct parse *parse, const char *name, const char *value)
{
    tn_argument *argument = tn_list_add(parse->arena, &parse->arguments, sizeof(*argument));
    tn_reader reader = tn_reader_start(parse->arena, parse->limits, "filter", value);

    argument->name = name;
    argument->value = value;
    return tn_filters_count(&reader, &parse->filters);
}

static const tn_error *
read_filter(struct parse *parse, const char *key, const char *value)
{
    tn_reader key_reader = tn_reader_start(parse->arena, parse->limits, "tree path", key);
    tn_reader reader = tn_reader_start(parse->arena, parse->limits, "filter", value);
    tn_condition condition = {.logic = {.kind = TN_LOGIC_FILTER}}, *place;
    tn_filter *filter = &condition.logic.filter;
    bool is_operation;

    TN_TRY(tn_reader_names(&key_reader, '.', &condition.path.names, &condition.path.count));
    filter->field.name = condition.path.names[--condition.path.count];
    TN_TRY(tn_reader_steps(&key_reader, &filter->field));
    TN_TRY(tn_operation_read(&reader, tn_value_read_plain, filter, &is_operation));
    if (!is_operation) {
        if (parse->dialect == TN_DIALECT_STRICT)
            return tn_operation_missing(&reader);
        if (parse->dialect == TN_DIALECT_CALL)
            return add_argument(parse, filter->field.name, value);
        filter->op = TN_OP_EQ;
        filter->value = value;
    }
    TN_TRY(tn_filters_count(&reader, &parse->filters));
    place = tn_list_add(parse->arena, &parse->conditions, sizeof(*place));
    *place = condition;
    return NULL;
}

/* What the last word of a key, or the whole key, means. */
static const tn_error *
read_parameter(struct parse *parse, const char *key, const char *value)
{
    static const struct {
        const char *word;
        const tn_error *(*read)(struct parse *parse, const char *key, const char *value);
    } words[] = {{"order", read_order},
                 {"limit", read_limit},
                 {"offset", read_offset},
                 {"and", read_logic},
                 {"or", read_logic}};
    const char *dot = strrchr(key, '.');
    const char *last = dot == NULL ? key : dot + 1;

    if (strcmp(key, "select") == 0)
        return read_select(parse, value);
    if (strcmp(key, "columns") == 0)
        return read_columns(parse, value);
    if (strcmp(key, "on_conflict") == 0)
        return read_on_conflict(parse, value);
    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(last, words[i].word) == 0)
            return words[i].read(parse, key, value);
    return read_filter(parse, key, value);
}

static const tn_error *
decode(tn_arena *arena, const char *text, size_t length, const char **decoded)
{
    *decoded = tn_text_url_decode(arena, text, length, true);
    if (*decoded != NULL)
        return NULL;
    return tn_error_new(arena, 400, "PGRST100", "Encode the query string as UTF-8.",
                        "\"failed to parse the query string\": invalid UTF-8 or NUL");
}

/* One part between & and ;. Without = it says nothing. */
static const tn_error *
read_part(struct parse *parse, const char *part, size_t length)
{
    const char *equals = memchr(part, '=', length);
    const char *key, *value;

    if (equals == NULL)
        return NULL;
    TN_TRY(decode(parse->arena, part, (size_t)(equals - part), &key));
    TN_TRY(decode(parse->arena, equals + 1, length - (size_t)(equals + 1 - part), &value));
    return read_parameter(parse, key, value);
}

const tn_error *
tn_data_query_parse(tn_arena *arena, const char *text, tn_dialect dialect,
                    const tn_data_limits *limits, tn_data_query *query)
{
    struct parse parse = {.arena = arena, .dialect = dialect, .limits = limits, .query = query};

    *query = (tn_data_query){0};
    for (;;) {
        const size_t length = strcspn(text, "&;");

        TN_TRY(read_part(&parse, text, length));
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    query->conditions = parse.conditions.items;
    query->condition_count = parse.conditions.count;
    query->orderings = parse.orderings.items;
    query->ordering_count = parse.orderings.count;
    query->windows = parse.windows.items;
    query->window_count = parse.windows.count;
    query->arguments = parse.arguments.items;
    query->argument_count = parse.arguments.count;
    return NULL;
}
