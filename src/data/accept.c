/* data/accept.c: media types by quality
 *
 * Of the same quality the more specific type comes first, as PostgREST counts it: more parameters,
 * fewer stars. A quality of 0 only puts a type last: PostgREST still makes it when nothing else is
 * asked for.
 */
#include "data/accept.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/list.h"

#define TYPES_MAX 64 /* types of one header that are looked at */

static const struct {
    const char *name;
    tn_media media;
} types[] = {
    {"application/json", TN_MEDIA_JSON},
    {"application/vnd.pgrst.array+json", TN_MEDIA_JSON},
    {"application/vnd.pgrst.array", TN_MEDIA_JSON},
    {"application/vnd.pgrst.object+json", TN_MEDIA_OBJECT},
    {"application/vnd.pgrst.object", TN_MEDIA_OBJECT},
    {"text/csv", TN_MEDIA_CSV},
    {"application/x-ndjson", TN_MEDIA_NDJSON},
    {"application/openapi+json", TN_MEDIA_OPENAPI},
    {"application/vnd.pgrst.plan", TN_MEDIA_PLAN},
    {"application/vnd.pgrst.plan+text", TN_MEDIA_PLAN},
    {"application/vnd.pgrst.plan+json", TN_MEDIA_PLAN},
};

/* How answers name a type. */
static const char *const names[] = {
    [TN_MEDIA_JSON] = "application/json",
    [TN_MEDIA_OBJECT] = "application/vnd.pgrst.object+json",
    [TN_MEDIA_OBJECT_STRIPPED] = "application/vnd.pgrst.object+json;nulls=stripped",
    [TN_MEDIA_ARRAY_STRIPPED] = "application/vnd.pgrst.array+json;nulls=stripped",
    [TN_MEDIA_CSV] = "text/csv",
    [TN_MEDIA_NDJSON] = "application/x-ndjson",
    [TN_MEDIA_PLAN] = "application/vnd.pgrst.plan+text",
    [TN_MEDIA_OPENAPI] = "application/openapi+json",
    [TN_MEDIA_OTHER] = NULL,
};

struct candidate {
    tn_accepted accepted;
    double quality;
    int parameters, place; /* parameters less stars */
};

/* The end of a part that `separator` ends; one between double quotes does not. */
static const char *
part_end(const char *text, char separator)
{
    bool is_quoted = false;

    for (; *text != '\0' && (is_quoted || *text != separator); text++)
        if (*text == '"')
            is_quoted = !is_quoted;
    return text;
}

/* [start, end) as text without the blanks around it. */
static char *
trimmed(tn_arena *arena, const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return tn_arena_bytes(arena, start, (size_t)(end - start));
}

static void
read_plan_options(tn_plan_options *options, const char *list)
{
    while (*list != '\0') {
        const size_t length = strcspn(list, "|");

        options->analyze |= length == 7 && strncmp(list, "analyze", length) == 0;
        options->verbose |= length == 7 && strncmp(list, "verbose", length) == 0;
        options->settings |= length == 8 && strncmp(list, "settings", length) == 0;
        options->buffers |= length == 7 && strncmp(list, "buffers", length) == 0;
        options->wal |= length == 3 && strncmp(list, "wal", length) == 0;
        list += length + (list[length] == '|' ? 1 : 0);
    }
}

static tn_media
media_of(const char *name)
{
    for (size_t i = 0; i < TN_COUNT(types); i++)
        if (tn_text_same_case(types[i].name, name))
            return types[i].media;
    return TN_MEDIA_OTHER;
}

static tn_media
stripped(const char *name, tn_media media)
{
    if (media == TN_MEDIA_OBJECT)
        return TN_MEDIA_OBJECT_STRIPPED;
    return media == TN_MEDIA_JSON && !tn_text_same_case(name, "application/json")
               ? TN_MEDIA_ARRAY_STRIPPED
               : media;
}

/* "application/vnd.pgrst.object+json;nulls=stripped", with or without its quotes: the type that a
 * plan is for. There is no plan for a plan. */
static void
read_plan_for(tn_arena *arena, tn_plan_options *options, const char *value)
{
    const size_t quotes = *value == '"' ? 1 : 0;
    char *text = tn_arena_bytes(arena, value + quotes, strcspn(value + quotes, "\""));
    char *semicolon = strchr(text, ';');
    const bool is_stripped = semicolon != NULL && strcmp(semicolon, ";nulls=stripped") == 0;

    if (semicolon != NULL)
        *semicolon = '\0';
    options->of = strcmp(text, "*/*") == 0 ? TN_MEDIA_JSON : media_of(text);
    if (is_stripped)
        options->of = stripped(text, options->of);
    if (options->of == TN_MEDIA_PLAN)
        options->of = TN_MEDIA_OTHER;
    options->of_name = options->of == TN_MEDIA_OTHER ? text : names[options->of];
}

