/* ai/call.h: one answer out of a model, with retries and a list of providers to fall back on
 *
 * Tries the candidates in order. Before the first piece of text a provider that is overloaded (429,
 * 5xx) or cannot be reached is asked again, after a pause that doubles (or the one it asked for
 * with Retry-After), and then the next candidate is; after the first piece nothing is begun again.
 * Each try is told in the result. The log gets names, statuses and times, never keys or content.
 *
 * Threads: any; runs on the caller's thread and takes as long as the provider does. No database
 * connection may be held meanwhile.
 * Errors:  in the result:
 *   502 provider_error        it answered with an error; member provider_status
 *   502 provider_unreachable  no connection, or it broke before the answer began
 *   502 provider_bad_answer   not understood, or it ended in the middle
 *   502 reply_too_large       more than reply_max bytes; what came before is kept
 *   504 provider_timeout      a deadline of its configuration
 */
#ifndef TN_AI_CALL_H
#define TN_AI_CALL_H

#include "ai/provider.h"
#include "base/error.h"
#include "base/metrics.h"

typedef struct tn_ai_candidate {
    const tn_provider_config *provider;
    const char *model;
    int64_t max_tokens;
} tn_ai_candidate;

typedef struct tn_ai_call {
    const tn_ai_candidate *candidates;
    size_t candidate_count; /* at least one */
    tn_ai_request request;  /* model and max_tokens are the candidate's */
    int64_t input_estimate; /* counts where the provider tells no number */
    size_t reply_max;       /* bytes */
    const char *request_id; /* for the log */
    tn_metrics *metrics;    /* may be NULL */
    /* Each piece of text, whole UTF-8 characters. */
    void (*on_text)(void *context, const char *text, size_t length);
    /* At least once a second, also between tries; false cancels. */
    bool (*on_tick)(void *context);
    void *context;
} tn_ai_call;

typedef enum tn_ai_outcome { TN_AI_COMPLETED, TN_AI_FAILED, TN_AI_CANCELLED } tn_ai_outcome;

/* "completed", "failed", "cancelled" */
const char *tn_ai_outcome_text(tn_ai_outcome outcome) TN_NEVER_NULL;

typedef struct tn_ai_attempt {
    const tn_ai_candidate *candidate;
    tn_ai_outcome outcome;
    const tn_error *error;                                    /* of a failed one */
    int provider_status;                                      /* HTTP; 0: there was none */
    const char *finish_reason, *response_model, *response_id; /* NULL: not told */
    int64_t input_tokens, output_tokens; /* -1: none were used, as far as is known */
    bool estimated;
    int64_t first_text_ms; /* since its start; -1: no text came */
    int64_t duration_ms;
    int64_t started_unix_ms;
} tn_ai_attempt;

typedef struct tn_ai_result {
    const tn_ai_attempt *attempts;
    size_t attempt_count;
    const tn_ai_attempt *last; /* who answered, or failed for good; never NULL */
} tn_ai_result;

void tn_ai_call_run(tn_arena *arena, const tn_ai_call *call, tn_ai_result *result);

#endif
