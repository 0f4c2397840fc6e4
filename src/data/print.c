/* data/print.c: a tree as a query string again, the same for all texts that mean it */
#include <string.h>

#include "data/grammar.h"

/* Bytes that would end the part of the query string that they stand in. */
static void
put_byte(PQExpBuffer out, char byte)
{
    if (byte != '\0' && strchr("%&;+=", byte) != NULL)
        appendPQExpBuffer(out, "%%%02X", (unsigned int)(unsigned char)byte);
    else
        appendPQExpBufferChar(out, byte);
}

static void
put_text(PQExpBuffer out, const char *text)
{
    for (; *text != '\0'; text++)
        put_byte(out, *text);
}

static void
put_quoted(PQExpBuffer out, const char *text)
{
    appendPQExpBufferChar(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            appendPQExpBufferChar(out, '\\');
        put_byte(out, *text);
    }
    appendPQExpBufferChar(out, '"');
}

static bool
is_reserved(const char *name)
{
    static const char *const words[] = {"select", "columns", "on_conflict", "order",
                                        "limit",  "offset",  "and",         "or",
                                        "not",    "count",   "inner",       "left"};

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(name, words[i]) == 0)
            return true;
    return false;
}

static bool
is_plain(const char *name)
{
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
                                       "0123456789");

    return length > 0 && name[length] == '\0';
}

static void
put_name(PQExpBuffer out, const char *name)
{
    if (is_plain(name) && !is_reserved(name))
        appendPQExpBufferStr(out, name);
    else
        put_quoted(out, name);
}

static void
put_names(PQExpBuffer out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        appendPQExpBufferStr(out, i == 0 ? "" : ",");
        put_name(out, names[i]);
    }
}

static void
put_path(PQExpBuffer out, const tn_embed_path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        put_name(out, path->names[i]);
        appendPQExpBufferChar(out, '.');
    }
}

static void
put_field(PQExpBuffer out, const tn_data_field *field)
{
    put_name(out, field->name);
    for (size_t i = 0; i < field->step_count; i++) {
        const tn_json_step *step = &field->steps[i];

        appendPQExpBufferStr(out, step->as_text ? "->>" : "->");
        if (step->is_index)
            appendPQExpBufferStr(out, step->key);
        else
            put_quoted(out, step->key);
    }
}

/* --- select ----------------------------------------------------------------------------------- */

static void put_select(PQExpBuffer out, const tn_select *select);

static void
put_cast(PQExpBuffer out, const char *cast)
{
    if (cast == NULL)
        return;
    appendPQExpBufferStr(out, "::");
    put_text(out, cast);
}

