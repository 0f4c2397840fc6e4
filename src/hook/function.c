/* hook/function.c: a hook that is a function of the app, in the tenant's context
 *
 * It runs as supabase_auth_admin, as the app's SQL for Supabase expects: the app grants this role
 * what the function needs. Row security holds for it as for everybody.
 */
#include <string.h>

#include "base/buffer.h"
#include "db/database.h"
#include "hook/hook_private.h"

/* What PostgreSQL says about a hook is for the operator: the client is told that it failed. */
static const tn_error *
translate(tn_arena *arena, const tn_db_problem *problem)
{
    if (problem->sqlstate != NULL && strcmp(problem->sqlstate, "57014") == 0)
        return tn_error_new(arena, 422, "hook_timeout", NULL,
                            "Failed to reach hook within maximum time");
    tn_db_problem_log(arena, problem, 500);
    return tn_error_new(arena, 500, "unexpected_failure", NULL, "Error running hook");
}

const tn_error *
tn_hook_ask_function(const tn_process *process, tn_arena *arena, const tn_hook_question *question,
                     const char **reply)
{
    const tn_db_context context = {.role = "supabase_auth_admin",
                                   .tenant_id = question->tenant->text,
                                   .request_id = tn_arena_label_text(arena),
                                   .statement_timeout_ms = process->config->hooks.timeout_ms};
    PQExpBuffer sql = tn_arena_buffer(arena);
    tn_statement statement = {.name = question->name, .parameters = 1, .is_dynamic = true};
    const tn_query query = {
        .statement = &statement, .parameters = &question->payload, .parameter_count = 1};
    const tn_rows *rows;
    const tn_db_work work = {.context = &context,
                             .access = TN_READ_WRITE,
                             .queries = &query,
                             .count = 1,
                             .results = &rows,
                             .translate = translate};

    appendPQExpBufferStr(sql, "select ");
    tn_buffer_identifier(sql, question->address->schema);
    appendPQExpBufferChar(sql, '.');
    tn_buffer_identifier(sql, question->address->name);
    appendPQExpBufferStr(sql, "($1::jsonb)");
    statement.sql = tn_buffer_text(sql);
    TN_TRY(tn_db_transact(process->db, arena, &work));
    *reply = tn_rows_count(rows) > 0 ? tn_rows_text(rows, 0, 0) : NULL;
    return NULL;
}
