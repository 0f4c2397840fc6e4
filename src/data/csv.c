/* data/csv.c: fields become members as they are read
 *
 * Names that stand twice become members that stand twice, and PostgreSQL lets the last one count.
 */
#include "data/csv.h"

#include <string.h>

#include "base/text.h"
#include "data/json_text.h"
#include "data/list.h"

/* What names of columns may make of a body: its length times GROWTH_MAX, as long as that is not
 * much memory; beyond, its length times LARGE_GROWTH_MAX. Never what no text of PostgreSQL can
 * hold. */
#define GROWTH_MAX 32
#define LARGE_GROWTH_MAX 4
#define SMALL_MAX ((size_t)1 << 20)
#define LARGE_MAX ((size_t)1 << 26)
#define OUT_MAX ((size_t)1 << 30)

#define MEMBERS_MAX 1600 /* no table has more columns */

struct csv {
    tn_arena *arena;
    const char *at, *end;
    PQExpBuffer field; /* the one just read, without quotes */
    bool is_row_end;   /* a line break or the end followed it */
    size_t out_max;
    tn_list names; /* as JSON strings, with their quotes */
};

static const tn_error *
bad_csv(const struct csv *csv, const char *problem)
{
    const size_t left = (size_t)(csv->end - csv->at);

    return tn_error_new(csv->arena, 400, "PGRST102", NULL, "parse error (%s) at \"%.*s\"", problem,
                        (int)(left < 20 ? left : 20), csv->at);
}

/* Whether a line break comes; moves over it. */
static bool
take_break(struct csv *csv)
{
    const char *start = csv->at;

    while (csv->at < csv->end && *csv->at == '\r')
        csv->at++;
    if (csv->at < csv->end && *csv->at == '\n')
        csv->at++;
    return csv->at > start;
}

static const tn_error *
read_quoted(struct csv *csv)
{
    csv->at++;
    for (;;) {
        const char *quote = memchr(csv->at, '"', (size_t)(csv->end - csv->at));

        if (quote == NULL)
            return bad_csv(csv, "a quoted field has no end");
        appendBinaryPQExpBuffer(csv->field, csv->at, (size_t)(quote - csv->at));
        csv->at = quote + 1;
        if (csv->at == csv->end || *csv->at != '"')
            return NULL;
        appendPQExpBufferChar(csv->field, '"');
        csv->at++;
    }
}

static const tn_error *
read_plain(struct csv *csv)
{
    const char *start = csv->at;

    while (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n' && *csv->at != '\r') {
        if (*csv->at == '"')
            return bad_csv(csv, "a quote within a field that is not quoted");
        csv->at++;
    }
    appendBinaryPQExpBuffer(csv->field, start, (size_t)(csv->at - start));
    return NULL;
}

static const tn_error *
read_field(struct csv *csv)
{
    resetPQExpBuffer(csv->field);
    if (csv->at < csv->end && *csv->at == '"')
        TN_TRY(read_quoted(csv));
    else
        TN_TRY(read_plain(csv));
    if (csv->at < csv->end && *csv->at == ',') {
        csv->at++;
        csv->is_row_end = false;
        return NULL;
    }
    csv->is_row_end = true;
    return csv->at == csv->end || take_break(csv) ? NULL : bad_csv(csv, "text behind a quote");
}

/* How long the JSON of `length` bytes may be. */
static size_t
out_max(size_t length)
{
    const size_t small = length >= OUT_MAX / GROWTH_MAX ? OUT_MAX : length * GROWTH_MAX + SMALL_MAX;
    const size_t large = length >= OUT_MAX / LARGE_GROWTH_MAX ? OUT_MAX : length * LARGE_GROWTH_MAX;

    if (small <= LARGE_MAX)
        return small;
    return large > LARGE_MAX ? large : LARGE_MAX;
}

static const tn_error *
check_members(tn_arena *arena, size_t members)
{
    if (members > MEMBERS_MAX)
        return tn_error_new(arena, 400, "too_many_items", NULL, "no table has more than %d columns",
                            MEMBERS_MAX);
    return NULL;
}

static const tn_error *
read_names(struct csv *csv)
{
    PQExpBuffer json = tn_arena_buffer(csv->arena);

    do {
        const char **name = tn_list_add(csv->arena, &csv->names, sizeof(*name));

        TN_TRY(check_members(csv->arena, csv->names.count));
        TN_TRY(read_field(csv));
        resetPQExpBuffer(json);
        tn_buffer_json_bytes(json, csv->field->data, csv->field->len);
        *name = tn_arena_bytes(csv->arena, json->data, json->len);
    } while (!csv->is_row_end);
    return NULL;
}

static void
put_field(PQExpBuffer out, PQExpBuffer field)
{
    if (strcmp(field->data, "NULL") == 0)
        appendPQExpBufferStr(out, "null");
    else
        tn_buffer_json_bytes(out, field->data, field->len);
}

