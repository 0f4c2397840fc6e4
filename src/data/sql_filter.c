/* data/sql_filter.c: fields, conditions and order
 *
 * Values are parameters without a type, so that PostgreSQL gives them the type of what they are
 * compared with, and refuses what is no value of it with its own words.
 */
#include "data/sql_private.h"

static const char *const operators[] = {
    [TN_OP_EQ] = " = ",
    [TN_OP_NEQ] = " <> ",
    [TN_OP_GT] = " > ",
    [TN_OP_GTE] = " >= ",
    [TN_OP_LT] = " < ",
    [TN_OP_LTE] = " <= ",
    [TN_OP_LIKE] = " like ",
    [TN_OP_ILIKE] = " ilike ",
    [TN_OP_MATCH] = " ~ ",
    [TN_OP_IMATCH] = " ~* ",
    [TN_OP_IN] = " = any ",
    [TN_OP_IS_DISTINCT] = " is distinct from ",
    [TN_OP_CS] = " @> ",
    [TN_OP_CD] = " <@ ",
    [TN_OP_OV] = " && ",
    [TN_OP_SL] = " << ",
    [TN_OP_SR] = " >> ",
    [TN_OP_NXR] = " &< ",
    [TN_OP_NXL] = " &> ",
    [TN_OP_ADJ] = " -|- ",
    [TN_OP_FTS] = " @@ to_tsquery(",
    [TN_OP_PLFTS] = " @@ plainto_tsquery(",
    [TN_OP_PHFTS] = " @@ phraseto_tsquery(",
    [TN_OP_WFTS] = " @@ websearch_to_tsquery(",
};

static const char *const truths[] = {
    [TN_IS_NULL] = " is null",   [TN_IS_NOT_NULL] = " is not null", [TN_IS_TRUE] = " is true",
    [TN_IS_FALSE] = " is false", [TN_IS_UNKNOWN] = " is unknown",
};

/* A path into what is not JSON goes through to_jsonb(): arrays, composites, and also what the
 * catalog does not know. */
void
tn_sql_field(tn_sql_writer *writer, const char *alias, const tn_plan_field *field)
{
    const bool converts =
        field->step_count > 0 && (field->attribute == NULL || !field->attribute->is_json);

    tn_sql_add(writer, converts ? "to_jsonb(" : "");
    tn_sql_names(writer, alias, field->name);
    tn_sql_add(writer, converts ? ")" : "");
    for (size_t i = 0; i < field->step_count; i++) {
        const tn_json_step *step = &field->steps[i];

        tn_sql_add(writer, step->as_text ? "->>" : "->");
        if (i > 0 && field->steps[i - 1].as_text && !step->is_index)
            tn_sql_value(writer, step->key, NULL); /* text has no members: PostgreSQL says so */
        else
            tn_sql_key(writer, step->key, step->is_index);
    }
}

/* A domain may say how it looks: see docs/compatibility.md. A path into it is one into its base. */
static const tn_attribute *
represented(const tn_plan_field *field)
{
    return field->step_count == 0 ? field->attribute : NULL;
}

void
tn_sql_shown_field(tn_sql_writer *writer, const char *alias, const tn_plan_field *field)
{
    const tn_attribute *attribute = represented(field);

    if (attribute == NULL || attribute->to_json == NULL) {
        tn_sql_field(writer, alias, field);
        return;
    }
    tn_sql_add(writer, attribute->to_json);
    tn_sql_add(writer, "(");
    tn_sql_field(writer, alias, field);
    tn_sql_add(writer, ")");
}

/* The function that reads a value of the field, or NULL. */
static const char *
reader_of(const tn_plan_logic *logic)
{
    const tn_attribute *attribute = represented(&logic->field);

    return attribute != NULL && logic->filter->op != TN_OP_IS_DISTINCT ? attribute->from_text
                                                                       : NULL;
}

static void
add_read_value(tn_sql_writer *writer, const char *reader, const char *value)
{
    if (reader == NULL) {
        tn_sql_value(writer, value, NULL);
        return;
    }
    tn_sql_add(writer, reader);
    tn_sql_add(writer, "(");
    tn_sql_value(writer, value, "text");
    tn_sql_add(writer, ")");
}

/* The right side of `in`. */
static void
add_list(tn_sql_writer *writer, const char *reader, const tn_filter *filter)
{
    tn_sql_add(writer, "(");
    if (reader == NULL || filter->value_count == 0) {
        tn_sql_array(writer, filter->values, filter->value_count, NULL);
    } else {
        tn_sql_add(writer, "array(select ");
        tn_sql_add(writer, reader);
        tn_sql_add(writer, "(\"tenon.value\") from unnest(");
        tn_sql_array(writer, filter->values, filter->value_count, "text[]");
        tn_sql_add(writer, ") as \"tenon.values\"(\"tenon.value\"))");
    }
    tn_sql_add(writer, ")");
}

