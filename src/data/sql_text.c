/* data/sql_text.c: names, parameters and casts of a statement that is being written */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "data/sql_private.h"

#define FIRST_PARAMETERS 16

void
tn_sql_begin(tn_sql_writer *writer, tn_arena *arena, const tn_data_plan *plan)
{
    *writer = (tn_sql_writer){.arena = arena, .plan = plan, .text = tn_arena_buffer(arena)};
}

void
tn_sql_end(tn_sql_writer *writer, tn_data_sql *sql)
{
    *sql = (tn_data_sql){
        .text = tn_buffer_text(writer->text),
        .parameters = writer->parameters,
        .lengths = writer->lengths,
        .formats = writer->formats,
        .parameter_count = writer->count,
    };
}

void
tn_sql_add(tn_sql_writer *writer, const char *sql)
{
    appendPQExpBufferStr(writer->text, sql);
}

void
tn_sql_name(tn_sql_writer *writer, const char *name)
{
    tn_buffer_identifier(writer->text, name);
}

void
tn_sql_names(tn_sql_writer *writer, const char *first, const char *second)
{
    tn_sql_name(writer, first);
    appendPQExpBufferChar(writer->text, '.');
    tn_sql_name(writer, second);
}

static void
grow(tn_sql_writer *writer)
{
    const size_t capacity = writer->capacity == 0 ? FIRST_PARAMETERS : 2 * writer->capacity;
    const char **parameters = tn_arena_alloc(writer->arena, capacity, sizeof *parameters);

    if (writer->count > 0)
        memcpy(parameters, writer->parameters, writer->count * sizeof *parameters);
    if (writer->formats != NULL) {
        int *lengths = tn_arena_alloc(writer->arena, capacity, sizeof *lengths);
        int *formats = tn_arena_alloc(writer->arena, capacity, sizeof *formats);

        memcpy(lengths, writer->lengths, writer->count * sizeof *lengths);
        memcpy(formats, writer->formats, writer->count * sizeof *formats);
        writer->lengths = lengths;
        writer->formats = formats;
    }
    writer->parameters = parameters;
    writer->capacity = capacity;
}

void
tn_sql_value(tn_sql_writer *writer, const char *value, const char *type)
{
    if (writer->count == writer->capacity)
        grow(writer);
    writer->parameters[writer->count++] = value;
    appendPQExpBuffer(writer->text, "$%zu", writer->count);
    if (type != NULL)
        appendPQExpBuffer(writer->text, "::%s", type);
}

void
tn_sql_number(tn_sql_writer *writer, int64_t value)
{
    tn_sql_value(writer, tn_arena_printf(writer->arena, "%" PRId64, value), "bigint");
}

void
tn_sql_limit(tn_sql_writer *writer, int64_t limit)
{
    appendPQExpBuffer(writer->text, " limit %" PRId64, limit);
}

void
tn_sql_array(tn_sql_writer *writer, const char *const *values, size_t count, const char *type)
{
    PQExpBuffer array = tn_arena_buffer(writer->arena);

    tn_buffer_array(array, values, count);
    tn_sql_value(writer, tn_buffer_text(array), type);
}

void
tn_sql_bytes(tn_sql_writer *writer, const char *bytes, size_t length, const char *type)
{
    assert(length <= INT32_MAX);
    tn_sql_value(writer, bytes, type);
    if (writer->formats == NULL) {
        writer->lengths = tn_arena_alloc(writer->arena, writer->capacity, sizeof(int));
        writer->formats = tn_arena_alloc(writer->arena, writer->capacity, sizeof(int));
    }
    writer->lengths[writer->count - 1] = (int)length;
    writer->formats[writer->count - 1] = 1;
}

void
tn_sql_key(tn_sql_writer *writer, const char *key, bool is_index)
{
    const char *type = is_index ? "int" : "text";
    const size_t known = writer->key_count < TN_SQL_KEYS ? writer->key_count : TN_SQL_KEYS;
    size_t next;

    for (size_t i = 0; i < known; i++)
        if (writer->keys[i].is_index == is_index &&
            strcmp(writer->parameters[writer->keys[i].number - 1], key) == 0) {
            appendPQExpBuffer(writer->text, "$%zu::%s", writer->keys[i].number, type);
            return;
        }
    tn_sql_value(writer, key, type);
    next = writer->key_count++ % TN_SQL_KEYS;
    writer->keys[next].number = writer->count;
    writer->keys[next].is_index = is_index;
}

static bool
is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

/* Letters, digits, _ and $, begun by a letter: a keyword or an unquoted identifier in any place. */
static bool
is_word(const char *word, size_t length)
{
    if (!is_word_start(word[0]))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!is_word_start(word[i]) && !(word[i] >= '0' && word[i] <= '9') && word[i] != '$')
            return false;
    return true;
}

void
tn_sql_cast_type(tn_sql_writer *writer, const char *cast)
{
    bool is_first = true;

    for (const char *word = cast; *word != '\0';) {
        const size_t length = strcspn(word, " ");

        if (length == 0) {
            word++;
            continue;
        }
        if (!is_first)
            appendPQExpBufferChar(writer->text, ' ');
        if (is_word(word, length))
            appendBinaryPQExpBuffer(writer->text, word, length);
        else
            tn_sql_name(writer, tn_arena_bytes(writer->arena, word, length));
        word += length;
        is_first = false;
    }
    if (is_first) /* no word at all: a type that there is not */
        tn_sql_name(writer, " ");
}

void
tn_sql_fail(tn_sql_writer *writer, const tn_sql_failure *failure)
{
    appendPQExpBuffer(writer->text, "tenon.fail(%d, '%s', '%s', %s, ", failure->status,
                      failure->code, failure->message,
                      failure->details == NULL ? "null" : failure->details);
    if (failure->hint == NULL)
        tn_sql_add(writer, "null)");
    else
        appendPQExpBuffer(writer->text, "'%s')", failure->hint);
}

void
tn_sql_and(tn_sql_writer *writer, bool *has_where)
{
    tn_sql_add(writer, *has_where ? " and " : " where ");
    *has_where = true;
}
