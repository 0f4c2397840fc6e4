/* data/json_text.c: RFC 8259 by recursive descent, as deep as allowed */
#include "data/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/list.h"

struct key {
    const char *text;
    size_t length;
    size_t place; /* in its object */
    size_t row;   /* the last one in which it was seen */
};

struct scan {
    tn_arena *arena;
    const char *at, *end;
    int64_t depth;
    bool is_too_deep, is_uneven;
    struct key *keys;   /* of the first row, in its order, each once */
    struct key **index; /* the same by text */
    size_t key_count, rows;
    size_t next, seen;   /* of the row being read: the key expected, those found */
    PQExpBuffer scratch; /* a key with escapes */
};

static bool skip_value(struct scan *scan, int64_t level);

static void
skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static bool
take(struct scan *scan, char byte)
{
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

static bool
take_word(struct scan *scan, const char *word)
{
    const size_t length = strlen(word);

    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return true;
}

static bool
skip_digits(struct scan *scan)
{
    const char *start = scan->at;

    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start;
}

static bool
skip_number(struct scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && !skip_digits(scan))
        return false;
    if (take(scan, '.') && !skip_digits(scan))
        return false;
    if (!take(scan, 'e') && !take(scan, 'E'))
        return true;
    if (!take(scan, '+'))
        (void)take(scan, '-');
    return skip_digits(scan);
}

