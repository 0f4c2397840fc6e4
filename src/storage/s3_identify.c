/* storage/s3_identify.c: a signature → principal
 *
 * An access key of ours acts as the tenant (service_role), a person or an agent. With a session
 * token the id of the key is the tenant, the secret one of its publishable keys, and the token says
 * who is asking, as it does everywhere else.
 */
#include "base/clock.h"
#include "base/text.h"
#include "identity/key.h"
#include "storage/s3.h"

struct signer {
    const tn_process *process;
    const tn_area *area;
    const tn_request *request;
    tn_arena *arena;
    tn_s3_caller *caller;
};

static const tn_error *
unknown_key(tn_arena *arena)
{
    return tn_error_new(arena, 403, "InvalidAccessKeyId", NULL,
                        "The AWS Access Key Id you provided does not exist in our records.");
}

static const tn_error *
wrong_signature(tn_arena *arena)
{
    return tn_error_new(arena, 403, "SignatureDoesNotMatch", NULL,
                        "The request signature we calculated does not match the signature you "
                        "provided. Check your key and signing method.");
}

static bool
is_signed_with(const struct signer *signer, const char *secret)
{
    tn_s3_caller *caller = signer->caller;
    const tn_s3_signature *signature = &caller->signature;

    if (caller->policy != NULL) {
        tn_s3_signing_key(signer->arena, secret, signature->day, signature->region,
                          signature->service, caller->key);
        return tn_s3_signature_is(caller->key, caller->policy, strlen(caller->policy),
                                  signature->signature);
    }
    return tn_s3_signature_verify(signer->arena, &signer->caller->signature, signer->request,
                                  secret, signer->caller->key);
}

static const char *
open_secret(const struct signer *signer, const char *purpose, const char *sealed)
{
    uint8_t key[32];

    tn_derive_server_key(signer->process->config->server.secret, purpose, key);
    return tn_open_text(signer->arena, key, purpose, sealed);
}

/* --- access keys ------------------------------------------------------------------------------ */

/* A role of the app's own is a person's like any other. */
static unsigned
role_of(const char *name)
{
    if (strcmp(name, "service_role") == 0)
        return TN_ROLE_SERVICE;
    if (strcmp(name, "agent") == 0)
        return TN_ROLE_AGENT;
    return strcmp(name, "authenticated") == 0 ? TN_ROLE_AUTHENTICATED : TN_ROLE_CUSTOM;
}

static const tn_error *
identify_access_key(const struct signer *signer, tn_principal *who)
{
    const char *id = signer->caller->signature.access_key_id;
    const char *sealed, *secret;
    const tn_error *error;
    tn_key key;

    error = tn_keys_find_access(signer->process->keys, signer->arena, id, &key, &sealed);
    if (error != NULL && error->status == 401) /* expired */
        return unknown_key(signer->arena);
    TN_TRY(error);
    if (key.role == NULL)
        return unknown_key(signer->arena);
    secret = open_secret(signer, TN_S3_KEY_PURPOSE, sealed);
    if (secret == NULL)
        return tn_error_internal(signer->arena, "storage.s3_key.unreadable",
                                 "the secret of %s is not sealed with server.secret", id);
    if (!is_signed_with(signer, secret))
        return wrong_signature(signer->arena);
    *who = (tn_principal){.role = role_of(key.role),
                          .role_name = key.role,
                          .tenant_id = key.tenant_id,
                          .user_id = key.user_id,
                          .key_id = key.id,
                          .agent_id = key.agent_id,
                          .rate_per_minute = key.rate_per_minute,
                          .claims = key.claims,
                          .scopes = key.scopes};
    if (*key.claims == '\0')
        who->claims = tn_arena_printf(signer->arena, "{\"role\":\"%s\",\"tenant_id\":\"%s\"}",
                                      key.role, key.tenant_id.text);
    return NULL;
}

/* --- session tokens --------------------------------------------------------------------------- */

