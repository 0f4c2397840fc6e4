/* t/fuzz/data_header.c: header fields out of SQL are fields, and can be told again in JSON
 *
 * The bytes are the text of response.headers, and of the message and the detail of a raise.
 */
#include "data/header.h"

#include <string.h>

#include "data/error.h"
#include "t/fuzz/fuzz.h"

static void
check_field(const char *name, const char *value)
{
    assert(*name != '\0' && strpbrk(name, " \t\r\n:\"") == NULL);
    assert(strncasecmp(name, "x-accel-", 8) != 0 && strcasecmp(name, "status") != 0);
    for (; *value != '\0'; value++)
        assert((unsigned char)*value >= ' ' ? *value != '\177' : *value == '\t');
}

static void
check_headers(const char *const *headers)
{
    size_t count = 0;

    for (; headers != NULL && *headers != NULL; headers += 2, count++)
        check_field(headers[0], headers[1]);
    assert(count <= TN_SQL_HEADERS_MAX);
}

/* As it would be written in SQL by somebody who got these fields. */
static const char *
list_of(tn_arena *arena, const char *const *headers)
{
    PQExpBuffer list = tn_arena_buffer(arena);

    appendPQExpBufferChar(list, '[');
    for (; *headers != NULL; headers += 2) {
        appendPQExpBufferStr(list, list->len > 1 ? ",{" : "{");
        tn_buffer_json_string(list, headers[0]);
        appendPQExpBufferChar(list, ':');
        tn_buffer_json_string(list, headers[1]);
        appendPQExpBufferChar(list, '}');
    }
    appendPQExpBufferChar(list, ']');
    return tn_buffer_text(list);
}

static void
check_list(tn_arena *arena, const char *text)
{
    const char *const *headers, *const *again;
    tn_response response = {.content_type = "application/json"};

    if (!tn_headers_of_list(arena, text, &headers))
        return;
    check_headers(headers);
    assert(tn_headers_of_list(arena, list_of(arena, headers), &again));
    for (size_t i = 0; headers[i] != NULL || again[i] != NULL; i++)
        assert(headers[i] != NULL && again[i] != NULL && strcmp(headers[i], again[i]) == 0);
    tn_response_header(&response, "ETag", "\"1\"");
    tn_headers_replace(&response, headers);
    assert(response.content_type != NULL && response.header_count <= TN_SQL_HEADERS_MAX + 1);
}

static void
check_raise(tn_arena *arena, const char *message, const char *detail)
{
    const tn_db_problem problem = {.sqlstate = "PGRST", .message = message, .detail = detail};
    const tn_error *error = tn_data_translate(arena, &problem);

    assert(error->status >= 200 && error->status <= 599);
    check_headers(error->headers);
    for (const char *c = error->reason; c != NULL && *c != '\0'; c++)
        assert(*c >= ' ' && *c <= '~');
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);

    check_list(arena, text);
    check_raise(arena, "{\"code\":\"c\",\"message\":\"m\"}", text);
    check_raise(arena, text, "{\"status\":400,\"headers\":{}}");
    tn_arena_free(arena);
    return 0;
}
