/* data/batch.c: the list read, the operations run in groups, all of it told */
#include "data/batch.h"

#include <string.h>

#include "data/batch_step.h"
#include "data/error.h"
#include "data/idempotency.h"
#include "data/json_text.h"

#define PATH_MAX_BYTES 65536
#define SEARCHED_MAX_BYTES ((size_t)128 << 20) /* of results, by all references: some seconds */

struct batch {
    tn_ctx *c;
    tn_data_request r; /* who asks, and what holds for all */
    tn_references references;
    tn_batch_step *steps;
    size_t count, known; /* known: so many may be referred to */
    size_t result_bytes, searched_bytes;
    tn_db_work work;
    tn_transaction *transaction;
};

/* --- the list --------------------------------------------------------------------------------- */

static const tn_error *
check_text(const tn_ctx *c)
{
    const int64_t depth = c->config->data.json_depth;
    tn_json_shape text;

    switch (tn_json_text_read(c->arena, c->request->body, c->request->body_length, depth, &text)) {
    case TN_JSON_GOOD:
    case TN_JSON_UNEVEN:
        return NULL;
    case TN_JSON_TOO_DEEP:
        return tn_error_new(c->arena, 400, "json_too_deep", NULL,
                            "the JSON text nests deeper than %lld", (long long)depth);
    case TN_JSON_BAD:
        break;
    }
    return tn_error_new(c->arena, 400, "PGRST102", NULL, "Empty or invalid json");
}

/* The list itself, or the member `operations` of an object that has no other. */
static const tn_error *
find_list(const tn_ctx *c, tn_json_piece *list)
{
    tn_json_walk walk;
    tn_json_piece key;

    TN_TRY(check_text(c));
    *list = tn_json_piece_of(c->request->body, c->request->body_length);
    if (list->text[0] == '{') {
        walk = tn_json_walk_into(*list);
        while (tn_json_walk_member(&walk, &key, list)) {
            const char *name = tn_json_piece_string(c->arena, key);

            if (name == NULL || strcmp(name, "operations") != 0)
                return tn_error_new(c->arena, 400, "unknown_field", NULL,
                                    "a batch has one member, operations");
        }
    }
    if (list->text[0] != '[')
        return tn_error_new(c->arena, 400, "validation_failed", NULL,
                            "a batch is an array of operations");
    return NULL;
}

static const tn_error *
count_steps(struct batch *batch, tn_json_piece list)
{
    const int64_t most = batch->c->config->data.batch_max;
    tn_json_walk walk = tn_json_walk_into(list);
    tn_json_piece item;

    while (tn_json_walk_item(&walk, &item))
        if ((int64_t)++batch->count > most)
            return tn_error_new(batch->c->arena, 413, "batch_too_long", "Send several batches.",
                                "a batch has at most %lld operations", (long long)most);
    batch->steps = tn_arena_alloc(batch->c->arena, batch->count + 1, sizeof(*batch->steps));
    return NULL;
}

static tn_batch_step *
find_step(const struct batch *batch, const char *id)
{
    for (size_t i = 0; i < batch->known; i++)
        if (strcmp(batch->steps[i].id, id) == 0)
            return &batch->steps[i];
    return NULL;
}

static const tn_error *
find_result(void *context, const char *id, tn_json_piece *result)
{
    struct batch *batch = context;
    const tn_batch_step *step = find_step(batch, id);

    if (step == NULL)
        return tn_error_new(batch->c->arena, 400, "reference_not_found",
                            "To leave a body or path as it is: \"references\": false.",
                            "no operation before this one has the id %s", id);
    if (step->result.state != TN_STEP_DONE)
        return NULL;
    *result = tn_batch_step_body(step);
    batch->searched_bytes += result->length;
    if (batch->searched_bytes > SEARCHED_MAX_BYTES)
        return tn_error_new(batch->c->arena, 413, "too_many_items",
                            "Refer to fewer values, or to those of smaller results.",
                            "the references of the batch search more than %zu bytes of results",
                            SEARCHED_MAX_BYTES);
    return NULL;
}

/* That ids differ, and that what is referred to comes before. */
static const tn_error *
look_for_references(struct batch *batch, tn_batch_step *step)
{
    tn_arena *arena = batch->c->arena;
    size_t in_path = 0, in_body = 0;

    if (find_step(batch, step->id) != NULL)
        return tn_error_new(arena, 400, "validation_failed", NULL, "two operations have the id %s",
                            step->id);
    if (step->is_literal)
        return NULL;
    TN_TRY(tn_reference_fill_path(arena, &batch->references, step->path, NULL, &in_path));
    TN_TRY(tn_reference_fill_body(arena, &batch->references, step->body, NULL, &in_body));
    step->has_references = in_path + in_body > 0;
    return NULL;
}

