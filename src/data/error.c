/* data/error.c: SQLSTATE → status, and the one form that errors have here */
#include "data/error.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "data/header.h"

#define REASON_MAX 200 /* bytes of a phrase that SQL gives */

/* --- what PostgreSQL said --------------------------------------------------------------------- */

struct rule {
    const char *sqlstate; /* or its first characters; the first rule that fits holds */
    int status;
    bool is_ours; /* about the server, not the request: its words are not for clients */
};

static const struct rule rules[] = {
    {"08", 503, true},     {"09", 500, false},    {"0L", 403, false},    {"0P", 403, false},
    {"23503", 409, false}, {"23505", 409, false}, {"25006", 405, false}, {"25", 500, false},
    {"28", 403, false},    {"2D", 500, false},    {"38", 500, false},    {"39", 500, false},
    {"3B", 500, false},    {"40", 500, false},    {"42501", 403, false}, {"42883", 404, false},
    {"42P01", 404, false}, {"53", 503, true},     {"54", 413, false},    {"55", 500, false},
    {"57014", 500, false}, {"57P01", 503, true},  {"57", 500, true},     {"58", 500, true},
    {"F0", 500, true},     {"HV", 500, true},     {"P0001", 400, false}, {"P0", 500, false},
    {"XX", 500, true},     {"", 400, false},
};

static const struct rule *
find_rule(const char *sqlstate)
{
    const struct rule *rule = rules;

    while (!tn_text_starts(sqlstate, rule->sqlstate))
        rule++;
    return rule;
}

static int
status_of(const struct rule *rule, const tn_db_problem *problem)
{
    if (rule->status == 404 && problem->message != NULL &&
        tn_text_starts(problem->message, "function xmlagg("))
        return 406;
    return rule->status;
}