/* The right side of operators that take one value. */
static void
add_operand(tn_sql_writer *writer, const char *reader, const tn_filter *filter)
{
    switch (filter->quantifier) {
    case TN_QUANTIFIER_NONE:
        add_read_value(writer, reader, filter->value);
        return;
    case TN_QUANTIFIER_ANY:
        tn_sql_add(writer, "any (");
        break;
    case TN_QUANTIFIER_ALL:
        tn_sql_add(writer, "all (");
        break;
    }
    tn_sql_value(writer, filter->value, NULL);
    tn_sql_add(writer, ")");
}

static void
add_comparison(tn_sql_writer *writer, const tn_plan_logic *logic)
{
    const tn_filter *filter = logic->filter;
    const char *reader = reader_of(logic);

    if (filter->op == TN_OP_IS) {
        tn_sql_add(writer, truths[filter->is]);
        return;
    }
    tn_sql_add(writer, operators[filter->op]);
    switch (filter->op) {
    case TN_OP_IN:
        add_list(writer, reader, filter);
        break;
    case TN_OP_FTS:
    case TN_OP_PLFTS:
    case TN_OP_PHFTS:
    case TN_OP_WFTS:
        if (filter->config != NULL) {
            tn_sql_value(writer, filter->config, "regconfig");
            tn_sql_add(writer, ", ");
        }
        tn_sql_value(writer, filter->value, NULL);
        tn_sql_add(writer, ")");
        break;
    default:
        add_operand(writer, reader, filter);
    }
}

/* What the terms of a tree are about: rows that `alias` names, of this node. */
struct subject {
    const tn_plan_node *node;
    const char *alias;
};

static void add_logic(tn_sql_writer *writer, const struct subject *subject,
                      const tn_plan_logic *logic);

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_terms(tn_sql_writer *writer, const struct subject *subject, const tn_plan_logic *logic)
{
    const char *between = logic->kind == TN_PLAN_AND ? " and " : " or ";

    tn_sql_add(writer, "(");
    for (size_t i = 0; i < logic->term_count; i++) {
        tn_sql_add(writer, i == 0 ? "" : between);
        add_logic(writer, subject, &logic->terms[i]);
    }
    tn_sql_add(writer, ")");
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
add_logic(tn_sql_writer *writer, const struct subject *subject, const tn_plan_logic *logic)
{
    /* `is null` of an embed is `not exists` */
    const bool is_null_test = logic->kind == TN_PLAN_EMBED_IS_NULL;

    tn_sql_add(writer, logic->is_negated != is_null_test ? "not " : "");
    switch (logic->kind) {
    case TN_PLAN_FILTER:
        tn_sql_add(writer, "(");
        tn_sql_field(writer, subject->alias, &logic->field);
        add_comparison(writer, logic);
        tn_sql_add(writer, ")");
        break;
    case TN_PLAN_AND:
    case TN_PLAN_OR:
        add_terms(writer, subject, logic);
        break;
    case TN_PLAN_EMBED_IS_NULL:
        tn_sql_exists(writer, subject->node, logic->embed);
        break;
    }
}

void
tn_sql_conditions(tn_sql_writer *writer, const tn_plan_node *node, const char *alias,
                  bool *has_where)
{
    const struct subject subject = {node, alias};

    for (size_t i = 0; i < node->condition_count; i++) {
        tn_sql_and(writer, has_where);
        add_logic(writer, &subject, &node->conditions[i]);
    }
}

/* A path into a column of an embed goes through to_jsonb(): what the embed selects may have been
 * cast.
 */
static void
add_ordered_field(tn_sql_writer *writer, const tn_plan_node *node, const tn_plan_order *order)
{
    tn_plan_field field = order->field;

    if (order->embed != NULL)
        field.attribute = NULL;
    tn_sql_field(writer, order->embed != NULL ? order->embed->joined_alias : node->alias, &field);
}

void
tn_sql_order(tn_sql_writer *writer, const tn_plan_node *node)
{
    static const char *const directions[] = {
        [TN_DIRECTION_DEFAULT] = "", [TN_DIRECTION_ASC] = " asc", [TN_DIRECTION_DESC] = " desc"};
    static const char *const nulls[] = {[TN_NULLS_DEFAULT] = "",
                                        [TN_NULLS_FIRST] = " nulls first",
                                        [TN_NULLS_LAST] = " nulls last"};

    for (size_t i = 0; i < node->order_count; i++) {
        tn_sql_add(writer, i == 0 ? " order by " : ", ");
        add_ordered_field(writer, node, &node->order[i]);
        tn_sql_add(writer, directions[node->order[i].direction]);
        tn_sql_add(writer, nulls[node->order[i].nulls]);
    }
}
