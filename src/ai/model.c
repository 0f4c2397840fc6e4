/* ai/model.c: names of models */
#include "ai/model.h"

#include <string.h>

#include "base/buffer.h"

static bool
lists(const tn_provider_config *provider, const char *model)
{
    for (size_t i = 0; i < provider->model_count; i++)
        if (strcmp(provider->models[i].name, model) == 0)
            return true;
    return false;
}

/* A provider without a list takes any model. */
static bool
serves(const tn_provider_config *provider, const char *model)
{
    return provider->model_count == 0 || lists(provider, model);
}

static const char *
first_model(const tn_provider_config *provider)
{
    if (provider->model_count > 0)
        return provider->models[0].name;
    return provider->kind == TN_ECHO ? "echo" : NULL;
}

static const tn_provider_config *
default_provider(const tn_config *config)
{
    return tn_config_provider(config, config->chat.provider);
}

/* The model of a provider when none is named. */
static bool
choose_default(const tn_config *config, const tn_provider_config *provider, tn_ai_choice *choice)
{
    const char *model = first_model(provider);

    if (provider == default_provider(config) && config->chat.model != NULL &&
        *config->chat.model != '\0')
        model = config->chat.model;
    *choice = (tn_ai_choice){.provider = provider, .model = model};
    return model != NULL;
}

static bool
choose_of(const tn_config *config, const tn_provider_config *provider, const char *model,
          tn_ai_choice *choice)
{
    const size_t length = strlen(provider->name);

    if (model == NULL || (strcmp(model, provider->name) == 0 && !lists(provider, model)))
        return choose_default(config, provider, choice);
    if (strncmp(model, provider->name, length) == 0 && model[length] == '/' &&
        !lists(provider, model))
        model += length + 1;
    *choice = (tn_ai_choice){.provider = provider, .model = model};
    return *model != '\0' && serves(provider, model);
}

/* "mock/gpt-4o" → mock; NULL when no provider is named so. Models of others have slashes as well.
 */
static const tn_provider_config *
named_before_slash(tn_arena *arena, const tn_config *config, const char *model)
{
    const char *slash = strchr(model, '/');

    return slash == NULL
               ? NULL
               : tn_config_provider(config, tn_arena_bytes(arena, model, (size_t)(slash - model)));
}

bool
tn_ai_choose(tn_arena *arena, const tn_config *config, const char *provider, const char *model,
             tn_ai_choice *choice)
{
    const tn_provider_config *found =
        provider == NULL ? NULL : tn_config_provider(config, provider);

    if (provider != NULL)
        return found != NULL && choose_of(config, found, model, choice);
    found = default_provider(config);
    if (found != NULL && (model == NULL || lists(found, model)))
        return choose_of(config, found, model, choice);
    if (model == NULL)
        return false;
    for (size_t i = 0; i < config->provider_count; i++)
        if (lists(&config->providers[i], model))
            return choose_of(config, &config->providers[i], model, choice);
    if (named_before_slash(arena, config, model) != NULL)
        return choose_of(config, named_before_slash(arena, config, model), model, choice);
    if (tn_config_provider(config, model) != NULL)
        return choose_of(config, tn_config_provider(config, model), model, choice);
    return found != NULL && choose_of(config, found, model, choice);
}

static void
add_limits(PQExpBuffer json, int64_t context, int64_t output)
{
    appendPQExpBuffer(json, "[%lld,%lld]", (long long)context, (long long)output);
}

static void
add_provider(PQExpBuffer json, const tn_provider_config *provider)
{
    tn_buffer_json_string(json, provider->name);
    appendPQExpBufferStr(json, ":{\"models\":{");
    for (size_t i = 0; i < provider->model_count; i++) {
        const tn_model_config *model = &provider->models[i];

        if (i > 0)
            appendPQExpBufferChar(json, ',');
        tn_buffer_json_string(json, model->name);
        appendPQExpBufferChar(json, ':');
        add_limits(json,
                   model->context_tokens > 0 ? model->context_tokens : provider->context_tokens,
                   model->output_tokens > 0 ? model->output_tokens : provider->output_tokens);
    }
    appendPQExpBufferChar(json, '}');
    if (first_model(provider) != NULL) {
        appendPQExpBufferStr(json, ",\"first\":");
        tn_buffer_json_string(json, first_model(provider));
    }
    if (provider->model_count == 0) {
        appendPQExpBufferStr(json, ",\"any\":");
        add_limits(json, provider->context_tokens, provider->output_tokens);
    }
    appendPQExpBufferChar(json, '}');
}

const char *
tn_ai_providers_json(tn_arena *arena, const tn_config *config)
{
    PQExpBuffer json = tn_arena_buffer(arena);

    appendPQExpBufferChar(json, '{');
    for (size_t i = 0; i < config->provider_count; i++) {
        if (i > 0)
            appendPQExpBufferChar(json, ',');
        add_provider(json, &config->providers[i]);
    }
    appendPQExpBufferChar(json, '}');
    return tn_buffer_text(json);
}

const char *
tn_ai_fallback_json(tn_arena *arena, const tn_config *config)
{
    PQExpBuffer json = tn_arena_buffer(arena);
    const char *at = config->chat.fallback == NULL ? "" : config->chat.fallback;
    const char *comma = "";

    appendPQExpBufferChar(json, '[');
    while (*at != '\0') {
        const size_t blanks = strspn(at, ", ");
        const size_t length = strcspn(at + blanks, ", ");

        if (length > 0) {
            appendPQExpBufferStr(json, comma);
            tn_buffer_json_bytes(json, at + blanks, length);
            comma = ",";
        }
        at += blanks + length;
    }
    appendPQExpBufferChar(json, ']');
    return tn_buffer_text(json);
}
