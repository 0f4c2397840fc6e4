/* chat/chat.h: the door: conversations with a model, under /api
 *
 * A message is admitted in one transaction (tenon.begin_run), answered by a provider while no
 * connection is held, and stored in another (tenon.finish_run). What clients see is in
 * docs/reference/chat.md.
 *
 * Threads: the area's state is a registry of runs with its own lock.
 */
#ifndef TN_CHAT_CHAT_H
#define TN_CHAT_CHAT_H

#include "http/route.h"

extern const tn_area tn_chat_area;

#endif
