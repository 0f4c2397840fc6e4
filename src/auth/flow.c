/* auth/flow.c: sign-ins that leave, into a mailbox or to another provider, and come back */
#include "auth/flow.h"

#include <string.h>
#include <strings.h>

#include "auth/area.h"
#include "auth/queries.h"
#include "base/buffer.h"
#include "base/crypto.h"
#include "base/text.h"

#define CHALLENGE_MIN 43 /* RFC 7636 section 4.2 */
#define CHALLENGE_MAX 128

const tn_error *
tn_flow_challenge(const tn_ctx *c, const char *challenge, const char *method, tn_challenge *out)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "._~-";
    size_t length;

    *out = (tn_challenge){0};
    if (!tn_text_is_given(challenge) && !tn_text_is_given(method))
        return NULL;
    if (!tn_text_is_given(challenge) || !tn_text_is_given(method))
        return tn_auth_refuse_input(c,
                                    "PKCE flow requires code_challenge_method and code_challenge");
    if (strcasecmp(method, "s256") != 0 && strcasecmp(method, "plain") != 0)
        return tn_auth_refuse_input(c, "code_challenge_method is neither s256 nor plain");
    length = strlen(challenge);
    if (length < CHALLENGE_MIN || length > CHALLENGE_MAX)
        return tn_auth_refuse_input(c, "code challenge has to be between 43 and 128 characters");
    if (strspn(challenge, allowed) != length)
        return tn_auth_refuse_input(
            c, "code challenge can only contain alphanumeric characters, hyphens, "
               "periods, underscores and tildes");
    *out = (tn_challenge){challenge, tn_text_lower(c->arena, method)};
    return NULL;
}

/* --- codes and what flows keep ---------------------------------------------------------------- */

tn_flow_code
tn_flow_code_new(tn_arena *arena)
{
    uint8_t random[16];
    const char *code;

    tn_random(random, sizeof(random));
    code = tn_arena_text(arena, tn_uuid_of_random(random).text);
    return (tn_flow_code){code, tn_flow_code_hash(arena, code)};
}

const char *
tn_flow_code_hash(tn_arena *arena, const char *code)
{
    return tn_sha256_hex(arena, code);
}

static void
derive_key(const tn_ctx *c, uint8_t key[32])
{
    tn_derive_server_key(c->config->server.secret, "tenon flows", key);
}

const char *
tn_flow_seal(const tn_ctx *c, const tn_uuid *tenant, const char *text)
{
    uint8_t key[32];

    if (text == NULL)
        return NULL;
    derive_key(c, key);
    return tn_seal_text(c->arena, key, tenant->text, text);
}

const char *
tn_flow_open(const tn_ctx *c, const tn_uuid *tenant, const char *sealed)
{
    uint8_t key[32];

    if (sealed == NULL)
        return NULL;
    derive_key(c, key);
    return tn_open_text(c->arena, key, tenant->text, sealed);
}

/* --- whose it is ------------------------------------------------------------------------------ */

static const tn_error *
look_up(tn_ctx *c, const tn_statement *statement, const char *what, tn_uuid *tenant)
{
    const char *const parameters[] = {what};
    const tn_query query = {.statement = statement, .parameters = parameters, .parameter_count = 1};
    const tn_db_context context = {.request_id = c->request->id};
    const tn_rows *rows;
    const char *found;

    TN_TRY(tn_db_run(c->process->db, c->arena, &context, TN_READ_ONLY, &query, 1, &rows));
    found = tn_rows_text(rows, 0, 0);
    if (found != NULL && tn_uuid_parse(found, tenant))
        return NULL;
    *tenant = (tn_uuid){""};
    /* nobody's: an error of the request for a tenant is none of the link's */
    if (tn_auth_public_tenant(c, tenant) != NULL)
        *tenant = (tn_uuid){""};
    return NULL;
}

const tn_error *
tn_flow_tenant(tn_ctx *c, const char *state, tn_uuid *tenant)
{
    tn_uuid id;

    return look_up(c, &tn_sql_auth_tenant_of_flow,
                   state != NULL && tn_uuid_parse(state, &id) ? state : NULL, tenant);
}

const tn_error *
tn_flow_link_tenant(tn_ctx *c, const char *hash, tn_uuid *tenant)
{
    return look_up(c, &tn_sql_auth_tenant_of_token, hash, tenant);
}

