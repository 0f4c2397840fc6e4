/* t/unit/data_error.c: data/error.c: PostgreSQL's errors with PostgREST's statuses, and the form */
#include "data/error.h"

#include <string.h>

#include "t/unit/unit.h"

/* --- SQLSTATE → status ------------------------------------------------------------------------ */

#define HIDDEN true

static const struct {
    const char *sqlstate;
    int status;
    bool is_hidden; /* its words are about the server */
} states[] = {
    /* connection */
    {"08000", 503, HIDDEN},
    {"08003", 503, HIDDEN},
    {"08006", 503, HIDDEN},
    {"08P01", 503, HIDDEN},
    /* the app's own SQL */
    {"09000", 500, false},
    {"0L000", 403, false},
    {"0LP01", 403, false},
    {"0P000", 403, false},
    {"21000", 400, false},
    {"22003", 400, false},
    {"22012", 400, false},
    {"22023", 400, false},
    {"22P02", 400, false},
    {"23502", 400, false},
    {"23503", 409, false},
    {"23505", 409, false},
    {"23514", 400, false},
    {"23P01", 400, false},
    {"25006", 405, false},
    {"25000", 500, false},
    {"25P02", 500, false},
    {"28000", 403, false},
    {"28P01", 403, false},
    {"2D000", 500, false},
    {"38000", 500, false},
    {"38001", 500, false},
    {"39000", 500, false},
    {"39P01", 500, false},
    {"3B000", 500, false},
    {"3B001", 500, false},
    {"40001", 500, false},
    {"40P01", 500, false},
    {"42501", 403, false},
    {"42601", 400, false},
    {"42703", 400, false},
    {"42804", 400, false},
    {"42883", 404, false},
    {"42P01", 404, false},
    {"42P17", 400, false},
    {"44000", 400, false},
    {"53100", 503, HIDDEN},
    {"53300", 503, HIDDEN},
    {"53400", 503, HIDDEN},
    {"54000", 413, false},
    {"54001", 413, false},
    {"55000", 500, false},
    {"55P03", 500, false},
    {"57014", 500, false},
    {"57P01", 503, HIDDEN},
    {"57P02", 500, HIDDEN},
    {"57P03", 500, HIDDEN},
    {"58000", 500, HIDDEN},
    {"58030", 500, HIDDEN},
    {"F0000", 500, HIDDEN},
    {"HV000", 500, HIDDEN},
    {"P0000", 500, false},
    {"P0001", 400, false},
    {"P0002", 500, false},
    {"P0003", 500, false},
    {"XX000", 500, HIDDEN},
    {"XX001", 500, HIDDEN},
    {"ZZ999", 400, false},
    {"TENON", 400, false},
    {"", 400, false},
};

static void
of_a_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(states); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_db_problem problem = {.sqlstate = states[i].sqlstate,
                                       .message = "its message",
                                       .detail = "its detail",
                                       .hint = "its hint"};
        const tn_error *error = tn_data_translate(arena, &problem);

        TN_CASE("%s", states[i].sqlstate);
        TN_CHECK(error->status == states[i].status);
        TN_CHECK_TEXT(error->code, states[i].sqlstate);
        TN_CHECK((strcmp(error->message, "its message") != 0) == states[i].is_hidden);
        TN_CHECK_TEXT(error->details, states[i].is_hidden ? NULL : "its detail");
        TN_CHECK((strcmp(error->hint, "its hint") != 0) == states[i].is_hidden);
        TN_CHECK((error->retry_after_s > 0) == (error->status == 503));
        TN_CHECK(error->headers == NULL && error->reason == NULL && error->members == NULL);
        tn_arena_free(arena);
    }
}

/* What a function of the app raises under the server's own states are the app's words. */
static void
of_a_state_that_the_app_raises(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(states); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_db_problem problem = {.sqlstate = states[i].sqlstate,
                                       .message = "its message",
                                       .function = "exec_stmt_raise"};
        const tn_error *error = tn_data_translate(arena, &problem);

        TN_CASE("%s", states[i].sqlstate);
        TN_CHECK(error->status == states[i].status);
        TN_CHECK_TEXT(error->message, "its message");
        TN_CHECK((error->retry_after_s > 0) == (error->status == 503));
        tn_arena_free(arena);
    }
}

static void
without_words(void **state)
{
    static const tn_db_problem nothing = {.sqlstate = NULL}, bare = {.sqlstate = "22012"};
    tn_arena *arena = tn_arena_new();
    const tn_error *error = tn_data_translate(arena, &nothing);

    (void)state;
    assert_int_equal(error->status, 500);
    assert_string_equal(error->code, "XX000");
    error = tn_data_translate(arena, &bare);
    assert_string_equal(error->message, "");
    assert_null(error->details);
    assert_null(error->hint);
    tn_arena_free(arena);
}