static void
read_parameter(tn_arena *arena, struct candidate *candidate, const char *parameter)
{
    tn_accepted *accepted = &candidate->accepted;

    if (strncmp(parameter, "q=", 2) == 0) {
        candidate->quality = strtod(parameter + 2, NULL);
        if (!(candidate->quality >= 0)) /* nan has no place in an order */
            candidate->quality = 0;
        return;
    }
    candidate->parameters++;
    if (strcmp(parameter, "nulls=stripped") == 0)
        accepted->media = stripped(accepted->name, accepted->media);
    else if (accepted->media == TN_MEDIA_PLAN && strncmp(parameter, "for=", 4) == 0)
        read_plan_for(arena, &accepted->plan, parameter + 4);
    else if (accepted->media == TN_MEDIA_PLAN && strncmp(parameter, "options=", 8) == 0)
        read_plan_options(&accepted->plan, parameter + 8);
}

static void
read_type(tn_arena *arena, const char *text, struct candidate *candidate)
{
    tn_accepted *accepted = &candidate->accepted;
    const char *end = part_end(text, ';');

    candidate->quality = 1;
    accepted->name = trimmed(arena, text, end);
    accepted->is_any = strcmp(accepted->name, "*/*") == 0;
    accepted->media = accepted->is_any ? TN_MEDIA_JSON : media_of(accepted->name);
    if (accepted->media == TN_MEDIA_PLAN)
        accepted->plan = (tn_plan_options){.is_json = strstr(accepted->name, "+json") != NULL,
                                           .of = TN_MEDIA_JSON,
                                           .of_name = names[TN_MEDIA_JSON]};
    for (const char *star = strchr(accepted->name, '*'); star != NULL; star = strchr(star + 1, '*'))
        candidate->parameters--;
    while (*end == ';') {
        const char *start = end + 1;

        end = part_end(start, ';');
        read_parameter(arena, candidate, trimmed(arena, start, end));
    }
}

static int
compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->quality != b->quality)
        return a->quality > b->quality ? -1 : 1;
    if (a->parameters != b->parameters)
        return a->parameters > b->parameters ? -1 : 1;
    return a->place - b->place;
}

void
tn_accept_parse(tn_arena *arena, const char *header, const tn_accepted **list, size_t *count)
{
    tn_list candidates = {0};
    struct candidate *candidate;
    tn_accepted *accepted;

    while (header != NULL && *header != '\0' && candidates.count < TYPES_MAX) {
        const char *end = part_end(header, ',');
        const char *text = trimmed(arena, header, end);

        if (*text != '\0' && *text != ';') {
            candidate = tn_list_add(arena, &candidates, sizeof(*candidate));
            candidate->place = (int)candidates.count;
            read_type(arena, text, candidate);
        }
        header = end + (*end == ',' ? 1 : 0);
    }
    if (candidates.count == 0) {
        candidate = tn_list_add(arena, &candidates, sizeof(*candidate));
        read_type(arena, "*/*", candidate);
    }
    candidate = candidates.items;
    qsort(candidate, candidates.count, sizeof(*candidate), compare);
    accepted = tn_arena_alloc(arena, candidates.count, sizeof(*accepted));
    for (size_t i = 0; i < candidates.count; i++)
        accepted[i] = candidate[i].accepted;
    *list = accepted;
    *count = candidates.count;
}

static const char *
plan_content_type(tn_arena *arena, const tn_plan_options *plan)
{
    const struct {
        bool is_on;
        const char *name;
    } options[] = {{plan->analyze, "analyze"},
                   {plan->verbose, "verbose"},
                   {plan->settings, "settings"},
                   {plan->buffers, "buffers"},
                   {plan->wal, "wal"}};
    PQExpBuffer out = tn_arena_buffer(arena);
    const char *before = "; options=";

    appendPQExpBuffer(out, "application/vnd.pgrst.plan+%s; for=\"%s\"",
                      plan->is_json ? "json" : "text", plan->of_name);
    for (size_t i = 0; i < TN_COUNT(options); i++) {
        if (options[i].is_on) {
            appendPQExpBuffer(out, "%s%s", before, options[i].name);
            before = "|";
        }
    }
    appendPQExpBufferStr(out, "; charset=utf-8");
    return tn_buffer_text(out);
}

const char *
tn_accepted_content_type(tn_arena *arena, const tn_accepted *accepted)
{
    if (accepted->media == TN_MEDIA_PLAN)
        return plan_content_type(arena, &accepted->plan);
    if (accepted->media == TN_MEDIA_OTHER) /* a handler's own type is given out as it is */
        return accepted->name;
    return tn_arena_printf(arena, "%s; charset=utf-8", names[accepted->media]);
}
