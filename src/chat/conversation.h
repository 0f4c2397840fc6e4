/* chat/conversation.h: routes of conversations
 *
 * Threads: any.
 */
#ifndef TN_CHAT_CONVERSATION_H
#define TN_CHAT_CONVERSATION_H

#include "identity/ctx.h"

const tn_error *tn_conversation_list(tn_ctx *c);   /* GET /api/chats */
const tn_error *tn_conversation_read(tn_ctx *c);   /* GET /api/chats/{id} */
const tn_error *tn_conversation_update(tn_ctx *c); /* PATCH /api/chats/{id} */
const tn_error *tn_conversation_delete(tn_ctx *c); /* DELETE /api/chats/{id} */

#endif