/* --- the way back of a browser ---------------------------------------------------------------- */

/* application/x-www-form-urlencoded, as fragments are written too. Empty values are written, absent
 * ones are not. */
static void
add_member(PQExpBuffer form, const char *name, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    if (value == NULL)
        return;
    appendPQExpBuffer(form, "%s%s=", form->len == 0 ? "" : "&", name);
    for (; *value != '\0'; value++)
        if (strchr(plain, *value) != NULL)
            appendPQExpBufferChar(form, *value);
        else if (*value == ' ')
            appendPQExpBufferChar(form, '+');
        else
            appendPQExpBuffer(form, "%%%02X", (unsigned int)(unsigned char)*value);
}

static const tn_error *
land(tn_ctx *c, int status, const char *to, const char *query, const char *fragment)
{
    const char *separator = strchr(to, '?') == NULL ? "?" : "&";

    tn_response_header(c->response, "Location",
                       tn_arena_printf(c->arena, "%s%s%s%s%s", to, query != NULL ? separator : "",
                                       query != NULL ? query : "", fragment != NULL ? "#" : "",
                                       fragment != NULL ? fragment : ""));
    return tn_respond_empty(c, status);
}

const tn_error *
tn_flow_land_session(tn_ctx *c, int status, const char *to, const char *claims,
                     const char *refresh_token, const tn_flow_extras *extras)
{
    PQExpBuffer form = tn_arena_buffer(c->arena);
    tn_auth_signed session;

    TN_TRY(tn_auth_sign_session(c, claims, &session));
    add_member(form, "access_token", session.token);
    appendPQExpBuffer(form, "&expires_at=%lld&expires_in=%lld", (long long)session.expires_at,
                      (long long)session.lifetime_s);
    add_member(form, "provider_refresh_token", extras->provider_refresh_token);
    add_member(form, "provider_token", extras->provider_token);
    add_member(form, "refresh_token", refresh_token);
    add_member(form, "sb", "");
    add_member(form, "token_type", "bearer");
    add_member(form, "type", extras->type);
    return land(c, status, to, NULL, tn_buffer_text(form));
}

const tn_error *
tn_flow_land_code(tn_ctx *c, int status, const char *to, const char *code)
{
    PQExpBuffer form = tn_arena_buffer(c->arena);

    add_member(form, "code", code);
    return land(c, status, to, tn_buffer_text(form), NULL);
}

/* The words of RFC 6749 section 4.1.2.1; NULL where it has none. */
static const char *
oauth_word(int status)
{
    static const struct {
        int status;
        const char *word;
    } words[] = {
        {400, "invalid_request"}, {401, "unauthorized_client"},     {403, "access_denied"},
        {500, "server_error"},    {503, "temporarily_unavailable"},
    };

    for (size_t i = 0; i < TN_COUNT(words); i++)
        if (words[i].status == status)
            return words[i].word;
    return NULL;
}

const tn_error *
tn_flow_land_error(tn_ctx *c, int status, const char *to, const tn_error *error, bool in_query)
{
    PQExpBuffer query = tn_arena_buffer(c->arena), fragment = tn_arena_buffer(c->arena);
    const bool is_ours = strcmp(error->code, "internal_error") == 0;
    PQExpBuffer forms[] = {query, fragment};

    for (size_t i = 0; i < TN_COUNT(forms); i++) {
        add_member(forms[i], "error",
                   error->reason != NULL ? error->reason : oauth_word(error->status));
        add_member(forms[i], "error_code", is_ours ? "unexpected_failure" : error->code);
        add_member(forms[i], "error_description", error->message);
    }
    add_member(fragment, "sb", "");
    return land(c, status, to, in_query ? tn_buffer_text(query) : NULL, tn_buffer_text(fragment));
}

const tn_error *
tn_flow_land_message(tn_ctx *c, int status, const char *to, const char *message, bool in_query)
{
    PQExpBuffer query = tn_arena_buffer(c->arena), fragment = tn_arena_buffer(c->arena);

    add_member(query, "message", message);
    add_member(fragment, "message", message);
    add_member(fragment, "sb", "");
    return land(c, status, to, in_query ? tn_buffer_text(query) : NULL, tn_buffer_text(fragment));
}
