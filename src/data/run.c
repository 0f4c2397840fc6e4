/* data/run.c: from the request to what the database says, in one transaction and one round trip */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/advice.h"
#include "data/error.h"
#include "data/request.h"
#include "data/sql_pre_request.h"

/* --- plan ------------------------------------------------------------------------------------- */

/* What is only missing because the catalog is older than the table may be there in a fresh one. */
static bool
is_missing(const tn_error *error)
{
    static const char *const codes[] = {"PGRST200", "PGRST202", "PGRST204", "PGRST205"};

    for (size_t i = 0; error != NULL && i < TN_COUNT(codes); i++)
        if (strcmp(error->code, codes[i]) == 0)
            return true;
    return false;
}

static bool
wants_lines(const tn_data_request *r)
{
    return r->is_get && (r->media.media == TN_MEDIA_CSV || r->media.media == TN_MEDIA_NDJSON);
}

/* Exports may have any number of rows: they need no memory for them. */
static int64_t
max_rows(const tn_data_request *r)
{
    return wants_lines(r) ? 0 : r->c->config->data.max_rows;
}

static const tn_error *
make_plan(const tn_data_request *r, tn_data_plan *plan)
{
    const tn_plan_request request = {
        .method = r->http->method,
        .is_call = r->is_call,
        .schema = r->schema,
        .name = r->name,
        .query = &r->query,
        .prefer = &r->prefer,
        .media = r->media,
        .body = r->is_get || strcmp(r->http->method, "DELETE") == 0 ? NULL : &r->body,
        .has_range = r->has_range,
        .range_first = r->range_first,
        .range_last = r->range_last,
        .role = r->role,
        .if_match = r->if_match,
        .if_none_match = r->if_none_match,
        .allows_aggregates = r->c->config->data.aggregates,
        .tells_estimates = !r->c->config->data.require_rls,
        .names_objects = !r->c->config->data.require_rls,
        .max_rows = max_rows(r),
        .answer_max = r->c->config->data.answer_max,
        .aggregate_max_rows = r->c->config->data.aggregate_max_rows,
    };

    *plan = (tn_data_plan){0};
    TN_TRY(tn_data_plan_make(r->c->arena, r->snapshot, &request, plan));
    return tn_data_check_functions(r, plan);
}

const tn_error *
tn_data_plan_of(tn_data_request *r, tn_data_plan *plan)
{
    const tn_error *error = make_plan(r, plan);
    const tn_snapshot *fresh;

    if (r->is_under_way || !is_missing(error))
        return error;
    TN_TRY(tn_catalog_take_fresh(r->c->process->catalog, r->c->arena, r->snapshot, &fresh));
    if (fresh == r->snapshot)
        return error;
    r->snapshot = fresh;
    return make_plan(r, plan);
}

/* What PostgreSQL does not find although the catalog has it has gone, or changed, since that was
 * read. */
static bool
is_outdated(const tn_error *error)
{
    static const char *const codes[] = {"42703", "42P01", "42883", "42704", "42804", "42P10"};

    for (size_t i = 0; error != NULL && i < TN_COUNT(codes); i++)
        if (strcmp(error->code, codes[i]) == 0)
            return true;
    return false;
}

/* Whether PostgreSQL misses a column that the catalog has: then it is certain that the catalog is
 * behind, and no client can make it so. */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
is_behind(const tn_data_request *r, const tn_plan_node *node, const tn_error *failed)
{
    const tn_relation *relation = node->relation;

    for (size_t i = 0; relation != NULL && i < relation->attribute_count; i++)
        if (strcmp(failed->message, tn_arena_printf(r->c->arena, "column %s.%s does not exist",
                                                    node->alias, relation->attributes[i].name)) ==
            0)
            return true;
    for (size_t i = 0; i < node->child_count; i++)
        if (is_behind(r, node->children[i], failed))
            return true;
    return false;
}

const tn_error *
tn_data_plan_again(tn_data_request *r, const tn_error *failed, tn_data_plan *plan, bool *is_new)
{
    const tn_snapshot *fresh;

    *is_new = false;
    if (r->is_under_way || !is_outdated(failed))
        return NULL;
    TN_TRY(tn_catalog_take(r->c->process->catalog, r->c->arena, &fresh));
    if (fresh == r->snapshot && plan->root != NULL && strcmp(failed->code, "42703") == 0 &&
        is_behind(r, plan->root, failed))
        tn_catalog_expire(r->c->process->catalog);
    TN_TRY(tn_catalog_take_fresh(r->c->process->catalog, r->c->arena, r->snapshot, &fresh));
    if (fresh == r->snapshot)
        return NULL;
    r->snapshot = fresh;
    *is_new = true;
    return make_plan(r, plan);
}

/* --- context ---------------------------------------------------------------------------------- */

