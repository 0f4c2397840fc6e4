/* server/notify.c: NOTIFY → caches and areas */
#include "server/notify.h"

#include "base/text.h"
#include "db/catalog.h"
#include "identity/key.h"
#include "identity/token.h"

static void
set_caches(const tn_dispatch *dispatch, bool enabled)
{
    tn_keys_enable_cache(dispatch->process->keys, enabled);
    tn_tokens_enable_cache(dispatch->process->tokens, enabled);
}

/* What PostgREST is told, or what our own event trigger says. Settings of ours are read by `tenon
 * reload`, so `reload config` means the settings of roles and functions, which are in the catalog.
 */
static bool
is_about_catalog(const char *channel, const char *payload)
{
    if (strcmp(channel, "pgrst") == 0)
        return *payload == '\0' || strcmp(payload, "reload schema") == 0 ||
               strcmp(payload, "reload config") == 0;
    return strcmp(channel, "tenon") == 0 && strcmp(payload, "catalog") == 0;
}

static void
handle_notify(void *context, const char *channel, const char *payload)
{
    const tn_dispatch *dispatch = context;

    if (strcmp(channel, "tenon") == 0 && tn_text_starts(payload, "key:"))
        tn_keys_drop(dispatch->process->keys, payload + 4);
    else if (strcmp(channel, "tenon") == 0 &&
             (strcmp(payload, "keys:reload") == 0 || tn_text_starts(payload, "tenant:")))
        tn_keys_drop(dispatch->process->keys, NULL);
    else if (strcmp(channel, "tenon") == 0 && strcmp(payload, "signing_keys") == 0)
        tn_tokens_reload(dispatch->process->tokens);
    if (is_about_catalog(channel, payload))
        tn_catalog_expire(dispatch->process->catalog);
    for (size_t i = 0; dispatch->areas[i] != NULL; i++)
        if (dispatch->areas[i]->on_notify != NULL)
            dispatch->areas[i]->on_notify(dispatch->states[i], channel, payload);
    for (size_t i = 0; dispatch->services[i] != NULL; i++)
        if (dispatch->services[i]->on_notify != NULL)
            dispatch->services[i]->on_notify(dispatch->service_states[i], channel, payload);
}

/* Notifications may have been missed: whatever was cached may be stale. */
static void
handle_reset(void *context)
{
    const tn_dispatch *dispatch = context;

    set_caches(dispatch, false);
    tn_tokens_reload(dispatch->process->tokens);
    tn_catalog_expire(dispatch->process->catalog);
}

tn_listen *
tn_notify_start(const tn_dispatch *dispatch, const char *url)
{
    union {
        const tn_dispatch *given;
        void *context;
    } pointer = {.given = dispatch};

    return tn_listen_start(&(tn_listen_options){.url = url,
                                                .on_notify = handle_notify,
                                                .on_reset = handle_reset,
                                                .context = pointer.context});
}

void
tn_notify_follow(const tn_dispatch *dispatch, const tn_listen *listen)
{
    set_caches(dispatch, tn_listen_is_connected(listen));
}
