/* auth/error.c: errors in the two forms that the X-Supabase-Api-Version of a request chooses
 * between
 *
 *   absent, not a date, or before 2024-01-01   {"code": 400, "error_code": "…", "msg": "…"}
 *   from then on                               {"code": "…", "message": "…"}, version echoed
 */
#include <ctype.h>
#include <string.h>

#include "auth/area.h"

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
        {"internal_error", "unexpected_failure"},
        {"body_too_large", "request_entity_too_large"},
        {"statement_timeout", "request_timeout"},
        {"no_api_key", "no_authorization"},
    };

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (strcmp(words[i][0], error->code) == 0)
            return words[i][1];
    return error->code;
}

void
tn_auth_render_error(const tn_request *request, const tn_error *error, tn_arena *arena,
                     tn_response *response)
{
    PQExpBuffer body = tn_arena_buffer(arena);
    const bool is_new = tn_auth_wants_new_form(request);

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
