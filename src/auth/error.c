/* auth/error.c: errors in the two forms that the X-Supabase-Api-Version of a request chooses
 * between
 *
 *   absent, not a date, or before 2024-01-01   {"code": 400, "error_code": "…", "msg": "…"}
 *   from then on                               {"code": "…", "message": "…"}, version echoed
 */
#include <ctype.h>
#include <string.h>

#include "auth/area.h"
#include "auth/auth.h"
#include "base/text.h"

#define VERSION_HEADER "X-Supabase-Api-Version"
#define VERSION "2024-01-01"

/* YYYY-MM-DD; texts of this form compare as their dates do. */
static bool
is_date(const char *text)
{
    static const char form[] = "0000-00-00";

    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == '-' ? text[i] != '-' : !isdigit((unsigned char)text[i]))
            return false;
    return strncmp(text + 5, "01", 2) >= 0 && strncmp(text + 5, "12", 2) <= 0 &&
           strcmp(text + 8, "01") >= 0 && strcmp(text + 8, "31") <= 0;
}

bool
tn_auth_wants_new_form(const tn_request *request)
{
    const char *version = tn_request_header(request, "x-supabase-api-version");

    return version != NULL && is_date(version) && strcmp(version, VERSION) >= 0;
}

/* The words of this dialect for what other rooms call otherwise. */
static const char *
code_of(const tn_error *error)
{
    static const char *const words[][2] = {
        {"internal_error", "unexpected_failure"}, {"body_too_large", "request_entity_too_large"},
        {"statement_timeout", "request_timeout"}, {"no_api_key", "no_authorization"},
        {"bad_request", "validation_failed"},
    };

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(words[i][0], error->code) == 0)
            return words[i][1];
    return error->code;
}

/* --- triggers and constraints of the app's own ------------------------------------------------ */

/* What these say is for the client, in the older form; in the newer one only that there was
 * something. Such an error has the SQLSTATE for its code. */
static bool
is_sqlstate(const char *code)
{
    return strlen(code) == 5 && strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == 5;
}

static bool
is_the_apps(const tn_db_problem *problem, int64_t *status)
{
    static const char *const shown[] = {"P0001", "23000", "23001", "23502",
                                        "23503", "23505", "23514", "23P01"};

    if (problem->sqlstate == NULL)
        return false;
    *status = 500;
    if (tn_text_starts(problem->sqlstate, "PT")) /* with a name it is an answer of ours */
        return (problem->constraint == NULL || *problem->constraint == '\0') &&
               tn_text_int(problem->sqlstate + 2, 400, 599, status);
    for (size_t i = 0; i < TN_COUNT(shown); i++)
        if (strcmp(shown[i], problem->sqlstate) == 0)
            return true;
    return false;
}

const tn_error *
tn_auth_apps_error(tn_arena *arena, const tn_db_problem *problem)
{
    tn_error *error;
    int64_t status;

    if (!is_the_apps(problem, &status))
        return NULL;
    error = tn_error_new(arena, (int)status, problem->sqlstate, problem->hint, "%s",
                         problem->message != NULL ? problem->message : "");
    error->details = problem->detail;
    return error;
}

/* Somebody else has taken the address after it was looked for. */
static const tn_error *
taken_meanwhile(tn_arena *arena, const tn_db_problem *problem)
{
    if (problem->sqlstate == NULL || strcmp(problem->sqlstate, "23505") != 0 ||
        problem->constraint == NULL)
        return NULL;
    if (strcmp(problem->constraint, "users_by_email") == 0)
        return tn_error_new(arena, 422, "email_exists", NULL,
                            "A user with this email address has already been registered");
    if (strcmp(problem->constraint, "users_by_phone") == 0)
        return tn_error_new(arena, 422, "phone_exists", NULL,
                            "A user with this phone number has already been registered");
    return NULL;
}

