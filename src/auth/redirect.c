/* auth/redirect.c: where people may be sent: never to where somebody else wants them */
#include "auth/area.h"

const char *
tn_auth_site_url(const tn_config *config)
{
    return *config->auth.site_url != '\0' ? config->auth.site_url : config->server.public_url;
}

const char *
tn_auth_redirect(const tn_config *config, tn_arena *arena, const char *wanted)
{
    (void)arena;
    (void)wanted; /* the patterns of auth.redirect_urls come with the endpoints that redirect */
    return tn_auth_site_url(config);
}

const char *
tn_auth_request_redirect(const tn_ctx *c)
{
    return tn_auth_redirect(c->config, c->arena, tn_request_query(c->request, "redirect_to"));
}
