/* ai/model.h: which provider is meant by a model's name
 *
 * Threads: any; reads the configuration only.
 */
#ifndef TN_AI_MODEL_H
#define TN_AI_MODEL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/config.h"

typedef struct tn_ai_choice {
    const tn_provider_config *provider;
    const char *model;
} tn_ai_choice;

/* Finds who answers to (provider, model); both may be NULL: the configured default. A model may be
 *   "gpt-4o"           of the default provider if that has it or takes any, else of the first that
 * lists it "mock/gpt-4o"      of the provider before the slash, if there is one of that name "echo"
 * a provider's name: its first model False: nobody is configured for it. */
bool tn_ai_choose(tn_arena *arena, const tn_config *config, const char *provider, const char *model,
                  tn_ai_choice *choice) TN_MUST_CHECK;

/* The providers with their windows, as tenon.begin_run() wants them:
 * {"<provider>": {"models": {"<model>": [window, output]}, "first": "<model>", "any": [window,
 * output]}} */
const char *tn_ai_providers_json(tn_arena *arena, const tn_config *config) TN_NEVER_NULL;

/* chat.fallback as a JSON array of names. */
const char *tn_ai_fallback_json(tn_arena *arena, const tn_config *config) TN_NEVER_NULL;

#endif