/* The four digits of \u. */
static bool
take_unit(struct scan *scan, unsigned int *unit)
{
    *unit = 0;
    if (scan->end - scan->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        const char digit = *scan->at++;
        const char letter = (char)(digit | 0x20);

        if (digit >= '0' && digit <= '9')
            *unit = *unit * 16 + (unsigned int)(digit - '0');
        else if (letter >= 'a' && letter <= 'f')
            *unit = *unit * 16 + (unsigned int)(letter - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* What stands behind a backslash, as a code point. */
static bool
take_escape(struct scan *scan, unsigned int *point)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    unsigned int low;

    if (scan->at == scan->end || *scan->at == '\0')
        return false;
    if (!take(scan, 'u')) {
        letter = strchr(letters, *scan->at++);
        *point = letter == NULL ? 0 : (unsigned char)meanings[letter - letters];
        return letter != NULL;
    }
    if (!take_unit(scan, point) || (*point >= 0xDC00 && *point <= 0xDFFF))
        return false;
    if (*point < 0xD800 || *point > 0xDBFF)
        return true;
    if (!take_word(scan, "\\u") || !take_unit(scan, &low) || low < 0xDC00 || low > 0xDFFF)
        return false;
    *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* To behind the closing quote; `has_escapes` may be NULL. */
static bool
skip_string(struct scan *scan, bool *has_escapes)
{
    while (scan->at < scan->end) {
        const unsigned char byte = (unsigned char)*scan->at;
        size_t size = 1;
        unsigned int point;

        if (byte == '"') {
            scan->at++;
            return true;
        }
        if (byte == '\\') {
            scan->at++;
            if (!take_escape(scan, &point))
                return false;
            if (has_escapes != NULL)
                *has_escapes = true;
            continue;
        }
        if (byte >= 0x80)
            size = tn_text_utf8_size(scan->at, (size_t)(scan->end - scan->at));
        if (byte < ' ' || size == 0)
            return false;
        scan->at += size;
    }
    return false;
}

static void
put_point(PQExpBuffer out, unsigned int point)
{
    if (point < 0x80) {
        appendPQExpBufferChar(out, (char)point);
        return;
    }
    if (point < 0x800) {
        appendPQExpBufferChar(out, (char)(0xC0 | point >> 6));
    } else {
        if (point < 0x10000) {
            appendPQExpBufferChar(out, (char)(0xE0 | point >> 12));
        } else {
            appendPQExpBufferChar(out, (char)(0xF0 | point >> 18));
            appendPQExpBufferChar(out, (char)(0x80 | (point >> 12 & 0x3F)));
        }
        appendPQExpBufferChar(out, (char)(0x80 | (point >> 6 & 0x3F)));
    }
    appendPQExpBufferChar(out, (char)(0x80 | (point & 0x3F)));
}

/* The key between `start` and `end`, which has been checked, without its escapes. It lives until
 * the next one. */
static bool
unescape(struct scan *scan, const char *start, const char *end, struct key *key)
{
    struct scan inner = {.at = start, .end = end};

    if (scan->scratch == NULL)
        scan->scratch = tn_arena_buffer(scan->arena);
    resetPQExpBuffer(scan->scratch);
    while (inner.at < end) {
        unsigned int point;

        if (*inner.at != '\\') {
            appendPQExpBufferChar(scan->scratch, *inner.at++);
            continue;
        }
        inner.at++;
        if (!take_escape(&inner, &point) || point == 0)
            return false;
        put_point(scan->scratch, point);
    }
    key->text = tn_buffer_text(scan->scratch);
    key->length = scan->scratch->len;
    return true;
}

/* "key" : */
static bool
take_key(struct scan *scan, struct key *key)
{
    bool has_escapes = false;
    const char *start;

    skip_blanks(scan);
    if (!take(scan, '"'))
        return false;
    start = scan->at;
    if (!skip_string(scan, &has_escapes))
        return false;
    key->text = start;
    key->length = (size_t)(scan->at - 1 - start);
    if (has_escapes && !unescape(scan, start, scan->at - 1, key))
        return false;
    skip_blanks(scan);
    return take(scan, ':');
}

static int
compare_keys(const struct key *a, const struct key *b)
{
    const size_t shorter = a->length < b->length ? a->length : b->length;
    const int order = memcmp(a->text, b->text, shorter);

    if (order != 0)
        return order;
    return a->length < b->length ? -1 : a->length > b->length ? 1 : 0;
}

static int
compare_for_index(const void *left, const void *right)
{
    const struct key *const *a = left, *const *b = right;
    const int order = compare_keys(*a, *b);

    return order != 0 ? order : (*a)->place < (*b)->place ? -1 : 1;
}

/* The keys of the first row: each once, in their order, and findable by text. */
static void
index_keys(struct scan *scan, const tn_list *list)
{
    struct key *all = list->items;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it is of */
    struct key **index = tn_arena_alloc(scan->arena, list->count + 1, sizeof(*index));
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        index[i] = &all[i];
    if (list->count > 1)
        qsort(index, list->count, sizeof(struct key *), compare_for_index);
    for (size_t i = 0; i < list->count; i++)
        if (i == 0 || compare_keys(index[count - 1], index[i]) != 0)
            index[count++] = index[i];
    scan->key_count = count;
    scan->index = index;
    scan->keys = tn_arena_alloc(scan->arena, count + 1, sizeof(*scan->keys));
    for (size_t i = 0; i < count; i++)
        index[i]->row = 1; /* the others of the same text keep 0 */
    count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (all[i].row == 0)
            continue;
        scan->keys[count] = all[i];
        all[i].place = count++;
    }
    for (size_t i = 0; i < count; i++)
        index[i] = &scan->keys[index[i]->place];
}

static struct key *
find_key(const struct scan *scan, const struct key *key)
{
    size_t low = 0, high = scan->key_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare_keys(scan->index[middle], key);

        if (order == 0)
            return scan->index[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

typedef void key_seen(struct scan *scan, const struct key *key, tn_list *list);

/* What follows `{`. Each key is shown to `on_key`, unless that is NULL. */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.json_depth */
skip_members(struct scan *scan, int64_t level, key_seen *on_key, tn_list *list)
{
    struct key key = {0};

    skip_blanks(scan);
    if (take(scan, '}'))
        return true;
    do {
        if (!take_key(scan, &key))
            return false;
        if (on_key != NULL)
            on_key(scan, &key, list);
        if (!skip_value(scan, level))
            return false;
    } while (take(scan, ','));
    return take(scan, '}');
}

static void
collect_key(struct scan *scan, const struct key *key, tn_list *list)
{
    struct key *kept = tn_list_add(scan->arena, list, sizeof(*kept));

    kept->text = tn_arena_bytes(scan->arena, key->text, key->length);
    kept->length = key->length;
    kept->place = list->count - 1;
}

/* Keys usually come in the order of the first row. */
static void
check_key(struct scan *scan, const struct key *key, tn_list *list)
{
    struct key *known = scan->next < scan->key_count ? &scan->keys[scan->next] : NULL;

    (void)list;
    if (known == NULL || compare_keys(known, key) != 0)
        known = find_key(scan, key);
    scan->next++;
    if (known == NULL) {
        scan->is_uneven = true;
    } else if (known->row != scan->rows) {
        known->row = scan->rows;
        scan->seen++;
    }
}

/* An object whose keys count. */
static bool
skip_row(struct scan *scan, int64_t level)
{
    tn_list list = {0};
    bool is_good;

    scan->rows++;
    if (!take(scan, '{')) {
        scan->is_uneven = true;
        return skip_value(scan, level);
    }
    if (++level > scan->depth) {
        scan->is_too_deep = true;
        return false;
    }
    if (scan->index == NULL) { /* the first object */
        is_good = skip_members(scan, level, collect_key, &list);
        index_keys(scan, &list);
    } else {
        scan->next = scan->seen = 0;
        is_good = skip_members(scan, level, check_key, NULL);
        scan->is_uneven |= scan->seen != scan->key_count;
    }
    skip_blanks(scan);
    return is_good;
}

/* What follows `[`, of values or of rows. */
static bool
skip_items(struct scan *scan, int64_t level, bool (*skip_item)(struct scan *scan, int64_t level))
{
    skip_blanks(scan);
    if (take(scan, ']'))
        return true;
    do {
        skip_blanks(scan);
        if (!skip_item(scan, level))
            return false;
    } while (take(scan, ','));
    return take(scan, ']');
}

/* A value with the blanks around it, which stands `level` brackets deep. */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): bounded by data.json_depth */
skip_value(struct scan *scan, int64_t level)
{
    bool is_good;

    skip_blanks(scan);
    if (scan->at == scan->end)
        return false;
    if ((*scan->at == '{' || *scan->at == '[') && level >= scan->depth) {
        scan->is_too_deep = true;
        return false;
    }
    switch (*scan->at) {
    case '{':
        scan->at++;
        is_good = skip_members(scan, level + 1, NULL, NULL);
        break;
    case '[':
        scan->at++;
        is_good = skip_items(scan, level + 1, skip_value);
        break;
    case '"':
        scan->at++;
        is_good = skip_string(scan, NULL);
        break;
    case 't':
        is_good = take_word(scan, "true");
        break;
    case 'f':
        is_good = take_word(scan, "false");
        break;
    case 'n':
        is_good = take_word(scan, "null");
        break;
    default:
        is_good = skip_number(scan);
    }
    skip_blanks(scan);
    return is_good;
}

static bool
skip_text(struct scan *scan, tn_json_shape *result)
{
    bool is_good;

    skip_blanks(scan);
    result->is_object = scan->at < scan->end && *scan->at == '{';
    result->is_array = scan->at < scan->end && *scan->at == '[';
    if (result->is_object) {
        is_good = skip_row(scan, 0);
    } else if (result->is_array && scan->depth > 0) {
        scan->at++;
        is_good = skip_items(scan, 1, skip_row);
    } else {
        is_good = skip_value(scan, 0);
    }
    skip_blanks(scan);
    return is_good && scan->at == scan->end;
}

tn_json_verdict
tn_json_text_read(tn_arena *arena, const char *text, size_t length, int64_t depth,
                  tn_json_shape *result)
{
    struct scan scan = {.arena = arena, .at = text, .end = text + length, .depth = depth};
    const char **keys;

    *result = (tn_json_shape){0};
    if (!skip_text(&scan, result))
        return scan.is_too_deep ? TN_JSON_TOO_DEEP : TN_JSON_BAD;
    if (scan.is_uneven)
        return TN_JSON_UNEVEN;
    keys = tn_arena_alloc(arena, scan.key_count + 1, sizeof(*keys));
    for (size_t i = 0; i < scan.key_count; i++)
        keys[i] = scan.keys[i].text;
    result->keys = keys;
    result->key_count = scan.key_count;
    result->row_count = scan.rows;
    return TN_JSON_GOOD;
}
