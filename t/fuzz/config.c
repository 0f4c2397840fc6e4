/* t/fuzz/config.c: a configuration that is taken keeps to its table, a refused one says where
 *
 * The input up to a NUL is the file; the rest is an environment, one variable a line.
 */
#include "base/config.h"

#include <string.h>

#include "base/settings_private.h"
#include "base/text.h"
#include "t/fuzz/fuzz.h"

#define VARIABLES_MAX 16

static void
check_setting(const tn_setting *setting, const void *base)
{
    const void *at = (const char *)base + setting->offset;
    const char *text;
    int64_t number;

    switch (setting->type) {
    case TN_SETTING_INT:
        memcpy(&number, at, sizeof(number));
        assert(number >= setting->min && number <= setting->max);
        break;
    case TN_SETTING_TEXT:
    case TN_SETTING_SECRET:
    case TN_SETTING_URL:
        memcpy(&text, at, sizeof(text));
        if (text == NULL)
            break; /* a provider's key or address may be */
        assert(tn_text_is_utf8(text, strlen(text)));
        assert((int64_t)strlen(text) <= setting->max);
        break;
    case TN_SETTING_BOOL:
    case TN_SETTING_CHOICE:
    case TN_SETTING_MODELS:
        break;
    }
}

static void
check_config(const tn_config *config)
{
    assert(config->provider_count > 0);
    assert(tn_config_provider(config, config->chat.provider) != NULL);
    for (const tn_setting *setting = tn_settings; setting->key != NULL; setting++) {
        const bool is_provider = strcmp(setting->section, TN_PROVIDER_SECTION) == 0;
        const bool is_oauth = strcmp(setting->section, TN_OAUTH_SECTION) == 0;

        if (!is_provider && !is_oauth)
            check_setting(setting, config);
        for (size_t i = 0; is_provider && i < config->provider_count; i++)
            check_setting(setting, &config->providers[i]);
        for (size_t i = 0; is_oauth && i < config->oauth_count; i++)
            check_setting(setting, &config->oauths[i]);
    }
    for (size_t i = 0; i < config->provider_count; i++)
        for (size_t j = 0; j < config->providers[i].model_count; j++)
            assert(config->providers[i].models[j].name[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    tn_arena *arena = tn_arena_new();
    const char *text = tn_arena_bytes(arena, bytes, length);
    const size_t text_length = strlen(text);
    char *rest = text_length < length ? tn_arena_text(arena, text + text_length + 1) : NULL;
    const char *environment[VARIABLES_MAX + 1] = {NULL};
    const tn_config_source source = {
        .path = "f", .text = text, .length = text_length, .environment = environment};
    tn_config config;
    const char *problem;

    /* A secret may be @/path: whatever that file is, it must not be one of the machine's. */
    if (strstr(text, "@/") != NULL || (rest != NULL && strstr(rest, "@/") != NULL)) {
        tn_arena_free(arena);
        return 0;
    }
    for (size_t i = 0; i < VARIABLES_MAX && rest != NULL; i++)
        environment[i] = strsep(&rest, "\n");
    problem = tn_config_read(arena, &source, &config);
    if (problem == NULL)
        check_config(&config);
    else
        assert(tn_text_starts(problem, "f:") || tn_text_starts(problem, "TENON_"));
    tn_arena_free(arena);
    return 0;
}
