/* t/unit/provider.c: ai/openai.c, ai/anthropic.c and ai/echo.c: requests and answers in each wire
 * format */
#include "ai/provider.h"

#include <string.h>

#include "ai/echo.h"
#include "base/buffer.h"
#include "t/unit/unit.h"

static bool
note(void *context, const char *text, size_t length)
{
    appendBinaryPQExpBuffer(context, text, length);
    return true;
}

/* --- requests -------------------------------------------------------------------------------- */

static const tn_ai_part hello[] = {{.text = "hello \"you\""}};
static const tn_ai_part picture[] = {{.text = "what is this?"},
                                     {.image_url = "https://example.com/a.png"}};
static const tn_ai_part reply[] = {{.text = "hi"}};
static const tn_ai_part rule[] = {{.text = "be kind"}};
static const tn_ai_message one[] = {{"user", hello, 1}};
static const tn_ai_message several[] = {
    {"user", hello, 1}, {"system", rule, 1}, {"assistant", reply, 1}, {"user", picture, 2}};
static const tn_provider_config elsewhere = {
    .name = "x", .base_url = "http://localhost/v1", .key = "sk-1"};
static const tn_provider_config itself = {.name = "y", .base_url = "https://api.openai.com/v1"};

static const struct {
    const tn_ai_dialect *dialect;
    const tn_provider_config *provider;
    tn_ai_request request;
    const char *body;
} requests[] = {
    {&tn_ai_openai,
     &elsewhere,
     {.model = "m", .messages = one, .message_count = 1, .max_tokens = 10},
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello "
     "\\\"you\\\"\"}],\"max_tokens\":10}"},
    {&tn_ai_openai,
     &itself,
     {.model = "m",
      .instructions = "s",
      .messages = one,
      .message_count = 1,
      .max_tokens = 10,
      .stream = true},
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
     "\"content\":\"hello \\\"you\\\"\"}],"
     "\"max_completion_tokens\":10,\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {&tn_ai_openai,
     &elsewhere,
     {.model = "m", .messages = several, .message_count = 4, .max_tokens = 10},
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello "
     "\\\"you\\\"\"},{\"role\":\"system\",\"content\":\"be kind\"},"
     "{\"role\":\"assistant\",\"content\":\"hi\"},{\"role\":\"user\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"what is this?\"},"
     "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://example.com/"
     "a.png\"}}]}],\"max_tokens\":10}"},
    {&tn_ai_anthropic,
     &elsewhere,
     {.model = "m", .messages = one, .message_count = 1, .max_tokens = 10, .stream = true},
     "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"hello \\\"you\\\"\"}]}],"
     "\"stream\":true}"},
    {&tn_ai_anthropic,
     &elsewhere,
     {.model = "m", .instructions = "s", .messages = several, .message_count = 4, .max_tokens = 10},
     "{\"model\":\"m\",\"max_tokens\":10,\"system\":\"s\\n\\nbe "
     "kind\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
     "\"text\":\"hello "
     "\\\"you\\\"\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},{"
     "\"role\":\"user\",\"content\":"
     "[{\"type\":\"text\",\"text\":\"what is "
     "this?\"},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://example.com/"
     "a.png\"}}]}]}"},
};

static void
requests_are_written_as_each_wants_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(requests); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("request %zu", i);
        TN_CHECK_TEXT(requests[i].dialect->body(arena, requests[i].provider, &requests[i].request),
                      requests[i].body);
        tn_arena_free(arena);
    }
}

static void
the_key_is_a_header(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    assert_string_equal(tn_ai_openai.headers(arena, &elsewhere)[2], "Authorization: Bearer sk-1");
    assert_null(tn_ai_openai.headers(arena, &itself)[2]);
    assert_string_equal(tn_ai_anthropic.headers(arena, &elsewhere)[3], "x-api-key: sk-1");
    tn_arena_free(arena);
}

