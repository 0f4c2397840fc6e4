/* chat/usage.h: what was used and what may still be spent
 *
 * Threads: any.
 */
#ifndef TN_CHAT_USAGE_H
#define TN_CHAT_USAGE_H

#include "identity/ctx.h"

const tn_error *tn_usage_read(tn_ctx *c); /* GET /api/usage */

#endif
