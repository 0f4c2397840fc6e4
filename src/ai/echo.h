/* ai/echo.h: the provider that needs no key and no network
 *
 * Says "You said: " and the user's last message, word by word, with provider->delay_ms between two
 * words. The same question always gives the same answer and the same count of tokens.
 *
 * Threads: any.
 */
#ifndef TN_AI_ECHO_H
#define TN_AI_ECHO_H

#include "ai/provider.h"

/* Fills `answer`; on_tick() false (between two words) leaves it unended. */
void tn_ai_echo(tn_arena *arena, const tn_provider_config *provider, const tn_ai_request *request,
                tn_ai_answer *answer, bool (*on_tick)(void *context));

#endif
