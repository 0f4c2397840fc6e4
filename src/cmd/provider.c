/* cmd/provider.c: `tenon provider …`: AI providers, whether they answer, and what they cost */
#include "ai/provider.h"

#include "base/fetch.h"
#include "cmd/cmd.h"
#include "cmd/queries.h"

#define ANSWER_MAX (1 << 20)

static const char *const kinds[] = {
    [TN_OPENAI] = "openai", [TN_ANTHROPIC] = "anthropic", [TN_ECHO] = "echo"};

static const char *
list_models(tn_arena *arena, const tn_provider_config *provider)
{
    PQExpBuffer names = tn_arena_buffer(arena);

    for (size_t i = 0; i < provider->model_count; i++)
        appendPQExpBuffer(names, "%s%s", i == 0 ? "" : ", ", provider->models[i].name);
    return provider->model_count == 0 ? "any" : tn_buffer_text(names);
}

static void
add_member(PQExpBuffer json, const char *name, const char *text)
{
    appendPQExpBuffer(json, ", \"%s\": ", name);
    tn_buffer_json_string(json, text);
}

static void
print_provider(const tn_command_line *line, const tn_config *config,
               const tn_provider_config *provider)
{
    const bool is_default =
        config->chat.provider != NULL && strcmp(provider->name, config->chat.provider) == 0;
    const char *models = list_models(line->arena, provider);

    if (line->json) {
        PQExpBuffer json = tn_arena_buffer(line->arena);

        appendPQExpBufferStr(json, "{\"name\": ");
        tn_buffer_json_string(json, provider->name);
        add_member(json, "kind", kinds[provider->kind]);
        add_member(json, "base_url", provider->base_url);
        add_member(json, "models", models);
        appendPQExpBuffer(json, ", \"has_key\": %s, \"is_default\": %s}",
                          provider->key == NULL ? "false" : "true", is_default ? "true" : "false");
        fputs(tn_buffer_text(json), stdout);
        return;
    }
    printf("%-16s %-10s %-8s %-44s %s%s\n", provider->name, kinds[provider->kind],
           provider->kind == TN_ECHO ? "-"
           : provider->key == NULL   ? "no key"
                                     : "key",
           provider->base_url == NULL ? "-" : provider->base_url, models,
           is_default ? "  (default)" : "");
}

static tn_exit
run_list(tn_command_line *line)
{
    const tn_config *config;

    TN_COMMAND_TRY(tn_command_config(line, &config));
    if (line->json)
        putchar('[');
    for (size_t i = 0; i < config->provider_count; i++) {
        if (line->json && i > 0)
            fputs(",\n ", stdout);
        print_provider(line, config, &config->providers[i]);
    }
    if (line->json)
        puts("]");
    return TN_EXIT_OK;
}

/* --- check ------------------------------------------------------------------------------------ */

static bool
ignore_text(void *context TN_UNUSED, const char *text TN_UNUSED, size_t length TN_UNUSED)
{
    return true;
}

/* The smallest question there is: one word, one token of answer. */
static const char *
small_body(tn_arena *arena, const tn_ai_dialect *dialect, const tn_provider_config *provider,
           const char *model)
{
    const tn_ai_part part = {.text = "Hi"};
    const tn_ai_message message = {.role = "user", .parts = &part, .part_count = 1};

    return dialect->body(
        arena, provider,
        &(tn_ai_request){
            .model = model, .messages = &message, .message_count = 1, .max_tokens = 1});
}

static const char *
problem_of(tn_arena *arena, const tn_ai_dialect *dialect, const tn_fetch_result *result)
{
    tn_ai_answer answer = TN_AI_ANSWER_INIT;
    const char *words;

    if (result->outcome != TN_FETCH_DONE)
        return tn_arena_printf(arena, "no answer: %s",
                               result->problem == NULL ? "unknown" : result->problem);
    if (result->status < 200 || result->status > 299) {
        words = tn_ai_error_words(arena, result->body, result->body_length);
        return tn_arena_printf(arena, "it answered %d%s%s", result->status,
                               words == NULL ? "" : ": ", words == NULL ? "" : words);
    }
    answer.arena = arena;
    answer.on_text = ignore_text;
    if (!dialect->whole(&answer, arena, result->body, result->body_length))
        return "its answer was not understood: is the kind right?";
    return NULL;
}

static const char *
hint_for(const tn_fetch_result *result, const tn_provider_config *provider)
{
    if (result->outcome == TN_FETCH_REFUSED && !provider->allow_private)
        return "If the address is private on purpose, set allow_private = on for this provider.";
    if (result->status == 401 || result->status == 403)
        return "The key is missing or wrong.";
    if (result->status == 404)
        return "Is base_url right (with /v1 where the provider has it), and the model?";
    return NULL;
}