/* One line as an object. An empty one, and one of a single empty field, leaves nothing. */
static const tn_error *
read_row(struct csv *csv, PQExpBuffer out, size_t *fields)
{
    const char *const *names = csv->names.items;
    const size_t start = out->len;
    bool is_empty;

    *fields = 0;
    appendPQExpBufferChar(out, '{');
    do {
        TN_TRY(read_field(csv));
        is_empty = csv->is_row_end && *fields == 0 && csv->field->len == 0;
        if (*fields == csv->names.count)
            continue;
        appendPQExpBuffer(out, "%s%s:", *fields == 0 ? "" : ",", names[*fields]);
        put_field(out, csv->field);
        ++*fields;
    } while (!csv->is_row_end);
    appendPQExpBufferChar(out, '}');
    if (is_empty) {
        out->len = start;
        out->data[start] = '\0';
        *fields = 0;
    }
    return NULL;
}

static const tn_error *
read_rows(struct csv *csv, PQExpBuffer out, tn_payload *payload)
{
    size_t fields, fields_of_first = 0;

    while (csv->at < csv->end) {
        const size_t before = out->len;

        appendPQExpBufferStr(out, payload->row_count == 0 ? "" : ",");
        TN_TRY(read_row(csv, out, &fields));
        if (fields == 0) {
            out->len = before;
            out->data[before] = '\0';
            continue;
        }
        if (payload->row_count++ == 0)
            fields_of_first = fields;
        if (out->len > csv->out_max)
            return tn_error_new(csv->arena, 413, "body_too_large", "Send fewer lines, or JSON.",
                                "the CSV is too large as JSON");
        if (fields != fields_of_first)
            return tn_error_new(csv->arena, 400, "PGRST102", NULL,
                                "All lines must have same number of fields");
    }
    return NULL;
}

/* The keys of the JSON text that was made; its names may hold escapes and stand twice. */
static const tn_error *
take_keys(tn_arena *arena, PQExpBuffer out, tn_payload *payload)
{
    tn_json_shape text;

    payload->json = tn_buffer_text(out);
    payload->length = out->len;
    if (tn_json_text_read(arena, payload->json, payload->length, 2, &text) != TN_JSON_GOOD)
        return tn_error_new(arena, 400, "PGRST102", NULL, "a name holds NUL");
    payload->keys = text.keys;
    payload->key_count = text.key_count;
    return NULL;
}

const tn_error *
tn_csv_read(tn_arena *arena, const char *text, size_t length, tn_payload *payload)
{
    struct csv csv = {.arena = arena, .at = text, .end = text + length};
    PQExpBuffer out = tn_arena_buffer(arena);

    *payload = (tn_payload){.is_array = true};
    csv.field = tn_arena_buffer(arena);
    csv.out_max = out_max(length);
    if (!tn_text_is_utf8(text, length))
        return tn_error_new(arena, 400, "PGRST102", "Encode it as UTF-8.",
                            "parse error (invalid UTF-8)");
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        csv.at += 3;
    TN_TRY(read_names(&csv));
    if (csv.at == csv.end && (csv.end == text || strchr("\r\n", csv.end[-1]) == NULL))
        return bad_csv(&csv, "not enough input");
    appendPQExpBufferChar(out, '[');
    TN_TRY(read_rows(&csv, out, payload));
    appendPQExpBufferChar(out, ']');
    return take_keys(arena, out, payload);
}

static const tn_error *
put_member(tn_arena *arena, PQExpBuffer out, const char *part, size_t length)
{
    const char *equals = memchr(part, '=', length);
    const size_t name_length = equals == NULL ? length : (size_t)(equals - part);
    const char *name = tn_text_url_decode(arena, part, name_length, true);
    const char *value =
        equals == NULL ? "" : tn_text_url_decode(arena, equals + 1, length - name_length - 1, true);

    if (name == NULL || value == NULL)
        return tn_error_new(arena, 400, "PGRST102", "Encode it as UTF-8.",
                            "the form has invalid UTF-8 or NUL");
    appendPQExpBufferStr(out, out->len == 1 ? "" : ",");
    tn_buffer_json_string(out, name);
    appendPQExpBufferChar(out, ':');
    tn_buffer_json_string(out, value);
    return NULL;
}

const tn_error *
tn_form_read(tn_arena *arena, const char *text, size_t length, tn_payload *payload)
{
    PQExpBuffer out = tn_arena_buffer(arena);
    const char *end = text + length;
    size_t members = 0;

    *payload = (tn_payload){.row_count = 1};
    appendPQExpBufferChar(out, '{');
    while (text < end) {
        const char *stop = text;

        while (stop < end && *stop != '&' && *stop != ';')
            stop++;
        TN_TRY(check_members(arena, ++members));
        TN_TRY(put_member(arena, out, text, (size_t)(stop - text)));
        text = stop + 1;
    }
    appendPQExpBufferChar(out, '}');
    TN_TRY(take_keys(arena, out, payload));
    payload->is_empty_object = payload->key_count == 0;
    return NULL;
}