/* "5s", "100ms", "1min" as PostgreSQL reads them, in milliseconds; 0 there means for ever, which is
 * as long as it can be here. */
static int64_t
milliseconds(const char *text)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"", 1},        {"ms", 1},       {"s", 1000},  {"min", 60000},
                 {"h", 3600000}, {"d", 86400000}, {"us", 0.001}};
    char *end;
    const double number = strtod(text, &end);

    end += strspn(end, " ");
    for (size_t i = 0; i < TN_COUNT(units); i++)
        if (strcmp(end, units[i].name) == 0 && number >= 0 && number * units[i].ms <= INT32_MAX)
            return number * units[i].ms >= 1 ? (int64_t)(number * units[i].ms) : INT32_MAX;
    return 0;
}

/* Of an aggregate somewhere in the answer. */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the plan, whose depth is bounded */
has_aggregates(const tn_plan_node *node)
{
    if (node == NULL)
        return false;
    for (size_t i = 0; i < node->child_count; i++)
        if (has_aggregates(node->children[i]))
            return true;
    return node->is_aggregated;
}

static int64_t
configured_timeout_ms(const tn_data_request *r)
{
    const tn_config *config = r->c->config;
    int64_t ms = config->data.authenticated_timeout_ms;

    if (r->is_anonymous)
        ms = config->data.anon_timeout_ms;
    else if (wants_lines(r))
        ms = config->data.export_timeout_ms;
    else if (tn_principal_is_service(r->c->who))
        ms = config->data.service_timeout_ms;
    return ms > 0 ? ms : config->database.statement_timeout_ms;
}

/* The function's own limit, or the role's (`alter … set statement_timeout`), or the configured one;
 * aggregates have one more. */
static int64_t
timeout_ms(const tn_data_request *r, const tn_data_plan *plan, json_object *settings)
{
    const char *of_role = tn_json_text(settings, "statement_timeout", NULL);
    const char *of_function = plan->function != NULL ? plan->function->statement_timeout : NULL;
    const int64_t aggregate_ms = r->c->config->data.aggregate_timeout_ms;
    int64_t ms = of_function != NULL ? milliseconds(of_function)
                 : of_role != NULL   ? milliseconds(of_role)
                                     : 0;

    if (ms == 0)
        ms = configured_timeout_ms(r);
    if (aggregate_ms > 0 && has_aggregates(plan->root) && (ms == 0 || aggregate_ms < ms))
        ms = aggregate_ms;
    return ms;
}

static int64_t
lock_timeout_ms(const tn_data_request *r, json_object *settings)
{
    const char *of_role = tn_json_text(settings, "lock_timeout", NULL);
    const int64_t ms = of_role != NULL ? milliseconds(of_role) : 0;

    return ms > 0 ? ms : r->c->config->data.lock_timeout_ms;
}

static tn_isolation
isolation_of(const tn_data_plan *plan, const char *of_role)
{
    const char *name = plan->function != NULL ? plan->function->isolation : NULL;

    name = name != NULL ? name : of_role;
    if (name != NULL && tn_text_same_case(name, "serializable"))
        return TN_SERIALIZABLE;
    if (name != NULL && tn_text_same_case(name, "repeatable read"))
        return TN_REPEATABLE_READ;
    return TN_READ_COMMITTED;
}

/* Cookies as a JSON object (RFC 6265 section 5.4). */
static const char *
cookies_of(const tn_data_request *r)
{
    const char *text = tn_request_header(r->http, "cookie");
    PQExpBuffer json;

    if (text == NULL)
        return "{}";
    json = tn_arena_buffer(r->c->arena);
    while (*text != '\0') {
        size_t name_length = strcspn(text, "=;"), length = strcspn(text, ";");

        if (text[name_length] == '=') {
            appendPQExpBufferChar(json, json->len == 0 ? '{' : ',');
            tn_buffer_json_bytes(json, text, name_length);
            appendPQExpBufferChar(json, ':');
            tn_buffer_json_bytes(json, text + name_length + 1, length - name_length - 1);
        }
        text += length;
        text += strspn(text, "; ");
    }
    appendPQExpBufferStr(json, json->len == 0 ? "{}" : "}");
    return tn_buffer_text(json);
}

static bool
only_reads(const tn_data_request *r, const tn_data_plan *plan)
{
    return r->is_get || (plan->kind == TN_PLAN_CALL && plan->function->volatility != 'v');
}

