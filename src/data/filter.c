/* data/filter.c: operators and the ways to write a value
 *
 * A plain filter takes all that is left, as it stands. An element of an `in` list, and a value in a
 * tree of logic, end at , or ) unless they are quoted; the latter may also be an array literal.
 */
#include <string.h>

#include "base/text.h"
#include "data/grammar.h"
#include "data/list.h"

enum form { PLAIN, QUANTIFIED, SEARCH, LIST, TRUTH };

static const struct operation {
    const char *name;
    tn_operator op;
    enum form form;
} operations[] = {
    {"eq", TN_OP_EQ, QUANTIFIED},
    {"in", TN_OP_IN, LIST},
    {"is", TN_OP_IS, TRUTH},
    {"gt", TN_OP_GT, QUANTIFIED},
    {"lt", TN_OP_LT, QUANTIFIED},
    {"gte", TN_OP_GTE, QUANTIFIED},
    {"lte", TN_OP_LTE, QUANTIFIED},
    {"neq", TN_OP_NEQ, PLAIN},
    {"like", TN_OP_LIKE, QUANTIFIED},
    {"ilike", TN_OP_ILIKE, QUANTIFIED},
    {"cs", TN_OP_CS, PLAIN},
    {"cd", TN_OP_CD, PLAIN},
    {"ov", TN_OP_OV, PLAIN},
    {"sl", TN_OP_SL, PLAIN},
    {"sr", TN_OP_SR, PLAIN},
    {"nxr", TN_OP_NXR, PLAIN},
    {"nxl", TN_OP_NXL, PLAIN},
    {"adj", TN_OP_ADJ, PLAIN},
    {"fts", TN_OP_FTS, SEARCH},
    {"plfts", TN_OP_PLFTS, SEARCH},
    {"phfts", TN_OP_PHFTS, SEARCH},
    {"wfts", TN_OP_WFTS, SEARCH},
    {"match", TN_OP_MATCH, QUANTIFIED},
    {"imatch", TN_OP_IMATCH, QUANTIFIED},
    {"isdistinct", TN_OP_IS_DISTINCT, PLAIN},
};

const char *
tn_operator_name(tn_operator op)
{
    for (size_t i = 0; i < TN_COUNT(operations); i++)
        if (operations[i].op == op)
            return operations[i].name;
    return NULL;
}

const tn_error *
tn_value_read_plain(tn_reader *reader, const char **value)
{
    *value = reader->at;
    reader->at += strlen(reader->at);
    return NULL;
}

static bool
ends_value(char byte)
{
    return byte == '\0' || byte == ',' || byte == ')';
}

/* Quotes count only when they enclose the whole value; otherwise nothing is read. */
static char *
take_enclosed(tn_reader *reader)
{
    const char *start = reader->at;
    char *value = *start == '"' ? tn_reader_quoted(reader) : NULL;

    if (value != NULL && !ends_value(*reader->at)) {
        reader->at = start;
        return NULL;
    }
    return value;
}

static char *
take_until_end(tn_reader *reader)
{
    const char *start = reader->at;

    while (!ends_value(*reader->at))
        reader->at++;
    return tn_arena_bytes(reader->arena, start, (size_t)(reader->at - start));
}

const tn_error *
tn_value_read_in_logic(tn_reader *reader, const char **value)
{
    const char *start = reader->at;

    *value = take_enclosed(reader);
    if (*value != NULL)
        return NULL;
    if (*start == '{') {
        const char *end = start + 1 + strcspn(start + 1, "{}");

        if (*end == '}') {
            *value = tn_arena_bytes(reader->arena, start, (size_t)(end + 1 - start));
            reader->at = end + 1;
            return NULL;
        }
    }
    *value = take_until_end(reader);
    return NULL;
}

