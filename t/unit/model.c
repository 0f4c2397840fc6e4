/* t/unit/model.c: ai/model.c: which provider is meant by a model's name */
#include "ai/model.h"

#include <string.h>

#include "t/unit/unit.h"

static const tn_model_config listed[] = {{"gpt-4o", 128000, 16384}, {"org/llama", 8000, 0}};
static const tn_provider_config providers[] = {
    {.name = "open", .kind = TN_OPENAI, .context_tokens = 1000, .output_tokens = 100},
    {.name = "closed",
     .kind = TN_OPENAI,
     .models = listed,
     .model_count = 2,
     .context_tokens = 1000,
     .output_tokens = 100},
    {.name = "echo", .kind = TN_ECHO, .context_tokens = 2000, .output_tokens = 200},
};
static const tn_config by_open = {
    .chat = {.provider = "open", .model = "large", .fallback = "closed, echo"},
    .providers = providers,
    .provider_count = 3};
static const tn_config by_closed = {.chat = {.provider = "closed", .model = "", .fallback = ""},
                                    .providers = providers,
                                    .provider_count = 3};
static const tn_config by_nobody = {
    .chat = {.provider = "open", .model = ""}, .providers = providers, .provider_count = 3};

static const struct {
    const tn_config *config;
    const char *provider, *model, *found, *found_model; /* found NULL: nobody */
} cases[] = {
    {&by_open, NULL, NULL, "open", "large"},
    {&by_closed, NULL, NULL, "closed", "gpt-4o"},
    {&by_nobody, NULL, NULL, NULL, NULL},
    {&by_open, NULL, "any", "open", "any"},
    {&by_open, NULL, "gpt-4o", "closed", "gpt-4o"},
    {&by_open, NULL, "org/llama", "closed", "org/llama"},
    {&by_open, NULL, "org/other", "open", "org/other"},
    {&by_open, NULL, "closed/gpt-4o", "closed", "gpt-4o"},
    {&by_open, NULL, "closed/gpt-5", NULL, NULL},
    {&by_open, NULL, "closed/", NULL, NULL},
    {&by_open, NULL, "closed", "closed", "gpt-4o"},
    {&by_open, NULL, "echo", "echo", "echo"},
    {&by_open, NULL, "echo/x", "echo", "x"},
    {&by_closed, NULL, "gpt-5", NULL, NULL},
    {&by_open, "closed", NULL, "closed", "gpt-4o"},
    {&by_open, "closed", "gpt-5", NULL, NULL},
    {&by_open, "closed", "closed/gpt-4o", "closed", "gpt-4o"},
    {&by_open, "nobody", "gpt-4o", NULL, NULL},
    {&by_open, "open", "gpt-4o", "open", "gpt-4o"},
};

static void
names_mean_somebody_or_nobody(void **state)
{
    (void)state;
    for (size_t i = 0; i < TN_COUNT(cases); i++) {
        tn_arena *arena = tn_arena_new();
        tn_ai_choice choice = {0};

        TN_CASE("case %zu: %s", i, cases[i].model == NULL ? "no model" : cases[i].model);
        TN_CHECK(tn_ai_choose(arena, cases[i].config, cases[i].provider, cases[i].model, &choice) ==
                 (cases[i].found != NULL));
        if (cases[i].found != NULL) {
            TN_CHECK_TEXT(choice.provider->name, cases[i].found);
            TN_CHECK_TEXT(choice.model, cases[i].found_model);
        }
        tn_arena_free(arena);
    }
}

static void
sql_is_told_the_windows(void **state)
{
    tn_arena *arena = tn_arena_new();

    (void)state;
    assert_string_equal(tn_ai_providers_json(arena, &by_open),
                        "{\"open\":{\"models\":{},\"any\":[1000,100]},"
                        "\"closed\":{\"models\":{\"gpt-4o\":[128000,16384],\"org/"
                        "llama\":[8000,100]},\"first\":\"gpt-4o\"},"
                        "\"echo\":{\"models\":{},\"first\":\"echo\",\"any\":[2000,200]}}");
    assert_string_equal(tn_ai_fallback_json(arena, &by_open), "[\"closed\",\"echo\"]");
    assert_string_equal(tn_ai_fallback_json(arena, &by_closed), "[]");
    tn_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_mean_somebody_or_nobody),
        cmocka_unit_test(sql_is_told_the_windows),
    };

    return tn_unit_run("model", tests, TN_COUNT(tests));
}