const tn_error *
tn_auth_database_error(tn_arena *arena, const tn_db_problem *problem)
{
    const tn_error *error = taken_meanwhile(arena, problem);

    if (error != NULL)
        return error;
    error = tn_auth_apps_error(arena, problem);
    if (error == NULL)
        return tn_db_error(arena, problem);
    tn_db_problem_log(arena, problem, 400);
    return error;
}

static void
render_database_error(const tn_error *error, tn_arena *arena, tn_response *response)
{
    PQExpBuffer body = tn_arena_buffer(arena);

    appendPQExpBufferStr(body, "{\"code\":");
    tn_buffer_json_string(body, error->code);
    appendPQExpBufferStr(body, ",\"message\":");
    tn_buffer_json_string(body, error->message);
    if (error->hint != NULL) {
        appendPQExpBufferStr(body, ",\"hint\":");
        tn_buffer_json_string(body, error->hint);
    }
    if (error->details != NULL) {
        appendPQExpBufferStr(body, ",\"detail\":");
        tn_buffer_json_string(body, error->details);
    }
    appendPQExpBufferChar(body, '}');
    tn_response_json(response, error->status, tn_buffer_text(body));
}

/* --- what the dialect has and Tenon has not --------------------------------------------------- */

static const struct absence {
    const char *prefix, *code, *message;
} absences[] = {
    {"/sso", "saml_provider_disabled", "SAML 2.0 is disabled"},
    {"/admin/sso", "saml_provider_disabled", "SAML 2.0 is disabled"},
    {"/oauth", "feature_disabled", "OAuth server is disabled"},
    {"/admin/oauth", "feature_disabled", "OAuth server is disabled"},
    {"/user/oauth", "feature_disabled", "OAuth server is disabled"},
    {"/admin/custom-providers", "feature_disabled", "Custom providers are disabled"},
};

/* Clients know such an answer, and nothing of our routes. */
static const tn_error *
name_absence(const tn_request *request, const tn_error *error, tn_arena *arena)
{
    const char *path;

    if (strcmp(error->code, "route_not_found") != 0 ||
        !tn_text_starts(request->path, tn_auth_area.prefix))
        return error;
    path = request->path + strlen(tn_auth_area.prefix);
    for (size_t i = 0; i < TN_COUNT(absences); i++) {
        const size_t length = strlen(absences[i].prefix);

        if (tn_text_starts(path, absences[i].prefix) &&
            (path[length] == '\0' || path[length] == '/'))
            return tn_error_new(arena, 404, absences[i].code, NULL, "%s", absences[i].message);
    }
    return error;
}

/* --- rendering -------------------------------------------------------------------------------- */

void
tn_auth_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                     tn_response *response)
{
    PQExpBuffer body = tn_arena_buffer(arena);
    const bool is_new = tn_auth_wants_new_form(request);

    error = name_absence(request, error, arena);
    if (is_sqlstate(error->code)) {
        if (!is_new) {
            render_database_error(error, arena, response);
            return;
        }
        error = tn_error_new(arena, 500, "unexpected_failure", NULL, "Database error saving user");
    }
    if (is_new) {
        tn_response_header(response, VERSION_HEADER, VERSION);
        appendPQExpBufferStr(body, "{\"code\":");
    } else {
        appendPQExpBuffer(body, "{\"code\":%d,\"error_code\":", error->status);
    }
    tn_buffer_json_string(body, code_of(error));
    appendPQExpBufferStr(body, is_new ? ",\"message\":" : ",\"msg\":");
    tn_buffer_json_string(body, error->message);
    if (error->status >= 500) {
        appendPQExpBufferStr(body, ",\"error_id\":");
        tn_buffer_json_string(body, request->id);
    }
    if (error->members != NULL)
        appendPQExpBuffer(body, ",%s", error->members);
    appendPQExpBufferChar(body, '}');
    tn_response_json(response, error->status, tn_buffer_text(body));
}
