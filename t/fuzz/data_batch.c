/* t/fuzz/data_batch.c: the operations of a batch, and the references in them
 *
 * The input is a JSON text, and behind a NUL a path. Every reference finds the JSON text itself.
 * With its references filled in the text is JSON as before, and what is filled into a path stays a
 * value. Of an array each item is read as an operation: what is taken has an id, a method and a
 * path that a request may have.
 */
#include "data/batch_step.h"

#include <string.h>

#include "base/json.h"
#include "data/json_text.h"
#include "t/fuzz/fuzz.h"

#define BODY_MAX 65536
#define PATH_MAX_BYTES 4096
#define DEPTH 6

static const tn_error *
find(void *context, const char *id, tn_json_piece *result)
{
    assert(tn_operation_id_is_good(id));
    *result = *(const tn_json_piece *)context;
    return NULL;
}

/* Pieces are within their text, whole, and one after the other. */
static void
walk(tn_json_piece piece, int depth)
{
    tn_json_walk inside = tn_json_walk_into(piece);
    const char *at = piece.text, *end = piece.text + piece.length;
    tn_json_piece key, value;

    assert(piece.length > 0 && depth <= DEPTH);
    if (piece.text[0] != '{' && piece.text[0] != '[')
        return;
    while (piece.text[0] == '{' ? tn_json_walk_member(&inside, &key, &value)
                                : tn_json_walk_item(&inside, &value)) {
        assert(piece.text[0] != '{' || (key.text > at && key.text[0] == '"'));
        assert(value.text > at && value.text + value.length < end);
        walk(value, depth + 1);
        at = value.text + value.length;
    }
}

static bool
is_good(tn_arena *arena, const char *text, size_t length, int64_t depth)
{
    tn_json_shape shape;
    const tn_json_verdict verdict = tn_json_text_read(arena, text, length, depth, &shape);

    return verdict == TN_JSON_GOOD || verdict == TN_JSON_UNEVEN;
}

static void
check_body(tn_arena *arena, const tn_references *references, tn_json_piece body)
{
    PQExpBuffer filled = tn_arena_buffer(arena);
    size_t looked_for, count;

    if (tn_reference_fill_body(arena, references, body, NULL, &looked_for) != NULL ||
        tn_reference_fill_body(arena, references, body, filled, &count) != NULL)
        return;
    assert(count == looked_for && filled->len <= BODY_MAX);
    assert(is_good(arena, tn_buffer_text(filled), filled->len, (int64_t)DEPTH * 2));
    assert(count > 0 || (filled->len == body.length &&
                         memcmp(tn_buffer_text(filled), body.text, body.length) == 0));
}

/* Nothing that is filled in begins another parameter or path, or ends the query. */
static void
check_path(tn_arena *arena, const tn_references *references, const char *path)
{
    PQExpBuffer filled = tn_arena_buffer(arena);
    size_t count;

    if (tn_reference_fill_path(arena, references, path, filled, &count) != NULL)
        return;
    assert(count > 0 || strcmp(tn_buffer_text(filled), path) == 0);
    for (const char *byte = "?&/="; *byte != '\0'; byte++) {
        size_t before = 0, after = 0;

        for (const char *at = path; *at != '\0'; at++)
            before += *at == *byte;
        for (const char *at = tn_buffer_text(filled); *at != '\0'; at++)
            after += *at == *byte;
        assert(after <= before);
    }
}

static void
check_operations(tn_arena *arena, tn_json_piece body)
{
    const tn_ctx c = {.arena = arena};
    tn_json_walk items = tn_json_walk_into(body);
    tn_json_piece item;

    for (size_t i = 0; tn_json_walk_item(&items, &item); i++) {
        tn_batch_step *step = tn_arena_alloc(arena, 1, sizeof(*step));

        if (tn_batch_step_read(&c, item, i, step) != NULL)
            continue;
        assert(tn_operation_id_is_good(step->id));
        assert(step->header_count <= TN_STEP_HEADERS_MAX);
        assert(strncmp(step->path, "/api/db/", 8) == 0 || strncmp(step->path, "/rest/v1/", 9) == 0);
        assert(strpbrk(step->path, "\r\n") == NULL);
        for (size_t k = 0; k < step->header_count; k++)
            assert(strpbrk(step->headers[k].value, "\r\n") == NULL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    const size_t body_length = strlen(text);
    tn_json_piece body;

    if (is_good(arena, text, body_length, DEPTH)) {
        const tn_references references = {
            .find = find, .context = &body, .body_max = BODY_MAX, .path_max = PATH_MAX_BYTES};

        body = tn_json_piece_of(text, body_length);
        walk(body, 0);
        check_body(arena, &references, body);
        if (body.text[0] == '[')
            check_operations(arena, body);
        if (body_length < length)
            check_path(arena, &references, text + body_length + 1);
    }
    tn_arena_free(arena);
    return 0;
}