/* `in.()` and `in.("")` have no values; `in.(a,)` has an empty one. */
static const tn_error *
read_list(tn_reader *reader, tn_filter *filter)
{
    tn_list values = {0};
    const char **value;

    tn_reader_skip_blanks(reader);
    if (!tn_reader_take(reader, "("))
        return tn_reader_unexpected(reader, "\"(\"");
    tn_reader_skip_blanks(reader);
    do {
        value = tn_list_add(reader->arena, &values, sizeof(*value));
        TN_TRY(tn_reader_check_items(reader, values.count));
        *value = take_enclosed(reader);
        if (*value == NULL)
            *value = take_until_end(reader);
    } while (tn_reader_take(reader, ","));
    if (!tn_reader_take(reader, ")"))
        return tn_reader_unexpected(reader, "\",\" or \")\"");
    tn_reader_skip_blanks(reader);
    filter->values = values.items;
    filter->value_count = values.count == 1 && **value == '\0' ? 0 : values.count;
    return NULL;
}

static const tn_error *
read_truth(tn_reader *reader, tn_filter *filter)
{
    static const struct {
        const char *name;
        tn_is is;
    } truths[] = {{"null", TN_IS_NULL},
                  {"not_null", TN_IS_NOT_NULL},
                  {"true", TN_IS_TRUE},
                  {"false", TN_IS_FALSE},
                  {"unknown", TN_IS_UNKNOWN}};

    for (size_t i = 0; i < TN_COUNT(truths); i++) {
        const size_t length = strlen(truths[i].name);

        if (strncasecmp(reader->at, truths[i].name, length) == 0) {
            filter->is = truths[i].is;
            reader->at += length;
            return NULL;
        }
    }
    return tn_reader_unexpected(reader, "null, not_null, true, false or unknown");
}

static const struct operation *
take_operation(tn_reader *reader)
{
    const char *end = reader->at;
    size_t length;

    while (*end >= 'a' && *end <= 'z')
        end++;
    length = (size_t)(end - reader->at);
    for (size_t i = 0; i < TN_COUNT(operations); i++) {
        if (strncmp(operations[i].name, reader->at, length) == 0 &&
            operations[i].name[length] == '\0') {
            reader->at = end;
            return &operations[i];
        }
    }
    return NULL;
}

/* (any), (all), (config), as far as the operator takes one. */
static void
take_modifier(tn_reader *reader, enum form form, tn_filter *filter)
{
    const char *start = reader->at;

    if (form == QUANTIFIED) {
        if (tn_reader_take(reader, "(any)"))
            filter->quantifier = TN_QUANTIFIER_ANY;
        else if (tn_reader_take(reader, "(all)"))
            filter->quantifier = TN_QUANTIFIER_ALL;
    } else if (form == SEARCH && tn_reader_take(reader, "(") &&
               (tn_reader_word(reader, &filter->config) != NULL || !tn_reader_take(reader, ")"))) {
        reader->at = start;
    }
}

static const tn_error *
read_pattern(tn_reader *reader, tn_value_read *read_value, tn_filter *filter)
{
    char *pattern;

    TN_TRY(read_value(reader, &filter->value));
    if (strchr(filter->value, '*') == NULL)
        return NULL;
    pattern = tn_arena_text(reader->arena, filter->value);
    for (char *at = strchr(pattern, '*'); at != NULL; at = strchr(at, '*'))
        *at = '%';
    filter->value = pattern;
    return NULL;
}

const tn_error *
tn_operation_missing(const tn_reader *reader)
{
    return tn_reader_unexpected(reader, "\"not\" or operator (eq, gt, ...)");
}

const tn_error *
tn_operation_read(tn_reader *reader, tn_value_read *read_value, tn_filter *filter,
                  bool *is_operation)
{
    const struct operation *operation;
    const char *start;

    filter->is_negated = tn_reader_take(reader, "not.");
    start = reader->at;
    operation = take_operation(reader);
    if (operation != NULL) {
        take_modifier(reader, operation->form, filter);
        if (!tn_reader_take(reader, "."))
            operation = NULL;
    }
    *is_operation = operation != NULL;
    if (operation == NULL) {
        reader->at = start;
        filter->quantifier = TN_QUANTIFIER_NONE;
        filter->config = NULL;
        return filter->is_negated ? tn_operation_missing(reader) : NULL;
    }
    filter->op = operation->op;
    if (operation->form == LIST)
        return read_list(reader, filter);
    if (operation->form == TRUTH)
        return read_truth(reader, filter);
    if (operation->op == TN_OP_LIKE || operation->op == TN_OP_ILIKE)
        return read_pattern(reader, read_value, filter);
    return read_value(reader, &filter->value);
}