static const tn_error *
read_steps(struct batch *batch)
{
    tn_json_piece list, item;
    tn_json_walk walk;

    TN_TRY(find_list(batch->c, &list));
    TN_TRY(count_steps(batch, list));
    walk = tn_json_walk_into(list);
    for (size_t i = 0; tn_json_walk_item(&walk, &item); i++) {
        TN_TRY(tn_batch_step_read(batch->c, item, i, &batch->steps[i]));
        TN_TRY(look_for_references(batch, &batch->steps[i]));
        batch->known++;
    }
    return NULL;
}

/* --- failing ---------------------------------------------------------------------------------- */

static const char *
results_json(const struct batch *batch, bool has_failed, size_t *length)
{
    PQExpBuffer json = tn_arena_buffer(batch->c->arena);

    appendPQExpBufferStr(json, "\"results\":[");
    for (size_t i = 0; i < batch->count; i++) {
        if (i > 0)
            appendPQExpBufferStr(json, ",\n ");
        tn_batch_step_append(json, &batch->steps[i], has_failed);
    }
    appendPQExpBufferChar(json, ']');
    *length = json->len;
    return tn_buffer_text(json);
}

/* The error of the whole: that of `id`, or of none of them when it is NULL. */
static const tn_error *
fail(const struct batch *batch, const char *id, const tn_error *error)
{
    tn_error *whole = tn_arena_alloc(batch->c->arena, 1, sizeof(*whole));
    PQExpBuffer members = tn_arena_buffer(batch->c->arena);
    size_t length;

    appendPQExpBufferStr(members, "\"details\":");
    if (error->members != NULL && strncmp(error->members, "\"details\":", 10) == 0)
        appendPQExpBufferStr(members, error->members + 10);
    else
        tn_buffer_json_string(members, error->details);
    appendPQExpBufferStr(members, ",\"operation\":");
    tn_buffer_json_string(members, id);
    appendPQExpBuffer(members, ",%s", results_json(batch, true, &length));
    *whole = *error;
    whole->members = tn_buffer_text(members);
    return whole;
}

static const tn_error *
fail_at(struct batch *batch, tn_batch_step *step, const tn_error *error)
{
    tn_error *told = tn_arena_alloc(batch->c->arena, 1, sizeof(*told));

    error = tn_data_error_for(step->r.role != NULL ? &step->r : &batch->r, error);
    *told = tn_data_error_told(batch->c->arena, &step->http, error);
    step->result = (tn_step_result){.state = TN_STEP_FAILED, .error = told};
    return fail(batch, step->id, told);
}

/* --- running ---------------------------------------------------------------------------------- */

static const tn_error *
make_ready(struct batch *batch, size_t place)
{
    tn_batch_step *step = &batch->steps[place];
    const tn_error *error;

    batch->known = place;
    error = tn_batch_step_ready(&batch->r, &batch->references, step);
    if (error != NULL)
        return fail_at(batch, step, error);
    if (step->has_references) /* what is filled counts for all operations together */
        batch->references.body_max -= step->http.body_length < batch->references.body_max
                                          ? step->http.body_length
                                          : batch->references.body_max;
    return NULL;
}

/* All that need not wait: so most mistakes are found before anything is sent. */
static const tn_error *
prepare(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        tn_batch_step *step = &batch->steps[i];

        if (step->has_references) /* for the words of an error */
            step->http = (tn_request){.method = step->method, .path = step->path};
        else
            TN_TRY(make_ready(batch, i));
        if (!step->has_references && step->work.isolation > batch->work.isolation)
            batch->work.isolation = step->work.isolation;
    }
    return NULL;
}

/* Operations that are sent together. */
struct group {
    size_t first, end; /* of the batch */
    tn_query queries[TN_QUERIES_MAX];
    const tn_db_context *contexts[TN_QUERIES_MAX];
    const tn_rows *results[TN_QUERIES_MAX];
    size_t count;
};

static bool
has_room(const struct group *group, const tn_batch_step *step)
{
    return group->count + step->queries.count <= TN_QUERIES_MAX;
}

static void
add_to_group(struct group *group, const tn_batch_step *step)
{
    group->contexts[group->count] = &step->context;
    for (size_t i = 0; i < step->queries.count; i++)
        group->queries[group->count++] = step->queries.queries[i];
    group->end++;
}

/* From `first` on, up to one that waits for the result of one in it. */
static const tn_error *
form_group(struct batch *batch, size_t first, struct group *group)
{
    *group = (struct group){.first = first, .end = first};
    while (group->end < batch->count) {
        tn_batch_step *step = &batch->steps[group->end];

        if (step->has_references && group->end > first)
            return NULL;
        if (step->has_references)
            TN_TRY(make_ready(batch, group->end));
        if (!has_room(group, step))
            return NULL;
        add_to_group(group, step);
    }
    return NULL;
}

static bool
has_results(const struct group *group, size_t at, const tn_batch_step *step)
{
    for (size_t i = 0; i < step->queries.count; i++)
        if (group->results[at + i] == NULL)
            return false;
    return true;
}