/* A publishable key of the tenant with which this was signed. */
static const tn_error *
check_publishable(const struct signer *signer, const tn_uuid *tenant)
{
    const char *sealed;

    TN_TRY(tn_keys_publishable(signer->process->keys, signer->arena, tenant, &sealed));
    while (*sealed != '\0') {
        const size_t length = strcspn(sealed, " ");
        const char *secret = open_secret(signer, TN_PUBLISHABLE_PURPOSE,
                                         tn_arena_bytes(signer->arena, sealed, length));

        if (secret != NULL && is_signed_with(signer, secret))
            return NULL;
        sealed += length;
        sealed += *sealed == ' ';
    }
    return wrong_signature(signer->arena);
}

static const tn_error *
refuse_token(const struct signer *signer, const tn_principal *who)
{
    if (who->token_fault == TN_TOKEN_EXPIRED)
        return tn_error_new(signer->arena, 400, "ExpiredToken", NULL,
                            "The provided token has expired.");
    return tn_error_new(signer->arena, 400, "InvalidToken", NULL,
                        "The provided token is malformed or otherwise invalid.");
}

/* The token as if it had come in Authorization. */
static const tn_error *
identify_token(const struct signer *signer, const tn_uuid *tenant, tn_principal *who)
{
    const char *token = signer->caller->signature.token;
    const tn_pair header = {"authorization", tn_arena_printf(signer->arena, "Bearer %s", token)};
    tn_request request = *signer->request;

    if (tn_key_is_formed(token))
        return refuse_token(signer, who);
    request.headers = &header;
    request.header_count = 1;
    TN_TRY(tn_principal_identify(signer->process, signer->area, &request, signer->arena, who));
    if (who->token_error != NULL || who->role == TN_ROLE_NONE ||
        strcmp(who->tenant_id.text, tenant->text) != 0)
        return refuse_token(signer, who);
    return NULL;
}

static const tn_error *
identify_session(const struct signer *signer, tn_principal *who)
{
    tn_uuid tenant;

    TN_TRY(tn_keys_tenant(signer->process->keys, signer->arena,
                          signer->caller->signature.access_key_id, &tenant));
    if (tenant.text[0] == '\0')
        return unknown_key(signer->arena);
    TN_TRY(check_publishable(signer, &tenant));
    return identify_token(signer, &tenant, who);
}

/* --- both ------------------------------------------------------------------------------------- */

/* A form of a browser has its signature in the body. */
static bool
is_form(const tn_route *route, const tn_request *request)
{
    const char *type = tn_request_header(request, "content-type");

    return route != NULL && (route->roles & TN_ROLE_NONE) != 0 && type != NULL &&
           strncasecmp(type, "multipart/form-data", 19) == 0;
}

static const tn_error *
identify_signature(const tn_process *process, const tn_area *area, const tn_request *request,
                   tn_arena *arena, tn_s3_caller *caller, tn_principal *who)
{
    const struct signer signer = {process, area, request, arena, caller};

    TN_TRY(tn_s3_signature_check_region(arena, &caller->signature,
                                        process->config->storage.s3_region));
    if (caller->policy == NULL)
        TN_TRY(tn_s3_signature_check_time(arena, &caller->signature, tn_clock_unix()));
    if (caller->signature.token != NULL)
        TN_TRY(identify_session(&signer, who));
    else
        TN_TRY(identify_access_key(&signer, who));
    who->proof = caller;
    return NULL;
}

const tn_error *
tn_s3_identify(const tn_process *process, const tn_area *area, const tn_route *route,
               const tn_request *request, tn_arena *arena, struct tn_principal *who)
{
    tn_s3_caller *caller = tn_arena_alloc(arena, 1, sizeof(*caller));

    *who = (tn_principal){.role = TN_ROLE_NONE, .role_name = "none", .claims = "", .scopes = ""};
    TN_TRY(tn_s3_signature_read(arena, request, &caller->signature));
    if (caller->signature.access_key_id == NULL && is_form(route, request))
        return NULL;
    if (caller->signature.access_key_id == NULL)
        return tn_error_new(arena, 403, "AccessDenied", "Sign the request with an access key.",
                            "Access Denied");
    return identify_signature(process, area, request, arena, caller, who);
}

const tn_error *
tn_s3_identify_form(tn_ctx *c, tn_s3_caller *caller, struct tn_principal *who)
{
    *who = (tn_principal){.role = TN_ROLE_NONE, .role_name = "none", .claims = "", .scopes = ""};
    return identify_signature(c->process, c->match->area, c->request, c->arena, caller, who);
}