void
tn_data_work_of(const tn_data_request *r, const tn_data_plan *plan, tn_db_context *context,
                tn_db_work *work)
{
    const char *isolation = NULL;
    const char *text = tn_snapshot_role_settings(r->snapshot, r->role, &isolation);
    json_object *settings = NULL;

    if (text != NULL)
        (void)!tn_json_parse(r->c->arena, text, strlen(text), TN_JSON_DEPTH, &settings);
    *context = tn_ctx_db_as(r->c, r->role);
    context->tenant_id = r->tenant_id;
    context->claims = r->claims;
    context->headers = tn_request_headers_json(r->http, r->c->arena);
    context->method = r->http->method;
    context->path = r->path;
    context->cookies = cookies_of(r);
    context->search_path = tn_data_state_of(r->c)->search_paths[r->schema_index];
    context->time_zone = r->prefer.time_zone;
    context->settings = text;
    context->statement_timeout_ms = timeout_ms(r, plan, settings);
    context->lock_timeout_ms = lock_timeout_ms(r, settings);
    *work = (tn_db_work){.context = context,
                         .access = only_reads(r, plan) ? TN_READ_ONLY : TN_READ_WRITE,
                         .isolation = isolation_of(plan, isolation),
                         .rolls_back = r->rolls_back,
                         .translate = r->c->config->data.require_rls ? tn_data_translate_guarded
                                                                     : tn_data_translate};
}

/* --- the transaction -------------------------------------------------------------------------- */

tn_query
tn_data_query_of(tn_data_statement *statement, const char *name)
{
    const tn_data_sql *sql = &statement->sql;

    statement->statement = (tn_statement){.name = name,
                                          .sql = sql->text,
                                          .parameters = (int)sql->parameter_count,
                                          .is_dynamic = true};
    return (tn_query){.statement = &statement->statement,
                      .parameters = sql->parameters,
                      .parameter_count = sql->parameter_count,
                      .lengths = sql->lengths,
                      .formats = sql->formats};
}

/* What a function will return nobody estimates. */
static bool
wants_estimate(const tn_data_plan *plan)
{
    return plan->kind == TN_PLAN_READ && plan->media.media != TN_MEDIA_PLAN &&
           (plan->count == TN_COUNT_PLANNED || plan->count == TN_COUNT_ESTIMATED);
}

/* The main statement, by what the client wants to see. */
static void
write_main(const tn_data_request *r, const tn_data_plan *plan, tn_data_sql *sql)
{
    if (plan->media.media == TN_MEDIA_PLAN)
        tn_data_sql_explain(r->c->arena, plan, sql);
    else
        tn_data_sql_answer(r->c->arena, plan, sql);
}

static const char *
statement_name(const tn_data_plan *plan)
{
    static const char *const names[] = {
        [TN_PLAN_READ] = "data_read",     [TN_PLAN_INSERT] = "data_insert",
        [TN_PLAN_UPDATE] = "data_update", [TN_PLAN_PUT] = "data_put",
        [TN_PLAN_DELETE] = "data_delete", [TN_PLAN_CALL] = "data_call"};

    return names[plan->kind];
}

void
tn_data_queries_of(const tn_data_request *r, const tn_data_plan *plan, tn_data_queries *all)
{
    const tn_data_state *state = tn_data_state_of(r->c);

    *all = (tn_data_queries){0};
    if (state->pre_request_name != NULL) {
        tn_data_sql_pre_request(r->c->arena, state->pre_request_schema, state->pre_request_name,
                                &all->statements[0].sql);
        all->queries[0] = tn_data_query_of(&all->statements[0], "data_pre_request");
        all->count = 1;
    }
    all->main = all->count++;
    write_main(r, plan, &all->statements[all->main].sql);
    all->queries[all->main] = tn_data_query_of(&all->statements[all->main], statement_name(plan));
    if (wants_estimate(plan)) {
        tn_data_sql_estimate(r->c->arena, plan, &all->statements[all->count].sql);
        all->queries[all->count] = tn_data_query_of(&all->statements[all->count], "data_estimate");
        all->count++;
    }
}

tn_data_answer
tn_data_answer_of(const tn_data_queries *all, const tn_rows *const *results)
{
    const size_t main = all->main;

    return (tn_data_answer){.rows = results[main],
                            .estimate = all->count > main + 1 ? results[main + 1] : NULL};
}

const tn_error *
tn_data_run(tn_data_request *r, const tn_data_plan *plan, tn_data_answer *answer)
{
    tn_data_queries all;
    const tn_rows *results[TN_DATA_QUERIES_MAX] = {NULL};
    tn_db_context context;
    tn_db_work work;

    tn_data_work_of(r, plan, &context, &work);
    tn_data_queries_of(r, plan, &all);
    work.queries = all.queries;
    work.count = all.count;
    work.results = results;
    TN_TRY(tn_db_transact(r->c->process->db, r->c->arena, &work));
    *answer = tn_data_answer_of(&all, results);
    return NULL;
}

const tn_error *
tn_data_error_for(const tn_data_request *r, const tn_error *error)
{
    error = tn_data_advise(r, error);
    if (error != NULL && error->status == 403 && r->is_anonymous &&
        strcmp(error->code, "42501") == 0)
        return tn_data_unauthorized(r->c->arena, error, NULL);
    return error;
}
