/* oauth/discovery.c: what providers publish about themselves, and the one way to ask them */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/text.h"
#include "oauth/oauth_private.h"

#define ANSWER_MAX ((size_t)256 * 1024)
#define CONNECT_TIMEOUT_MS 5000
#define KEPT_MS (INT64_C(3600) * 1000)       /* then it is read again … */
#define STALE_MS (INT64_C(24) * 3600 * 1000) /* … but serves so long if it cannot be */
#define RENEWAL_MS 60000                     /* how often unknown keys may cause another look */
#define FAILURE_MS 2000                      /* how long a provider is left alone after a failure */
#define ADDRESS_MAX 2048
#define WELL_KNOWN "/.well-known/openid-configuration"

/* --- fetching --------------------------------------------------------------------------------- */

static const tn_error *
unreachable(const tn_oauth_provider *provider, tn_arena *arena, const char *url, const char *cause)
{
    tn_error *error;

    tn_log(TN_LOG_WARN, "oauth.unreachable", TN_STR("request_id", tn_arena_label_text(arena)),
           TN_STR("provider", provider->config->name), TN_STR("url", url), TN_STR("cause", cause));
    error = tn_error_new(arena, 503, "unexpected_failure", NULL,
                         "The provider %s does not answer as it should", provider->config->name);
    error->retry_after_s = 5;
    return error;
}

static const tn_error *
overloaded(tn_arena *arena)
{
    tn_error *error = tn_error_new(arena, 503, "overloaded", "Try again in a moment.",
                                   "Too many sign-ins wait for other providers");

    error->retry_after_s = 1;
    return error;
}

static void
run(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_call *call,
    tn_fetch_result *result)
{
    const int64_t left_ms = provider->deadline_ms - tn_clock_ms();
    const char *headers[5] = {"Accept: application/json"};
    const char **next = headers + 1;
    const tn_fetch fetch = {
        .method = call->form != NULL ? "POST" : "GET",
        .url = call->url,
        .headers = headers,
        .body = call->form,
        .body_length = call->form != NULL ? strlen(call->form) : 0,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .total_timeout_ms = left_ms > 1 ? left_ms : 1,
        .response_max = ANSWER_MAX,
        .allow_private = provider->config->allow_private,
    };

    if (call->form != NULL)
        *next++ = "Content-Type: application/x-www-form-urlencoded";
    if (call->bearer != NULL)
        *next++ = tn_arena_printf(arena, "Authorization: Bearer %s", call->bearer);
    if (call->basic != NULL)
        *next++ = tn_arena_printf(arena, "Authorization: Basic %s", call->basic);
    *next = NULL;
    tn_fetch_run(arena, &fetch, result);
}

const tn_error *
tn_oauth_fetch(const tn_oauth_provider *provider, tn_arena *arena, const tn_oauth_call *call,
               int *status, json_object **answer)
{
    tn_oauth *oauth = provider->oauth;
    tn_fetch_result result;

    *answer = NULL;
    if (!tn_text_starts(call->url, "https://") && !provider->config->allow_private)
        return unreachable(provider, arena, call->url, "the address is not https");
    if (atomic_fetch_add(&oauth->waiting, 1) >= oauth->waiting_max) {
        atomic_fetch_sub(&oauth->waiting, 1);
        return overloaded(arena);
    }
    run(provider, arena, call, &result);
    atomic_fetch_sub(&oauth->waiting, 1);
    if (result.outcome != TN_FETCH_DONE)
        return unreachable(provider, arena, call->url, result.problem);
    *status = result.status;
    if (tn_json_parse(arena, result.body, result.body_length, TN_JSON_DEPTH, answer) == NULL &&
        *answer != NULL)
        return NULL;
    *answer = NULL;
    return result.status / 100 == 2
               ? unreachable(provider, arena, call->url, "the answer is not JSON")
               : NULL;
}

/* --- documents that are kept ------------------------------------------------------------------ */