static void
xml_that_cannot_be_made(void **state)
{
    static const tn_db_problem problem = {.sqlstate = "42883",
                                          .message = "function xmlagg(text) does not exist"};
    tn_arena *arena = tn_arena_new();

    (void)state;
    assert_int_equal(tn_data_translate(arena, &problem)->status, 406);
    tn_arena_free(arena);
}

static void
rows_of_somebody_else(void **state)
{
    static const tn_db_problem row = {.sqlstate = "23514",
                                      .message = "m",
                                      .detail = "Failing row contains (1, secret)."},
                               key = {.sqlstate = "23505",
                                      .message = "m",
                                      .detail = "Key (id)=(1) already exists."};
    tn_arena *arena = tn_arena_new();

    (void)state;
    assert_string_equal(tn_data_translate(arena, &row)->details,
                        "Failing row contains (1, secret).");
    assert_null(tn_data_translate_guarded(arena, &row)->details);
    assert_string_equal(tn_data_translate_guarded(arena, &key)->details,
                        "Key (id)=(1) already exists.");
    tn_arena_free(arena);
}

/* --- raised by number ------------------------------------------------------------------------- */

static const struct {
    const char *sqlstate, *constraint;
    int status;
    const char *code, *reason;
} numbers[] = {
    {"PT402", NULL, 402, "PT402", "Pay up"},
    {"PT200", NULL, 200, "PT200", "Pay up"},
    {"PT599", NULL, 599, "PT599", "Pay up"},
    {"PT402", "", 402, "PT402", "Pay up"},
    {"PT409", "stock_is_sold", 409, "stock_is_sold", NULL},
    {"PT199", NULL, 500, "PT199", "Pay up"},
    {"PT600", NULL, 500, "PT600", "Pay up"},
    {"PT4O4", NULL, 500, "PT4O4", "Pay up"},
    {"PT000", NULL, 500, "PT000", "Pay up"},
};

static void
raised_by_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(numbers); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_db_problem problem = {.sqlstate = numbers[i].sqlstate,
                                       .constraint = numbers[i].constraint,
                                       .message = "Pay up",
                                       .detail = "d",
                                       .hint = "h"};
        const tn_error *error = tn_data_translate(arena, &problem);

        TN_CASE("%s", numbers[i].sqlstate);
        TN_CHECK(error->status == numbers[i].status);
        TN_CHECK_TEXT(error->code, numbers[i].code);
        TN_CHECK_TEXT(error->reason, numbers[i].reason);
        TN_CHECK_TEXT(error->message, "Pay up");
        TN_CHECK_TEXT(error->details, "d");
        TN_CHECK_TEXT(error->hint, "h");
        tn_arena_free(arena);
    }
}

static void
a_phrase_stays_on_its_line(void **state)
{
    static const tn_db_problem lines = {.sqlstate = "PT400", .message = "one\r\nX-A: \303\244\177"},
                               nothing = {.sqlstate = "PT400", .message = ""};
    tn_arena *arena = tn_arena_new();
    const tn_error *error = tn_data_translate(arena, &lines);
    PQExpBuffer text = tn_arena_buffer(arena);
    tn_db_problem much = {.sqlstate = "PT400"};

    (void)state;
    assert_string_equal(error->reason, "one  X-A:    ");
    assert_string_equal(error->message, "one\r\nX-A: \303\244\177");
    assert_null(tn_data_translate(arena, &nothing)->reason);
    for (int i = 0; i < 1000; i++)
        appendPQExpBufferStr(text, "much ");
    much.message = tn_buffer_text(text);
    error = tn_data_translate(arena, &much);
    assert_int_equal(strlen(error->reason), 200);
    assert_string_equal(error->message, much.message);
    tn_arena_free(arena);
}

/* --- raised as JSON --------------------------------------------------------------------------- */

#define MESSAGE "{\"code\":\"123\",\"message\":\"m\"}"
#define DETAIL "{\"status\":499,\"headers\":{}}"

