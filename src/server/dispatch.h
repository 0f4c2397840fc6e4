/* server/dispatch.h: the way of one request: request → route → principal → limits → handler →
 * answer
 *
 * Threads: any number at once, each with an arena of its own.
 */
#ifndef TN_SERVER_DISPATCH_H
#define TN_SERVER_DISPATCH_H

#include <stdbool.h>

#include <fcgiapp.h>

#include "http/route.h"
#include "identity/process.h"
#include "identity/service.h"

typedef struct tn_dispatch {
    const tn_process *process;
    const tn_area *const *areas;       /* NULL-terminated, the fallback last */
    void **states;                     /* of the areas, in their order */
    const tn_service *const *services; /* the same; empty outside of the jobs process */
    void **service_states;
} tn_dispatch;

/* Serves one request, and logs and counts it. The arena is empty before and after. `overloaded`:
 * the thread is the last of its pool, so routes that may wait are answered 503 `overloaded`. */
void tn_dispatch_serve(const tn_dispatch *dispatch, tn_arena *arena, FCGX_Request *fcgx,
                       bool overloaded);

#endif