static struct tn_oauth_kept *
place_of(const tn_oauth_provider *provider, tn_oauth_document which)
{
    tn_oauth *oauth = provider->oauth;
    const size_t number = (size_t)(provider->config - oauth->config->oauths);

    return &oauth->kept[number * TN_OAUTH_DOCUMENTS + which];
}

/* A copy of what is kept, and whether to ask the provider; that is noted, so that others do not. */
static const char *
look(const tn_oauth_provider *provider, tn_arena *arena, tn_oauth_document which, bool renew,
     bool *is_due, bool *has_failed)
{
    struct tn_oauth_kept *kept = place_of(provider, which);
    const int64_t now = tn_clock_ms();
    const char *text = NULL;
    bool is_fresh;

    tn_lock_take(&provider->oauth->lock);
    if (kept->text != NULL && now - kept->read_ms < STALE_MS)
        text = tn_arena_bytes(arena, kept->text, kept->length);
    is_fresh = text != NULL && now - kept->read_ms < KEPT_MS;
    *has_failed = kept->failed_ms != 0 && now - kept->failed_ms < FAILURE_MS;
    *is_due = text == NULL ? !*has_failed
              : renew      ? now - kept->tried_ms >= RENEWAL_MS
                           : !is_fresh && now - kept->tried_ms >= RENEWAL_MS;
    if (*is_due)
        kept->tried_ms = now;
    tn_lock_give(&provider->oauth->lock);
    return text;
}

static void
keep(const tn_oauth_provider *provider, tn_oauth_document which, const char *text)
{
    struct tn_oauth_kept *kept = place_of(provider, which);
    char *copy = text == NULL ? NULL : strdup(text), *before = copy;

    if (text != NULL && copy == NULL)
        tn_die("out of memory");
    tn_lock_take(&provider->oauth->lock);
    if (copy == NULL) {
        kept->failed_ms = tn_clock_ms();
    } else {
        before = kept->text;
        kept->text = copy;
        kept->length = strlen(copy);
        kept->read_ms = tn_clock_ms();
        kept->failed_ms = 0;
    }
    tn_lock_give(&provider->oauth->lock);
    free(before);
}

static const tn_error *
read_document(const tn_oauth_provider *provider, tn_arena *arena, const char *url,
              json_object **document)
{
    const tn_oauth_call call = {.url = url};
    int status = 0;

    TN_TRY(tn_oauth_fetch(provider, arena, &call, &status, document));
    if (status == 200 && json_object_is_type(*document, json_type_object))
        return NULL;
    return unreachable(provider, arena, url,
                       tn_arena_printf(arena, "status %d, or no JSON object", status));
}

const tn_error *
tn_oauth_document_get(const tn_oauth_provider *provider, tn_arena *arena, tn_oauth_document which,
                      const char *url, bool renew, json_object **document)
{
    const tn_error *error = NULL;
    bool is_due, has_failed;
    const char *text = look(provider, arena, which, renew, &is_due, &has_failed);

    if (is_due) {
        error = read_document(provider, arena, url, document);
        if (error == NULL) {
            keep(provider, which, tn_json_print(arena, *document));
            return NULL;
        }
        if (strcmp(error->code, "overloaded") != 0)
            keep(provider, which, NULL);
    }
    if (text != NULL)
        return tn_json_parse(arena, text, strlen(text), TN_JSON_DEPTH, document);
    return error != NULL ? error : unreachable(provider, arena, url, "it has failed a moment ago");
}

/* --- discovery -------------------------------------------------------------------------------- */

static size_t
length_without_slash(const char *url)
{
    size_t length = strlen(url);

    while (length > 0 && url[length - 1] == '/')
        length--;
    return length;
}

/* Microsoft: the issuer of `common` holds {tenantid} where the setting has `common`; all but the
 * segment before the last must be the same. */