/* A phrase of the status line: printable, and not for ever. */
static const char *
reason_of(tn_arena *arena, const char *text)
{
    char *reason = tn_arena_bytes(arena, text, strnlen(text, REASON_MAX));

    for (char *c = reason; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = ' ';
    return *reason != '\0' ? reason : NULL;
}

/* PTnnn. A constraint names the code: that is how SQL of ours raises errors of this dialect, and
 * they have the usual phrase. */
static const tn_error *
raised_by_number(tn_arena *arena, const tn_db_problem *problem)
{
    const bool has_code = problem->constraint != NULL && *problem->constraint != '\0';
    const char *message = problem->message != NULL ? problem->message : "";
    tn_error *error = tn_error_new(arena, 500, has_code ? problem->constraint : problem->sqlstate,
                                   problem->hint, "%s", message);
    int64_t status;

    if (tn_text_int(problem->sqlstate + 2, 200, 599, &status))
        error->status = (int)status;
    error->details = tn_arena_text(arena, problem->detail);
    if (!has_code)
        error->reason = reason_of(arena, message);
    return error;
}

static const tn_error *
bad_raise(tn_arena *arena)
{
    return tn_error_new(arena, 500, "PGRST121", NULL,
                        "The message and detail field of RAISE 'PGRST' error expects JSON");
}

static json_object *
parse_object(tn_arena *arena, const char *text)
{
    json_object *object = NULL;

    if (text == NULL || tn_json_parse(arena, text, strlen(text), TN_JSON_DEPTH, &object) != NULL ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return object;
}

/* `raise sqlstate 'PGRST' using message = '{"code", "message", …}', detail = '{"status", …}'` */
static const tn_error *
raised_as_json(tn_arena *arena, const tn_db_problem *problem)
{
    json_object *message = parse_object(arena, problem->message);
    json_object *detail = parse_object(arena, problem->detail);
    const char *code = tn_json_text(message, "code", NULL);
    const char *text = tn_json_text(message, "message", NULL);
    const int64_t status = tn_json_int(detail, "status", 0);
    tn_error *error;

    if (code == NULL || text == NULL || status < 200 || status > 599)
        return bad_raise(arena);
    error = tn_error_new(arena, (int)status, code, tn_json_text(message, "hint", NULL), "%s", text);
    if (!tn_headers_of_object(arena, tn_json_get(detail, "headers"), &error->headers))
        return bad_raise(arena);
    error->details = tn_arena_text(arena, tn_json_text(message, "details", NULL));
    if (tn_json_text(detail, "status_text", NULL) != NULL)
        error->reason = reason_of(arena, tn_json_text(detail, "status_text", ""));
    return error;
}

static const tn_error *
fault_of_ours(tn_arena *arena, const char *sqlstate, int status)
{
    tn_error *error = tn_error_new(arena, status, sqlstate,
                                   "Try again; if it stays, give the operator the X-Request-Id.",
                                   "the database could not do this");

    if (status == 503)
        error->retry_after_s = 1;
    return error;
}

/* By a function of the app, in PL/pgSQL: then the words are the app's own. */
static bool
is_raised(const tn_db_problem *problem)
{
    return problem->function != NULL && strcmp(problem->function, "exec_stmt_raise") == 0;
}

const tn_error *
tn_data_translate(tn_arena *arena, const tn_db_problem *problem)
{
    const char *sqlstate = problem->sqlstate != NULL ? problem->sqlstate : "XX000";
    const struct rule *rule = find_rule(sqlstate);
    tn_error *error;

    if (tn_text_starts(sqlstate, "PT"))
        return raised_by_number(arena, problem);
    if (strcmp(sqlstate, "PGRST") == 0)
        return raised_as_json(arena, problem);
    if (rule->status >= 500)
        tn_db_problem_log(arena, problem, rule->status);
    if (rule->is_ours && !is_raised(problem))
        return fault_of_ours(arena, sqlstate, rule->status);
    error = tn_error_new(arena, status_of(rule, problem), sqlstate, problem->hint, "%s",
                         problem->message != NULL ? problem->message : "");
    error->details = tn_arena_text(arena, problem->detail);
    if (rule->status == 503)
        error->retry_after_s = 1;
    return error;
}

/* With row security on a table, PostgreSQL itself leaves the values of keys and rows out of its
 * details. What is left are functions that run as somebody who bypasses it: their "failing row" can
 * be any row of the table. */
const tn_error *
tn_data_translate_guarded(tn_arena *arena, const tn_db_problem *problem)
{
    tn_db_problem guarded = *problem;

    if (guarded.detail != NULL && tn_text_starts(guarded.detail, "Failing row contains "))
        guarded.detail = NULL;
    return tn_data_translate(arena, &guarded);
}

/* --- who is calling --------------------------------------------------------------------------- */

const tn_error *
tn_data_unauthorized(tn_arena *arena, const tn_error *error, const char *problem)
{
    const char **headers = tn_arena_alloc(arena, 3, sizeof(*headers));
    tn_error *changed = tn_arena_alloc(arena, 1, sizeof(*changed));

    headers[0] = "WWW-Authenticate";
    headers[1] =
        problem == NULL
            ? "Bearer"
            : tn_arena_printf(arena, "Bearer error=\"invalid_token\", error_description=\"%s\"",
                              problem);
    *changed = *error;
    changed->status = 401;
    changed->headers = headers;
    return changed;
}

/* --- the form --------------------------------------------------------------------------------- */

tn_error
tn_data_error_told(tn_arena *arena, const tn_request *request, const tn_error *error)
{
    tn_error ours = *error;
    const size_t length = strlen(request->path);
    const bool is_root = length > 0 && request->path[length - 1] == '/';
    const bool is_call = strstr(request->path, "/rpc/") != NULL;
    const bool is_bad_method = strcmp(error->code, "method_not_allowed") == 0;

    if (strcmp(error->code, "route_not_found") == 0 || (is_bad_method && is_root)) {
        ours.status = 404;
        ours.code = "PGRST125";
        ours.message = "Invalid path specified in request URL";
        ours.hint = NULL;
    } else if (is_bad_method) {
        ours.code = is_call ? "PGRST101" : "PGRST117";
        ours.message =
            is_call ? tn_arena_printf(arena, "Cannot use the %s method on RPC", request->method)
                    : tn_arena_printf(arena, "Unsupported HTTP method: %s", request->method);
    } else if (strcmp(error->code, "database_unavailable") == 0) {
        ours.code = "PGRST000";
        ours.message = "Database connection error. Retrying the connection.";
    }
    return ours;
}

/* Details that are no text (PGRST201 lists relationships) come as the member of that name; others
 * (of a batch) may stand behind it. */
static void
append_details(PQExpBuffer body, const tn_error *error)
{
    static const char member[] = "\"details\":";

    if (error->members != NULL && tn_text_starts(error->members, member))
        appendPQExpBufferStr(body, error->members + sizeof(member) - 1);
    else
        tn_buffer_json_string(body, error->details);
}

void
tn_data_error_append(PQExpBuffer json, const tn_error *error)
{
    appendPQExpBufferStr(json, "{\"code\":");
    tn_buffer_json_string(json, error->code);
    appendPQExpBufferStr(json, ",\"details\":");
    append_details(json, error);
    appendPQExpBufferStr(json, ",\"hint\":");
    tn_buffer_json_string(json, error->hint);
    appendPQExpBufferStr(json, ",\"message\":");
    tn_buffer_json_string(json, error->message);
    appendPQExpBufferChar(json, '}');
}

void
tn_data_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                     tn_response *response)
{
    const tn_error told = tn_data_error_told(arena, request, error);
    PQExpBuffer body = tn_arena_buffer(arena);

    tn_data_error_append(body, &told);
    tn_response_json(response, told.status, tn_buffer_text(body));
    if (told.status == 401 && told.headers == NULL)
        tn_response_header(response, "WWW-Authenticate", "Bearer");
}
