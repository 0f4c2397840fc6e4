/* chat/routes.c: what can be asked for under /api/chats, and usage */
#include "chat/chat.h"
#include "chat/conversation.h"
#include "chat/live.h"
#include "chat/run.h"
#include "chat/tool_call.h"
#include "chat/usage.h"

#include <string.h>

#include "base/text.h"

static const tn_route routes[] = {
    {"GET", "/api/chats", tn_conversation_list, .scope = "chat:read", .limit = TN_LIMIT_READ,
     .roles = TN_ANY_BUT_ANON, .summary = "The caller's chats, newest first"},
    {"POST", "/api/chats/messages", tn_message_send, .scope = "chat:write", .limit = TN_LIMIT_CHAT,
     .waits = true, .roles = TN_ANY_BUT_ANON,
     .summary = "Send a message and get the reply, in a new chat or in chat_id"},
    {"GET", "/api/chats/{id}", tn_conversation_read, .scope = "chat:read", .limit = TN_LIMIT_READ,
     .roles = TN_ANY_BUT_ANON, .summary = "One chat with its messages"},
    {"PATCH", "/api/chats/{id}", tn_conversation_update, .scope = "chat:write",
     .limit = TN_LIMIT_WRITE, .roles = TN_ANY_BUT_ANON,
     .summary = "Rename or archive a chat, change its model, system prompt or branch"},
    {"DELETE", "/api/chats/{id}", tn_conversation_delete, .scope = "chat:write",
     .limit = TN_LIMIT_WRITE, .roles = TN_ANY_BUT_ANON,
     .summary = "Delete a chat with its messages"},
    {"POST", "/api/chats/{id}/messages", tn_message_send_to, .scope = "chat:write",
     .limit = TN_LIMIT_CHAT, .waits = true, .roles = TN_ANY_BUT_ANON,
     .summary = "Send a message to a chat, or answer one again"},
    {"GET", "/api/chats/runs/{run_id}", tn_run_read, .scope = "chat:read", .limit = TN_LIMIT_READ,
     .roles = TN_ANY_BUT_ANON, .summary = "How far a run is, and what it has used"},
    {"GET", "/api/chats/runs/{run_id}/events", tn_run_events, .scope = "chat:read",
     .limit = TN_LIMIT_READ, .waits = true, .roles = TN_ANY_BUT_ANON,
     .summary = "Follow a run as server-sent events, from Last-Event-ID on"},
    {"POST", "/api/chats/runs/{run_id}/cancel", tn_run_cancel, .scope = "chat:write",
     .limit = TN_LIMIT_WRITE, .roles = TN_ANY_BUT_ANON,
     .summary = "Stop a run and keep what it has said"},
    {"POST", "/api/chats/runs/{run_id}/tool_calls", tn_tool_call_record, .scope = NULL,
     .limit = TN_LIMIT_WRITE, .roles = TN_ROLE_SERVICE,
     .summary = "Record a tool that the app's server has run for a reply"},
    {"GET", "/api/usage", tn_usage_read, .scope = "usage:read", .limit = TN_LIMIT_READ,
     .roles = TN_ANY_BUT_ANON | TN_ROLE_PLATFORM,
     .summary = "Calls, tokens and cost: one's own, a secret key its tenant's, the platform all"},
    {.method = NULL},
};

static void *
start(const tn_process *process)
{
    (void)process;
    return tn_lives_new();
}

static void
stop(void *state)
{
    tn_lives_free(state);
}

static void
hear(void *state, const char *channel, const char *payload)
{
    if (strcmp(channel, "tenon") == 0 && tn_text_starts(payload, "cancel:"))
        tn_lives_cancel(state, payload + strlen("cancel:"));
}

const tn_area tn_chat_area = {
    .name = "chat",
    .prefix = "/api",
    .routes = routes,
    .render_error = tn_render_error,
    .start = start,
    .stop = stop,
    .on_notify = hear,
};