static bool
is_same_but_tenant(const char *wanted, const char *found)
{
    const char *wanted_end = strrchr(wanted, '/'), *found_end = strrchr(found, '/');
    size_t wanted_start, found_start;

    if (wanted_end == NULL || found_end == NULL || strcmp(wanted_end, found_end) != 0)
        return false;
    wanted_start = (size_t)(wanted_end - wanted);
    found_start = (size_t)(found_end - found);
    while (wanted_start > 0 && wanted[wanted_start - 1] != '/')
        wanted_start--;
    while (found_start > 0 && found[found_start - 1] != '/')
        found_start--;
    return wanted_start == found_start && strncmp(wanted, found, wanted_start) == 0;
}

/* OpenID Connect Discovery section 4.3: it must be the issuer that was asked. */
static bool
is_issuer(const tn_oauth_provider *provider, const char *found)
{
    const char *wanted = provider->issuer;
    const size_t length = length_without_slash(wanted);

    if (length_without_slash(found) == length && strncmp(wanted, found, length) == 0)
        return true;
    return provider->kind == TN_OAUTH_AZURE && is_same_but_tenant(wanted, found);
}

static bool
array_has(json_object *object, const char *member, const char *wanted, bool if_absent)
{
    json_object *array = tn_json_get(object, member);

    if (!json_object_is_type(array, json_type_array))
        return if_absent;
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        json_object *item = json_object_array_get_idx(array, i);

        if (json_object_is_type(item, json_type_string) &&
            strcmp(json_object_get_string(item), wanted) == 0)
            return true;
    }
    return false;
}

/* Addresses go into headers: visible ASCII. Anything else is as good as none. */
static bool
is_address(const char *text)
{
    const char *at = text;

    while (*at > ' ' && *at < 0x7f)
        at++;
    return *at == '\0' && at - text <= ADDRESS_MAX;
}

static const char *
endpoint(const char *setting, json_object *document, const char *member)
{
    const char *found = tn_json_text(document, member, "");

    if (setting[0] != '\0')
        return setting;
    return is_address(found) ? found : "";
}

const tn_error *
tn_oauth_discover(tn_oauth_provider *provider, tn_arena *arena)
{
    const char *url = tn_arena_printf(
        arena, "%.*s" WELL_KNOWN, (int)length_without_slash(provider->issuer), provider->issuer);
    json_object *document;
    const char *issuer;

    TN_TRY(tn_oauth_document_get(provider, arena, TN_OAUTH_DISCOVERY, url, false, &document));
    issuer = tn_json_text(document, "issuer", "");
    if (!is_issuer(provider, issuer))
        return unreachable(provider, arena, url, "its document names another issuer");
    provider->issuer = issuer;
    provider->authorize_url = endpoint(provider->authorize_url, document, "authorization_endpoint");
    provider->token_url = endpoint(provider->token_url, document, "token_endpoint");
    provider->jwks_url = endpoint(provider->jwks_url, document, "jwks_uri");
    provider->userinfo_url = endpoint(provider->userinfo_url, document, "userinfo_endpoint");
    if (provider->authorize_url[0] == '\0' || provider->token_url[0] == '\0' ||
        provider->jwks_url[0] == '\0')
        return unreachable(provider, arena, url, "its document lacks an endpoint");
    if (!tn_text_starts(provider->authorize_url, "https://") &&
        !(provider->config->allow_private && tn_text_starts(provider->authorize_url, "http://")))
        return unreachable(provider, arena, url, "its authorization_endpoint is not https");
    provider->takes_challenge =
        provider->takes_challenge &&
        array_has(document, "code_challenge_methods_supported", "S256", true);
    /* what a client is registered with if nobody says otherwise (Discovery section 3) */
    provider->wants_basic =
        array_has(document, "token_endpoint_auth_methods_supported", "client_secret_basic", true);
    provider->names_itself =
        tn_json_bool(document, "authorization_response_iss_parameter_supported", false);
    return NULL;
}