static void
put_column(PQExpBuffer out, const tn_select_item *item)
{
    static const char *const names[] = {
        [TN_AGGREGATE_NONE] = "",     [TN_AGGREGATE_SUM] = "sum()",
        [TN_AGGREGATE_AVG] = "avg()", [TN_AGGREGATE_COUNT] = "count()",
        [TN_AGGREGATE_MAX] = "max()", [TN_AGGREGATE_MIN] = "min()"};

    if (item->field.name != NULL) {
        put_field(out, &item->field);
        put_cast(out, item->cast);
        appendPQExpBufferStr(out, item->aggregate == TN_AGGREGATE_NONE ? "" : ".");
    }
    appendPQExpBufferStr(out, names[item->aggregate]);
    put_cast(out, item->aggregate_cast);
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, whose depth is bounded */
put_embed(PQExpBuffer out, const tn_select_item *item)
{
    appendPQExpBufferStr(out, item->kind == TN_SELECT_SPREAD ? "..." : "");
    put_name(out, item->target);
    if (item->hint != NULL) {
        appendPQExpBufferChar(out, '!');
        put_name(out, item->hint);
    }
    if (item->join != TN_JOIN_DEFAULT)
        appendPQExpBufferStr(out, item->join == TN_JOIN_INNER ? "!inner" : "!left");
    appendPQExpBufferChar(out, '(');
    put_select(out, &item->children);
    appendPQExpBufferChar(out, ')');
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, whose depth is bounded */
put_select(PQExpBuffer out, const tn_select *select)
{
    for (size_t i = 0; i < select->count; i++) {
        const tn_select_item *item = &select->items[i];

        appendPQExpBufferStr(out, i == 0 ? "" : ",");
        if (item->alias != NULL) {
            put_name(out, item->alias);
            appendPQExpBufferChar(out, ':');
        }
        if (item->kind == TN_SELECT_STAR)
            appendPQExpBufferChar(out, '*');
        else if (item->kind == TN_SELECT_FIELD)
            put_column(out, item);
        else
            put_embed(out, item);
    }
}

/* --- filters ---------------------------------------------------------------------------------- */

/* Quoted where a list or a tree of logic would end it, or see an array literal. */
static void
put_value_in_list(PQExpBuffer out, const char *value)
{
    if (strpbrk(value, ",)\"\\{ ") != NULL)
        put_quoted(out, value);
    else
        put_text(out, value);
}

static void
put_list(PQExpBuffer out, const tn_filter *filter)
{
    appendPQExpBufferChar(out, '(');
    for (size_t i = 0; i < filter->value_count; i++) {
        appendPQExpBufferStr(out, i == 0 ? "" : ",");
        put_value_in_list(out, filter->values[i]);
    }
    appendPQExpBufferChar(out, ')');
}

static void
put_operation(PQExpBuffer out, const tn_filter *filter,
              void (*put_value)(PQExpBuffer, const char *))
{
    static const char *const truths[] = {[TN_IS_NULL] = "null",
                                         [TN_IS_NOT_NULL] = "not_null",
                                         [TN_IS_TRUE] = "true",
                                         [TN_IS_FALSE] = "false",
                                         [TN_IS_UNKNOWN] = "unknown"};
    static const char *const quantifiers[] = {
        [TN_QUANTIFIER_NONE] = "", [TN_QUANTIFIER_ANY] = "(any)", [TN_QUANTIFIER_ALL] = "(all)"};

    appendPQExpBuffer(out, "%s%s%s", filter->is_negated ? "not." : "", tn_operator_name(filter->op),
                      quantifiers[filter->quantifier]);
    if (filter->config != NULL) {
        appendPQExpBufferChar(out, '(');
        put_text(out, filter->config);
        appendPQExpBufferChar(out, ')');
    }
    appendPQExpBufferChar(out, '.');
    if (filter->op == TN_OP_IN)
        put_list(out, filter);
    else if (filter->op == TN_OP_IS)
        appendPQExpBufferStr(out, truths[filter->is]);
    else
        put_value(out, filter->value);
}

/* Not the operator and its terms' parenthesis of a whole condition: the = stands between them. */
static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tree, whose depth is bounded */
put_term(PQExpBuffer out, const tn_logic *logic)
{
    if (logic->kind == TN_LOGIC_FILTER) {
        put_field(out, &logic->filter.field);
        appendPQExpBufferChar(out, '.');
        put_operation(out, &logic->filter, put_value_in_list);
        return;
    }
    appendPQExpBuffer(out, "%s%s(", logic->is_negated ? "not." : "",
                      logic->kind == TN_LOGIC_AND ? "and" : "or");
    for (size_t i = 0; i < logic->term_count; i++) {
        appendPQExpBufferStr(out, i == 0 ? "" : ",");
        put_term(out, &logic->terms[i]);
    }
    appendPQExpBufferChar(out, ')');
}

static void
put_condition(PQExpBuffer out, const tn_condition *condition)
{
    const tn_logic *logic = &condition->logic;

    put_path(out, &condition->path);
    if (logic->kind == TN_LOGIC_FILTER) {
        put_field(out, &logic->filter.field);
        appendPQExpBufferChar(out, '=');
        put_operation(out, &logic->filter, put_text);
        return;
    }
    appendPQExpBuffer(out, "%s%s=(", logic->is_negated ? "not." : "",
                      logic->kind == TN_LOGIC_AND ? "and" : "or");
    for (size_t i = 0; i < logic->term_count; i++) {
        appendPQExpBufferStr(out, i == 0 ? "" : ",");
        put_term(out, &logic->terms[i]);
    }
    appendPQExpBufferChar(out, ')');
}

/* --- the whole -------------------------------------------------------------------------------- */

static void
put_separator(PQExpBuffer out)
{
    if (out->len > 0)
        appendPQExpBufferChar(out, '&');
}

static void
put_ordering(PQExpBuffer out, const tn_ordering *ordering)
{
    static const char *const directions[] = {
        [TN_DIRECTION_DEFAULT] = "", [TN_DIRECTION_ASC] = ".asc", [TN_DIRECTION_DESC] = ".desc"};
    static const char *const nulls[] = {
        [TN_NULLS_DEFAULT] = "", [TN_NULLS_FIRST] = ".nullsfirst", [TN_NULLS_LAST] = ".nullslast"};

    put_path(out, &ordering->path);
    appendPQExpBufferStr(out, "order=");
    for (size_t i = 0; i < ordering->count; i++) {
        const tn_order_term *term = &ordering->terms[i];

        appendPQExpBufferStr(out, i == 0 ? "" : ",");
        if (term->embed != NULL) {
            put_name(out, term->embed);
            appendPQExpBufferChar(out, '(');
        }
        put_field(out, &term->field);
        appendPQExpBuffer(out, "%s%s%s", term->embed == NULL ? "" : ")",
                          directions[term->direction], nulls[term->nulls]);
    }
}

static void
put_window(PQExpBuffer out, const tn_window *window)
{
    if (window->has_limit) {
        put_separator(out);
        put_path(out, &window->path);
        appendPQExpBuffer(out, "limit=%lld", (long long)window->limit);
    }
    if (window->has_offset) {
        put_separator(out);
        put_path(out, &window->path);
        appendPQExpBuffer(out, "offset=%lld", (long long)window->offset);
    }
}

static void
put_lists(PQExpBuffer out, const tn_data_query *query)
{
    if (query->has_select) {
        appendPQExpBufferStr(out, "select=");
        put_select(out, &query->select);
    }
    if (query->has_columns) {
        put_separator(out);
        appendPQExpBufferStr(out, "columns=");
        put_names(out, query->columns, query->column_count);
    }
    if (query->on_conflict_count > 0) {
        put_separator(out);
        appendPQExpBufferStr(out, "on_conflict=");
        put_names(out, query->on_conflict, query->on_conflict_count);
    }
}

const char *
tn_data_query_print(tn_arena *arena, const tn_data_query *query)
{
    PQExpBuffer out = tn_arena_buffer(arena);

    put_lists(out, query);
    for (size_t i = 0; i < query->condition_count; i++) {
        put_separator(out);
        put_condition(out, &query->conditions[i]);
    }
    for (size_t i = 0; i < query->ordering_count; i++) {
        put_separator(out);
        put_ordering(out, &query->orderings[i]);
    }
    for (size_t i = 0; i < query->window_count; i++)
        put_window(out, &query->windows[i]);
    for (size_t i = 0; i < query->argument_count; i++) {
        put_separator(out);
        put_name(out, query->arguments[i].name);
        appendPQExpBufferChar(out, '=');
        put_text(out, query->arguments[i].value);
    }
    return tn_buffer_text(out);
}
