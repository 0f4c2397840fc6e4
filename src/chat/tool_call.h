/* chat/tool_call.h: tools that an app's own server has run for a reply
 *
 * Threads: any.
 */
#ifndef TN_CHAT_TOOL_CALL_H
#define TN_CHAT_TOOL_CALL_H

#include "identity/ctx.h"

const tn_error *tn_tool_call_record(tn_ctx *c); /* POST /api/chats/runs/{run_id}/tool_calls */

#endif
