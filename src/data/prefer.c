/* data/prefer.c: a list of name=value, each of which is known or is not */
#include "data/prefer.h"

#include <string.h>

#include "base/text.h"

enum member { RETURN, COUNT, RESOLUTION, MISSING, TX, HANDLING, PARAMS };

static const struct preference {
    const char *text;
    enum member member;
    int value;
} preferences[] = {
    {"return=minimal", RETURN, TN_RETURN_MINIMAL},
    {"return=headers-only", RETURN, TN_RETURN_HEADERS_ONLY},
    {"return=representation", RETURN, TN_RETURN_REPRESENTATION},
    {"count=exact", COUNT, TN_COUNT_EXACT},
    {"count=planned", COUNT, TN_COUNT_PLANNED},
    {"count=estimated", COUNT, TN_COUNT_ESTIMATED},
    {"resolution=merge-duplicates", RESOLUTION, TN_RESOLUTION_MERGE},
    {"resolution=ignore-duplicates", RESOLUTION, TN_RESOLUTION_IGNORE},
    {"missing=default", MISSING, TN_MISSING_DEFAULT},
    {"missing=null", MISSING, TN_MISSING_NULL},
    {"tx=commit", TX, TN_TX_COMMIT},
    {"tx=rollback", TX, TN_TX_ROLLBACK},
    {"handling=lenient", HANDLING, TN_HANDLING_LENIENT},
    {"handling=strict", HANDLING, TN_HANDLING_STRICT},
    {"params=single-object", PARAMS, 1},
};

/* The value that counts: the one that was there, or the first to come. */
static int
first_of(int known, int value)
{
    return known != 0 ? known : value;
}

static void
set_member(tn_prefer *prefer, enum member member, int value)
{
    switch (member) {
    case RETURN:
        prefer->returning = (tn_prefer_return)first_of((int)prefer->returning, value);
        break;
    case COUNT:
        prefer->count = (tn_prefer_count)first_of((int)prefer->count, value);
        break;
    case RESOLUTION:
        prefer->resolution = (tn_prefer_resolution)first_of((int)prefer->resolution, value);
        break;
    case MISSING:
        prefer->missing = (tn_prefer_missing)first_of((int)prefer->missing, value);
        break;
    case TX:
        prefer->tx = (tn_prefer_tx)first_of((int)prefer->tx, value);
        break;
    case HANDLING:
        prefer->handling = (tn_prefer_handling)first_of((int)prefer->handling, value);
        break;
    case PARAMS:
        prefer->single_object = true;
        break;
    }
}

static bool
set_max_affected(tn_prefer *prefer, const char *value)
{
    int64_t rows;

    if (!tn_text_int(value, 0, INT64_MAX, &rows))
        return false;
    if (!prefer->has_max_affected)
        prefer->max_affected = rows;
    prefer->has_max_affected = true;
    return true;
}

static bool
set_preference(tn_prefer *prefer, const char *text)
{
    static const char time_zone[] = "timezone=", max_affected[] = "max-affected=";

    for (size_t i = 0; i < TN_COUNT(preferences); i++) {
        if (strcmp(preferences[i].text, text) == 0) {
            set_member(prefer, preferences[i].member, preferences[i].value);
            return true;
        }
    }
    if (tn_text_starts(text, time_zone)) {
        if (prefer->time_zone == NULL)
            prefer->time_zone = text + strlen(time_zone);
        return true;
    }
    return tn_text_starts(text, max_affected) &&
           set_max_affected(prefer, text + strlen(max_affected));
}

void
tn_prefer_parse(tn_arena *arena, const char *header, tn_prefer *prefer)
{
    PQExpBuffer unknown = NULL;

    *prefer = (tn_prefer){0};
    while (header != NULL && *header != '\0') {
        size_t length = strcspn(header, ",");
        const char *next = header + length + (header[length] == ',' ? 1 : 0);
        const char *text;

        for (; length > 0 && strchr(" \t", *header) != NULL; length--)
            header++;
        while (length > 0 && strchr(" \t", header[length - 1]) != NULL)
            length--;
        text = tn_arena_bytes(arena, header, length);
        if (length > 0 && !set_preference(prefer, text)) {
            if (unknown == NULL)
                unknown = tn_arena_buffer(arena);
            appendPQExpBuffer(unknown, "%s%s", unknown->len == 0 ? "" : ", ", text);
        }
        header = next;
    }
    prefer->unknown = unknown == NULL ? NULL : tn_buffer_text(unknown);
}

const tn_error *
tn_prefer_check(tn_arena *arena, const tn_prefer *prefer)
{
    tn_error *error;

    if (prefer->handling != TN_HANDLING_STRICT || prefer->unknown == NULL)
        return NULL;
    error = tn_error_new(arena, 400, "PGRST122", NULL,
                         "Invalid preferences given with handling=strict");
    error->details = tn_arena_printf(arena, "Invalid preferences: %s", prefer->unknown);
    return error;
}

static void
put(PQExpBuffer out, const char *text)
{
    appendPQExpBuffer(out, "%s%s", out->len == 0 ? "" : ", ", text);
}

/* The preference as the client wrote it, when it set `member` to `value`. */
static void
put_member(PQExpBuffer out, enum member member, int value)
{
    for (size_t i = 0; i < TN_COUNT(preferences); i++)
        if (preferences[i].member == member && preferences[i].value == value)
            put(out, preferences[i].text);
}

const char *
tn_prefer_applied(tn_arena *arena, const tn_prefer *applied)
{
    PQExpBuffer out = tn_arena_buffer(arena);

    put_member(out, RESOLUTION, (int)applied->resolution);
    put_member(out, MISSING, (int)applied->missing);
    put_member(out, RETURN, (int)applied->returning);
    put_member(out, PARAMS, applied->single_object ? 1 : 0);
    put_member(out, COUNT, (int)applied->count);
    put_member(out, TX, (int)applied->tx);
    put_member(out, HANDLING, (int)applied->handling);
    if (applied->time_zone != NULL)
        put(out, tn_arena_printf(arena, "timezone=%s", applied->time_zone));
    if (applied->has_max_affected)
        put(out, tn_arena_printf(arena, "max-affected=%lld", (long long)applied->max_affected));
    return out->len == 0 ? NULL : tn_buffer_text(out);
}