static const struct {
    const char *message, *detail;
    const char *answer; /* NULL: 500 PGRST121 */
} raises[] = {
    {MESSAGE, DETAIL, "499 123 m"},
    {"{\"code\":\"123\",\"message\":\"m\",\"details\":\"d\",\"hint\":\"h\"}",
     "{\"status\":499,\"status_text\":\"Weird\",\"headers\":{\"X-Powered-By\":\"Nerds\"}}",
     "499 123 m d h (Weird) X-Powered-By=Nerds"},
    {MESSAGE, "{\"status\":200,\"headers\":{\"A\":\"1\",\"B\":\"2\"}}", "200 123 m A=1 B=2"},
    {MESSAGE, "{\"status\":418,\"status_text\":\"\",\"headers\":{}}", "418 123 m"},
    {MESSAGE, "{\"status\":418,\"status_text\":\"a\\r\\nb\",\"headers\":{}}", "418 123 m (a  b)"},
    {"{\"code\":\"123\",\"message\":\"m\",\"details\":null,\"hint\":null,\"other\":[]}", DETAIL,
     "499 123 m"},
    /* message */
    {NULL, DETAIL, NULL},
    {"", DETAIL, NULL},
    {"m", DETAIL, NULL},
    {"[]", DETAIL, NULL},
    {"null", DETAIL, NULL},
    {"{\"code\":\"123\"}", DETAIL, NULL},
    {"{\"message\":\"m\"}", DETAIL, NULL},
    {"{\"code\":123,\"message\":\"m\"}", DETAIL, NULL},
    {"{\"code\":\"123\",\"message\":null}", DETAIL, NULL},
    {"{\"code\":\"123\",\"message\":\"m\"", DETAIL, NULL},
    /* detail */
    {MESSAGE, NULL, NULL},
    {MESSAGE, "", NULL},
    {MESSAGE, "{}", NULL},
    {MESSAGE, "[]", NULL},
    {MESSAGE, "{\"status\":499}", NULL},
    {MESSAGE, "{\"headers\":{}}", NULL},
    {MESSAGE, "{\"status\":\"499\",\"headers\":{}}", NULL},
    {MESSAGE, "{\"status\":199,\"headers\":{}}", NULL},
    {MESSAGE, "{\"status\":600,\"headers\":{}}", NULL},
    {MESSAGE, "{\"status\":499,\"headers\":[]}", NULL},
    {MESSAGE, "{\"status\":499,\"headers\":null}", NULL},
    {MESSAGE, "{\"status\":499,\"headers\":{\"A\":1}}", NULL},
    {MESSAGE, "{\"status\":499,\"headers\":{\"A\":\"1\\r\\nB: 2\"}}", NULL},
    {MESSAGE, "{\"status\":499,\"headers\":{\"X-Accel-Redirect\":\"/\"}}", NULL},
};

static const char *
print(tn_arena *arena, const tn_error *error)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    appendPQExpBuffer(text, "%d %s %s", error->status, error->code, error->message);
    if (error->details != NULL)
        appendPQExpBuffer(text, " %s", error->details);
    if (error->hint != NULL)
        appendPQExpBuffer(text, " %s", error->hint);
    if (error->reason != NULL)
        appendPQExpBuffer(text, " (%s)", error->reason);
    for (const char *const *h = error->headers; h != NULL && *h != NULL; h += 2)
        appendPQExpBuffer(text, " %s=%s", h[0], h[1]);
    return tn_buffer_text(text);
}

static void
raised_as_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(raises); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_db_problem problem = {
            .sqlstate = "PGRST", .message = raises[i].message, .detail = raises[i].detail};

        TN_CASE("%s, %s", raises[i].message, raises[i].detail);
        TN_CHECK_TEXT(print(arena, tn_data_translate(arena, &problem)),
                      raises[i].answer != NULL
                          ? raises[i].answer
                          : "500 PGRST121 The message and detail field of RAISE 'PGRST' error "
                            "expects JSON");
        tn_arena_free(arena);
    }
}

/* --- the form --------------------------------------------------------------------------------- */

#define FORM(code, details, hint, message) \
    "{\"code\":" code ",\"details\":" details ",\"hint\":" hint ",\"message\":" message "}"