/* --- answers --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const tn_ai_dialect *dialect;
    bool is_whole;
    const char *pieces[8]; /* events, or one whole text */
    bool is_understood;
    const char *text, *finish, *model, *id;
    int64_t input, output;
    bool has_ended;
    const char *failure;
} answers[] = {
    {"openai stream",
     &tn_ai_openai,
     false,
     {"{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
      "\"assistant\",\"content\":\"\"}}]}",
      "{\"choices\":[{\"delta\":{\"content\":\"Good \"},\"finish_reason\":null}],\"usage\":null}",
      "{\"choices\":[{\"delta\":{\"content\":\"day\"}}]}",
      "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}",
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}",
      "[DONE]"},
     true,
     "Good day",
     "length",
     "m-1",
     "c1",
     7,
     2,
     true,
     NULL},
    {"openai stream without usage",
     &tn_ai_openai,
     false,
     {"{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}"},
     true,
     "x",
     "stop",
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai error event",
     &tn_ai_openai,
     false,
     {"{\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     "overloaded"},
    {"openai error text",
     &tn_ai_openai,
     false,
     {"{\"error\":\"no such model\"}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     "no such model"},
    {"openai tool call",
     &tn_ai_openai,
     false,
     {"{\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[{\"index\":0}]},\"finish_"
      "reason\":\"tool_calls\"}]}"},
     true,
     "",
     "tool_calls",
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai odd types",
     &tn_ai_openai,
     false,
     {"{\"choices\":[{\"delta\":{\"content\":5}}],\"usage\":{\"prompt_tokens\":\"7\"}}",
      "{\"choices\":{}}", "{}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai figures that are none",
     &tn_ai_openai,
     false,
     {"{\"choices\":[],\"usage\":{\"prompt_tokens\":9000000000000000000,\"completion_tokens\":-1}"
      "}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai new word",
     &tn_ai_openai,
     false,
     {"{\"choices\":[{\"delta\":{},\"finish_reason\":\"eos\"}]}"},
     true,
     "",
     "stop",
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai no JSON",
     &tn_ai_openai,
     false,
     {"{\"choices\": ["},
     false,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai a number",
     &tn_ai_openai,
     false,
     {"5"},
     false,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"openai whole",
     &tn_ai_openai,
     true,
     {"{\"id\":\"c2\",\"model\":\"m-2\",\"choices\":[{\"message\":{\"role\":\"assistant\","
      "\"content\":\"hi\"},\"finish_reason\":\"content_filter\"}],"
      "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}"},
     true,
     "hi",
     "content_filter",
     "m-2",
     "c2",
     3,
     1,
     true,
     NULL},
    {"openai whole in parts",
     &tn_ai_openai,
     true,
     {"{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"text\":\"b\"}"
      "]},\"finish_reason\":\"stop\"}]}"},
     true,
     "ab",
     "stop",
     NULL,
     NULL,
     -1,
     -1,
     true,
     NULL},
    {"openai whole of another kind",
     &tn_ai_openai,
     true,
     {"{\"hello\":[1]}"},
     false,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"anthropic stream",
     &tn_ai_anthropic,
     false,
     {"{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"c-1\",\"usage\":{"
      "\"input_tokens\":5,\"cache_read_input_tokens\":2,\"output_tokens\":1}}}",
      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":"
      "\"\"}}",
      "{\"type\":\"ping\"}",
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
      "\"Bon\"}}",
      "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":"
      "\"hm\"}}",
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_"
      "tokens\":9}}",
      "{\"type\":\"message_stop\"}"},
     true,
     "Bon",
     "length",
     "c-1",
     "msg_1",
     7,
     9,
     true,
     NULL},
    {"anthropic cut",
     &tn_ai_anthropic,
     false,
     {"{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}"
      "}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     5,
     -1,
     false,
     NULL},
    {"anthropic figures that are none",
     &tn_ai_anthropic,
     false,
     {"{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,"
      "\"cache_read_input_tokens\":9223372036854775807}}}",
      "{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9223372036854775807}}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     5,
     -1,
     false,
     NULL},
    {"anthropic error",
     &tn_ai_anthropic,
     false,
     {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     "Overloaded"},
    {"anthropic later version",
     &tn_ai_anthropic,
     false,
     {"{\"type\":\"something_new\",\"x\":1}"},
     true,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"anthropic no JSON",
     &tn_ai_anthropic,
     false,
     {"hello"},
     false,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
    {"anthropic whole",
     &tn_ai_anthropic,
     true,
     {"{\"id\":\"msg_2\",\"type\":\"message\",\"model\":\"c-2\",\"content\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"type\":\"tool_use\",\"input\":{}}],"
      "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}"},
     true,
     "a",
     "tool_calls",
     "c-2",
     "msg_2",
     1,
     2,
     true,
     NULL},
    {"anthropic whole of another kind",
     &tn_ai_anthropic,
     true,
     {"{\"content\":\"x\"}"},
     false,
     "",
     NULL,
     NULL,
     NULL,
     -1,
     -1,
     false,
     NULL},
};

static void
answers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(answers); i++) {
        tn_arena *arena = tn_arena_new(), *scratch = tn_arena_new();
        PQExpBuffer text = tn_arena_buffer(arena);
        tn_ai_answer answer = TN_AI_ANSWER_INIT;
        bool is_understood = true;

        answer.arena = arena;
        answer.on_text = note;
        answer.context = text;
        TN_CASE("%s", answers[i].name);
        for (size_t j = 0; answers[i].pieces[j] != NULL; j++) {
            const char *piece = answers[i].pieces[j];

            is_understood =
                is_understood &&
                (answers[i].is_whole
                     ? answers[i].dialect->whole(&answer, scratch, piece, strlen(piece))
                     : answers[i].dialect->event(&answer, scratch, "", piece, strlen(piece)));
            tn_arena_reset(scratch); /* nothing that is kept may live there */
        }
        TN_CHECK(is_understood == answers[i].is_understood);
        TN_CHECK_TEXT(tn_buffer_text(text), answers[i].text);
        TN_CHECK_TEXT(answer.finish_reason, answers[i].finish);
        TN_CHECK_TEXT(answer.model, answers[i].model);
        TN_CHECK_TEXT(answer.id, answers[i].id);
        TN_CHECK_TEXT(answer.failure, answers[i].failure);
        TN_CHECK(answer.input_tokens == answers[i].input);
        TN_CHECK(answer.output_tokens == answers[i].output);
        TN_CHECK(answer.ended == answers[i].has_ended);
        tn_arena_free(scratch);
        tn_arena_free(arena);
    }
}

static const struct {
    const char *body, *words;
} errors[] = {
    {"{\"error\":{\"message\":\"bad key\"}}", "bad key"},
    {"{\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"busy\"}}", "busy"},
    {"{\"error\":\"model not found\"}", "model not found"},
    {"{\"message\":\"gone\"}", "gone"},
    {"{\"detail\":\"x\"}", NULL},
    {"<html>", NULL},
    {"", NULL},
    {"[1]", NULL},
};

static void
error_bodies_have_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(errors); i++) {
        tn_arena *arena = tn_arena_new();

        TN_CASE("%s", errors[i].body);
        TN_CHECK_TEXT(tn_ai_error_words(arena, errors[i].body, strlen(errors[i].body)),
                      errors[i].words);
        tn_arena_free(arena);
    }
}

/* --- echo ------------------------------------------------------------------------------------ */

static bool
go_on(void *context)
{
    (void)context;
    return true;
}

static bool
stop(void *context)
{
    (void)context;
    return false;
}

static void
echo_repeats_the_last_message(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer text = tn_arena_buffer(arena);
    const tn_provider_config provider = {.name = "echo", .kind = TN_ECHO};
    const tn_ai_request request = {
        .model = "echo", .messages = several, .message_count = 4, .stream = true};
    tn_ai_answer answer = TN_AI_ANSWER_INIT;

    (void)state;
    answer.arena = arena;
    answer.on_text = note;
    answer.context = text;
    tn_ai_echo(arena, &provider, &request, &answer, go_on);
    assert_string_equal(tn_buffer_text(text), "You said: what is this?");
    assert_true(answer.ended);
    assert_string_equal(answer.finish_reason, "stop");
    assert_int_equal(answer.output_tokens, 6); /* 23 characters */
    assert_int_equal(answer.input_tokens, 3 + 2 + 1 + 4 + 4 * 4);
    tn_arena_free(arena);
}

static void
echo_stops_between_words(void **state)
{
    tn_arena *arena = tn_arena_new();
    PQExpBuffer text = tn_arena_buffer(arena);
    const tn_provider_config provider = {.name = "echo", .kind = TN_ECHO, .delay_ms = 1};
    const tn_ai_request request = {.model = "echo", .messages = one, .message_count = 1};
    tn_ai_answer answer = TN_AI_ANSWER_INIT;

    (void)state;
    answer.arena = arena;
    answer.on_text = note;
    answer.context = text;
    tn_ai_echo(arena, &provider, &request, &answer, stop);
    assert_string_equal(tn_buffer_text(text), "You");
    assert_false(answer.ended);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written_as_each_wants_them),
        cmocka_unit_test(the_key_is_a_header),
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(error_bodies_have_words),
        cmocka_unit_test(echo_repeats_the_last_message),
        cmocka_unit_test(echo_stops_between_words),
    };

    return tn_unit_run("provider", tests, TN_COUNT(tests));
}