static tn_exit
check(tn_command_line *line, const tn_provider_config *provider, const char *model)
{
    const tn_ai_dialect *dialect =
        provider->kind == TN_ANTHROPIC ? &tn_ai_anthropic : &tn_ai_openai;
    const char *body = small_body(line->arena, dialect, provider, model);
    const tn_fetch fetch = {
        .method = "POST",
        .url = tn_arena_printf(line->arena, "%s%s", provider->base_url, dialect->path),
        .headers = dialect->headers(line->arena, provider),
        .body = body,
        .body_length = strlen(body),
        .connect_timeout_ms = provider->connect_timeout_ms,
        .total_timeout_ms = provider->first_byte_timeout_ms,
        .response_max = ANSWER_MAX,
        .allow_private = provider->allow_private,
    };
    tn_fetch_result result;
    const char *problem;

    tn_fetch_global_init();
    tn_fetch_run(line->arena, &fetch, &result);
    problem = problem_of(line->arena, dialect, &result);
    if (problem != NULL)
        return tn_command_fail(
            line, result.outcome == TN_FETCH_DONE ? TN_EXIT_FAILED : TN_EXIT_UNAVAILABLE,
            "provider_failed", hint_for(&result, provider), "%s: %s", provider->name, problem);
    tn_command_print(line,
                     tn_arena_printf(line->arena, "{\"name\": \"%s\", \"ok\": true, \"ms\": %lld}",
                                     provider->name, (long long)result.total_ms),
                     "%s answers (%lld ms)\n", provider->name, (long long)result.total_ms);
    return TN_EXIT_OK;
}

static tn_exit
run_check(tn_command_line *line)
{
    const char *model = tn_command_option(line, "model");
    const tn_provider_config *provider;
    const tn_config *config;

    TN_COMMAND_TRY(tn_command_config(line, &config));
    provider = tn_config_provider(config, line->argument_count > 0 ? line->arguments[0]
                                                                   : config->chat.provider);
    if (provider == NULL)
        return tn_command_fail(line, TN_EXIT_NOT_FOUND, "provider_not_found",
                               "`tenon provider list` shows them.", "there is no provider %s",
                               line->argument_count > 0 ? line->arguments[0]
                                                        : config->chat.provider);
    if (provider->kind == TN_ECHO) {
        tn_command_print(line, "{\"name\": \"echo\", \"ok\": true, \"ms\": 0}",
                         "%s is built in and always answers\n", provider->name);
        return TN_EXIT_OK;
    }
    if (model == NULL && provider->model_count > 0)
        model = provider->models[0].name;
    if (model == NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "the provider lists no models: say --model NAME");
    return check(line, provider, model);
}

/* --- prices ----------------------------------------------------------------------------------- */

static tn_exit
run_prices(tn_command_line *line)
{
    static const tn_column columns[] = {{"PROVIDER", "provider"}, {"MODEL", "model"},
                                        {"IN", "input_price"},    {"OUT", "output_price"},
                                        {"FROM", "valid_from"},   {"IN FORCE", "in_force"},
                                        {.title = NULL}};
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;

    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_price_list, TN_NO_PARAMS, NULL, &rows));
    tn_command_table(line, rows, columns);
    return TN_EXIT_OK;
}

static tn_exit
run_price(tn_command_line *line)
{
    const char *in = tn_command_option(line, "input"), *out = tn_command_option(line, "output");
    const char *provider = line->arguments[0], *model = line->arguments[1];
    const tn_config *config;
    tn_session *session;
    const tn_rows *rows;
    int64_t number;

    if (in == NULL || out == NULL)
        return tn_command_fail(line, TN_EXIT_USAGE, "usage", NULL,
                               "a price needs --input and --output");
    TN_COMMAND_TRY(tn_command_number(line, "input", 0, INT64_C(1000000000000), &number));
    TN_COMMAND_TRY(tn_command_number(line, "output", 0, INT64_C(1000000000000), &number));
    TN_COMMAND_TRY(tn_command_open(line, &config, &session));
    if (tn_config_provider(config, provider) == NULL)
        return tn_command_fail(line, TN_EXIT_NOT_FOUND, "provider_not_found",
                               "`tenon provider list` shows them.", "there is no provider %s",
                               provider);
    TN_COMMAND_TRY(tn_command_query(line, session, &tn_sql_price_set,
                                    TN_PARAMS(provider, model, in, out), NULL, &rows));
    tn_command_print(line, tn_rows_text(rows, 0, 0),
                     "from now on %s %s costs %s in and %s out, micro-dollars per million tokens\n",
                     provider, model, in, out);
    return TN_EXIT_OK;
}

static const tn_option check_options[] = {
    {"model", "NAME", "model to ask (else the first of the provider)"}, {.name = NULL}};
static const tn_option price_options[] = {
    {"input", "MICROS", "micro-dollars per million tokens of input: $2.50 is 2500000"},
    {"output", "MICROS", "the same for output"},
    {.name = NULL},
};

const tn_command tn_provider_commands[] = {
    {"provider list", .summary = "The providers of the configuration", .run = run_list},
    {"provider check", "[NAME]", 0, 1, "Ask a provider for one token", NULL, check_options,
     run_check},
    {"provider prices", .summary = "What models cost, with all earlier prices", .run = run_prices},
    {"provider price", "PROVIDER MODEL", 2, 2, "Set what a model costs from now on",
     "MODEL may be '*': every model of the provider that has no price of its own.\n", price_options,
     run_price},
    {.name = NULL},
};