static const struct {
    const char *method, *path;
    tn_error error;
    int status;
    const char *body;
} forms[] = {
    {"GET",
     "/rest/v1/stock",
     {.status = 409, .code = "23505", .message = "m", .details = "d", .hint = "h"},
     409,
     FORM("\"23505\"", "\"d\"", "\"h\"", "\"m\"")},
    {"GET",
     "/rest/v1/stock",
     {.status = 400, .code = "PGRST100", .message = "\"a\"\n\303\244"},
     400,
     FORM("\"PGRST100\"", "null", "null", "\"\\\"a\\\"\\n\303\244\"")},
    {"GET",
     "/rest/v1/stock",
     {.status = 300,
      .code = "PGRST201",
      .message = "m",
      .details = "not this",
      .members = "\"details\":[{\"cardinality\":\"one-to-one\"}]"},
     300,
     FORM("\"PGRST201\"", "[{\"cardinality\":\"one-to-one\"}]", "null", "\"m\"")},
    {"GET",
     "/rest/v1/stock",
     {.status = 409, .code = "x", .message = "m", .details = "d", .members = "\"run_id\":\"1\""},
     409,
     FORM("\"x\"", "\"d\"", "null", "\"m\"")},
    /* what others say, in the words of this dialect */
    {"GET",
     "/rest/v1/a/b",
     {.status = 404, .code = "route_not_found", .message = "m", .hint = "h"},
     404,
     FORM("\"PGRST125\"", "null", "null", "\"Invalid path specified in request URL\"")},
    {"POST",
     "/rest/v1/",
     {.status = 405, .code = "method_not_allowed", .message = "m"},
     404,
     FORM("\"PGRST125\"", "null", "null", "\"Invalid path specified in request URL\"")},
    {"TRACE",
     "/rest/v1/stock",
     {.status = 405, .code = "method_not_allowed", .message = "m"},
     405,
     FORM("\"PGRST117\"", "null", "null", "\"Unsupported HTTP method: TRACE\"")},
    {"DELETE",
     "/rest/v1/rpc/add",
     {.status = 405, .code = "method_not_allowed", .message = "m"},
     405,
     FORM("\"PGRST101\"", "null", "null", "\"Cannot use the DELETE method on RPC\"")},
    {"GET",
     "/rest/v1/stock",
     {.status = 503, .code = "database_unavailable", .message = "m", .hint = "h"},
     503,
     FORM("\"PGRST000\"", "null", "\"h\"",
          "\"Database connection error. Retrying the connection.\"")},
    {"GET",
     "",
     {.status = 404, .code = "route_not_found", .message = "m"},
     404,
     FORM("\"PGRST125\"", "null", "null", "\"Invalid path specified in request URL\"")},
};

static void
the_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(forms); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_request request = {.method = forms[i].method, .path = forms[i].path};
        tn_response response = {0};

        TN_CASE("%s %s", forms[i].method, forms[i].path);
        tn_data_render_error(&request, &forms[i].error, arena, &response);
        TN_CHECK(response.status == forms[i].status);
        TN_CHECK_TEXT(response.body, forms[i].body);
        TN_CHECK(response.body_length == strlen(response.body));
        TN_CHECK_TEXT(response.content_type, "application/json; charset=utf-8");
        TN_CHECK(response.header_count == 0);
        tn_arena_free(arena);
    }
}

static const struct {
    const char *problem, *field;
} credentials[] = {
    {NULL, "Bearer"},
    {"JWT expired", "Bearer error=\"invalid_token\", error_description=\"JWT expired\""},
};

static void
who_has_shown_too_little(void **state)
{
    static const tn_error found = {.status = 403, .code = "42501", .message = "m", .details = "d"};
    static const tn_error bare = {.status = 401, .code = "invalid_key", .message = "m"};
    static const tn_request request = {.method = "GET", .path = "/rest/v1/stock"};

    (void)state;
    for (size_t i = 0; i < TN_COUNT(credentials); i++) {
        tn_arena *arena = tn_arena_new();
        const tn_error *error = tn_data_unauthorized(arena, &found, credentials[i].problem);

        TN_CASE("%s", credentials[i].field);
        TN_CHECK(error->status == 401 && found.status == 403);
        TN_CHECK_TEXT(error->code, "42501");
        TN_CHECK_TEXT(error->details, "d");
        TN_CHECK_TEXT(error->headers[0], "WWW-Authenticate");
        TN_CHECK_TEXT(error->headers[1], credentials[i].field);
        TN_CHECK(error->headers[2] == NULL);
        tn_arena_free(arena);
    }
    { /* of others it comes with the form */
        tn_arena *arena = tn_arena_new();
        tn_response response = {0};

        tn_data_render_error(&request, &bare, arena, &response);
        assert_int_equal(response.header_count, 1);
        assert_string_equal(response.headers[0].name, "WWW-Authenticate");
        tn_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_state),
        cmocka_unit_test(of_a_state_that_the_app_raises),
        cmocka_unit_test(without_words),
        cmocka_unit_test(xml_that_cannot_be_made),
        cmocka_unit_test(rows_of_somebody_else),
        cmocka_unit_test(raised_by_number),
        cmocka_unit_test(a_phrase_stays_on_its_line),
        cmocka_unit_test(raised_as_json),
        cmocka_unit_test(the_form),
        cmocka_unit_test(who_has_shown_too_little),
    };

    return tn_unit_run("data_error", tests, TN_COUNT(tests));
}
