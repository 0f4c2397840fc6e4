/* t/unit/message.c: chat/message.c: what begin_run() admits becomes a request for a provider */
#include "chat/message.h"

#include <string.h>

#include "t/unit/unit.h"

static const tn_provider_config providers[] = {{.name = "echo", .kind = TN_ECHO}, {.name = "mock"}};
static const tn_config config = {.providers = providers, .provider_count = 2};

static const struct {
    const char *name, *history, *messages;
} cases[] = {
    {"turns",
     "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":"
     "\"user\",\"content\":\"c\"}]",
     "user:a|assistant:b|user:c|"},
    {"two questions in a row",
     "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":"
     "\"user\",\"content\":\"c\"}]",
     "user:a\n\nb\n\nc|"},
    {"parts",
     "[{\"role\":\"user\",\"content\":\"a\",\"parts\":[{\"type\":\"text\",\"text\":\"x\"},{"
     "\"type\":\"image_url\",\"image_url\":{\"url\":\"https://e/1\"}}]}]",
     "user:x,<https://e/1>|"},
    {"a text after parts",
     "[{\"role\":\"user\",\"content\":\"\",\"parts\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"https://e/1\"}}]},{\"role\":\"user\",\"content\":\"b\"}]",
     "user:<https://e/1>,b|"},
    {"nothing", "[]", ""},
};

static const char *
print(tn_arena *arena, const tn_ai_request *request)
{
    PQExpBuffer text = tn_arena_buffer(arena);

    for (size_t i = 0; i < request->message_count; i++) {
        const tn_ai_message *message = &request->messages[i];

        appendPQExpBuffer(text, "%s:", message->role);
        for (size_t j = 0; j < message->part_count; j++)
            if (message->parts[j].text != NULL)
                appendPQExpBuffer(text, "%s%s", j > 0 ? "," : "", message->parts[j].text);
            else
                appendPQExpBuffer(text, "%s<%s>", j > 0 ? "," : "", message->parts[j].image_url);
        appendPQExpBufferChar(text, '|');
    }
    return tn_buffer_text(text);
}

static json_object *
admit(tn_arena *arena, const char *candidates, const char *history)
{
    const char *json = tn_arena_printf(
        arena, "{\"candidates\":%s,\"history\":%s,\"input_estimate\":7,\"system\":\"s\"}",
        candidates, history);
    json_object *value;

    assert_null(tn_json_parse(arena, json, strlen(json), TN_JSON_DEPTH, &value));
    return value;
}

static void
histories_become_turns(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        tn_ctx c = {.arena = arena, .config = &config};
        tn_ai_call call = {0};

        TN_CASE("%s", cases[i].name);
        TN_CHECK(tn_message_call(&c, admit(arena, "[[\"echo\",\"m\",5]]", cases[i].history),
                                 &call) == NULL);
        TN_CHECK_TEXT(print(arena, &call.request), cases[i].messages);
        TN_CHECK_TEXT(call.request.instructions, "s");
        TN_CHECK(call.input_estimate == 7);
        tn_arena_free(arena);
    }
}

static void
candidates_are_those_that_are_configured(void **state)
{
    tn_arena *arena = tn_arena_new();
    tn_ctx c = {.arena = arena, .config = &config};
    tn_ai_call call = {0};

    (void)state;
    assert_null(tn_message_call(
        &c,
        admit(arena, "[[\"gone\",\"m\",5],[\"mock\",\"large\",10],[\"echo\",\"echo\",20]]", "[]"),
        &call));
    assert_int_equal(call.candidate_count, 2);
    assert_string_equal(call.candidates[0].provider->name, "mock");
    assert_string_equal(call.candidates[0].model, "large");
    assert_int_equal(call.candidates[1].max_tokens, 20);
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_become_turns),
        cmocka_unit_test(candidates_are_those_that_are_configured),
    };

    return tn_unit_run("message", tests, TN_COUNT(tests));
}