static const tn_error *
count_bytes(struct batch *batch, const tn_batch_step *step)
{
    const size_t most = (size_t)batch->c->config->data.batch_result_max;

    batch->result_bytes += step->response.body_length;
    if (batch->result_bytes <= most)
        return NULL;
    for (size_t i = 0; i < batch->count; i++) /* they are too large for an error as well */
        batch->steps[i].response.body_length = 0;
    return tn_error_new(batch->c->arena, 413, "batch_answer_too_large",
                        "Ask for fewer rows, or return=minimal.",
                        "the results of the batch have more than %zu bytes", most);
}

/* The results of a group, up to the one that has failed; `error` is of the round trip. */
static const tn_error *
take_results(struct batch *batch, const struct group *group, const tn_error *error)
{
    size_t at = 0;

    for (size_t i = group->first; i < group->end; i++) {
        tn_batch_step *step = &batch->steps[i];
        const tn_error *problem = error;

        if (has_results(group, at, step)) {
            problem = tn_batch_step_respond(step, group->results + at);
            if (problem == NULL)
                problem = count_bytes(batch, step);
        }
        if (problem != NULL)
            return fail_at(batch, step, problem);
        step->result.state = TN_STEP_DONE;
        at += step->queries.count;
    }
    return error == NULL ? NULL : fail(batch, NULL, error);
}

static bool
is_of_server(const tn_error *error)
{
    return strcmp(error->code, "database_unavailable") == 0;
}

static const tn_error *
run_group(struct batch *batch, struct group *group)
{
    const tn_error *error = tn_transaction_run_as(batch->transaction, group->contexts,
                                                  group->queries, group->count, group->results);

    return error != NULL && is_of_server(error) ? fail(batch, NULL, error)
                                                : take_results(batch, group, error);
}

static const tn_error *
run_steps(struct batch *batch)
{
    struct group group;

    for (size_t first = 0; first < batch->count; first = group.end) {
        TN_TRY(form_group(batch, first, &group));
        TN_TRY(run_group(batch, &group));
    }
    return NULL;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void
respond(struct batch *batch)
{
    size_t length;
    const char *results = results_json(batch, false, &length);
    char *body = tn_arena_alloc(batch->c->arena, length + 3, 1);
    tn_prefer applied = {.tx = batch->r.prefer.tx,
                         .handling = batch->r.prefer.handling,
                         .time_zone = batch->r.prefer.time_zone};
    const char *preferences = tn_prefer_applied(batch->c->arena, &applied);

    body[0] = '{';
    memcpy(body + 1, results, length);
    body[length + 1] = '}';
    tn_response_json(batch->c->response, 200, body);
    if (preferences != NULL)
        tn_response_header(batch->c->response, "Preference-Applied", preferences);
}

static const tn_error *
run(struct batch *batch, tn_idempotency *once)
{
    const bool is_once = once->key != NULL && !batch->r.rolls_back;
    const tn_error *error;
    bool is_answered = false;

    batch->work.context = &batch->steps[0].context;
    error = is_once ? tn_idempotency_begin(batch->c, once, &batch->work, &batch->transaction,
                                           &is_answered)
                    : tn_db_begin(batch->c->process->db, batch->c->arena, &batch->work,
                                  &batch->transaction);
    if (error != NULL)
        return tn_data_error_for(&batch->r, error);
    if (is_answered)
        return NULL;
    TN_TRY(run_steps(batch));
    respond(batch);
    error = is_once ? tn_idempotency_keep(batch->c, once, batch->transaction)
                    : tn_transaction_commit(batch->transaction);
    return error == NULL ? NULL : fail(batch, NULL, tn_data_error_for(&batch->r, error));
}

/* POST /api/db/batch */
const tn_error *
tn_data_batch(tn_ctx *c)
{
    struct batch batch = {.c = c, .r = {.c = c, .http = c->request, .is_plain = true}};
    tn_idempotency once;

    batch.references = (tn_references){.find = find_result,
                                       .context = &batch,
                                       .body_max = (size_t)c->config->data.body_max,
                                       .path_max = PATH_MAX_BYTES};
    TN_TRY(tn_data_caller(&batch.r));
    TN_TRY(tn_catalog_take(c->process->catalog, c->arena, &batch.r.snapshot));
    TN_TRY(tn_data_read_prefer(&batch.r));
    TN_TRY(tn_idempotency_read(c, &once));
    TN_TRY(read_steps(&batch));
    if (batch.count == 0) {
        respond(&batch);
        return NULL;
    }
    batch.work = (tn_db_work){.access = TN_READ_WRITE,
                              .rolls_back = batch.r.rolls_back,
                              .translate = c->config->data.require_rls ? tn_data_translate_guarded
                                                                       : tn_data_translate};
    TN_TRY(prepare(&batch));
    return run(&batch, &once);
}
